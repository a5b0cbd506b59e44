//! Commit blocks: consecutive commits, of which only the first names its parent.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::changes::{ChangeColumns, PackedChange, decode_changes};
use super::frame::{put_frame, take_frame};
use super::numbers::{numbers, put_numbers};
use crate::commit::{Fields, merkle_root};
use crate::id::CommitId;
use crate::log::batch::Batch;
use crate::log::format::*;
use crate::log::record::{CommitChanges, CommitRecord};
use crate::log::scan::PlacedBatch;
use crate::wire::{Bytes, Malformed, checked_number, put_ivar, put_uvar};

const SHAPE_KNOWN: u64 = (SHAPE_PARENTS | SHAPE_TIME | SHAPE_FIELDS | SHAPE_CHANGES) as u64;

/// A commit of a packed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedCommit {
    /// Parents behind the first one, which is the commit in front.
    pub other_parents: Vec<CommitId>,
    pub recorded: i64,
    pub time: i64,
    pub fields: Fields,
    pub change_count: u64,
    pub changes: PackedChanges,
}

/// The changes of a commit of a packed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PackedChanges {
    /// Which of the changes of its block.
    Inline(Range<usize>),
    /// Where the blocks of changes stand, in order, and the Merkle root of all changes.
    Blocks { offsets: Vec<u64>, root: [u8; 32] },
}

/// Consecutive commits.
#[derive(Debug)]
pub(crate) struct CommitBlock {
    pub first_seq: u64,
    /// The parent of the first one.
    pub parent: CommitId,
    commits: Vec<PackedCommit>,
    /// Of all commits that have no blocks for them.
    changes: Vec<PackedChange>,
    /// Bytes of the text it was read from.
    text_len: usize,
    /// Those that were asked for, and all in front of them.
    ids: Mutex<Vec<CommitId>>,
}

impl CommitBlock {
    pub fn new(first_seq: u64, parent: CommitId) -> CommitBlock {
        CommitBlock {
            first_seq,
            parent,
            commits: Vec::new(),
            changes: Vec::new(),
            text_len: 0,
            ids: Mutex::default(),
        }
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        // Text is kept in many small pieces, each with a few words of its own.
        self.text_len * 4
            + self.commits.len() * size_of::<PackedCommit>()
            + self.changes.len() * size_of::<PackedChange>()
    }

    /// Adds the next commit, with its changes where it has no blocks for them.
    pub fn push(&mut self, mut commit: PackedCommit, changes: Vec<PackedChange>) {
        if let PackedChanges::Inline(range) = &mut commit.changes {
            let start = self.changes.len();
            *range = start..start + changes.len();
            self.changes.extend(changes);
        }
        self.commits.push(commit);
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    fn changes(&self, range: &Range<usize>) -> &[PackedChange] {
        self.changes.get(range.clone()).unwrap_or(&[])
    }

    /// The body of the record of this block, which will stand at `offset` of its segment.
    pub fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_uvar(&mut out, self.first_seq);
        put_uvar(&mut out, self.commits.len() as u64);
        out.extend_from_slice(&self.parent.0);
        let mut last = self.commits.first().map_or(0, |commit| commit.recorded);
        put_ivar(&mut out, last);
        let (mut shapes, mut times, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut text, mut columns) = (Vec::new(), ChangeColumns::default());
        for (seq, commit) in (self.first_seq..).zip(&self.commits) {
            let shape = [
                (!commit.other_parents.is_empty(), SHAPE_PARENTS),
                (commit.time != commit.recorded, SHAPE_TIME),
                (commit.fields != Fields::default(), SHAPE_FIELDS),
                (commit.change_count != 1, SHAPE_CHANGES),
            ]
            .into_iter()
            .fold(0, |shape, (set, bit)| if set { shape | bit } else { shape });
            shapes.push(shape.into());
            times.push(zigzag(commit.recorded.wrapping_sub(last)));
            last = commit.recorded;
            if shape & SHAPE_CHANGES != 0 {
                counts.push(commit.change_count);
            }
            if shape & SHAPE_PARENTS != 0 {
                put_uvar(&mut text, commit.other_parents.len() as u64);
                for parent in &commit.other_parents {
                    text.extend_from_slice(&parent.0);
                }
            }
            if shape & SHAPE_TIME != 0 {
                put_ivar(&mut text, commit.time.wrapping_sub(commit.recorded));
            }
            if shape & SHAPE_FIELDS != 0 {
                commit.fields.encode(&mut text);
            }
            match &commit.changes {
                PackedChanges::Inline(range) => {
                    for change in self.changes(range) {
                        columns.add(change, seq, offset, &mut text);
                    }
                }
                PackedChanges::Blocks { offsets, root } => {
                    text.extend_from_slice(root);
                    for block in offsets {
                        put_uvar(&mut text, offset.saturating_sub(*block));
                    }
                }
            }
        }
        put_numbers(&mut out, &shapes);
        put_numbers(&mut out, times.get(1..).unwrap_or(&[]));
        put_numbers(&mut out, &counts);
        put_frame(&mut out, &text);
        columns.encode(&mut out);
        out
    }

    /// Reads the body of a commit block's record, which stands at `offset`.
    pub fn decode(body: &[u8], offset: u64) -> Result<CommitBlock, Malformed> {
        let mut input = Bytes::new(body);
        let first_seq = input.uvar()?;
        let count = usize::try_from(input.uvar()?)
            .ok()
            .filter(|count| (1..=MAX_COMMITS_PER_BLOCK).contains(count))
            .ok_or(Malformed("a block with too few or too many commits"))?;
        checked_number(first_seq.saturating_add(count as u64))?;
        let parent = CommitId(input.array()?);
        let mut recorded = input.ivar()?;
        let shapes = numbers(&mut input, count)?;
        if shapes.iter().any(|shape| shape & !SHAPE_KNOWN != 0) {
            return Err(Malformed("unknown shape of a commit"));
        }
        let times = numbers(&mut input, count - 1)?;
        let has = |shape: u64, bit: u8| shape & u64::from(bit) != 0;
        let many = shapes
            .iter()
            .filter(|shape| has(**shape, SHAPE_CHANGES))
            .count();
        let mut counts = numbers(&mut input, many)?.into_iter();
        let counts: Vec<u64> = shapes
            .iter()
            .map(|shape| match has(*shape, SHAPE_CHANGES) {
                true => counts.next().unwrap_or(0),
                false => 1,
            })
            .collect();
        if counts.contains(&0) {
            return Err(Malformed("a commit without changes"));
        }
        let text = take_frame(&mut input)?;
        let text_len = text.len();
        let mut text = Bytes::new(&text);
        let inline = |count: u64| match count <= CHANGES_PER_RECORD as u64 {
            true => count,
            false => 0,
        };
        let mut owners = Vec::new();
        let mut starts = Vec::new();
        for (seq, count) in (first_seq..).zip(&counts) {
            starts.push(owners.len());
            owners.extend((0..inline(*count)).map(|number| (seq, number)));
        }
        let mut commits: Vec<PackedCommit> = Vec::with_capacity(count);
        // Takes what stands in the text in front of the changes of commits, up to those of the one with change `at`.
        let mut heads = |at: usize, text: &mut Bytes<'_>| {
            while starts.get(commits.len()).is_some_and(|start| *start <= at) {
                let n = commits.len();
                if n > 0 {
                    recorded = recorded.wrapping_add(unzigzag(times[n - 1]));
                }
                commits.push(read_head(text, shapes[n], recorded, counts[n], offset)?);
            }
            Ok(())
        };
        let changes = decode_changes(&mut input, &mut text, offset, &owners, &mut heads)?;
        heads(usize::MAX, &mut text)?;
        if !input.rest().is_empty() || !text.rest().is_empty() {
            return Err(Malformed("text behind the commits"));
        }
        for (commit, start) in commits.iter_mut().zip(starts) {
            if let PackedChanges::Inline(range) = &mut commit.changes {
                *range = start..start.saturating_add(commit.change_count as usize);
            }
        }
        Ok(CommitBlock {
            first_seq,
            parent,
            commits,
            changes,
            text_len,
            ids: Mutex::default(),
        })
    }

    /// The id of a commit, which is the parent of the next.
    pub fn id(&self, number: usize) -> Option<CommitId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        while ids.len() <= number {
            let commit = self.commits.get(ids.len())?;
            let parent = ids.last().copied().unwrap_or(self.parent);
            let seq = self.first_seq + ids.len() as u64;
            ids.push(self.id_of(commit, parent, seq));
        }
        ids.get(number).copied()
    }

    fn id_of(&self, commit: &PackedCommit, parent: CommitId, seq: u64) -> CommitId {
        let root = match &commit.changes {
            PackedChanges::Inline(range) => {
                let changes = self.changes(range).iter();
                merkle_root(seq, changes.map(|change| &change.stored.change))
            }
            PackedChanges::Blocks { root, .. } => *root,
        };
        let mut more;
        let parents = match commit.other_parents.is_empty() {
            true => std::slice::from_ref(&parent),
            false => {
                more = vec![parent];
                more.extend_from_slice(&commit.other_parents);
                &more
            }
        };
        let (recorded, time, count) = (commit.recorded, commit.time, commit.change_count);
        crate::commit::commit_id(parents, seq, recorded, time, &commit.fields, count, root)
    }

    /// The record of one commit. Where its changes have blocks of their own, their offsets stand for their lengths.
    pub fn record(&self, number: usize) -> Option<CommitRecord> {
        let commit = self.commits.get(number)?;
        let mut parents = vec![match number.checked_sub(1) {
            None => self.parent,
            Some(before) => self.id(before)?,
        }];
        parents.extend_from_slice(&commit.other_parents);
        Some(CommitRecord {
            before: number as u64,
            unsynced: 0,
            batch_checksum: [0; CHECKSUM_LEN],
            parents,
            seq: self.first_seq + number as u64,
            recorded: commit.recorded,
            time: commit.time,
            fields: commit.fields.clone(),
            change_count: commit.change_count,
            changes: match &commit.changes {
                PackedChanges::Inline(range) => {
                    let changes = self.changes(range).iter();
                    CommitChanges::Inline(changes.map(|c| c.stored.clone()).collect())
                }
                PackedChanges::Blocks { offsets, root } => CommitChanges::Records {
                    lengths: offsets.clone(),
                    root: *root,
                },
            },
        })
    }

    /// One commit as if it were a batch, given where the block stands and how long its record is. `read` reads the
    /// changes of a commit that has blocks for them.
    pub fn batch(
        &self,
        number: usize,
        offset: u64,
        len: u64,
        read: &mut ReadChanges<'_>,
    ) -> Result<PlacedBatch, &'static str> {
        let missing = "a commit is missing";
        let commit = self.commits.get(number).ok_or(missing)?;
        let record = self.record(number).ok_or(missing)?;
        let id = self.id(number).ok_or(missing)?;
        let changes = match &commit.changes {
            PackedChanges::Inline(range) => self.changes(range).to_vec(),
            PackedChanges::Blocks { offsets, root } => {
                read(offsets, root, commit.change_count, record.seq)?
            }
        };
        Ok(PlacedBatch {
            offset,
            batch: Batch {
                id,
                len: record.before + len,
                record,
                spots: Some(changes.iter().flat_map(PackedChange::spots).collect()),
                changes: changes.into_iter().map(|change| change.stored).collect(),
            },
        })
    }
}

/// What stands in the text in front of a commit's changes.
fn read_head(
    text: &mut Bytes<'_>,
    shape: u64,
    recorded: i64,
    change_count: u64,
    offset: u64,
) -> Result<PackedCommit, Malformed> {
    let has = |bit: u8| shape & u64::from(bit) != 0;
    let mut other_parents = Vec::new();
    if has(SHAPE_PARENTS) {
        for _ in 0..text.uvar()? {
            other_parents.push(CommitId(text.array()?));
        }
    }
    let ahead = if has(SHAPE_TIME) { text.ivar()? } else { 0 };
    let time = recorded
        .checked_add(ahead)
        .ok_or(Malformed("time out of range"))?;
    let fields = match has(SHAPE_FIELDS) {
        true => Fields::decode(text)?,
        false => Fields::default(),
    };
    let changes = if change_count <= CHANGES_PER_RECORD as u64 {
        PackedChanges::Inline(0..0)
    } else {
        let root = text.array()?;
        let mut offsets = Vec::new();
        for _ in 0..change_count.div_ceil(CHANGES_PER_RECORD as u64) {
            let block = offset.checked_sub(text.uvar()?);
            offsets.push(block.ok_or(Malformed("changes outside their segment"))?);
        }
        PackedChanges::Blocks { offsets, root }
    };
    Ok(PackedCommit {
        other_parents,
        recorded,
        time,
        fields,
        change_count,
        changes,
    })
}

/// Reads changes by where their blocks stand, their Merkle root, their number, and the number of their commit.
pub(super) type ReadChanges<'a> =
    dyn FnMut(&[u64], &[u8; 32], u64, u64) -> Result<Vec<PackedChange>, &'static str> + 'a;

/// Some of the changes of a commit that has many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedChangeBlock {
    pub seq: u64,
    /// The number of the first change here, from 0.
    pub first_change: u64,
    /// How many objects the changes in front of it brought.
    pub first_object: u64,
    pub changes: Vec<PackedChange>,
}

impl PackedChangeBlock {
    pub fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let count = self.changes.len() as u64;
        for number in [self.seq, self.first_change, self.first_object, count] {
            put_uvar(&mut out, number);
        }
        let (mut text, mut columns) = (Vec::new(), ChangeColumns::default());
        for change in &self.changes {
            columns.add(change, self.seq, offset, &mut text);
        }
        put_frame(&mut out, &text);
        columns.encode(&mut out);
        out
    }

    pub fn decode(body: &[u8], offset: u64) -> Result<PackedChangeBlock, Malformed> {
        let mut input = Bytes::new(body);
        let (seq, first_change, first_object) = (input.counted()?, input.uvar()?, input.uvar()?);
        let count = input.uvar()?;
        if count == 0 || count > CHANGES_PER_RECORD as u64 {
            return Err(Malformed("too few or too many changes in one record"));
        }
        let owners: Vec<(u64, u64)> = (0..count)
            .map(|number| (seq, first_change.saturating_add(number)))
            .collect();
        let text = take_frame(&mut input)?;
        let mut text = Bytes::new(&text);
        let changes = decode_changes(&mut input, &mut text, offset, &owners, |_, _| Ok(()))?;
        if !input.rest().is_empty() || !text.rest().is_empty() {
            return Err(Malformed("text behind the changes"));
        }
        Ok(PackedChangeBlock {
            seq,
            first_change,
            first_object,
            changes,
        })
    }
}

/// Puts the changes of a commit together from its blocks of them, which must follow each other. What does not follow is
/// refused at once: a commit may name one block a million times.
pub(crate) struct JoinChanges {
    seq: u64,
    changes: Vec<PackedChange>,
    objects: u64,
}

impl JoinChanges {
    /// For the commit of this number.
    pub fn new(seq: u64) -> JoinChanges {
        JoinChanges {
            seq,
            changes: Vec::new(),
            objects: 0,
        }
    }

    /// Adds the next block.
    pub fn push(&mut self, block: PackedChangeBlock) -> Result<(), &'static str> {
        let place = (block.seq, block.first_change, block.first_object);
        if place != (self.seq, self.changes.len() as u64, self.objects) {
            return Err("blocks of changes do not follow each other");
        }
        let objects = block.changes.iter().map(|c| c.stored.objects());
        self.objects += objects.sum::<u64>();
        self.changes.extend(block.changes);
        Ok(())
    }

    /// All of them, which must be so many and have this Merkle root.
    pub fn finish(self, count: u64, root: &[u8; 32]) -> Result<Vec<PackedChange>, &'static str> {
        if self.changes.len() as u64 != count {
            return Err("a commit with another number of changes");
        }
        let changes = self.changes.iter().map(|change| &change.stored.change);
        if merkle_root(self.seq, changes) != *root {
            return Err("wrong hash of the changes");
        }
        Ok(self.changes)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
