//! Reading a stretch of a segment from front to back: whole batches, damage between them, and how it ends.

use super::batch::{Batch, Next, all_changes, check_batch, read_next};
use super::format::*;
use super::loss::PlacedLoss;
use super::record::{CommitRecord, Frame, read_frame};
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

/// What a stretch of a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub batches: Vec<PlacedBatch>,
    pub damage: Vec<Damage>,
    pub losses: Vec<PlacedLoss>,
    /// The end of the last whole batch (or of the header, or the start of the stretch).
    pub end: u64,
    pub torn: bool,
    /// Identities that header records gave.
    pub identities: Vec<(u64, Vec<u8>)>,
}

/// Reads `bytes`, which stand at `offset` of their segment and go on to its end. In a sealed segment nothing can be
/// torn: whatever is broken is damage. So it is at the start of any segment: its header was on disk before MANIFEST
/// named it.
pub(crate) fn scan(bytes: &[u8], offset: u64, sealed: bool, keys: &ArchiveKeys) -> Scan {
    let mut found = Scan {
        end: offset,
        ..Scan::default()
    };
    let mut at = 0usize;
    // Every whole batch behind the first damage, looked for once: where it starts, and the highest place that it or
    // any behind it proves to have been on disk.
    let mut behind: Option<Vec<(usize, u64)>> = None;
    loop {
        let here = offset + at as u64;
        match read_next(&bytes[at..], keys) {
            Next::End => return found,
            Next::Header { identity, len } => {
                found.identities.push((here, identity));
                at += len as usize;
                found.end = offset + at as u64;
            }
            Next::Batch(batch) => {
                at += batch.len as usize;
                found.batches.push(PlacedBatch {
                    offset: here,
                    batch: *batch,
                });
                found.end = offset + at as u64;
            }
            Next::Loss(loss) => {
                let loss = loss.moved_to(here);
                at = (loss.end - offset) as usize;
                found.end = loss.end;
                found.losses.push(loss);
            }
            next @ (Next::Incomplete | Next::Broken { .. }) => {
                let (broken, reason) = match next {
                    Next::Broken { at, reason } => (here + at, reason),
                    _ => (here, "the bytes end inside a batch"),
                };
                let behind = behind.get_or_insert_with(|| whole_batches(bytes, at + 1, keys));
                let next = behind.partition_point(|(start, _)| *start <= at);
                let next_start = behind.get(next).map(|(start, _)| *start);
                let synced = behind.get(next).map_or(0, |(_, synced)| *synced);
                let proven = sealed || here == 0 || synced > broken - offset;
                if !proven {
                    found.torn = true;
                    return found;
                }
                let end = next_start.unwrap_or(bytes.len());
                let salvaged = salvage(&bytes[at..end], keys);
                found.damage.push(Damage {
                    offset: broken,
                    end: salvaged
                        .as_ref()
                        .map_or(offset + end as u64, |batch| here + batch.len),
                    reason,
                    orphans: if salvaged.is_some() {
                        Vec::new()
                    } else {
                        orphans(&bytes[at..end], here, keys)
                    },
                    commit_whole: salvaged.is_some(),
                });
                at = match salvaged {
                    Some(batch) => {
                        let len = batch.len as usize;
                        found.batches.push(PlacedBatch {
                            offset: here,
                            batch,
                        });
                        at + len
                    }
                    None => end,
                };
                found.end = offset + at as u64;
            }
        }
    }
}

/// The start of every whole batch from `from` on, and the highest offset in `bytes` that its commit or a later one
/// knew to be on disk.
fn whole_batches(bytes: &[u8], from: usize, keys: &ArchiveKeys) -> Vec<(usize, u64)> {
    let mut found: Vec<(usize, u64)> = whole_commits(bytes, from, keys)
        .map(|(start, record)| (start, (start as u64).saturating_sub(record.unsynced)))
        .collect();
    found.sort_unstable();
    let mut highest = 0;
    for (_, synced) in found.iter_mut().rev() {
        highest = highest.max(*synced);
        *synced = highest;
    }
    found
}

/// Whole commit records at or after `from`, by their marker: where the record starts, its length, and it.
fn commit_records<'a>(
    bytes: &'a [u8],
    from: usize,
    keys: &'a ArchiveKeys,
) -> impl Iterator<Item = (usize, Frame<'a>, CommitRecord)> + 'a {
    let haystack = bytes.get(from..).unwrap_or(&[]);
    memchr::memmem::find_iter(haystack, &keys.marker).filter_map(move |found| {
        let record_at = (from + found).checked_sub(1)?;
        if bytes[record_at] != RECORD_COMMIT {
            return None;
        }
        let frame = read_frame(&bytes[record_at..], keys).ok()?;
        let record = CommitRecord::decode(frame.body).ok()?;
        Some((record_at, frame, record))
    })
}

/// Every whole batch that starts at or after `from`.
fn whole_commits<'a>(
    bytes: &'a [u8],
    from: usize,
    keys: &'a ArchiveKeys,
) -> impl Iterator<Item = (usize, CommitRecord)> + 'a {
    commit_records(bytes, from, keys).filter_map(move |(record_at, frame, record)| {
        let start = record_at.checked_sub(usize::try_from(record.before).ok()?)?;
        if start < from {
            return None;
        }
        check_batch(
            &bytes[start..record_at + frame.len],
            record_at - start,
            frame.body,
            keys,
        )
        .ok()?;
        Some((start, record))
    })
}

/// The batch that starts at the front of `bytes`, where its commit record and its changes are whole and only
/// objects are not.
fn salvage(bytes: &[u8], keys: &ArchiveKeys) -> Option<Batch> {
    let (record_at, frame, record) = commit_records(bytes, 0, keys).next()?;
    if record.before != record_at as u64 {
        return None;
    }
    let changes = all_changes(&record, &bytes[..record_at], keys).ok()?;
    Some(Batch {
        id: record.id(),
        record,
        changes,
        spots: None,
        len: (record_at + frame.len) as u64,
    })
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
