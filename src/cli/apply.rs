//! `backstory apply`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::text::quote;
use crate::archive::Note;
use crate::workspace::State;

/// Save what a patch makes of a path's newest version
///
/// An array is a JSON Patch (RFC 6902), as `diff --format patch` writes it, an object a JSON Merge Patch (RFC 7396). All
/// of it is applied, or nothing. The new version is written as the one before it was, and the file on disk with it,
/// where the path came from a file. Exit code 4 where another writer was faster, or the file has changes that are not
/// saved; 2 where the patch does not fit.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory apply config/production.json raise-timeout.patch -m 'raise the timeout'
  backstory diff a.json@1 @2 --format patch | backstory apply b.json -
  echo '{\"timeout\": 60}' | backstory apply config/production.json -")]
pub(super) struct Args {
    /// Which path
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    path: String,
    /// The patch; - is standard input
    #[arg(value_name = "PATCH", value_hint = ValueHint::FilePath)]
    patch: PathBuf,
    /// Only if the newest version is N; otherwise exit 4
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Leave the file on disk alone
    #[arg(long)]
    archive_only: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&[&args.path])?;
    let path = workspace.path_argument(&args.path)?;
    let (_, patch) = context.read_input(&args.patch)?;
    let writes = !args.archive_only && workspace.came_from_file(&path)?;
    if writes {
        let states = workspace.status(&path)?;
        let unsaved = states.iter().any(|file| {
            file.path == path && matches!(file.state, State::Modified | State::Invalid)
        });
        if unsaved {
            let message = format!("the file of {path} has changes that are not saved");
            return Err(Failure::conflict(message)
                .about(&path)
                .hint(format!("backstory save {}", quote(&args.path))));
        }
    }
    let mut save = workspace
        .archive()
        .patch(&path, &patch)
        .map_err(|error| not_found(error, &args.path))?;
    if let Some(version) = args.if_version {
        save.if_version(version);
    }
    save.note(args.note.note(context));
    let changes = save.commit()?;
    for change in &changes {
        context.change(change);
    }
    if writes && let Some(newest) = workspace.archive().newest(&path)? {
        let bytes = workspace.archive().load(&newest)?.into_source();
        let file = workspace.file_of(&path);
        workspace.write_file(&file, &bytes, Note::default(), context.stamp())?;
    }
    Ok(super::DONE)
}
