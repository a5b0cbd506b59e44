//! `MANIFEST` from the segments themselves.

use super::found::{Found, Left, Stretch, find, number_of};
use super::{Step, aside};
use crate::archive::read_identity;
use crate::commit::{ArchiveKeys, identity_hash};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::format::*;
use crate::log::manifest::{Manifest, Sealed, SegmentEntry, UNKNOWN_FEATURE, segment_name};
use crate::log::reader::segment_file;
use crate::log::writer::segment_header;
use crate::storage::{Storage, replace};

/// Writes `MANIFEST` anew where it cannot be read, or is an old one: commits are missing that stand in other files.
pub(super) fn mend(storage: &dyn Storage) -> Result<Vec<Step>> {
    let name = format!("{LOG_FOLDER}/{MANIFEST_FILE}");
    let line = storage
        .read(IDENTITY_FILE)
        .map_err(|error| Error::io(format!("read {IDENTITY_FILE}"), error))?;
    let (identity, id) = read_identity(&line)?;
    let keys = ArchiveKeys::new(id);
    let stands = match storage.read(&name) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io(format!("read {name}"), error)),
    };
    let whole = match stands.as_ref().map(|bytes| Manifest::decode(bytes, &keys)) {
        Some(Ok(list)) if !has_others(storage, &list)? => return Ok(Vec::new()),
        Some(Ok(list)) => Some(list),
        Some(Err(UNKNOWN_FEATURE)) => return Err(Error::Unsupported(UNKNOWN_FEATURE.to_owned())),
        _ => None,
    };
    let found = find(storage, &identity, &keys)?;
    if let Some(list) = &whole
        && !lacks(list, &found, identity_hash(&identity))
    {
        return Ok(Vec::new());
    }
    let mut segments = chain(&found, identity_hash(&identity));
    let highest = found.iter().map(|found| found.number).max().unwrap_or(0);
    let mut steps = Vec::new();
    // What takes commits from now on is a plain segment: the last one, or one that has none yet.
    if segments.last().is_none_or(|last| last.packed) {
        let first_seq = next_seq(&segments, &found);
        let empty = found
            .iter()
            .find(|found| found.commits.is_none() && found.whole && !found.packed);
        let number = match empty {
            Some(empty) => empty.number,
            None => begin(storage, highest + 1, &identity, &keys)?,
        };
        segments.push(SegmentEntry {
            number,
            first_seq,
            sealed: None,
            packed: false,
            repaired: false,
        });
    }
    seal(&mut segments, &found);
    let named = |number| segments.iter().any(|entry| entry.number == number);
    for other in found.iter().filter(|found| !named(found.number)) {
        let file = segment_file(other.number);
        let kept = aside::keep(storage, &file)?;
        steps.push(Step {
            file,
            what: "moved aside: other segments hold what it does".to_owned(),
            kept: Some(kept),
        });
    }
    // The number of the list must be one that no list had: each began a segment, or was made by packing some.
    let generation = highest.max(whole.map_or(0, |list| list.generation)) + 2;
    let list = Manifest {
        generation,
        repacked: generation,
        segments,
    };
    let kept = match stands {
        Some(_) => Some(aside::keep(storage, &name)?),
        None => None,
    };
    replace(storage, LOG_FOLDER, MANIFEST_FILE, &list.encode(&keys))
        .map_err(|error| Error::io(format!("write {name}"), error))?;
    for step in &steps {
        storage
            .remove(&step.file)
            .map_err(|error| Error::io(format!("remove {}", step.file), error))?;
    }
    steps.push(Step {
        file: name,
        what: match list.segments.len() {
            1 => "written anew from the one segment there is".to_owned(),
            count => format!("written anew from the {count} segments there are"),
        },
        kept,
    });
    Ok(steps)
}

/// Makes an empty segment.
fn begin(storage: &dyn Storage, number: u64, identity: &[u8], keys: &ArchiveKeys) -> Result<u64> {
    let failed = |error| Error::io(format!("begin segment {}", segment_name(number)), error);
    let file = storage.create(&segment_file(number)).map_err(failed)?;
    file.write_all_at(&segment_header(identity, keys), 0)
        .map_err(failed)?;
    file.sync_data().map_err(failed)?;
    storage.sync_dir(LOG_FOLDER).map_err(failed)?;
    Ok(number)
}

/// Are there segments that this list does not name?
fn has_others(storage: &dyn Storage, list: &Manifest) -> Result<bool> {
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|error| Error::io(format!("list {LOG_FOLDER}"), error))?;
    let named = |number| list.segments.iter().any(|entry| entry.number == number);
    let mut numbers = names.iter().filter_map(|name| number_of(name));
    Ok(numbers.any(|number| !named(number)))
}

/// Are there whole commits that no segment of this list holds, in a gap or behind its end? So it is where an older list
/// was put back: what it names was packed since, or what it does not name was begun since.
fn lacks(list: &Manifest, found: &[Found], start: CommitId) -> bool {
    let is_named = |found: &&Found| list.segments.iter().any(|e| e.number == found.number);
    let named: Vec<&Found> = found.iter().filter(is_named).collect();
    let ends = named.iter().filter_map(|found| found.commits);
    let end = ends.max_by_key(|commits| commits.last);
    let (last, head) = end.map_or((0, start), |end| (end.last, end.id));
    let mut held: Vec<(u64, u64)> = named
        .iter()
        .flat_map(|found| &found.rows)
        .filter(|row| row.left >= Left::Record)
        .map(|row| (row.first, row.last))
        .collect();
    held.sort_unstable();
    let holds_all = |first: u64, last: u64| {
        let mut next = first;
        for (from, to) in &held {
            if *from <= next && *to >= next {
                next = to + 1;
            }
        }
        next > last
    };
    found.iter().filter(|found| !is_named(found)).any(|other| {
        let follows = other.commits.is_some_and(|commits| {
            commits.first <= last || (commits.first == last + 1 && commits.parent == Some(head))
        });
        let rows = other.rows.iter().filter(|row| row.left == Left::All);
        rows.into_iter().any(|row| {
            let inside = row.last.min(last);
            (follows && row.last > last) || (row.first <= inside && !holds_all(row.first, inside))
        })
    })
}

/// The segments that hold the history from the start of the log: each time, of those that hold the next commit, the one
/// in which all is whole farthest. One may begin with commits of the one in front of it: those that are named twice are
/// left out when it is written anew.
fn chain(found: &[Found], start: CommitId) -> Vec<SegmentEntry> {
    let mut segments: Vec<SegmentEntry> = Vec::new();
    let (mut next, mut head) = (1, start);
    while let Some(from) = found.iter().filter_map(|found| found.next(next)).min() {
        let here = found
            .iter()
            .filter_map(|found| Some((found, found.commits?, found.from(from)?)));
        let best = here.max_by_key(|(found, commits, (left, whole))| {
            let apart = commits.first >= next;
            let foreign = commits.first == next && commits.parent.is_some_and(|id| id != head);
            (!foreign, *whole, *left, apart, found.whole, commits.last)
        });
        let Some((best, commits, _)) = best else {
            return segments;
        };
        segments.push(SegmentEntry {
            number: best.number,
            first_seq: next,
            sealed: None,
            packed: best.packed,
            repaired: best.repaired,
        });
        (next, head) = (commits.last + 1, commits.id);
    }
    segments
}

fn of(found: &[Found], number: u64) -> Option<(&Found, Option<Stretch>)> {
    let found = found.iter().find(|found| found.number == number)?;
    Some((found, found.commits))
}

fn next_seq(segments: &[SegmentEntry], found: &[Found]) -> u64 {
    let last = segments.last().and_then(|last| of(found, last.number)?.1);
    last.map_or(1, |last| last.last + 1)
}

/// Says of all but the last how they end.
fn seal(segments: &mut [SegmentEntry], found: &[Found]) {
    let Some((_, sealed)) = segments.split_last_mut() else {
        return;
    };
    for entry in sealed {
        if let Some((this, Some(commits))) = of(found, entry.number) {
            entry.sealed = Some(Sealed {
                len: this.len,
                last_commit: commits.id,
            });
        }
    }
}
