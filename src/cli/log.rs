//! `backstory log`

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::ValueHint;

use super::arguments::{moment, moment_until, pointer};
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::output::{Output, style};
use super::text::{clock, first_line, quote, short, visible};
use crate::archive::{Archive, HistoryQuery, Version};
use crate::commit::Op;
use crate::diff::json::write_changes;
use crate::diff::text::{TextOptions, summary_text, write_lines};
use crate::diff::{Change, ChangeKind, Diff};
use crate::error::Result as Answer;
use crate::id::ObjectId;
use crate::pointer::Pointer;
use crate::time::format_utc;

/// Versions that are compared are read up to so many at a time …
const PAGE: usize = 16;
/// … unless that takes longer than this: then the first is shown before the next is read.
const LONG: Duration = Duration::from_millis(500);

/// Show the history of a path, or of everything, newest first
///
/// A rename is followed to the path's older name. A time that was claimed with --time is shown with the time at
/// which it was recorded. What a version changed is what differs from the version in front of it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory log config/production.json
  backstory log -n 20
  backstory log metrics.json --since 2026-11-01 --until 2026-11-30
  backstory log metrics.json --pointer /accuracy
  backstory log --grep timeout --stat
  backstory log config/production.json --patch
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
    /// Only versions that changed the value at this JSON Pointer, with the old value and the new; needs PATH
    #[arg(long, value_name = "PTR", value_parser = pointer)]
    pointer: Option<Pointer>,
    /// Only versions whose message or metadata contains this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// How many values each version changed, added and removed
    #[arg(long)]
    stat: bool,
    /// What each version changed, as diff shows it
    #[arg(long, short)]
    patch: bool,
}

/// What a version changed, as far as it was asked for.
#[derive(Default)]
struct Told {
    /// The value at the place that was named.
    value: Option<Change>,
    /// All changes, or all below that place.
    changes: Option<Diff>,
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
    if path.is_none() && args.pointer.is_some() {
        let pointer = args.pointer.as_ref().map_or("", Pointer::as_str);
        return Err(
            Failure::usage("--pointer is a place in one document: name its path")
                .hint(format!("backstory log PATH --pointer {}", quote(pointer))),
        );
    }
    let query = HistoryQuery {
        path,
        // What is left out is not counted.
        limit: args.limit.filter(|_| !args.leaves_out()),
        since: args.since,
        until: args.until,
        follow: true,
    };
    let archive = workspace.archive();
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut history = archive.history(query)?.filter(|version| {
        let mentions = |version: &Version| args.grep.as_ref().is_none_or(|t| version.mentions(t));
        version.as_ref().map_or(true, mentions)
    });
    let mut page = VecDeque::new();
    let mut at_once = 1;
    loop {
        if left == 0 || context.out.ended() {
            break;
        }
        if page.is_empty() {
            let begun = Instant::now();
            page = args.page(archive, &mut history, left.min(at_once));
            at_once = match begun.elapsed() < LONG {
                true => PAGE.min(at_once * 2),
                false => 1,
            };
        }
        let Some(found) = page.pop_front() else { break };
        let (version, told) = found?;
        let told = match told {
            Ok(Some(told)) => told,
            Ok(None) => continue,
            Err(error) => {
                // The history can be told all the same; whether this belongs to it cannot.
                context.report(Failure::from(error).about(&version.path));
                if args.pointer.is_some() {
                    continue;
                }
                Told::default()
            }
        };
        left -= 1;
        if context.json() {
            let source = match archive.source_id(&version) {
                Err(error) if error.is_corrupt() => {
                    context.notice(&format!("note: {}: {error}", version.rev()));
                    None
                }
                source => source?,
            };
            let mut line = version_json(&version, source, &context.rev(&version.rev()));
            told.add_to(&mut line, args);
            context.out.line(&line.finish());
        } else {
            let line = version_text(&version, &context.out);
            context.out.line(&line);
            for line in told.text(args, context.out.color()).lines() {
                context.out.line(&format!("    {line}"));
            }
        }
    }
    Ok(super::DONE)
}

impl Args {
    fn leaves_out(&self) -> bool {
        self.pointer.is_some() || self.grep.is_some()
    }

    /// The next versions and what they changed: those that are compared are read faster together.
    fn page(
        &self,
        archive: &Archive,
        history: &mut impl Iterator<Item = Answer<Version>>,
        most: usize,
    ) -> VecDeque<Answer<(Version, Answer<Option<Told>>)>> {
        let compared = self.stat || self.patch || self.pointer.is_some();
        let most = if compared { most } else { 1 };
        let mut versions = Vec::new();
        let mut failed = None;
        for version in history.take(most) {
            match version {
                Ok(version) => versions.push(version),
                Err(error) => {
                    failed = Some(Err(error));
                    break;
                }
            }
        }
        let mut told: Vec<Answer<Option<Told>>> = Vec::with_capacity(versions.len());
        match &self.pointer {
            Some(place) => {
                archive.read_ahead(versions.iter());
                told.extend(
                    versions
                        .iter()
                        .map(|version| self.told_at(archive, version, place)),
                );
            }
            None if compared => {
                let each = archive.changes_of_each(&versions).into_iter();
                told.extend(each.map(|changes| {
                    Ok(Some(Told {
                        value: None,
                        changes: Some(changes?),
                    }))
                }));
            }
            None => told.extend(versions.iter().map(|_| Ok(Some(Told::default())))),
        }
        let found = versions.into_iter().zip(told).map(Ok);
        found.chain(failed).collect()
    }

    /// How the version changed a value; `None` where it did not.
    fn told_at(
        &self,
        archive: &Archive,
        version: &Version,
        place: &Pointer,
    ) -> Answer<Option<Told>> {
        let Some(value) = archive.value_change(version, place)? else {
            return Ok(None);
        };
        let changes = match self.stat || self.patch {
            true => Some(archive.changes_at(version, place)?),
            false => None,
        };
        Ok(Some(Told {
            value: Some(value),
            changes,
        }))
    }
}

impl Told {
    fn add_to(&self, line: &mut Object, args: &Args) {
        if let Some(change) = &self.value {
            let mut values = Object::new();
            match &change.kind {
                ChangeKind::Added { new } => values.raw("new", new),
                ChangeKind::Removed { old } => values.raw("old", old),
                ChangeKind::Changed { old, new } => values.raw("old", old).raw("new", new),
                ChangeKind::Moved { .. } => &mut values,
            };
            line.raw("change", &values.finish());
        }
        let Some(changes) = &self.changes else {
            return;
        };
        if args.stat {
            let summary = changes.summary();
            let mut counts = Object::new();
            counts
                .number("added", summary.added as u64)
                .number("removed", summary.removed as u64)
                .number("changed", summary.changed as u64)
                .number("moved", summary.moved as u64);
            line.raw("stat", &counts.finish());
        }
        if args.patch {
            let mut text = vec![b'['];
            write_changes(changes, &mut text);
            text.push(b']');
            line.raw("changes", &String::from_utf8_lossy(&text));
        }
    }

    fn text(&self, args: &Args, color: bool) -> String {
        let options = TextOptions {
            color,
            ..TextOptions::default()
        };
        let mut text = String::new();
        match (&self.changes, &self.value) {
            (Some(changes), _) if args.patch => write_lines(changes, &options, &mut text),
            (_, Some(change)) => {
                let changes = vec![change.clone()];
                write_lines(&Diff { changes }, &options, &mut text);
            }
            _ => {}
        }
        if let Some(changes) = &self.changes {
            text.push_str(&summary_text(changes.summary()));
        }
        text
    }
}

fn version_json(version: &Version, source: Option<ObjectId>, rev: &str) -> Object {
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
    if let Some(origin) = &version.origin {
        let mut from = Object::new();
        from.text("archive", &origin.archive.to_string())
            .text("commit", &origin.commit.to_string())
            .text("recorded", &format_utc(origin.recorded));
        line.raw("origin", &from.finish());
    }
    line
}

/// `2026-11-01 12:00:00Z  9f2c1a2b  config/a.json@3  rollback to @1  ops  raise the timeout`
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
