//! `backstory delete`

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::text::quote;

/// End a path; its history stays
///
/// The path is no longer listed as live, and loading its newest version is exit 3. Every older version can still be
/// loaded, and the file on disk is left as it is.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory delete config/old.json
  backstory delete a.json b.json -m 'no longer used'")]
pub(super) struct Args {
    /// Which paths, in one commit
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::FilePath)]
    paths: Vec<String>,
    /// Only if the newest version is N; otherwise exit 4
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
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
    let mut edit = workspace.archive().delete(&names);
    edit.note(args.note.note(context));
    if let Some(version) = args.if_version {
        edit.if_version(version);
    }
    let changes = edit
        .commit()
        .map_err(|error| not_found(error, &args.paths[0]))?;
    for change in &changes {
        context.change(change);
    }
    if let Some(change) = changes.first() {
        context.notice(&format!(
            "note: the content stays in the history, and the file on disk; `backstory undelete {}` brings the path back",
            quote(&format!(":/{}", change.path))
        ));
    }
    Ok(super::DONE)
}
