//! `backstory completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::candidates::candidates;
use super::context::Context;
use super::failure::Failure;

/// Print completions for a shell
///
/// Those for bash, zsh and fish know the paths, versions, tags and commits of the archive too. With --json the script is
/// one JSON string.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory completions bash > ~/.local/share/bash-completion/completions/backstory
  backstory completions zsh > ~/.zfunc/_backstory
  backstory completions fish > ~/.config/fish/completions/backstory.fish")]
pub(super) struct Args {
    /// Which shell
    #[arg(
        value_name = "SHELL",
        required_unless_present = "candidates",
        conflicts_with = "candidates"
    )]
    shell: Option<Shell>,
    /// For the scripts: what the last of these words could be
    #[arg(long, hide = true, num_args = 0.., allow_hyphen_values = true, value_name = "WORD")]
    candidates: Option<Vec<String>>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    if let Some(words) = &args.candidates {
        for candidate in candidates(words, context) {
            match context.json() {
                true => context
                    .out
                    .line(&serde_json::Value::String(candidate).to_string()),
                false => context.out.line(&candidate),
            }
        }
        return Ok(super::DONE);
    }
    let Some(shell) = args.shell else {
        return Err(Failure::usage("which shell?"));
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "backstory", &mut script);
    let script = with_archive(shell, &String::from_utf8_lossy(&script));
    if context.json() {
        context
            .out
            .line(&serde_json::Value::String(script).to_string());
    } else {
        context.out.bytes(script.as_bytes());
    }
    Ok(super::DONE)
}

/// The script, with what the archive knows added to what it offers.
fn with_archive(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Bash => format!("{script}\n{BASH}"),
        Shell::Zsh => {
            let script = script.replacen("\n_backstory() {", "\n_backstory_static() {", 1);
            let end = "\nif [ \"$funcstack[1]\" = \"_backstory\" ]; then";
            script.replacen(end, &format!("\n{ZSH}{end}"), 1)
        }
        Shell::Fish => format!("{script}\n{FISH}"),
        _ => script.to_owned(),
    }
}

const BASH: &str = include_str!("completions/backstory.bash");
const ZSH: &str = include_str!("completions/backstory.zsh");
const FISH: &str = include_str!("completions/backstory.fish");
