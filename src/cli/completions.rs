//! `backstory completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::context::Context;
use super::failure::Failure;

/// Print completions for a shell
///
/// With --json the script is one JSON string.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory completions bash > ~/.local/share/bash-completion/completions/backstory
  backstory completions zsh > ~/.zfunc/_backstory
  backstory completions fish > ~/.config/fish/completions/backstory.fish")]
pub(super) struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "backstory",
        &mut script,
    );
    if context.json() {
        let text = String::from_utf8_lossy(&script).into_owned();
        context
            .out
            .line(&serde_json::Value::String(text).to_string());
    } else {
        context.out.bytes(&script);
    }
    Ok(super::DONE)
}
