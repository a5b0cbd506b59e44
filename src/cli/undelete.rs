//! `backstory undelete`

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;

/// Bring back a deleted path
///
/// Adds a version with the content that the path had when it was deleted. The file on disk is left as it is;
/// `backstory load PATH -o FILE` writes it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory undelete config/old.json
  backstory undelete :/config/old.json")]
pub(super) struct Args {
    /// Which paths, in one commit
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::FilePath)]
    paths: Vec<String>,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&args.paths)?;
    let mut paths = Vec::new();
    for argument in &args.paths {
        let path = workspace.path_argument(argument)?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut edit = workspace.archive().undelete(&names);
    edit.note(args.note.note(context));
    for change in &edit
        .commit()
        .map_err(|error| not_found(error, &args.paths[0]))?
    {
        context.change(change);
    }
    Ok(super::DONE)
}
