//! `backstory import archive`

use std::path::PathBuf;

use clap::ValueHint;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::text::quote;
use super::{Place, import};
use crate::archive::{Archive, IndexPlace, OpenOptions};
use crate::import::ArchiveImport;
use crate::workspace::ARCHIVE_FOLDER;

/// Another archive's whole history, as new commits that say where they come from
///
/// Times, authors, messages, metadata, documents and bytes are kept; `log --json` shows of each version the archive, the
/// commit and the time that it comes from. A copy that went its own way brings what is not in both. Tags stay where they
/// are.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import archive ../laptop
  backstory import archive /mnt/jobs/17 --under jobs/17
  for job in /mnt/jobs/*; do backstory import archive $job --under jobs/$(basename $job); done")]
pub(super) struct Args {
    /// The folder that holds its .backstory
    #[arg(value_name = "SRC", value_hint = ValueHint::DirPath)]
    source: PathBuf,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let options = ArchiveImport {
        under: args.place.under(&workspace)?,
    };
    let folder = context.cwd.join(&args.source);
    let folder = match folder.file_name() {
        Some(name) if name == ARCHIVE_FOLDER => folder.join(".."),
        _ => folder,
    };
    let mut open = OpenOptions {
        read_only: true,
        ..context.options()
    };
    // The place that was named is that of the other archive's index.
    if context.environment.index.is_some() {
        open.index = IndexPlace::Memory;
    }
    let source = Archive::open_with(&folder, &open)?;
    let name = args.source.display().to_string();
    let hint =
        |_: &str, rev: &str| format!("backstory --archive {} load {}", quote(&name), quote(rev));
    let done = import(&name, context, &hint, |tell| {
        options.run(workspace.archive(), &source, tell)
    });
    for notice in source.take_notices() {
        context.notice(&format!("note: {name}: {notice}"));
    }
    done
}
