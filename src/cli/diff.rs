//! `backstory diff`

use std::path::Path;

use clap::{ValueEnum, ValueHint};

use super::arguments::Nan;
use super::context::Context;
use super::diff_args::DiffArgs;
use super::failure::Failure;
use super::load::not_found;
use super::text::{count, quote, visible};
use crate::archive::Version;
use crate::canon::{NanMode, canonicalize_with};
use crate::diff::json::write_json;
use crate::diff::merge::write_merge_patch;
use crate::diff::patch::write_patch;
use crate::diff::text::{TextOptions, write_text, write_text_around};
use crate::diff::{Compared, DiffError, DiffOptions, Surroundings, compare};
use crate::error::Error;
use crate::storage::files;
use crate::workspace::{State, Workspace};

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
  backstory diff config.json@-1 @latest -C 2
  backstory diff --no-index old.json new.json")]
pub(super) struct Args {
    /// Which versions; with --no-index, two plain files
    #[arg(value_name = "REV", required = true, num_args = 1..=2, value_hint = ValueHint::FilePath)]
    revs: Vec<String>,
    /// text for people; json, patch (RFC 6902) or merge (RFC 7396) for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    #[command(flatten)]
    what: DiffArgs,
    /// Set aside the diff profile that is kept for the path: see `backstory profile`
    #[arg(long)]
    exact: bool,
    /// Show up to N values that stayed on each side of a change
    #[arg(
        long,
        short = 'C',
        value_name = "N",
        default_value_t = 0,
        conflicts_with = "stat"
    )]
    context: usize,
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

/// One side: what it is called, and its canonical form.
struct Side {
    label: String,
    canonical: Vec<u8>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let (old, new, profile) = match args.no_index {
        true => {
            let (old, new) = plain(args, context)?;
            (old, new, DiffOptions::default())
        }
        false => archived(args, context)?,
    };
    let own = args.what.options();
    let for_programs = matches!(args.format, Format::Patch | Format::Merge);
    if for_programs && !(own.ignore.is_empty() && own.tolerances.is_empty()) {
        return Err(Failure::usage(
            "a patch says everything that changed: it goes with --key, but not with --ignore or a tolerance",
        ));
    }
    let mut options = own;
    if !args.exact {
        options.extend(profile);
    }
    if for_programs {
        options.ignore.clear();
        options.tolerances.clear();
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
        print(&compared, &options, [&old, &new], args, context)?;
    }
    Ok(if compared.diff.is_empty() {
        super::DONE
    } else {
        super::FOUND
    })
}

fn print(
    compared: &Compared,
    options: &DiffOptions,
    [old, new]: [&Side; 2],
    args: &Args,
    context: &mut Context,
) -> Result<(), Failure> {
    let changes = &compared.diff;
    if args.format == Format::Patch {
        let mut patch = Vec::new();
        write_patch(changes, &mut patch);
        patch.push(b'\n');
        context.out.bytes(&patch);
        return Ok(());
    }
    if args.format == Format::Json || context.json() {
        let mut document = Vec::new();
        write_json(changes, Some(&old.label), Some(&new.label), &mut document);
        if !options.is_default() {
            document.pop();
            document.extend_from_slice(format!(",\"hidden\":{}}}", compared.hidden).as_bytes());
        }
        document.push(b'\n');
        context.out.bytes(&document);
        return Ok(());
    }
    if compared.hidden > 0 {
        let hidden = count(compared.hidden as u64, "difference");
        let by = match *options == args.what.options() {
            true => "--ignore or a tolerance",
            false => "the diff profile of this path; --exact shows everything",
        };
        context.notice(&format!("note: {hidden} left out by {by}"));
    }
    if args.stat {
        let summary = changes.summary();
        let mut line = format!(
            "{} changed, {} added, {} removed",
            summary.changed, summary.added, summary.removed
        );
        if summary.moved > 0 {
            line.push_str(&format!(", {} moved", summary.moved));
        }
        context.out.line(&line);
    } else if !changes.is_empty() {
        let shown = TextOptions {
            color: context.out.color(),
            ..TextOptions::default()
        };
        let mut text = String::new();
        match args.context {
            0 => write_text(changes, &shown, &mut text),
            most => {
                let cannot =
                    |error| Error::invalid(format!("these documents cannot be compared: {error}"));
                let old = options.masked(&old.canonical).map_err(cannot)?;
                let new = options.masked(&new.canonical).map_err(cannot)?;
                let around = Surroundings::new(&old, &new).map_err(cannot)?;
                write_text_around(changes, &around, most, &shown, &mut text);
            }
        }
        context.out.bytes(text.as_bytes());
    } else {
        context.say("no difference");
    }
    Ok(())
}

/// The two sides, and how paths like the second are compared.
fn archived(args: &Args, context: &mut Context) -> Result<(Side, Side, DiffOptions), Failure> {
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
            let other = workspace
                .resolve(&target)
                .map_err(|error| not_found(error, rev))?;
            let loaded = workspace
                .archive()
                .load_document(&other)
                .map_err(|error| not_found(error, rev))?;
            if other.path != version.path {
                tell_of_files(&workspace, [&version, &other], context)?;
            }
            Side {
                label: other.rev(),
                canonical: loaded.canonical().to_vec(),
            }
        }
        None => on_disk(&workspace, &version.path, version.nan)?,
    };
    let path = args.revs.get(1).map_or(version.path.as_str(), |_| {
        new.label
            .rsplit_once('@')
            .map_or(new.label.as_str(), |(path, _)| path)
    });
    let profile = workspace.archive().diff_options(path)?;
    Ok((old, new, profile))
}

/// Who names two paths may think of the files: says where one is no longer what is compared.
fn tell_of_files(
    workspace: &Workspace,
    versions: [&Version; 2],
    context: &Context,
) -> Result<(), Failure> {
    for version in versions {
        for file in workspace.status(&version.path).unwrap_or_default() {
            if file.path == version.path
                && file.version == version.version
                && matches!(file.state, State::Modified | State::Invalid)
            {
                context.notice(&format!(
                    "note: the file {} is not what is compared: it was changed since {}",
                    visible(&file.path),
                    visible(&version.rev())
                ));
            }
        }
    }
    Ok(())
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
