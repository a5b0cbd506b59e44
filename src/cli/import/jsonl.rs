//! `backstory import jsonl`

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::ValueHint;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::text::quote;
use super::{Place, import};
use crate::import::JsonlImport;
use crate::storage::files;

/// Versions as JSON lines, as `export` writes them
///
/// Each line has path, time and document (or deleted), and may have author, message, meta and what else `export` writes.
/// A line whose path has a version of that document and time is there already. For lines without a time there is
/// `backstory save --jsonl`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import jsonl history.jsonl
  backstory --archive a export --source | backstory --archive b import jsonl -
  echo '{\"path\":\"sensors/north\",\"time\":\"2026-11-01T12:00:00Z\",\"document\":{\"t\":21.5}}' | backstory import jsonl -")]
pub(super) struct Args {
    /// The file; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let options = JsonlImport {
        under: args.place.under(&workspace)?,
    };
    let name = args.file.display().to_string();
    let mut input: Box<dyn BufRead> = match name.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::with_capacity(
            1 << 20,
            files::open(&context.cwd.join(&args.file))?,
        )),
    };
    let hint = |_: &str, place: &str| {
        let number = place.trim_start_matches("line ");
        format!("sed -n {number}p {}", quote(&name))
    };
    import(&name, context, &hint, |tell| {
        options.run(workspace.archive(), &mut *input, tell)
    })
}
