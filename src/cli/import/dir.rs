//! `backstory import dir`

use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::super::arguments::{Nan, NoteArgs};
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::text::quote;
use super::{Place, import};
use crate::import::{FolderImport, MlflowImport, is_file_store};

/// The files of a folder, each a version from the time of its last change
///
/// Paths are the names below the folder. A folder that is MLflow's file store (mlruns) gives one document for each run,
/// with its parameters, metrics and tags, from the time at which it ended.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import dir runs
  backstory import dir ~/experiments --path 'runs/*/metrics.json' --under old
  backstory import dir mlruns --under mlflow")]
pub(super) struct Args {
    /// The folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// Only these files, as patterns with *, ** and ?; may be repeated [default: **/*.json]
    #[arg(long = "path", value_name = "GLOB")]
    paths: Vec<String>,
    /// What is in the folder
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    format: Format,
    #[command(flatten)]
    place: Place,
    /// What becomes of NaN, Infinity and -Infinity [default: as in the newest version, else reject]
    #[arg(long, value_name = "MODE")]
    nan: Option<Nan>,
    #[command(flatten)]
    note: NoteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// MLflow's file store where it looks like one
    Auto,
    /// JSON files
    Files,
    /// MLflow's file store
    Mlflow,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let folder = context.cwd.join(&args.folder);
    let under = args.place.under(&workspace)?;
    let name = args.folder.display().to_string();
    let mlflow = match args.format {
        Format::Auto => args.paths.is_empty() && is_file_store(&folder),
        Format::Files => false,
        Format::Mlflow => true,
    };
    let hint = |_: &str, file: &str| match mlflow {
        true => format!("ls -R {}", quote(file)),
        false => format!("backstory canon {}", quote(file)),
    };
    if args.note.time.is_some() {
        return Err(Failure::usage(
            "the time of each file is that of its last change",
        ));
    }
    if mlflow {
        let note = &args.note;
        let noted = note.message.is_some() || note.author.is_some() || !note.meta.is_empty();
        if noted || args.nan.is_some() || !args.paths.is_empty() {
            return Err(Failure::usage(
                "MLflow's runs come whole, with their own names and authors: only --under goes with them",
            )
            .hint(format!("backstory import dir {} --under PREFIX", quote(&name))));
        }
        let options = MlflowImport { folder, under };
        return import(&name, context, &hint, |tell| {
            options.run(workspace.archive(), tell)
        });
    }
    let mut options = FolderImport::new(folder);
    options.under = under;
    options.nan = args.nan.map(Into::into);
    options.note = args.note.note(context);
    if !args.paths.is_empty() {
        let patterns = patterns(&args.paths)?;
        options.wanted = Box::new(move |name| patterns.is_match(name));
    }
    import(&name, context, &hint, |tell| {
        options.run(workspace.archive(), tell)
    })
}

fn patterns(globs: &[String]) -> Result<GlobSet, Failure> {
    let mut patterns = GlobSetBuilder::new();
    for glob in globs {
        let pattern = GlobBuilder::new(glob).literal_separator(true).build();
        patterns.add(
            pattern.map_err(|error| {
                Failure::usage(format!("{glob} is no pattern: {}", error.kind()))
            })?,
        );
    }
    let set = patterns.build();
    set.map_err(|error| Failure::usage(format!("the patterns are too much: {error}")))
}
