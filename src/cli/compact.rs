//! `backstory compact`

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::progress;
use super::text::{count, size};
use crate::archive::CompactOptions;

/// Make the log smaller
///
/// Packs the log anew, which takes time and saves room: mostly a third of it. Nothing of the history changes, not even
/// the ids of commits, and others may read and save meanwhile. What is new is read back and compared before it takes
/// the place of the old, and a crash leaves one or the other.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory compact
  backstory compact --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let bar = progress::objects(context);
    let advance = |done, total| bar.set(done, total);
    let options = CompactOptions {
        progress: Some(&advance),
    };
    let done = workspace.archive().compact(&options);
    bar.finish();
    let done = done?;
    if context.json() {
        let mut document = Object::new();
        document
            .number("before", done.before)
            .number("after", done.after)
            .number("commits", done.commits);
        context.out.line(&document.finish());
    } else if done.commits == 0 {
        context.say("nothing to do: the log is compact");
    } else {
        let (before, after) = (size(done.before), size(done.after));
        let commits = count(done.commits, "commit");
        context.say(&format!(
            "{commits} packed: the log went from {before} to {after}"
        ));
    }
    Ok(super::DONE)
}
