//! `backstory mv`

use std::path::Path;

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::text::quote;
use crate::storage::files::{self, Kind};
use crate::workspace::Workspace;

/// Rename a path; its history follows
///
/// The file is renamed too, where it stands at the old name and nothing stands at the new one. NEW may be a folder.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory mv config/prod.json config/production.json
  backstory mv metrics.json reports/
  backstory mv old.json new.json --archive-only")]
pub(super) struct Args {
    /// The path as it is
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    old: String,
    /// The path as it shall be
    #[arg(value_name = "NEW", value_hint = ValueHint::AnyPath)]
    new: String,
    /// Leave the files on disk alone
    #[arg(long)]
    archive_only: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&[&args.old])?;
    let old = workspace.path_argument(&args.old)?;
    let new = new_path(args, &old, &workspace, context)?;
    if !workspace.archive().path_exists(&old)? {
        return Err(
            Failure::not_found(format!("no such path in the archive: {old}"))
                .about(&old)
                .hint("backstory ls"),
        );
    }
    let mut rename = workspace.archive().rename(&old, &new);
    rename.note(args.note.note(context));
    let changes = rename
        .commit()
        .map_err(|error| not_found(error, &args.old))?;
    for change in &changes {
        context.change(change);
    }
    // A path that never came from a file has none, whatever stands at its name.
    if !args.archive_only && workspace.came_from_file(&new)? {
        move_file(&workspace, &old, &new, context)?;
    }
    Ok(super::DONE)
}

fn new_path(
    args: &Args,
    old: &str,
    workspace: &Workspace,
    context: &Context,
) -> Result<String, Failure> {
    let folder = args.new.ends_with('/') || files::is_folder(&context.cwd.join(&args.new));
    if !folder {
        return Ok(workspace.path_argument(&args.new)?);
    }
    let name = old.rsplit('/').next().unwrap_or(old);
    let folder = workspace.prefix_argument(&args.new)?;
    Ok(if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    })
}

/// The archive has its commit: a file that cannot follow is reported, and stays.
fn move_file(
    workspace: &Workspace,
    old: &str,
    new: &str,
    context: &mut Context,
) -> Result<(), Failure> {
    let (from, to) = (workspace.file_of(old), workspace.file_of(new));
    if !matches!(files::kind(&from)?, Kind::File) {
        return Ok(());
    }
    if files::is_there(&to) {
        context.notice(&format!(
            "note: {} stays: {} is there already",
            from.display(),
            to.display()
        ));
        return Ok(());
    }
    files::rename(&from, &to).map_err(|error| {
        let name = |file: &Path| quote(&file.to_string_lossy()).into_owned();
        Failure::from(error)
            .about(old)
            .hint(format!("mv {} {}", name(&from), name(&to)))
    })
}
