//! `backstory diff`

use std::path::Path;

use clap::{ValueEnum, ValueHint};

use super::arguments::Nan;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::text::quote;
use crate::canon::{NanMode, canonicalize_with};
use crate::diff::json::write_json;
use crate::diff::text::{TextOptions, write_text};
use crate::diff::{Diff, diff};
use crate::error::Error;
use crate::storage::files;
use crate::workspace::Workspace;

/// Show what differs between two versions, or a version and the file on disk
///
/// Exit code 0: the same; 1: different. Two REVs are two archived versions; a second one that starts with @ keeps the
/// path. One REV is that version against the file on disk.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory diff config/production.json
  backstory diff config/production.json@3 @5
  backstory diff metrics.json@2026-11-01 metrics.json --format json
  backstory diff --no-index old.json new.json")]
pub(super) struct Args {
    /// Which versions; with --no-index, two plain files
    #[arg(value_name = "REV", required = true, num_args = 1..=2, value_hint = ValueHint::FilePath)]
    revs: Vec<String>,
    /// text for people, json for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Compare two plain files; - is standard input
    #[arg(long)]
    no_index: bool,
    /// What becomes of NaN, Infinity and -Infinity in plain files [default: reject]
    #[arg(long, value_name = "MODE", requires = "no_index")]
    nan: Option<Nan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One change a line
    Text,
    /// One JSON document
    Json,
}

/// One side: what it is called, and its canonical form.
struct Side {
    label: String,
    canonical: Vec<u8>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let (old, new) = if args.no_index {
        plain(args, context)?
    } else {
        archived(args, context)?
    };
    let changes = diff(&old.canonical, &new.canonical).map_err(|error| {
        Failure::from(Error::invalid(format!(
            "these documents cannot be compared: {error}"
        )))
    })?;
    print(&changes, &old, &new, args.format, context);
    Ok(if changes.is_empty() {
        super::DONE
    } else {
        super::FOUND
    })
}

fn print(changes: &Diff, old: &Side, new: &Side, format: Format, context: &mut Context) {
    if format == Format::Json || context.json() {
        let mut document = Vec::new();
        write_json(changes, Some(&old.label), Some(&new.label), &mut document);
        document.push(b'\n');
        context.out.bytes(&document);
    } else if !changes.is_empty() {
        let options = TextOptions {
            color: context.out.color(),
            ..TextOptions::default()
        };
        let mut text = String::new();
        write_text(changes, &options, &mut text);
        context.out.bytes(text.as_bytes());
    } else {
        context.say("no difference");
    }
}

fn archived(args: &Args, context: &mut Context) -> Result<(Side, Side), Failure> {
    let starts: Vec<&String> = args
        .revs
        .iter()
        .filter(|rev| !rev.starts_with('@'))
        .collect();
    let workspace = context.workspace_for(&starts)?;
    let first = workspace.target(&args.revs[0], None)?;
    let version = workspace
        .resolve(&first)
        .map_err(|error| not_found(error, &args.revs[0]))?;
    let loaded = workspace
        .archive()
        .load_document(&version)
        .map_err(|error| not_found(error, &args.revs[0]))?;
    let old = Side {
        label: version.rev(),
        canonical: loaded.canonical().to_vec(),
    };
    let new = match args.revs.get(1) {
        Some(rev) => {
            let target = workspace.target(rev, Some(&first.path))?;
            let version = workspace
                .resolve(&target)
                .map_err(|error| not_found(error, rev))?;
            let loaded = workspace
                .archive()
                .load_document(&version)
                .map_err(|error| not_found(error, rev))?;
            Side {
                label: version.rev(),
                canonical: loaded.canonical().to_vec(),
            }
        }
        None => on_disk(&workspace, &version.path, version.nan)?,
    };
    Ok((old, new))
}

fn on_disk(workspace: &Workspace, path: &str, nan: bool) -> Result<Side, Failure> {
    let bytes = files::read(&workspace.file_of(path)).map_err(|error| {
        Failure::from(error)
            .about(path)
            .hint(format!("backstory diff {} @latest", quote(path)))
    })?;
    let nan = if nan { NanMode::Tag } else { NanMode::Reject };
    side(path, &bytes, nan)
}

fn plain(args: &Args, context: &Context) -> Result<(Side, Side), Failure> {
    let [old, new] = args.revs.as_slice() else {
        return Err(Failure::usage("--no-index compares two files")
            .hint("backstory diff --no-index FILE FILE"));
    };
    let nan = args.nan.map_or(NanMode::Reject, NanMode::from);
    let read = |file: &String| {
        let (name, bytes) = context.read_input(Path::new(file))?;
        side(&name, &bytes, nan)
    };
    Ok((read(old)?, read(new)?))
}

fn side(label: &str, bytes: &[u8], nan: NanMode) -> Result<Side, Failure> {
    match canonicalize_with(bytes, nan) {
        Ok((canonical, _)) => Ok(Side {
            label: label.to_owned(),
            canonical,
        }),
        Err(source) => Err(Failure::from(Error::InvalidDocument {
            path: label.to_owned(),
            source,
        })),
    }
}
