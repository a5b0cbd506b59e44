//! `backstory repair`

use super::context::Context;
use super::failure::Failure;
use super::json::{Object, array};
use super::text::{count, short, visible};
use super::verify::{print_findings, report_json, versions_json};
use super::{DONE, FOUND, progress};
use crate::log::format::ARCHIVE_FOLDER;
use crate::repair::{RepairOptions, Repaired, Step, repair};

/// Make a damaged archive whole again, without what is gone
///
/// Writes every damaged file anew with all that is whole in it, and says which versions are lost. Nothing is deleted:
/// what was damaged is kept in .backstory/log/damaged. Commits keep their ids, and `verify` finds nothing from then on.
/// If you have a copy of the archive that is whole, use that instead. Saving a file again brings back the versions that
/// had the same content.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory repair
  backstory repair --json
  cp -a .backstory ../before-repair && backstory repair

Exit codes: 0 the archive is whole and nothing more is lost, 1 something is lost or was found, 6 there
is too little left to tell what the archive was.")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let folder = context.folder()?;
    let bar = progress::commits(context);
    let advance = |done, total| bar.set(done, total);
    let options = RepairOptions {
        open: context.options(),
        progress: Some(&advance),
    };
    let repaired = repair(&folder, &options);
    bar.finish();
    let repaired = repaired?;
    if context.json() {
        context.out.line(&json(&repaired));
    } else {
        print(&repaired, context);
    }
    let whole = repaired.report.ok && repaired.lost.is_empty();
    Ok(if whole { DONE } else { FOUND })
}

fn print(repaired: &Repaired, context: &mut Context) {
    for step in &repaired.steps {
        let mut line = format!("mended  {ARCHIVE_FOLDER}/{}: {}", step.file, step.what);
        if let Some(kept) = &step.kept {
            line.push_str(&format!("; as it was it is in {ARCHIVE_FOLDER}/{kept}"));
        }
        context.say(&line);
    }
    for (path, version) in repaired.lost_versions() {
        context
            .out
            .line(&format!("lost  {}", visible(&format!("{path}@{version}"))));
    }
    print_findings(&repaired.report, context);
    let checked = format!(
        "{}, newest commit {}",
        count(repaired.report.commits, "commit"),
        short(repaired.report.head)
    );
    if repaired.steps.is_empty() {
        context.say(&format!("nothing to repair: {checked}"));
        return;
    }
    let lost_versions = repaired.lost_versions().count() as u64;
    let lost = match (repaired.lost_commits(), lost_versions) {
        (0, 0) => "nothing is lost".to_owned(),
        (0, versions) => format!("lost: {}", count(versions, "version")),
        (commits, versions) => format!(
            "lost: {} and {}",
            count(commits, "commit"),
            count(versions, "version")
        ),
    };
    context.say(&format!("repaired: {checked}; {lost}"));
}

fn json(repaired: &Repaired) -> String {
    let step = |step: &Step| {
        let mut object = Object::new();
        object
            .text("file", &step.file)
            .text("what", &step.what)
            .optional_text("kept", step.kept.as_deref());
        object.finish()
    };
    let mut lost = Object::new();
    lost.number("commits", repaired.lost_commits())
        .raw("versions", &versions_json(repaired.lost_versions()));
    let mut document = Object::new();
    document
        .raw("steps", &array(repaired.steps.iter().map(step)))
        .raw("lost", &lost.finish())
        .raw("verify", &report_json(&repaired.report));
    document.finish()
}
