//! `backstory blame`

use std::io::IsTerminal;

use clap::ValueHint;

use super::arguments::pointer;
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::load::not_found;
use super::log::operation;
use super::output::style;
use super::text::{clock, cut, first_line, quote, visible};
use crate::archive::{HistoryQuery, Version};
use crate::blame::{Leaf, blame};
use crate::commit::Op;
use crate::pointer::Pointer;
use crate::time::format_utc;
use crate::workspace::Workspace;

/// Longest value and longest author that a terminal is given whole, in characters.
const VALUE_LIMIT: usize = 72;
const AUTHOR_LIMIT: usize = 20;

/// Show which version brought each value of a document
///
/// Every scalar and every empty container with the version that put it there, its time and its author. Renames are
/// followed, and so are the elements of arrays when others come or go. A value that came back by a rollback is the
/// rollback's.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory blame config/production.json
  backstory blame config/production.json@3 --pointer /database
  backstory blame metrics.json --json | grep '\"author\":\"ops\"'")]
pub(super) struct Args {
    /// Which version: PATH, PATH@3, PATH@-1, PATH@TAG, PATH@2026-11-01
    #[arg(value_name = "REV", value_hint = ValueHint::FilePath)]
    rev: String,
    /// Only the value at this JSON Pointer and what is inside it
    #[arg(long, value_name = "PTR", value_parser = pointer)]
    pointer: Option<Pointer>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&[&args.rev])?;
    let version = workspace
        .resolve(&workspace.target(&args.rev, None)?)
        .map_err(|error| not_found(error, &args.rev))?;
    if version.is_deleted() {
        return Err(deleted(&version, &workspace)?);
    }
    let found = blame(workspace.archive(), &version)?;
    for (version, error) in &found.unread {
        context.warn(&format!(
            "warning: {} cannot be read, what it changed counts as changed by the next: {error}",
            version.rev()
        ));
    }
    let place = args.pointer.clone().unwrap_or_default();
    let leaves: Vec<(&Leaf, &Version)> = found
        .below(&place)
        .filter_map(|leaf| Some((leaf, found.origin(leaf)?)))
        .collect();
    if leaves.is_empty() {
        return Err(
            Failure::not_found(format!("{} has no value at {place}", version.rev()))
                .about(&version.path)
                .hint(format!(
                    "backstory blame {}",
                    quote(&format!(":/{}", version.rev()))
                )),
        );
    }
    if context.json() {
        for (leaf, origin) in leaves {
            context
                .out
                .line(&json(leaf, origin, &context.rev(&origin.rev())));
            if context.out.ended() {
                break;
            }
        }
    } else {
        print(&leaves, &version.path, context);
    }
    Ok(super::DONE)
}

/// What a path ended with is still there, or has gone to another path.
fn deleted(version: &Version, workspace: &Workspace) -> Result<Failure, Failure> {
    let (path, number) = (&version.path, version.version);
    if let (Op::RenameAway, Some(new)) = (version.op, &version.other) {
        let message = format!("{path} was renamed to {new} in version {number}");
        let hint = format!("backstory blame {}", quote(&format!(":/{new}")));
        return Ok(Failure::not_found(message).about(path).hint(hint));
    }
    let failure = Failure::not_found(format!("{path} was deleted in version {number}")).about(path);
    for earlier in workspace.archive().history(HistoryQuery {
        path: Some(path.clone()),
        ..HistoryQuery::default()
    })? {
        let earlier = earlier?;
        if earlier.version < number && !earlier.is_deleted() {
            let rev = format!(":/{}", earlier.rev());
            return Ok(failure.hint(format!("backstory blame {}", quote(&rev))));
        }
    }
    Ok(failure)
}

fn json(leaf: &Leaf, origin: &Version, rev: &str) -> String {
    let mut line = Object::new();
    line.text("path", &origin.path)
        .text("pointer", leaf.pointer.as_str())
        .raw("value", &leaf.value)
        .number("version", origin.version)
        .text("time", &format_utc(origin.time))
        .optional_text("author", origin.author.as_deref())
        .optional_text("message", origin.message.as_deref())
        .text("op", &origin.op.to_string())
        .optional_number("of", origin.of.filter(|_| origin.op == Op::Rollback))
        .text("commit", &origin.commit.to_string())
        .text("rev", rev);
    line.finish()
}

/// `@12  2026-11-01 12:00:00Z  ops  /database/timeout = 30`
fn print(leaves: &[(&Leaf, &Version)], path: &str, context: &mut Context) {
    let limit = match std::io::stdout().is_terminal() {
        true => VALUE_LIMIT,
        false => usize::MAX,
    };
    let name = |origin: &Version| match origin.path == path {
        true => format!("@{}", origin.version),
        // What the path was called then.
        false => visible(&origin.rev()).into_owned(),
    };
    let author = |origin: &Version| {
        let author = origin.author.as_deref().unwrap_or("-");
        cut(&first_line(author), AUTHOR_LIMIT)
    };
    let widest = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let names = widest(&mut leaves.iter().map(|(_, origin)| name(origin)));
    let authors = widest(&mut leaves.iter().map(|(_, origin)| author(origin)));
    for (leaf, origin) in leaves {
        let pointer = match leaf.pointer.is_root() {
            true => "(whole document)".into(),
            false => visible(leaf.pointer.as_str()),
        };
        let out = &context.out;
        let mut line = format!(
            "{}  {}  {}  {} = {}",
            out.paint(style::ID, &format!("{:<names$}", name(origin))),
            clock(origin.time),
            out.paint(style::DIM, &format!("{:<authors$}", author(origin))),
            out.paint(style::NAME, &pointer),
            cut(&visible(&leaf.value), limit),
        );
        if origin.op != Op::Save {
            let note = format!("  ({})", operation(origin));
            line.push_str(&out.paint(style::DIM, &note));
        }
        context.out.line(&line);
        if context.out.ended() {
            break;
        }
    }
}
