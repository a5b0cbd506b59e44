//! `backstory merge-file`

use std::path::PathBuf;

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::{Object, array};
use super::text::{count, visible};
use super::{DONE, FOUND};
use crate::canon::{Form, NanMode, canonicalize, canonicalize_with, render};
use crate::diff::merge3::{Conflict, merge};
use crate::error::Error;
use crate::layout::Layout;
use crate::storage::files;

/// Merge what two documents changed of a third
///
/// By structure: members by name, elements of arrays by `id`, `name` and the like where each has one. The result is
/// written as OURS is written. What both changed in different ways is a conflict: there the result has what OURS has,
/// each conflict is told, and the exit code is 1.
///
/// As a merge driver of git, for files that .gitattributes gives `*.json merge=json`:
///   git config merge.json.driver 'backstory merge-file %O %A %B -o %A'
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory merge-file base.json ours.json theirs.json
  backstory merge-file base.json ours.json theirs.json -o ours.json
  backstory merge-file base.json ours.json theirs.json --json")]
pub(super) struct Args {
    /// What both came from
    #[arg(value_name = "BASE", value_hint = ValueHint::FilePath)]
    base: PathBuf,
    /// One side
    #[arg(value_name = "OURS", value_hint = ValueHint::FilePath)]
    ours: PathBuf,
    /// The other side
    #[arg(value_name = "THEIRS", value_hint = ValueHint::FilePath)]
    theirs: PathBuf,
    /// Write the result here; the file is replaced whole
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let read = |file: &PathBuf| -> Result<(Vec<u8>, Vec<u8>, bool), Failure> {
        let (name, bytes) = context.read_input(file)?;
        let read = canonicalize_with(&bytes, NanMode::Tag);
        let (canonical, outcome) =
            read.map_err(|source| Error::InvalidDocument { path: name, source })?;
        Ok((bytes, canonical, outcome.tagged))
    };
    let (_, base, _) = read(&args.base)?;
    let (our_bytes, ours, our_nan) = read(&args.ours)?;
    let (_, theirs, their_nan) = read(&args.theirs)?;
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::from(Error::invalid(format!(
            "these documents cannot be merged: {error}"
        )))
    };
    let merged = merge(&base, &ours, &theirs).map_err(|error| cannot(&error))?;
    let canonical = canonicalize(&merged.document).map_err(|error| cannot(&error))?;
    let nan = our_nan || their_nan;
    let mut result = Vec::new();
    let layout = Layout::infer(&our_bytes, &ours, our_nan);
    if layout.is_none_or(|layout| layout.render(&canonical, nan, &mut result).is_err()) {
        result.clear();
        render(&canonical, Form::Pretty, nan, &mut result);
    }
    if let Some(file) = &args.output {
        files::write_atomically(&context.cwd.join(file), &result)?;
    }
    if context.json() {
        let mut document = Object::new();
        document
            .boolean("clean", merged.conflicts.is_empty())
            .raw("merged", &String::from_utf8_lossy(&canonical))
            .raw(
                "conflicts",
                &array(merged.conflicts.iter().map(conflict_json)),
            );
        context.out.line(&document.finish());
    } else {
        if args.output.is_none() {
            context.out.bytes(&result);
        }
        for conflict in &merged.conflicts {
            context.warn(&visible(&conflict_text(conflict)));
        }
        if !merged.conflicts.is_empty() {
            context.notice(&format!(
                "{}; the result has what OURS has",
                count(merged.conflicts.len() as u64, "conflict")
            ));
        }
    }
    Ok(match merged.conflicts.is_empty() {
        true => DONE,
        false => FOUND,
    })
}

fn conflict_text(conflict: &Conflict) -> String {
    let show = |value: &Option<Box<str>>| match value {
        Some(text) if text.chars().count() > 60 => {
            format!("{}…", text.chars().take(60).collect::<String>())
        }
        Some(text) => text.to_string(),
        None => "nothing".to_owned(),
    };
    let at = match conflict.pointer.as_str() {
        "" => "the document",
        pointer => pointer,
    };
    format!(
        "conflict at {at}: base {}, ours {}, theirs {}",
        show(&conflict.base),
        show(&conflict.ours),
        show(&conflict.theirs)
    )
}

fn conflict_json(conflict: &Conflict) -> String {
    let mut object = Object::new();
    object.text("pointer", conflict.pointer.as_str());
    for (name, value) in [
        ("base", &conflict.base),
        ("ours", &conflict.ours),
        ("theirs", &conflict.theirs),
    ] {
        if let Some(value) = value {
            object.raw(name, value);
        }
    }
    object.finish()
}
