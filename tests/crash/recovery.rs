//! What comes after a crash: reading, which changes nothing, and the next save.

use backstory::{Archive, CompactOptions, Document, ErrorKind, Status};

use super::disk::{Op, Shared};
use super::explore::marks;
use super::history::{Commit, Found, Marks, Verify, check};

/// What is done first on what a crash has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something new is saved.
    New,
    /// The newest version is saved once more: the answer is that it is there.
    Again,
    /// The first commit that was begun and is not there is made once more.
    Retry,
    /// The log is packed, and something new is saved.
    Compact,
}

/// Reads what a crash has left, saves to it, and reads again.
pub fn recover(
    disk: &Shared,
    commits: &mut Vec<Commit>,
    marks_before: &Marks,
    next: Next,
    depth: usize,
) -> Result<(), String> {
    // The states of a recovery are many and much alike.
    let (before, after) = match depth {
        0 => (Verify::All, Verify::Quick),
        _ => (Verify::Quick, Verify::Nothing),
    };
    let changes = disk.0.changes();
    let unchanged = || match disk.0.changes() == changes {
        true => Ok(()),
        false => Err("a reader changed something".to_owned()),
    };
    let archive = match Archive::open_on(disk.share()) {
        Err(error) if error.kind() == ErrorKind::NoArchive && !marks_before.made => {
            unchanged()?;
            make(disk)?
        }
        opened => {
            let archive = opened.map_err(|error| format!("opening: {error}"))?;
            check(&archive, commits, marks_before, before)?;
            unchanged()?;
            archive
        }
    };
    let found = check(&archive, commits, marks_before, Verify::Nothing)?;
    save(disk, &archive, commits, &found, next, depth)
        .map_err(|error| format!("{next:?}: {error}"))?;
    let marks = marks(&disk.0.recording().ops);
    let next = Archive::open_on(disk.share()).map_err(|error| format!("opening again: {error}"))?;
    check(&next, commits, &marks, after)
        .map_err(|error| format!("after the next save: {error}"))?;
    Ok(())
}

/// Makes the archive that a crash left unmade.
fn make(disk: &Shared) -> Result<Archive, String> {
    let archive = Archive::create_on(disk.share());
    let archive = archive.map_err(|error| format!("making it again: {error}"))?;
    disk.0.mark(Op::Made);
    Ok(archive)
}

/// With the answer all commits that the archive shows are acknowledged.
fn save(
    disk: &Shared,
    archive: &Archive,
    commits: &mut Vec<Commit>,
    found: &Found,
    next: Next,
    depth: usize,
) -> Result<(), String> {
    let newest = found.last().map(|number| &commits[*number]);
    let (number, status) = match next {
        Next::Again if newest.is_some_and(Commit::only_saves) => {
            (found[found.len() - 1], Status::Unchanged)
        }
        Next::Retry if let Some(number) = lost(disk, commits, found) => (number, Status::Saved),
        _ => {
            let text = format!("{{\"after\":  {depth}, \"commits\": {}}}", found.len());
            commits.push(Commit::save("after/the-crash.json", &text));
            disk.0.mark(Op::Begin(commits.len() - 1));
            (commits.len() - 1, Status::Saved)
        }
    };
    if next == Next::Compact {
        archive
            .compact(&CompactOptions::default())
            .map_err(|error| format!("compacting: {error}"))?;
    }
    let mut save = archive.save();
    for (path, text) in &commits[number].changes {
        let document = Document::source(text.clone().unwrap_or_default());
        save.add(path, document)
            .map_err(|error| error.to_string())?;
    }
    let saved = save.commit().map_err(|error| format!("saving: {error}"))?;
    if saved.iter().any(|change| change.status != status) {
        return Err(format!("saving: {saved:?}, not {status}"));
    }
    for number in found.iter().chain([&number]) {
        disk.0.mark(Op::Acknowledge(*number));
    }
    Ok(())
}

/// The first commit that was begun behind those that are there, where it can be made by saving.
fn lost(disk: &Shared, commits: &[Commit], found: &Found) -> Option<usize> {
    let begun = marks(&disk.0.recording().ops).begun;
    let from = found.last().map_or(0, |last| last + 1);
    let number = *begun.range(from..).next()?;
    commits[number].only_saves().then_some(number)
}
