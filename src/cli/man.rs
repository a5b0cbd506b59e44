//! `backstory man`

use std::path::PathBuf;

use clap::{CommandFactory, ValueHint};
use clap_mangen::Man;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use crate::storage::files;

/// Print the manual page of a command
///
/// The page is in the language of man: `backstory man save | man -l -` shows it. Without COMMAND it is the page of
/// backstory itself. With --to all pages are written into a folder, such as ~/.local/share/man/man1.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory man rollback | man -l -
  backstory man --to ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Which command
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    command: Option<String>,
    /// Write all pages into this folder, which is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let mut all = super::Cli::command().disable_help_subcommand(true);
    all.build();
    if let Some(folder) = &args.to {
        let folder = context.cwd.join(folder);
        files::create_folder(&folder)?;
        let commands = std::iter::once(&all).chain(all.get_subcommands());
        for command in commands.filter(|command| !command.is_hide_set()) {
            let (name, page) = page_of(command)?;
            let file = folder.join(name);
            files::write_atomically(&file, &page)?;
            if context.json() {
                let mut line = Object::new();
                line.text("file", &file.to_string_lossy());
                context.out.line(&line.finish());
            } else {
                context.say(&file.display().to_string());
            }
        }
        return Ok(super::DONE);
    }
    let command = match &args.command {
        None => &all,
        Some(name) => all.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("there is no command {name}")).hint("backstory --help")
        })?,
    };
    let (_, page) = page_of(command)?;
    if context.json() {
        let text = String::from_utf8_lossy(&page).into_owned();
        context
            .out
            .line(&serde_json::Value::String(text).to_string());
    } else {
        context.out.bytes(&page);
    }
    Ok(super::DONE)
}

/// The name of a command's page, and the page.
fn page_of(command: &clap::Command) -> Result<(String, Vec<u8>), Failure> {
    let man = Man::new(command.clone())
        .source(concat!("backstory ", env!("CARGO_PKG_VERSION")))
        .manual("Backstory");
    let mut page = Vec::new();
    man.render(&mut page)
        .map_err(|error| Failure::io(format!("could not make the page: {error}")))?;
    Ok((man.get_filename(), page))
}
