//! `backstory diff`

use std::path::Path;

use clap::{ValueEnum, ValueHint};

use super::arguments::Nan;
use super::context::Context;
use super::failure::Failure;
use super::load::not_found;
use super::text::{count, quote};
use crate::canon::{NanMode, canonicalize_with};
use crate::diff::json::write_json;
use crate::diff::merge::write_merge_patch;
use crate::diff::patch::write_patch;
use crate::diff::text::{TextOptions, write_text};
use crate::diff::{Compared, DiffError, DiffOptions, Pattern, Tolerance, compare};
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
  backstory diff runs/1.json runs/2.json --ignore '/started' --rel-tolerance 1e-6
  backstory diff hosts.json@1 @2 --key /hosts=name --format patch
  backstory diff --no-index old.json new.json")]
pub(super) struct Args {
    /// Which versions; with --no-index, two plain files
    #[arg(value_name = "REV", required = true, num_args = 1..=2, value_hint = ValueHint::FilePath)]
    revs: Vec<String>,
    /// text for people; json, patch (RFC 6902) or merge (RFC 7396) for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Leave out what is at this JSON Pointer; * stands for any member or element; may be repeated
    #[arg(long, value_name = "PTR", value_parser = pattern)]
    ignore: Vec<Pattern>,
    /// Numbers that differ by at most this are the same; PTR=X for those at and below a pointer; may be repeated
    #[arg(long, value_name = "[PTR=]X", value_parser = tolerance)]
    tolerance: Vec<(Option<Pattern>, f64)>,
    /// The same, as a share of the larger number: 0.01 is one percent
    #[arg(long, value_name = "[PTR=]X", value_parser = tolerance)]
    rel_tolerance: Vec<(Option<Pattern>, f64)>,
    /// The member that tells the objects of an array apart, as in /hosts=name; may be repeated
    #[arg(long, value_name = "PTR=NAME", value_parser = key)]
    key: Vec<(Pattern, String)>,
    /// Only how many values were changed, added and removed
    #[arg(long)]
    stat: bool,
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
    /// A JSON Patch (RFC 6902): the operations that make the second document of the first
    Patch,
    /// A JSON Merge Patch (RFC 7396); exit 5 where it cannot express the change
    Merge,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

/// `0.1`, or `/metrics=0.1`.
fn tolerance(text: &str) -> Result<(Option<Pattern>, f64), String> {
    let (at, number) = match text.rsplit_once('=') {
        Some((at, number)) => (Some(pattern(at)?), number),
        None => (None, text),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "a number is expected, or a JSON Pointer, = and a number".to_owned())?;
    match number.is_finite() && number >= 0.0 {
        true => Ok((at, number)),
        false => Err("a tolerance is 0 or more".to_owned()),
    }
}

fn key(text: &str) -> Result<(Pattern, String), String> {
    let (at, name) = text
        .rsplit_once('=')
        .ok_or("a JSON Pointer, = and the name of a member are expected")?;
    Ok((pattern(at)?, name.to_owned()))
}

impl Args {
    fn options(&self) -> DiffOptions {
        let absolute = self.tolerance.iter().map(|(at, most)| Tolerance {
            at: at.clone(),
            absolute: *most,
            relative: 0.0,
        });
        let relative = self.rel_tolerance.iter().map(|(at, most)| Tolerance {
            at: at.clone(),
            absolute: 0.0,
            relative: *most,
        });
        DiffOptions {
            ignore: self.ignore.clone(),
            tolerances: absolute.chain(relative).collect(),
            keys: self.key.clone(),
        }
    }
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
    let options = args.options();
    let for_programs = matches!(args.format, Format::Patch | Format::Merge);
    if for_programs && !(options.ignore.is_empty() && options.tolerances.is_empty()) {
        return Err(Failure::usage(
            "a patch says everything that changed: it goes with --key, but not with --ignore or a tolerance",
        ));
    }
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::from(Error::invalid(format!(
            "these documents cannot be compared: {error}"
        )))
    };
    let compared =
        compare(&old.canonical, &new.canonical, &options).map_err(|error| cannot(&error))?;
    if args.format == Format::Merge {
        let mut patch = Vec::new();
        write_merge_patch(&old.canonical, &new.canonical, &mut patch).map_err(
            |error| match error {
                DiffError::NoMergePatch(_) => Failure::invalid_document(error.to_string())
                    .hint("the same with --format patch"),
                error => cannot(&error),
            },
        )?;
        patch.push(b'\n');
        context.out.bytes(&patch);
    } else {
        print(&compared, &old, &new, args, context);
    }
    Ok(if compared.diff.is_empty() {
        super::DONE
    } else {
        super::FOUND
    })
}

fn print(compared: &Compared, old: &Side, new: &Side, args: &Args, context: &mut Context) {
    let changes = &compared.diff;
    if args.format == Format::Patch {
        let mut patch = Vec::new();
        write_patch(changes, &mut patch);
        patch.push(b'\n');
        context.out.bytes(&patch);
        return;
    }
    if args.format == Format::Json || context.json() {
        let mut document = Vec::new();
        write_json(changes, Some(&old.label), Some(&new.label), &mut document);
        if !args.options().is_default() {
            document.pop();
            document.extend_from_slice(format!(",\"hidden\":{}}}", compared.hidden).as_bytes());
        }
        document.push(b'\n');
        context.out.bytes(&document);
        return;
    }
    if compared.hidden > 0 {
        context.notice(&format!(
            "note: {} left out by --ignore or a tolerance",
            count(compared.hidden as u64, "difference")
        ));
    }
    if args.stat {
        let summary = changes.summary();
        context.out.line(&format!(
            "{} changed, {} added, {} removed",
            summary.changed, summary.added, summary.removed
        ));
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
