//! A progress bar on standard error, where a person is watching a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::Context;

/// Fewer files than this are done before a bar could be read.
const FEW_FILES: u64 = 100;

/// A bar, or nothing where nobody watches.
pub(super) struct Progress {
    bar: ProgressBar,
}

/// For a number of files.
pub(super) fn files(total: u64, context: &Context) -> Progress {
    start(
        total,
        total >= FEW_FILES,
        "{bar:30} {human_pos}/{human_len} files",
        context,
    )
}

/// For a number of files that is told later.
pub(super) fn files_of(context: &Context) -> Progress {
    start(0, true, "{bar:30} {human_pos}/{human_len} files", context)
}

/// For a number of commits that is told later.
pub(super) fn commits(context: &Context) -> Progress {
    start(
        0,
        true,
        "{bar:30} {human_pos}/{human_len} commits {eta}",
        context,
    )
}

/// For a number of objects that is told later.
pub(super) fn objects(context: &Context) -> Progress {
    start(
        0,
        true,
        "{bar:30} {human_pos}/{human_len} objects {eta}",
        context,
    )
}

/// For a number of versions that nobody knows.
pub(super) fn versions(context: &Context) -> Progress {
    let progress = start(0, true, "{spinner} {human_pos} versions {elapsed}", context);
    progress.bar.enable_steady_tick(Duration::from_millis(100));
    progress
}

/// For work of unknown length.
pub(super) fn spinner(what: &'static str, context: &Context) -> Progress {
    let progress = start(0, true, "{spinner} {msg} {elapsed}", context);
    progress.bar.set_message(what);
    progress.bar.enable_steady_tick(Duration::from_millis(100));
    progress
}

fn start(total: u64, wanted: bool, template: &str, context: &Context) -> Progress {
    let target = if wanted && context.shows_progress() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Progress { bar }
}

impl Progress {
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// So much is done of what has no known end.
    pub fn reached(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
