//! `backstory undo`

use std::io::IsTerminal;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::restored;
use super::text::{clock, first_line, quote, short};
use crate::archive::{CommitView, Undo, Version};
use crate::workspace::{Destination, Workspace};

/// Take back a whole commit, all its paths
///
/// Adds a commit that restores what was there before; files are written as by `rollback`. A path that has changed
/// since is a conflict (exit 4). Without COMMIT it is the newest commit that is neither an undo nor undone. Off a
/// terminal COMMIT has to be given, as another writer's commit may be newer.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory undo
  backstory undo 9f2c1a2b
  backstory undo \"$(backstory head)\"")]
pub(super) struct Args {
    /// The commit: its id, or the first digits of it (4 or more)
    #[arg(value_name = "COMMIT")]
    commit: Option<String>,
    /// Leave the files on disk alone
    #[arg(long)]
    archive_only: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let view = match &args.commit {
        Some(commit) => workspace.archive().find_commit(commit).map_err(|error| {
            Failure::from(error).hint("backstory log -n 10 --json, for the ids of commits")
        })?,
        None => {
            let view = workspace.archive().undo_target()?;
            if !std::io::stdin().is_terminal() {
                return Err(Failure::usage(format!(
                    "which commit? The newest that can be undone is {}",
                    describe(&view)
                ))
                .hint(format!("backstory undo {}", view.commit)));
            }
            context.notice(&format!("undoing {}", describe(&view)));
            view
        }
    };
    let mut undo = workspace.archive().undo(view);
    undo.note(args.note.note(context));
    finish(undo, args.archive_only, &workspace, context)
}

/// Commits an undo or a redo and writes the files.
pub(super) fn finish(
    undo: Undo<'_>,
    archive_only: bool,
    workspace: &Workspace,
    context: &mut Context,
) -> Result<u8, Failure> {
    let destination = if archive_only {
        Destination::ArchiveOnly
    } else {
        Destination::Files
    };
    let before = undo
        .view()
        .changes
        .iter()
        .find(|version| version.version > 1)
        .map(|version| {
            let rev = format!("{}@{}", version.path, version.version - 1);
            restored::way_out(&rev, &version.path, workspace, context)
        });
    let report = workspace
        .undo(undo, &destination, context.stamp())
        .map_err(|error| {
            let failure = Failure::from(error);
            match before {
                Some(hint) if failure.is_io() => failure.hint(hint),
                _ => failure,
            }
        })?;
    restored::print(report, workspace, context);
    Ok(super::DONE)
}

/// `commit 9f2c1a2b (save of config/a.json@3 and 2 more, 2026-11-01 12:00:00Z, ops: raise the timeout)`
fn describe(view: &CommitView) -> String {
    let mut text = format!("commit {}", short(view.commit));
    if let Some(first) = view.changes.first() {
        text.push_str(&format!(" ({} of {}", first.op, quote(&first.rev())));
        if view.changes.len() > 1 {
            text.push_str(&format!(" and {} more", view.changes.len() - 1));
        }
        text.push_str(&format!(", {}{})", clock(first.time), who_and_why(first)));
    }
    text
}

fn who_and_why(version: &Version) -> String {
    let mut text = String::new();
    if let Some(author) = &version.author {
        text.push_str(&format!(", {}", first_line(author)));
    }
    if let Some(message) = &version.message {
        text.push_str(&format!(": {}", first_line(message)));
    }
    text
}
