//! `backstory reindex`

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::progress;
use super::text::count;

/// Build the index anew from the log
///
/// The index is only ever a copy of what the log says, so nothing can be lost by this. It is rebuilt by itself where
/// it is missing or does not fit; this is for the case that you would rather not wait for that.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory reindex
  backstory reindex --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let bar = progress::spinner("reading the log", context);
    let commits = workspace.archive().reindex();
    bar.finish();
    let commits = commits?;
    if context.json() {
        let mut document = Object::new();
        document.number("commits", commits);
        context.out.line(&document.finish());
    } else {
        context.say(&format!("index built from {}", count(commits, "commit")));
    }
    Ok(super::DONE)
}
