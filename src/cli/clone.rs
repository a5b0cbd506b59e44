//! `backstory clone`

use std::path::PathBuf;

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::{DONE, progress, transferred};
use crate::remote::{self, TransferOptions};
use crate::storage::files;

/// Make a copy of an archive in another folder
///
/// SRC is the folder that holds .backstory, or a bundle of all commits; DIR is the folder that will hold the copy's. The copy has the same history, commit
/// for commit, and can be pushed to, pulled from and read like the first. Said again after an interruption, it goes on.
/// The archive alone is copied: `backstory load PATH -o PATH` brings a file.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory clone /mnt/backup/project ~/project
  backstory clone ~/project /media/stick/project")]
pub(super) struct Args {
    /// The folder of the archive, or a bundle
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    src: PathBuf,
    /// The folder that will hold the copy; it is made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let src = transferred::folder(context, &args.src);
    let dir = transferred::folder(context, &args.dir);
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let notice = |text: &str| context.notice(&format!("note: {text}"));
    let options = TransferOptions {
        open: context.options_for_another(),
        progress: Some(&advance),
        notice: Some(&notice),
    };
    let done = match files::kind(&src)? {
        files::Kind::File => remote::clone_bundle(&src, &dir, &options),
        _ => remote::clone_archive(&src, &dir, &options),
    };
    bar.finish();
    let done = done.map_err(|error| transferred::failure(error, &src))?;
    transferred::print(context, &done, "copied", &dir);
    Ok(DONE)
}
