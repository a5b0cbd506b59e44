//! `backstory redo`

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::undo;

/// Take back the last undo
///
/// Adds a commit that makes current again what the undo took back; files are written as by `rollback`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory redo
  backstory redo --archive-only -m 'it was right after all'")]
pub(super) struct Args {
    /// Leave the files on disk alone
    #[arg(long)]
    archive_only: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let mut redo = workspace.archive().redo()?;
    redo.note(args.note.note(context));
    undo::finish(redo, args.archive_only, &workspace, context)
}
