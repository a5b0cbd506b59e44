//! `backstory log`

use clap::ValueHint;

use super::arguments::{moment, moment_until};
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::output::{Output, style};
use super::text::{clock, first_line, short, visible};
use crate::archive::{HistoryQuery, Version};
use crate::commit::Op;
use crate::id::ObjectId;
use crate::time::format_utc;

/// Show the history of a path, or of everything, newest first
///
/// A rename is followed to the path's older name. A time that was claimed with --time is shown with the time at
/// which it was recorded.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory log config/production.json
  backstory log -n 20
  backstory log metrics.json --since 2026-11-01 --until 2026-11-30
  backstory log metrics.json --json | head -1")]
pub(super) struct Args {
    /// Only the history of this path
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    path: Option<String>,
    /// At most N versions
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
    /// Not before this time; a date is its first moment (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Not after this time; a date is its last moment (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment_until)]
    until: Option<i64>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(args.path.as_slice())?;
    let path = match &args.path {
        Some(argument) => Some(workspace.path_argument(argument)?),
        None => None,
    };
    if let Some(path) = &path
        && !workspace.archive().path_exists(path)?
    {
        return Err(
            Failure::not_found(format!("no such path in the archive: {path}"))
                .about(path)
                .hint("backstory ls"),
        );
    }
    let query = HistoryQuery {
        path,
        limit: args.limit,
        since: args.since,
        until: args.until,
        follow: true,
    };
    for version in workspace.archive().history(query)? {
        let version = version?;
        let line = if context.json() {
            let source = match workspace.archive().source_id(&version) {
                // The history can be told all the same.
                Err(error) if error.is_corrupt() => {
                    context.notice(&format!("note: {}: {error}", version.rev()));
                    None
                }
                source => source?,
            };
            version_json(&version, source, &context.rev(&version.rev()))
        } else {
            version_text(&version, &context.out)
        };
        context.out.line(&line);
        if context.out.ended() {
            break;
        }
    }
    Ok(super::DONE)
}

fn version_json(version: &Version, source: Option<ObjectId>, rev: &str) -> String {
    let mut line = Object::new();
    line.text("path", &version.path)
        .number("version", version.version)
        .optional("id", version.id)
        .optional("source", source)
        .text("commit", &version.commit.to_string())
        .number("seq", version.seq)
        .text("time", &format_utc(version.time))
        .text("recorded", &format_utc(version.recorded))
        .optional_text("author", version.author.as_deref())
        .text("op", &version.op.to_string())
        .optional_text("message", version.message.as_deref())
        .map("meta", &version.meta)
        .text("rev", rev);
    line.finish()
}

/// `2026-11-01 12:00:00Z  9f2c1a2b  config/a.json@3  rollback to @1  ana  raise the timeout`
fn version_text(version: &Version, out: &Output) -> String {
    let id = version.id.map_or_else(|| "-       ".to_owned(), short);
    let mut fields = vec![
        clock(version.time),
        out.paint(style::ID, &id),
        out.paint(style::NAME, &visible(&version.rev())),
        operation(version),
    ];
    if let Some(author) = &version.author {
        fields.push(out.paint(style::DIM, &first_line(author)));
    }
    if let Some(message) = &version.message {
        fields.push(first_line(message));
    }
    if version.time != version.recorded {
        fields.push(out.paint(
            style::DIM,
            &format!("(recorded {})", clock(version.recorded)),
        ));
    }
    fields.join("  ")
}

pub(super) fn operation(version: &Version) -> String {
    let other = version.other.as_deref().map(visible).unwrap_or_default();
    match (version.op, version.of) {
        (Op::Rollback, Some(of)) => format!("rollback to @{of}"),
        (Op::Rename, _) => format!("rename from {other}"),
        (Op::RenameAway, _) => format!("renamed to {other}"),
        (op, _) => op.to_string(),
    }
}
