//! What `rollback`, `undo` and `redo` say about the commits they made and the files they wrote.

use super::context::Context;
use super::failure::Failure;
use super::text::quote;
use crate::workspace::{FileEvent, Report, Workspace};

/// Prints a report; a file that could not be written makes the exit code 7.
pub(super) fn print(report: Report, workspace: &Workspace, context: &mut Context) {
    for change in &report.restored.first {
        context.notice(&format!(
            "note: what was on disk is saved as {}",
            change.rev()
        ));
    }
    for change in &report.restored.changes {
        context.change(change);
    }
    for file in report.files {
        let name = file.file.display();
        match file.event {
            FileEvent::Written | FileEvent::AlreadyThere => {}
            FileEvent::MovedAside(aside) => {
                context.warn(&format!(
                    "warning: what was in {name} could not be saved and is now {}",
                    aside.display()
                ));
            }
            FileEvent::Left => {
                context.notice(&format!(
                    "note: {} has ended in the archive; the file is left as it is",
                    file.path
                ));
            }
            FileEvent::NeverAFile => {
                let rev = file.rev.unwrap_or_default();
                context.notice(&format!(
                    "note: no file was written for {}; `backstory load {} -o FILE` writes one",
                    file.path,
                    pasted(&rev, workspace, context)
                ));
            }
            FileEvent::Failed(error) => {
                let failure = Failure::io(format!(
                    "{} is restored in the archive, but not on disk: {error}",
                    file.path
                ));
                let rev = file.rev.unwrap_or_default();
                let rev = pasted(&rev, workspace, context);
                context.report(
                    failure
                        .about(&file.path)
                        .hint(format!("backstory load {rev} -o FILE")),
                );
            }
        }
    }
}

/// How to get at the content where the archive cannot be written: `load -o` moves aside what is in the file.
pub(super) fn way_out(rev: &str, path: &str, workspace: &Workspace, context: &Context) -> String {
    let file = workspace.file_of(path);
    let file = file.strip_prefix(&context.cwd).unwrap_or(&file);
    format!(
        "backstory load {} -o {}",
        pasted(rev, workspace, context),
        quote(&file.to_string_lossy())
    )
}

/// A REV as it has to be typed where the person stands.
fn pasted(rev: &str, workspace: &Workspace, context: &Context) -> String {
    let rev = if context.cwd == workspace.root() {
        rev.to_owned()
    } else {
        format!(":/{rev}")
    };
    quote(&rev).into_owned()
}
