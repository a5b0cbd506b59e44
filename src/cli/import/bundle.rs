//! `backstory import bundle`

use std::path::PathBuf;

use clap::ValueHint;

use super::super::context::Context;
use super::super::failure::Failure;

/// The commits of a bundle, as `export --bundle` writes it
///
/// The archive must be a copy of the one that the bundle is from, and have the commit in front of those in it. Commits
/// that are there already are left out; each is checked on its way.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import bundle tuesday.bundle")]
pub(super) struct Args {
    /// The file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    super::super::bundle::apply(&args.file, context)
}
