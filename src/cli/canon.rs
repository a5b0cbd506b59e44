//! `backstory canon`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::{Nan, canonical_file};
use super::context::Context;
use super::failure::Failure;

/// Print the canonical form of a file
///
/// The one byte string that stands for the document: RFC 8785, except that no number changes its value. No line end
/// follows it. Needs no archive.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory canon config/production.json
  curl -s https://example.org/sensors | backstory canon | b3sum")]
pub(super) struct Args {
    /// The file; standard input if none is named, or for -
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// What becomes of NaN, Infinity and -Infinity
    #[arg(long, value_name = "MODE", default_value = "reject")]
    nan: Nan,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let canonical = canonical_file(&args.file, args.nan, context)?;
    context.out.bytes(&canonical);
    Ok(super::DONE)
}
