//! `backstory restore`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::{NoteArgs, moment_until};
use super::context::Context;
use super::failure::Failure;
use super::globs::Wanted;
use super::json::Object;
use super::output::style;
use super::progress;
use super::text::{count, quote, visible};
use crate::workspace::{StateEvent, StateOptions, StateReport};

/// Put the whole state of a moment on disk
///
/// Each file is replaced whole, byte for byte as it was saved. What stands in a file and is not in the archive is saved
/// first, or renamed where that cannot be. The archive's newest versions stay: `status` shows what differs, `save` makes
/// it current, and `restore --at` with a later time goes back. Without DIR each path that came from a file goes to that
/// file; what had no document at that moment is left as it is.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory restore --at 2026-11-01 --dry-run
  backstory restore --at 2026-11-01
  backstory restore --at 2026-11-01T12:00:00Z /tmp/november
  backstory restore --at 2026-11-01 --only 'config/*.json'")]
pub(super) struct Args {
    /// Below this folder, and not to the files themselves
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
    /// The moment; a date is its last one, in UTC
    #[arg(long, value_name = "TIME", value_parser = moment_until)]
    at: i64,
    /// Only these paths: a path, a folder, or a pattern with *, ** and ?; may be repeated
    #[arg(long, value_name = "PATH-GLOB")]
    only: Vec<String>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(&args.only)?;
    let wanted = Wanted::all(&args.only, &workspace)?;
    let options = StateOptions {
        at: args.at,
        to: args.folder.as_ref().map(|folder| context.cwd.join(folder)),
        dry_run: args.dry_run,
        note: args.note.note(context),
        stamp: context.stamp(),
    };
    let bar = progress::files_of(context);
    let mut written = 0;
    let mut same = 0;
    let mut never = 0;
    let mut done = 0;
    let is_wanted = |path: &str| Wanted::any_has(&wanted, path);
    let outcome = workspace.restore_state(&options, &is_wanted, &mut |report, total| {
        match &report.event {
            StateEvent::Written => written += 1,
            StateEvent::AlreadyThere => same += 1,
            StateEvent::NeverAFile => never += 1,
            _ => {}
        }
        done += u64::from(is_last(&report.event));
        bar.set(done, total as u64);
        print(report, args.dry_run, context);
    });
    bar.finish();
    outcome.map_err(|error| {
        let failure = Failure::from(error);
        match failure.is_io() && args.folder.is_none() {
            true => failure.hint("backstory restore --at TIME DIR"),
            false => failure,
        }
    })?;
    if never > 0 {
        context.notice(&format!(
            "note: {} never came from a file; `backstory restore --at TIME DIR` writes them too",
            count(never, "path")
        ));
    }
    let verb = if args.dry_run {
        "would restore"
    } else {
        "restored"
    };
    let mut line = format!("{verb} {}", count(written, "file"));
    if same > 0 {
        line.push_str(&format!("; {same} had that content already"));
    }
    context.say(&line);
    Ok(super::DONE)
}

/// Is this what became of a file in the end?
fn is_last(event: &StateEvent) -> bool {
    !matches!(event, StateEvent::SavedFirst(_) | StateEvent::MovedAside(_))
}

fn print(report: StateReport, dry_run: bool, context: &mut Context) {
    let name = report.file.display().to_string();
    let rev = report.rev.as_deref().map(|rev| context.rev(rev));
    if context.json() {
        let state = match &report.event {
            StateEvent::SavedFirst(_) => "saved-first",
            StateEvent::Written => "written",
            StateEvent::AlreadyThere => "same",
            StateEvent::MovedAside(_) => "moved-aside",
            StateEvent::Left => "left",
            StateEvent::NeverAFile => "never-a-file",
            StateEvent::Failed(_) => "failed",
        };
        let saved = match &report.event {
            StateEvent::SavedFirst(rev) => Some(rev.as_str()),
            _ => None,
        };
        let aside = match &report.event {
            StateEvent::MovedAside(Some(aside)) => Some(aside.display().to_string()),
            _ => None,
        };
        let mut line = Object::new();
        line.text("path", &report.path)
            .text("file", &name)
            .optional_text("rev", rev.as_deref())
            .text("state", state)
            .optional_text("saved", saved)
            .optional_text("aside", aside.as_deref());
        context.out.line(&line.finish());
    }
    match report.event {
        StateEvent::SavedFirst(saved) if dry_run => {
            context.notice(&format!("note: what is in {saved} would be saved first"));
        }
        StateEvent::SavedFirst(saved) => {
            context.notice(&format!("note: what was on disk is saved as {saved}"));
        }
        StateEvent::MovedAside(None) => context.warn(&format!(
            "warning: what is in {name} cannot be saved and would be renamed"
        )),
        StateEvent::MovedAside(Some(aside)) => context.warn(&format!(
            "warning: what was in {name} could not be saved and is now {}",
            aside.display()
        )),
        StateEvent::Written => {
            let verb = if dry_run { "would restore" } else { "restored" };
            let verb = context.out.paint(style::GOOD, verb);
            let rev = report.rev.unwrap_or_default();
            context.say(&format!("{verb} {}", visible(&rev)));
        }
        StateEvent::Left => context.notice(&format!(
            "note: {} had no document then; the file is left as it is",
            report.path
        )),
        StateEvent::Failed(error) => {
            let message = format!("{} is not restored: {error}", report.path);
            let failure = match error.kind() {
                crate::error::ErrorKind::Usage => Failure::invalid_document(message),
                crate::error::ErrorKind::Corrupt => Failure::from(error),
                _ => Failure::io(message),
            };
            let rev = quote(&rev.unwrap_or_default()).into_owned();
            context.report(
                failure
                    .about(&report.path)
                    .hint(format!("backstory load {rev} -o FILE")),
            );
        }
        StateEvent::AlreadyThere | StateEvent::NeverAFile => {}
    }
}
