//! `backstory pull`

use std::path::PathBuf;

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::{DONE, progress, transferred};
use crate::remote::{self, TransferOptions};

/// Bring to the archive what a copy of it has
///
/// SRC is the folder that holds the copy's .backstory. Only what is missing travels, and it is checked on its way. Where
/// each side has commits that the other lacks, nothing is done and both newest commits are told (exit 4). Files beside
/// the archive stay as they are: `backstory status` says how they differ.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory pull /mnt/backup/project")]
pub(super) struct Args {
    /// The folder of the copy
    #[arg(value_name = "SRC", value_hint = ValueHint::DirPath)]
    src: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let src = transferred::folder(context, &args.src);
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let notice = |text: &str| context.notice(&format!("note: {text}"));
    let options = TransferOptions {
        open: context.options_for_another(),
        progress: Some(&advance),
        notice: Some(&notice),
    };
    let done = remote::pull(workspace.archive(), &src, &options);
    bar.finish();
    let done = done.map_err(|error| transferred::failure(error, &src))?;
    transferred::print(context, &done, "pulled", &src);
    Ok(DONE)
}
