//! What `push`, `pull`, `clone` and bundles say of what was brought from one copy of an archive to another.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{count, quote, short, size};
use crate::error::Error;
use crate::remote::Transferred;
use crate::storage::files;
use crate::workspace::ARCHIVE_FOLDER;

/// The folder that was named; of `.backstory` itself the one that holds it.
pub(super) fn folder(context: &Context, named: &Path) -> PathBuf {
    let named = context.cwd.join(named);
    let folder = match (named.file_name(), named.parent()) {
        (Some(name), Some(parent)) if name == ARCHIVE_FOLDER => parent,
        _ => &named,
    };
    files::resolve_folder(folder).unwrap_or_else(|_| folder.to_owned())
}

/// A failure with what to type next: `other` is the folder of the other copy.
pub(super) fn failure(error: Error, other: &Path) -> Failure {
    let folder = quote(&other.to_string_lossy()).into_owned();
    let of_other = match &error {
        Error::Corrupt(at) => Path::new(&at.file).starts_with(other),
        _ => false,
    };
    let conflict = error.is_conflict();
    let no_archive = matches!(error, Error::NoArchive(_));
    let failure = Failure::from(error);
    if of_other {
        failure.hint(format!("backstory --archive {folder} verify"))
    } else if conflict {
        failure.hint(format!("backstory --archive {folder} log -n 5"))
    } else if no_archive {
        failure.hint(format!("ls -a {folder}"))
    } else {
        failure
    }
}

/// Prints what was done. `what` is a word such as `pushed`, `from` or `to` the other copy.
pub(super) fn print(context: &mut Context, done: &Transferred, what: &str, folder: &Path) {
    if context.json() {
        let status = match (done.commits, done.made) {
            (0, false) => "up-to-date",
            _ => what,
        };
        let mut line = Object::new();
        line.text("status", status)
            .text("folder", &folder.to_string_lossy())
            .boolean("made", done.made)
            .number("commits", done.commits)
            .number("bytes", done.bytes)
            .text("commit", &done.head.commit.to_string())
            .number("seq", done.head.seq);
        context.out.line(&line.finish());
        return;
    }
    let newest = match done.head.seq {
        0 => "it has no commits yet".to_owned(),
        _ => format!("newest commit {}", short(done.head.commit)),
    };
    let name = folder.display();
    let text = match (done.commits, done.made) {
        (0, false) if done.ahead > 0 => {
            let more = count(done.ahead, "commit");
            format!("nothing to do: {name} has all but the last {more}, {newest}")
        }
        (0, false) => format!("nothing to do: everything is there, {newest}"),
        (commits, made) => {
            let commits = count(commits, "commit");
            let made = if made { "made the copy, " } else { "" };
            format!("{made}{what} {commits}, {}: {newest}", size(done.bytes))
        }
    };
    context.say(&text);
}
