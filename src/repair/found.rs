//! What stands in the files of the log, whatever MANIFEST says.

use std::sync::Arc;

use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::format::*;
use crate::log::manifest::segment_name;
use crate::log::packed::walk;
use crate::log::reader::segment_file;
use crate::log::record::read_frame;
use crate::log::scan::{self, scan};
use crate::log::writer::segment_header;
use crate::storage::{Storage, StorageFile};

/// What a file holds that may be a segment.
pub(super) struct Found {
    pub number: u64,
    pub len: u64,
    pub packed: bool,
    pub repaired: bool,
    /// First and last commit, and the ids of what is in front of the first and of the last; none without commits.
    pub commits: Option<Stretch>,
    /// Rows of commits of one kind, in order.
    pub rows: Vec<Row>,
    pub whole: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub first: u64,
    pub last: u64,
    pub parent: Option<CommitId>,
    pub id: CommitId,
}

/// What is left of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// It is noted as gone.
    Noted,
    /// Its record; some of its objects are damaged.
    Record,
    All,
}

/// Commits that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub first: u64,
    pub last: u64,
    pub left: Left,
}

impl Found {
    /// What is here of a commit, and how far all is whole from it on.
    pub fn from(&self, seq: u64) -> Option<(Left, u64)> {
        let row = self.row(seq)?;
        // In a packed segment damage does not tell which commits it hits.
        let whole = row.left == Left::All && (self.whole || !self.packed);
        Some((row.left, if whole { row.last } else { seq - 1 }))
    }

    /// The first commit from this one on.
    pub fn next(&self, seq: u64) -> Option<u64> {
        let rows = self.rows.iter().filter(|row| row.last >= seq);
        rows.map(|row| row.first.max(seq)).min()
    }

    fn row(&self, seq: u64) -> Option<&Row> {
        let rows = self.rows.iter();
        let mut here = rows.filter(|row| (row.first..=row.last).contains(&seq));
        here.next()
    }
}

/// The number of the segment that a file is named like.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(SEGMENT_SUFFIX)
        .and_then(|number| number.parse::<u64>().ok())
        .filter(|number| *number > 0 && segment_name(*number) == name)
}

/// Every file that is named like a segment, and what is in it.
pub(super) fn find(
    storage: &dyn Storage,
    identity: &[u8],
    keys: &ArchiveKeys,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|error| Error::io(format!("list {LOG_FOLDER}"), error))?;
    for name in names {
        let Some(number) = number_of(&name) else {
            continue;
        };
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
            rows: holds.rows,
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
    rows: Vec<Row>,
    losses: bool,
    damaged: bool,
    /// Of the next commit only objects are damaged.
    hit: bool,
}

impl Holds {
    fn take(&mut self, found: scan::Found) {
        let (more, left) = match found {
            scan::Found::Identity(..) => return,
            scan::Found::Damage(damage) => {
                self.damaged = true;
                self.hit = damage.commit_whole;
                return;
            }
            scan::Found::Batch(placed) => {
                let record = &placed.batch.record;
                let more = Stretch {
                    first: record.seq,
                    last: record.seq,
                    parent: record.parents.first().copied(),
                    id: placed.batch.id,
                };
                match std::mem::take(&mut self.hit) {
                    true => (more, Left::Record),
                    false => (more, Left::All),
                }
            }
            scan::Found::Loss(loss) => {
                self.losses = true;
                let Some(lost) = loss.record.commits else {
                    return;
                };
                let more = Stretch {
                    first: lost.first,
                    last: lost.last,
                    parent: None,
                    id: lost.id,
                };
                (more, Left::Noted)
            }
        };
        match self.rows.last_mut() {
            Some(row) if row.left == left && row.last + 1 == more.first => row.last = more.last,
            _ => self.rows.push(Row {
                first: more.first,
                last: more.last,
                left,
            }),
        }
        let all = self.commits.get_or_insert(more);
        if more.first < all.first {
            (all.first, all.parent) = (more.first, more.parent);
        }
        if more.last > all.last {
            (all.last, all.id) = (more.last, more.id);
        }
    }
}
