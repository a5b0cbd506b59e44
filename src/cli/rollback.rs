//! `backstory rollback`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::restored;
use super::text::quote;
use crate::archive::Version;
use crate::revision::Spec;
use crate::workspace::Destination;

/// Make older content current again, in the archive and on disk
///
/// Adds a version with the old content; nothing is lost. The file on disk gets the bytes as they were saved. What was
/// in it and is not in the archive yet is saved first. Without --to: the version before the one now current; said
/// again, it walks further back.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory rollback config/production.json
  backstory rollback config/production.json --to 3
  backstory rollback config/a.json config/b.json --to 2026-11-01
  backstory rollback metrics.json --to best -o /tmp/metrics.json")]
pub(super) struct Args {
    /// Which paths, in one commit
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::FilePath)]
    paths: Vec<String>,
    /// To which version: what stands behind the @ of a REV
    #[arg(long, value_name = "REV", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only if the newest version is N; otherwise exit 4
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Leave the file on disk alone
    #[arg(long, conflicts_with = "output")]
    archive_only: bool,
    /// Write to this file instead of the path's own
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let to = match &args.to {
        Some(text) => Some(Spec::parse(text).map_err(|error| Failure::usage(error.to_string()))?),
        None => None,
    };
    let destination = match (&args.output, args.archive_only) {
        (Some(file), _) => Destination::File(file.clone()),
        (None, true) => Destination::ArchiveOnly,
        (None, false) => Destination::Files,
    };
    if args.output.is_some() && args.paths.len() > 1 {
        return Err(
            Failure::usage("one file cannot hold the content of several paths")
                .hint("backstory rollback PATH -o FILE, once for each path"),
        );
    }
    let workspace = context.workspace_for(&args.paths)?;
    let mut rollback = workspace.archive().rollback();
    rollback.note(args.note.note(context));
    if let Some(version) = args.if_version {
        rollback.if_version(version);
    }
    let mut seen = Vec::new();
    for argument in &args.paths {
        let path = workspace.path_argument(argument)?;
        if seen.contains(&path) {
            continue;
        }
        rollback
            .path(&path, to.clone())
            .map_err(|error| not_found(error, &format!("{argument}@")))?;
        seen.push(path);
    }
    let targets: Vec<Version> = rollback.targets().to_vec();
    if destination == Destination::Files {
        refuse_without_file(&targets, &workspace)?;
    }
    let report = workspace
        .rollback(rollback, &destination, context.stamp())
        .map_err(|error| {
            let failure = Failure::from(error);
            match targets.first() {
                Some(target) if failure.is_io() => failure.about(&target.path).hint(
                    restored::way_out(&target.rev(), &target.path, &workspace, context),
                ),
                _ => failure,
            }
        })?;
    restored::print(report, &workspace, context);
    Ok(super::DONE)
}

fn refuse_without_file(
    targets: &[Version],
    workspace: &crate::workspace::Workspace,
) -> Result<(), Failure> {
    for target in targets {
        if !workspace.came_from_file(&target.path)? {
            let message = format!(
                "{} was not saved as a file, so no file belongs to it",
                target.path
            );
            let call = format!(
                "backstory rollback {}",
                quote(&format!(":/{}", target.path))
            );
            return Err(Failure::usage(message)
                .about(&target.path)
                .hint(format!("{call} -o FILE, or {call} --archive-only")));
        }
    }
    Ok(())
}
