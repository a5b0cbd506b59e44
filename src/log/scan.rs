//! Reading a stretch of a segment from front to back: whole batches, damage between them, and how it ends.

use super::batch::{Batch, Next, all_changes, check_batch, fits, read_next};
use super::format::*;
use super::loss::PlacedLoss;
use super::record::{CommitRecord, Frame, claimed_len, read_frame};
use crate::commit::ArchiveKeys;

/// A whole batch and where it starts in its segment.
#[derive(Clone, Debug)]
pub(crate) struct PlacedBatch {
    pub offset: u64,
    pub batch: Batch,
}

/// A stretch of a segment that is not what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub offset: u64,
    pub end: u64,
    pub reason: &'static str,
    /// Offset and length of whole object records in front of a commit record that is not: deltas may rest on them.
    pub orphans: Vec<(u64, u64)>,
    /// The commit record is whole and its batch stands in [`Scan::batches`]; only objects are hit.
    pub commit_whole: bool,
}

/// What reading a stretch of a segment comes upon, in its order.
#[derive(Debug)]
pub(crate) enum Found {
    /// A header record: where it stands, and the identity in it.
    Identity(u64, Vec<u8>),
    Batch(PlacedBatch),
    /// What an earlier repair has noted.
    Loss(PlacedLoss),
    Damage(Damage),
}

/// How a stretch of a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The end of the last whole batch (or of the header, or the start of the stretch).
    pub end: u64,
    /// Behind it stands something that no commit vouches for.
    pub torn: bool,
}

/// Takes what was found, one at a time, so that no more than one batch is held decoded.
pub(crate) type Sink<'a, E> = dyn FnMut(Found) -> Result<(), E> + 'a;

/// For each byte of a stretch this many may be hashed in vain: behind false markers, and in batches that turn out to be
/// none. Honest damage costs a few records; who makes records that overlap could have every byte hashed once a record,
/// and gets damage to the end of the stretch instead.
const EFFORT: u64 = 16;
/// And this many in any case.
const LEAST_EFFORT: u64 = 1 << 20;

/// How many bytes may still be hashed in vain.
#[derive(Debug)]
pub(crate) struct Effort(u64);

impl Effort {
    /// What reading so many bytes may take.
    pub fn of(len: u64) -> Effort {
        Effort(len.saturating_mul(EFFORT).max(LEAST_EFFORT))
    }

    /// Spends some of it; false where there is not as much left, and then there is none.
    pub fn spend(&mut self, bytes: u64) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }

    pub fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// A whole batch behind damage.
struct Whole {
    start: usize,
    record_at: usize,
    end: usize,
    /// The highest place that it or any behind it proves to have been on disk.
    synced: u64,
}

/// Reads `bytes`, which stand at `offset` of their segment and go on to its end. In a sealed segment nothing can be
/// torn: whatever is broken is damage. So it is at the start of any segment: its header was on disk before MANIFEST
/// named it. Takes time linear in the bytes, whatever they say, and holds one batch at a time.
pub(crate) fn scan<E>(
    bytes: &[u8],
    offset: u64,
    sealed: bool,
    keys: &ArchiveKeys,
    sink: &mut Sink<'_, E>,
) -> Result<End, E> {
    let mut at = 0usize;
    let mut effort = Effort::of(bytes.len() as u64);
    // Every whole batch behind the first damage, looked for once.
    let mut behind: Option<Vec<Whole>> = None;
    loop {
        let here = offset + at as u64;
        // What is left of a stretch full of false records: the batches that were found before the effort was spent.
        if effort.is_spent()
            && let Some(behind) = &behind
            && let Ok(found) = behind.binary_search_by_key(&at, |whole| whole.start)
            && let whole = &behind[found]
            && let Some(batch) = whole.batch(bytes, keys)
        {
            at = whole.end;
            sink(placed(here, batch))?;
            continue;
        }
        let next = match effort.is_spent() && at < bytes.len() {
            true => Next::Broken {
                at: 0,
                reason: "too many false records",
            },
            false => read_next(&bytes[at..], keys),
        };
        let (broken, read, reason) = match next {
            Next::End => {
                return Ok(End {
                    end: here,
                    torn: false,
                });
            }
            Next::Header { identity, len } => {
                sink(Found::Identity(here, identity))?;
                at += len as usize;
                continue;
            }
            Next::Batch(batch) => {
                at += batch.len as usize;
                sink(placed(here, *batch))?;
                continue;
            }
            Next::Loss(loss) => {
                let loss = loss.moved_to(here);
                at = (loss.end - offset) as usize;
                sink(Found::Loss(loss))?;
                continue;
            }
            Next::Broken { at, reason } => (here + at, at, reason),
            Next::Incomplete { at } => (here, at, "the bytes end inside a batch"),
        };
        effort.spend(wasted(&bytes[at..], read));
        let behind = behind.get_or_insert_with(|| whole_batches(bytes, at + 1, keys, &mut effort));
        let next = behind.partition_point(|whole| whole.start <= at);
        let next = behind.get(next);
        let synced = next.map_or(0, |whole| whole.synced);
        let proven = sealed || here == 0 || synced > broken - offset || effort.is_spent();
        if !proven {
            return Ok(End {
                end: here,
                torn: true,
            });
        }
        let end = next.map_or(bytes.len(), |whole| whole.start);
        let salvaged = salvage(&bytes[at..end], keys, &mut effort);
        sink(Found::Damage(Damage {
            offset: broken,
            end: salvaged
                .as_ref()
                .map_or(offset + end as u64, |batch| here + batch.len),
            reason,
            orphans: match &salvaged {
                Some(_) => Vec::new(),
                None => orphans(&bytes[at..end], here, keys),
            },
            commit_whole: salvaged.is_some(),
        }))?;
        if let Some(batch) = salvaged {
            at += batch.len as usize;
            sink(placed(here, batch))?;
            continue;
        }
        at = end;
        if let Some(whole) = next
            && let Some(batch) = whole.batch(bytes, keys)
        {
            at = whole.end;
            sink(placed(offset + end as u64, batch))?;
        }
    }
}

fn placed(offset: u64, batch: Batch) -> Found {
    Found::Batch(PlacedBatch { offset, batch })
}

/// How many bytes were hashed for nothing where `read` bytes of whole records stand in front of what is no record.
fn wasted(bytes: &[u8], read: u64) -> u64 {
    let rest = usize::try_from(read).ok().and_then(|at| bytes.get(at..));
    let claimed = rest.and_then(claimed_len).unwrap_or(0);
    read + claimed.min(rest.map_or(0, |rest| rest.len() as u64))
}

impl Whole {
    /// Reads the batch once more.
    fn batch(&self, bytes: &[u8], keys: &ArchiveKeys) -> Option<Batch> {
        let frame = read_frame(bytes.get(self.record_at..)?, keys).ok()?;
        let batch = bytes.get(self.start..self.end)?;
        check_batch(batch, self.record_at - self.start, frame.body, keys).ok()
    }
}

/// Every whole batch from `from` on. Where they overlap, which no writer makes, the one whose record comes first counts.
fn whole_batches(bytes: &[u8], from: usize, keys: &ArchiveKeys, effort: &mut Effort) -> Vec<Whole> {
    let mut found: Vec<Whole> = Vec::new();
    let mut free = from;
    commit_records(
        bytes,
        from,
        keys,
        effort,
        &mut |record_at, frame, record, effort| {
            let before = usize::try_from(record.before).unwrap_or(usize::MAX);
            let Some(start) = record_at.checked_sub(before).filter(|start| *start >= free) else {
                return true;
            };
            let end = record_at + frame.len;
            // Its bytes are hashed, and once more where changes stand in records of their own.
            if !effort.spend(2 * (end - start) as u64) {
                return false;
            }
            if check_batch(&bytes[start..end], before, frame.body, keys).is_ok() {
                free = end;
                found.push(Whole {
                    start,
                    record_at,
                    end,
                    synced: (start as u64).saturating_sub(record.unsynced),
                });
            }
            true
        },
    );
    let mut highest = 0;
    for whole in found.iter_mut().rev() {
        highest = highest.max(whole.synced);
        whole.synced = highest;
    }
    found
}

/// Is handed a commit record: where it starts, its frame, it, and the effort that is left. Says whether to go on.
type TakeRecord<'a> = dyn FnMut(usize, Frame<'_>, CommitRecord, &mut Effort) -> bool + 'a;

/// Whole commit records at or after `from`, by their marker. What stands inside a whole record is none.
fn commit_records(
    bytes: &[u8],
    from: usize,
    keys: &ArchiveKeys,
    effort: &mut Effort,
    take: &mut TakeRecord<'_>,
) {
    let haystack = bytes.get(from..).unwrap_or(&[]);
    let mut free = 0;
    for found in memchr::memmem::find_iter(haystack, &keys.marker) {
        let Some(record_at) = (from + found).checked_sub(1) else {
            continue;
        };
        let rest = &bytes[record_at..];
        if rest[0] != RECORD_COMMIT || record_at < free {
            continue;
        }
        let claimed = claimed_len(rest).filter(|len| *len <= rest.len() as u64);
        let Some(claimed) = claimed else { continue };
        if !effort.spend(claimed) {
            return;
        }
        let Ok(frame) = read_frame(rest, keys) else {
            continue;
        };
        let Ok(record) = CommitRecord::decode(frame.body) else {
            continue;
        };
        free = record_at + frame.len;
        if !take(record_at, frame, record, effort) {
            return;
        }
    }
}

/// The batch that starts at the front of `bytes`, where its commit record and its changes are whole and only
/// objects are not.
fn salvage(bytes: &[u8], keys: &ArchiveKeys, effort: &mut Effort) -> Option<Batch> {
    let mut salvaged = None;
    commit_records(
        bytes,
        0,
        keys,
        effort,
        &mut |record_at, frame, record, _| {
            if record.before != record_at as u64 {
                return false;
            }
            let changes = all_changes(&record, &bytes[..record_at], keys);
            let changes = changes.ok().filter(|changes| fits(&record, changes));
            salvaged = changes.map(|changes| Batch {
                id: record.id(),
                record,
                changes,
                spots: None,
                len: (record_at + frame.len) as u64,
            });
            false
        },
    );
    salvaged
}

/// The whole object records at the front of `bytes`.
fn orphans(bytes: &[u8], offset: u64, keys: &ArchiveKeys) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(frame) = read_frame(&bytes[at..], keys) {
        if frame.kind != RECORD_OBJECT {
            break;
        }
        found.push((offset + at as u64, frame.len as u64));
        at += frame.len;
    }
    found
}
