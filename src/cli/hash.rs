//! `backstory hash`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::{Nan, canonical_file};
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use crate::id::ObjectId;

/// Print the object id of a file
///
/// The BLAKE3 hash of its canonical form: two files with the same id are the same document. Needs no archive.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory hash config/production.json
  backstory load metrics.json@3 | backstory hash")]
pub(super) struct Args {
    /// The file; standard input if none is named, or for -
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// What becomes of NaN, Infinity and -Infinity
    #[arg(long, value_name = "MODE", default_value = "reject")]
    nan: Nan,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let id = ObjectId::of(&canonical_file(&args.file, args.nan, context)?).to_string();
    if context.json() {
        let mut document = Object::new();
        document.text("id", &id);
        context.out.line(&document.finish());
    } else {
        context.out.line(&id);
    }
    Ok(super::DONE)
}
