//! `backstory push`

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{count, quote, short};
use super::verify::{print_findings, report_json};
use super::{DONE, FOUND, progress, transferred};
use crate::remote::{self, Checked, Standing, TransferOptions};

/// Bring a copy of the archive up to date
///
/// DEST is the folder that holds the copy's .backstory, or will hold it: where there is none it is made. Only what is
/// missing travels, and it is checked on its way: checksums, the chain of commit ids, the hash of every document. What
/// is interrupted is whole as far as it came, and the next push goes on there. A copy that has commits of its own is
/// refused (exit 4) and never merged. A copy is an archive like any other: it can be read, and pulled from.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory push /mnt/backup/project
  backstory push --check /mnt/backup/project")]
pub(super) struct Args {
    /// The folder of the copy
    #[arg(value_name = "DEST", value_hint = ValueHint::DirPath)]
    dest: PathBuf,
    /// Write nothing: read the whole copy, and compare it with the newest commit here (exit 1 where it is not equal)
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let dest = transferred::folder(context, &args.dest);
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let notice = |text: &str| context.notice(&format!("note: {text}"));
    let options = TransferOptions {
        open: context.options_for_another(),
        progress: Some(&advance),
        notice: Some(&notice),
    };
    if args.check {
        let checked = remote::check(workspace.archive(), &dest, &options);
        bar.finish();
        let checked = checked.map_err(|error| transferred::failure(error, &dest))?;
        return Ok(print_checked(&checked, &dest, context));
    }
    let done = remote::push(workspace.archive(), &dest, &options);
    bar.finish();
    let done = done.map_err(|error| transferred::failure(error, &dest))?;
    transferred::print(context, &done, "pushed", &dest);
    Ok(DONE)
}

fn print_checked(checked: &Checked, dest: &Path, context: &mut Context) -> u8 {
    let equal = checked.is_equal();
    if context.json() {
        let (behind, ahead) = match checked.standing {
            Standing::Behind { commits } => (commits, 0),
            Standing::Ahead { commits } => (0, commits),
            Standing::Diverged { common } => (checked.head.seq - common, checked.copy.seq - common),
            Standing::Same => (0, 0),
        };
        let mut line = Object::new();
        line.boolean("equal", equal)
            .text("folder", &dest.to_string_lossy())
            .text("commit", &checked.head.commit.to_string())
            .text("copy_commit", &checked.copy.commit.to_string())
            .number("behind", behind)
            .number("ahead", ahead)
            .raw("verify", &report_json(&checked.report));
        context.out.line(&line.finish());
    } else {
        print_findings(&checked.report, context);
        let folder = quote(&dest.to_string_lossy()).into_owned();
        let (head, copy) = (short(checked.head.commit), short(checked.copy.commit));
        let text = match checked.standing {
            Standing::Same if equal => format!(
                "equal and sound: {}, newest commit {head}",
                count(checked.report.commits, "commit")
            ),
            Standing::Same => format!(
                "the copy has the newest commit {head}, and is damaged; make another one: backstory push DIR"
            ),
            Standing::Behind { commits } => format!(
                "the copy is {} behind: {copy}, here {head}; backstory push {folder}",
                count(commits, "commit")
            ),
            Standing::Ahead { commits } => format!(
                "the copy is {} ahead: {copy}, here {head}; backstory pull {folder}",
                count(commits, "commit")
            ),
            Standing::Diverged { common } => format!(
                "the copy has gone another way behind commit {common}: {copy}, here {head}; backstory --archive {folder} log -n 5"
            ),
        };
        match equal {
            true => context.say(&text),
            false => context.out.line(&text),
        }
    }
    if equal { DONE } else { FOUND }
}
