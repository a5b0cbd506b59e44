//! `MANIFEST` from the segments themselves.

use std::sync::Arc;

use super::{Step, aside};
use crate::archive::read_identity;
use crate::commit::{ArchiveKeys, identity_hash};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::format::*;
use crate::log::manifest::{Manifest, Sealed, SegmentEntry, UNKNOWN_FEATURE, segment_name};
use crate::log::packed::walk;
use crate::log::reader::segment_file;
use crate::log::record::read_frame;
use crate::log::scan::{self, scan};
use crate::log::writer::segment_header;
use crate::storage::{Storage, StorageFile, replace};

/// What a file holds that may be a segment.
struct Found {
    number: u64,
    len: u64,
    packed: bool,
    repaired: bool,
    /// First and last commit, and the ids of what is in front of the first and of the last; none without commits.
    commits: Option<Stretch>,
    whole: bool,
}

#[derive(Clone, Copy)]
struct Stretch {
    first: u64,
    last: u64,
    parent: Option<CommitId>,
    id: CommitId,
}

/// Writes `MANIFEST` anew where it cannot be read.
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
    match stands.as_ref().map(|bytes| Manifest::decode(bytes, &keys)) {
        Some(Ok(_)) => return Ok(Vec::new()),
        Some(Err(UNKNOWN_FEATURE)) => return Err(Error::Unsupported(UNKNOWN_FEATURE.to_owned())),
        _ => {}
    }
    let found = find(storage, &identity, &keys)?;
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
    let generation = highest + 2;
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

/// Every file that is named like a segment, and what is in it.
fn find(storage: &dyn Storage, identity: &[u8], keys: &ArchiveKeys) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|error| Error::io(format!("list {LOG_FOLDER}"), error))?;
    for name in names {
        let number = name
            .strip_suffix(SEGMENT_SUFFIX)
            .and_then(|number| number.parse::<u64>().ok())
            .filter(|number| *number > 0 && segment_name(*number) == name);
        let Some(number) = number else { continue };
        let failed = |error| Error::io(format!("read {LOG_FOLDER}/{name}"), error);
        let file = storage.open(&segment_file(number), false).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let packed = is_packed(&file, identity, keys).map_err(failed)?;
        let mut holds = Holds::default();
        let mut take = |found| -> std::io::Result<()> {
            holds.take(found);
            Ok(())
        };
        let end = match packed {
            true => walk(&file, 0, len, keys, &mut take).map_err(failed)?,
            false => {
                let size = usize::try_from(len)
                    .map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
                let mut bytes = vec![0; size];
                let count = file.read_at(&mut bytes, 0).map_err(failed)?;
                bytes.truncate(count);
                scan(&bytes, 0, false, keys, &mut take).map_err(failed)?
            }
        };
        found.push(Found {
            number,
            len,
            packed,
            repaired: holds.losses,
            commits: holds.commits,
            whole: !holds.damaged && end.end == len,
        });
    }
    Ok(found)
}

/// A packed segment has a block behind its header.
fn is_packed(
    file: &Arc<dyn StorageFile>,
    identity: &[u8],
    keys: &ArchiveKeys,
) -> std::io::Result<bool> {
    let header = segment_header(identity, keys);
    let mut bytes = vec![0; header.len() + 1];
    let count = file.read_at(&mut bytes, 0)?;
    let behind = match count > header.len() && read_frame(&bytes[..header.len()], keys).is_ok() {
        true => bytes[header.len()],
        false => 0,
    };
    Ok(matches!(
        behind,
        RECORD_OBJECT_BLOCK | RECORD_COMMIT_BLOCK | RECORD_CHANGE_BLOCK
    ))
}

/// What was found in a segment.
#[derive(Default)]
struct Holds {
    commits: Option<Stretch>,
    losses: bool,
    damaged: bool,
}

impl Holds {
    fn take(&mut self, found: scan::Found) {
        let more = match found {
            scan::Found::Identity(..) => return,
            scan::Found::Damage(_) => {
                self.damaged = true;
                return;
            }
            scan::Found::Batch(placed) => {
                let record = &placed.batch.record;
                Stretch {
                    first: record.seq,
                    last: record.seq,
                    parent: record.parents.first().copied(),
                    id: placed.batch.id,
                }
            }
            scan::Found::Loss(loss) => {
                self.losses = true;
                let Some(lost) = loss.record.commits else {
                    return;
                };
                Stretch {
                    first: lost.first,
                    last: lost.last,
                    parent: None,
                    id: lost.id,
                }
            }
        };
        let all = self.commits.get_or_insert(more);
        if more.first < all.first {
            (all.first, all.parent) = (more.first, more.parent);
        }
        if more.last > all.last {
            (all.last, all.id) = (more.last, more.id);
        }
    }
}

/// The segments that follow each other from the start of the log: each time the one that follows best and goes on
/// farthest.
fn chain(found: &[Found], start: CommitId) -> Vec<SegmentEntry> {
    let mut segments: Vec<SegmentEntry> = Vec::new();
    let (mut next, mut head) = (1, start);
    loop {
        let behind = found
            .iter()
            .filter_map(|found| Some((found, found.commits?)))
            .filter(|(_, commits)| commits.first >= next);
        let best = behind.min_by_key(|(found, commits)| {
            let follows = commits.first == next && commits.parent.is_none_or(|id| id == head);
            let gap = commits.first - next;
            (!follows, gap, !found.whole, u64::MAX - commits.last)
        });
        let Some((best, commits)) = best else {
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
