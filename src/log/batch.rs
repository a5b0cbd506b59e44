//! Batches: the objects of a commit, its changes, and the commit record that makes them count.

use super::format::*;
use super::loss::{PlacedLoss, check_loss};
use super::packed::Spot;
use super::record::*;
use crate::commit::ArchiveKeys;
use crate::id::CommitId;

/// A whole batch, checked: every checksum holds and the geometry agrees with the records.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub id: CommitId,
    pub record: CommitRecord,
    /// All changes, whichever record holds them.
    pub changes: Vec<StoredChange>,
    /// Of a commit of a packed segment: where its objects stand. It is no batch, but is taken for one: its place is
    /// that of the block, `before` its number in the block, and the length of its record that of the block's.
    pub spots: Option<Vec<Spot>>,
    /// Bytes from the start of the batch to the end of the commit record.
    pub len: u64,
}

impl Batch {
    /// Length of the commit record.
    pub fn record_len(&self) -> u64 {
        self.len - self.record.before
    }

    /// Offset in the batch, which stands at `start`, and length of each object record, in order. Of a packed segment
    /// the offset of the block, which is in front of it, and 1 more than the number in the block.
    pub fn objects(&self, start: u64) -> Vec<(u64, u64)> {
        if let Some(spots) = &self.spots {
            return spots
                .iter()
                .map(|spot| (spot.block.wrapping_sub(start), u64::from(spot.number) + 1))
                .collect();
        }
        let lengths = self
            .changes
            .iter()
            .flat_map(|c| [c.object_len, c.source_len]);
        let mut offset = 0;
        lengths
            .filter(|len| *len > 0)
            .map(|len| {
                let at = offset;
                offset += len;
                (at, len)
            })
            .collect()
    }
}

/// What stands at some place of a segment.
#[derive(Debug)]
pub(crate) enum Next {
    /// A header record of this length, with this identity.
    Header {
        identity: Vec<u8>,
        len: u64,
    },
    Batch(Box<Batch>),
    Loss(Box<PlacedLoss>),
    /// Nothing more, or zeros to the end.
    End,
    /// No whole batch, though nothing seen is wrong: the bytes end too early, in the record at `at`.
    Incomplete {
        at: u64,
    },
    /// Not a batch. `at` is the offset of the record that is not one.
    Broken {
        at: u64,
        reason: &'static str,
    },
}

/// Reads what stands at the start of `bytes`, which go on to the end of what the segment has.
pub(crate) fn read_next(bytes: &[u8], keys: &ArchiveKeys) -> Next {
    if bytes.is_empty() || is_zero(bytes) {
        return Next::End;
    }
    let mut at = 0;
    loop {
        let frame = match read_frame(&bytes[at..], keys) {
            Ok(frame) => frame,
            Err(NoRecord::Incomplete) => return Next::Incomplete { at: at as u64 },
            Err(NoRecord::Broken(reason)) => {
                return Next::Broken {
                    at: at as u64,
                    reason,
                };
            }
        };
        match frame.kind {
            RECORD_HEADER if at == 0 => {
                return Next::Header {
                    identity: frame.body.to_vec(),
                    len: frame.len as u64,
                };
            }
            RECORD_HEADER => {
                return Next::Broken {
                    at: at as u64,
                    reason: "a header inside a batch",
                };
            }
            RECORD_COMMIT => {
                return match check_batch(&bytes[..at + frame.len], at, frame.body, keys) {
                    Ok(batch) => Next::Batch(Box::new(batch)),
                    Err(reason) => Next::Broken {
                        at: at as u64,
                        reason,
                    },
                };
            }
            RECORD_LOSS => {
                return match check_loss(&bytes[..at + frame.len], at, frame.body, keys) {
                    Ok(loss) => Next::Loss(Box::new(loss)),
                    Err(reason) => Next::Broken {
                        at: at as u64,
                        reason,
                    },
                };
            }
            RECORD_OBJECT | RECORD_CHANGES => at += frame.len,
            _ => {
                return Next::Broken {
                    at: at as u64,
                    reason: "a record of a packed segment",
                };
            }
        }
    }
}

/// Checks the batch in `bytes`, whose commit record starts at `record_at` and has this body.
pub(crate) fn check_batch(
    bytes: &[u8],
    record_at: usize,
    body: &[u8],
    keys: &ArchiveKeys,
) -> Result<Batch, &'static str> {
    let record = CommitRecord::decode(body).map_err(|error| error.0)?;
    if record.before != record_at as u64 {
        return Err("the commit's batch has another length");
    }
    let front = &bytes[..record_at];
    if record.before > 0 && batch_checksum(front, keys) != record.batch_checksum {
        return Err("wrong checksum of the batch");
    }
    let changes = all_changes(&record, front, keys)?;
    if !fits(&record, &changes) {
        return Err("the records of the batch are not those of its changes");
    }
    let id = record.id();
    Ok(Batch {
        id,
        record,
        changes,
        spots: None,
        len: bytes.len() as u64,
    })
}

/// Do the records that the changes name, and those that hold the changes, fill the batch in front of the commit record?
pub(crate) fn fits(record: &CommitRecord, changes: &[StoredChange]) -> bool {
    let objects = changes.iter().map(StoredChange::objects_len);
    let blocks: &[u64] = match &record.changes {
        CommitChanges::Inline(_) => &[],
        CommitChanges::Records { lengths, .. } => lengths,
    };
    let all = objects.chain(blocks.iter().copied());
    all.fold(0u64, u64::saturating_add) == record.before
}

/// The changes of a commit, from its record or from the changes records at the end of `front`, the bytes of the
/// batch before the commit record.
pub(crate) fn all_changes(
    record: &CommitRecord,
    front: &[u8],
    keys: &ArchiveKeys,
) -> Result<Vec<StoredChange>, &'static str> {
    let (lengths, root) = match &record.changes {
        CommitChanges::Inline(changes) => return Ok(changes.clone()),
        CommitChanges::Records { lengths, root } => (lengths, root),
    };
    let total = lengths
        .iter()
        .fold(0u64, |sum, len| sum.saturating_add(*len));
    let start = (front.len() as u64)
        .checked_sub(total)
        .ok_or("changes longer than the batch")?;
    let mut rest = &front[usize::try_from(start).map_err(|_| "changes longer than the batch")?..];
    let mut changes = Vec::new();
    let (mut objects, mut offset) = (0u64, 0u64);
    for len in lengths {
        let Ok(frame) = read_frame(rest, keys) else {
            return Err("a changes record is not whole");
        };
        if frame.kind != RECORD_CHANGES || frame.len as u64 != *len {
            return Err("a changes record is not where the commit says");
        }
        let block = ChangeBlock::decode(frame.body, record.seq).map_err(|error| error.0)?;
        if block.first_change != changes.len() as u64
            || block.first_object != objects
            || block.objects_offset != offset
        {
            return Err("changes records do not follow each other");
        }
        objects += block.changes.iter().map(StoredChange::objects).sum::<u64>();
        offset = block
            .changes
            .iter()
            .fold(offset, |sum, c| sum.saturating_add(c.objects_len()));
        changes.extend(block.changes);
        rest = &rest[frame.len..];
    }
    if changes.len() as u64 != record.change_count {
        return Err("a commit with another number of changes");
    }
    if crate::commit::merkle_root(record.seq, changes.iter().map(|stored| &stored.change)) != *root
    {
        return Err("wrong hash of the changes");
    }
    Ok(changes)
}

/// Builds the bytes of a batch.
pub(crate) struct BatchBuilder<'a> {
    keys: &'a ArchiveKeys,
    /// Where in `out` the batch starts.
    start: usize,
    body: Vec<u8>,
}

impl<'a> BatchBuilder<'a> {
    pub fn new(keys: &'a ArchiveKeys, out: &[u8]) -> BatchBuilder<'a> {
        BatchBuilder {
            keys,
            start: out.len(),
            body: Vec::new(),
        }
    }

    /// Appends an object record; returns its offset in the batch and its length.
    pub fn object(&mut self, out: &mut Vec<u8>, record: &ObjectRecord<'_>) -> (u64, u64) {
        self.body.clear();
        let rest = record.encode(&mut self.body);
        let at = (out.len() - self.start) as u64;
        let body = [&self.body, rest];
        (
            at,
            write_frame_of(out, RECORD_OBJECT, body, self.keys) as u64,
        )
    }

    /// Appends the changes and the commit record, filling in what depends on the batch.
    pub fn finish(
        mut self,
        out: &mut Vec<u8>,
        mut record: CommitRecord,
        changes: Vec<StoredChange>,
    ) -> Batch {
        record.change_count = changes.len() as u64;
        if changes.len() <= CHANGES_PER_RECORD {
            record.changes = CommitChanges::Inline(changes.clone());
        } else {
            let root =
                crate::commit::merkle_root(record.seq, changes.iter().map(|stored| &stored.change));
            let mut lengths = Vec::new();
            let (mut first_change, mut first_object, mut objects_offset) = (0, 0, 0);
            for group in changes.chunks(CHANGES_PER_RECORD) {
                let block = ChangeBlock {
                    first_change,
                    first_object,
                    objects_offset,
                    changes: group.to_vec(),
                };
                self.body.clear();
                block.encode(record.seq, &mut self.body);
                lengths.push(write_frame(out, RECORD_CHANGES, &self.body, self.keys) as u64);
                first_change += group.len() as u64;
                first_object += group.iter().map(StoredChange::objects).sum::<u64>();
                let lengths = group.iter().map(StoredChange::objects_len);
                objects_offset = lengths.fold(objects_offset, u64::saturating_add);
            }
            record.changes = CommitChanges::Records { lengths, root };
        }
        record.before = (out.len() - self.start) as u64;
        record.batch_checksum = batch_checksum(&out[self.start..], self.keys);
        self.body.clear();
        record.encode(&mut self.body);
        write_frame(out, RECORD_COMMIT, &self.body, self.keys);
        Batch {
            id: record.id(),
            record,
            changes,
            spots: None,
            len: (out.len() - self.start) as u64,
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
