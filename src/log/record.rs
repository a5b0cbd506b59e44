//! Records: the framing, and the kinds of body that plain segments have.
//!
//! A record is `type, [marker,] length, body, checksum`. The checksum is BLAKE3 keyed with the archive's key, over
//! everything in front of it, so that a copy of another archive's records is not one here.

use super::format::*;
use crate::commit::{ArchiveKeys, Change, Fields, SourceForm, commit_id, merkle_root};
use crate::id::{CommitId, ObjectId};
use crate::wire::{Bytes, Malformed, put_ivar, put_uvar};

/// Why no record could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRecord {
    /// The bytes end inside it.
    Incomplete,
    /// The bytes are not a record.
    Broken(&'static str),
}

impl From<Malformed> for NoRecord {
    fn from(error: Malformed) -> NoRecord {
        NoRecord::Broken(error.0)
    }
}

/// A whole record: its kind, its body, and how many bytes it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub kind: u8,
    pub body: &'a [u8],
    pub len: usize,
}

pub(crate) fn checksum_len(kind: u8) -> Option<usize> {
    match kind {
        RECORD_OBJECT => Some(OBJECT_CHECKSUM_LEN),
        RECORD_HEADER | RECORD_CHANGES | RECORD_COMMIT | RECORD_LOSS => Some(CHECKSUM_LEN),
        RECORD_OBJECT_BLOCK | RECORD_COMMIT_BLOCK | RECORD_CHANGE_BLOCK => Some(CHECKSUM_LEN),
        _ => None,
    }
}

/// Can the record be found by a marker behind its type byte?
pub(crate) fn has_marker(kind: u8) -> bool {
    matches!(
        kind,
        RECORD_COMMIT | RECORD_OBJECT_BLOCK | RECORD_COMMIT_BLOCK | RECORD_CHANGE_BLOCK
    )
}

/// Reads the record at the start of `bytes`.
pub(crate) fn read_frame<'a>(bytes: &'a [u8], keys: &ArchiveKeys) -> Result<Frame<'a>, NoRecord> {
    let mut input = Bytes::new(bytes);
    let Ok(kind) = input.u8() else {
        return Err(NoRecord::Incomplete);
    };
    let Some(check) = checksum_len(kind) else {
        return Err(NoRecord::Broken("unknown record type"));
    };
    if has_marker(kind) {
        match input.array::<MARKER_LEN>() {
            Ok(marker) if marker == keys.marker => {}
            Ok(_) => return Err(NoRecord::Broken("wrong marker")),
            Err(_) => return Err(NoRecord::Incomplete),
        }
    }
    let len = match input.uvar() {
        Ok(len) => len,
        Err(_) if input.rest().is_empty() => return Err(NoRecord::Incomplete),
        Err(error) => return Err(error.into()),
    };
    let Ok(len) = usize::try_from(len) else {
        return Err(NoRecord::Broken("record length too large"));
    };
    let front = bytes.len() - input.rest().len();
    let Ok(body) = input.take(len) else {
        return Err(NoRecord::Incomplete);
    };
    let Ok(stored) = input.take(check) else {
        return Err(NoRecord::Incomplete);
    };
    let computed = blake3::keyed_hash(&keys.checksum, &bytes[..front + len]);
    if computed.as_bytes()[..check] != *stored {
        return Err(NoRecord::Broken("wrong checksum"));
    }
    Ok(Frame {
        kind,
        body,
        len: front + len + check,
    })
}

/// How long the record is whose first bytes these are.
pub(crate) fn claimed_len(head: &[u8]) -> Option<u64> {
    let mut input = Bytes::new(head);
    let kind = input.u8().ok()?;
    let check = checksum_len(kind)?;
    if has_marker(kind) {
        input.take(MARKER_LEN).ok()?;
    }
    let len = input.uvar().ok()?;
    let front = (head.len() - input.rest().len()) as u64;
    len.checked_add(front + check as u64)
}

/// Appends a record around `body`; returns its length.
pub(crate) fn write_frame(out: &mut Vec<u8>, kind: u8, body: &[u8], keys: &ArchiveKeys) -> usize {
    write_frame_of(out, kind, [body, &[]], keys)
}

/// The same of a body in two parts.
pub(crate) fn write_frame_of(
    out: &mut Vec<u8>,
    kind: u8,
    body: [&[u8]; 2],
    keys: &ArchiveKeys,
) -> usize {
    let start = out.len();
    out.push(kind);
    if has_marker(kind) {
        out.extend_from_slice(&keys.marker);
    }
    put_uvar(out, (body[0].len() + body[1].len()) as u64);
    out.extend_from_slice(body[0]);
    out.extend_from_slice(body[1]);
    let sum = blake3::keyed_hash(&keys.checksum, &out[start..]);
    out.extend_from_slice(&sum.as_bytes()[..checksum_len(kind).unwrap_or(CHECKSUM_LEN)]);
    out.len() - start
}

/// The keyed checksum of the bytes of a batch in front of its commit record.
pub(crate) fn batch_checksum(bytes: &[u8], keys: &ArchiveKeys) -> [u8; CHECKSUM_LEN] {
    let mut out = [0; CHECKSUM_LEN];
    out.copy_from_slice(&blake3::keyed_hash(&keys.checksum, bytes).as_bytes()[..CHECKSUM_LEN]);
    out
}

/// Another object, as a record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// How many commits back it is; 0 is the same commit.
    pub seq_back: u64,
    /// Which object of that commit, counted from 0 in the order of its batch.
    pub ordinal: u64,
}

/// An object as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectRecord<'a> {
    /// The bytes.
    Stored(&'a [u8]),
    /// A zstd frame without its magic number.
    Frame(&'a [u8]),
    /// The same, with the content of another object as its prefix. `k` counts the objects since the one that stands
    /// alone.
    Delta {
        k: u64,
        base: Reference,
        frame: &'a [u8],
    },
    /// It is gone, and `repair` has left this in its place: the objects behind it keep their numbers.
    Lost,
}

impl Reference {
    fn decode(input: &mut Bytes<'_>) -> Result<Reference, Malformed> {
        Ok(Reference {
            seq_back: input.uvar()?,
            ordinal: input.uvar()?,
        })
    }

    fn encode(self, out: &mut Vec<u8>) {
        put_uvar(out, self.seq_back);
        put_uvar(out, self.ordinal);
    }
}

impl<'a> ObjectRecord<'a> {
    pub fn decode(body: &'a [u8]) -> Result<ObjectRecord<'a>, Malformed> {
        let mut input = Bytes::new(body);
        Ok(match input.u8()? {
            ENCODING_STORED => ObjectRecord::Stored(input.rest()),
            ENCODING_ZSTD => ObjectRecord::Frame(input.rest()),
            ENCODING_DELTA => ObjectRecord::Delta {
                k: input.uvar()?,
                base: Reference::decode(&mut input)?,
                frame: input.rest(),
            },
            ENCODING_LOST if input.rest().is_empty() => ObjectRecord::Lost,
            _ => return Err(Malformed("unknown object encoding")),
        })
    }

    /// Appends the front of the body; what is behind it may be large and is given back.
    pub fn encode(&self, out: &mut Vec<u8>) -> &'a [u8] {
        match *self {
            ObjectRecord::Stored(bytes) => {
                out.push(ENCODING_STORED);
                bytes
            }
            ObjectRecord::Frame(frame) => {
                out.push(ENCODING_ZSTD);
                frame
            }
            ObjectRecord::Delta { k, base, frame } => {
                out.push(ENCODING_DELTA);
                put_uvar(out, k);
                base.encode(out);
                frame
            }
            ObjectRecord::Lost => {
                out.push(ENCODING_LOST);
                &[]
            }
        }
    }

    /// Objects since the one that stands alone.
    pub fn k(&self) -> u64 {
        match self {
            ObjectRecord::Delta { k, .. } => *k,
            _ => 0,
        }
    }

    /// The object whose content is this one's prefix.
    pub fn rests_on(&self) -> Option<Reference> {
        match self {
            ObjectRecord::Delta { base, .. } => Some(*base),
            ObjectRecord::Stored(_) | ObjectRecord::Frame(_) | ObjectRecord::Lost => None,
        }
    }
}

/// A change, and the lengths of the records in this batch that hold its objects: 0 where an earlier record already
/// holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredChange {
    pub change: Change,
    pub object_len: u64,
    /// Of the source, where it is an object of its own, or of the layout that the change brings.
    pub source_len: u64,
}

impl StoredChange {
    fn encode(&self, seq: u64, out: &mut Vec<u8>) {
        self.change.encode(seq, out);
        if self.change.content.is_some() {
            put_uvar(out, self.object_len);
        }
        if self.second().is_some() {
            put_uvar(out, self.source_len);
        }
    }

    fn decode(input: &mut Bytes<'_>, seq: u64, number: u64) -> Result<StoredChange, Malformed> {
        let mut stored = StoredChange {
            change: Change::decode(input, seq, number)?,
            object_len: 0,
            source_len: 0,
        };
        if stored.change.content.is_some() {
            stored.object_len = input.uvar()?;
        }
        if stored.second().is_some() {
            stored.source_len = input.uvar()?;
        }
        Ok(stored)
    }

    /// The object that the change names beside its document: its source, or the layout that it brings.
    pub fn second(&self) -> Option<ObjectId> {
        match self.change.content?.source {
            SourceForm::Object(id) => Some(id),
            SourceForm::LaidOut { .. } => self.change.layout,
            SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => None,
        }
    }

    /// How many object records of the batch are this change's.
    pub fn objects(&self) -> u64 {
        u64::from(self.object_len > 0) + u64::from(self.source_len > 0)
    }

    /// How many bytes they take.
    pub fn objects_len(&self) -> u64 {
        self.object_len.saturating_add(self.source_len)
    }
}

/// Some of the changes of a commit, with what lies before them in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangeBlock {
    /// The number of the first change here, from 0.
    pub first_change: u64,
    /// How many object records lie before those of the first change.
    pub first_object: u64,
    /// How many bytes they take.
    pub objects_offset: u64,
    pub changes: Vec<StoredChange>,
}

impl ChangeBlock {
    /// Reads some of the changes of commit `seq`.
    pub fn decode(body: &[u8], seq: u64) -> Result<ChangeBlock, Malformed> {
        let mut input = Bytes::new(body);
        let (first_change, first_object, objects_offset) =
            (input.uvar()?, input.uvar()?, input.uvar()?);
        let count = input.uvar()?;
        let changes = decode_changes(&mut input, seq, first_change, count)?;
        if !input.rest().is_empty() {
            return Err(Malformed("text behind the changes"));
        }
        Ok(ChangeBlock {
            first_change,
            first_object,
            objects_offset,
            changes,
        })
    }

    pub fn encode(&self, seq: u64, out: &mut Vec<u8>) {
        put_uvar(out, self.first_change);
        put_uvar(out, self.first_object);
        put_uvar(out, self.objects_offset);
        put_uvar(out, self.changes.len() as u64);
        for change in &self.changes {
            change.encode(seq, out);
        }
    }
}

fn decode_changes(
    input: &mut Bytes<'_>,
    seq: u64,
    first: u64,
    count: u64,
) -> Result<Vec<StoredChange>, Malformed> {
    if count > CHANGES_PER_RECORD as u64 {
        return Err(Malformed("too many changes in one record"));
    }
    (0..count)
        .map(|number| StoredChange::decode(input, seq, first.saturating_add(number)))
        .collect()
}

/// A commit record. Where a commit has many changes they stand in changes records in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitRecord {
    /// Bytes of the batch in front of this record.
    pub before: u64,
    /// How many bytes in front of the batch the writer did not know to be on disk.
    pub unsynced: u64,
    /// Checksum of the bytes of the batch in front of this record.
    pub batch_checksum: [u8; CHECKSUM_LEN],
    pub parents: Vec<CommitId>,
    pub seq: u64,
    pub recorded: i64,
    pub time: i64,
    pub fields: Fields,
    pub change_count: u64,
    pub changes: CommitChanges,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommitChanges {
    Inline(Vec<StoredChange>),
    /// The lengths of the changes records, in order, and the Merkle root of all changes.
    Records {
        lengths: Vec<u64>,
        root: [u8; 32],
    },
}

const SHAPE_KNOWN: u8 = SHAPE_UNSYNCED | SHAPE_PARENTS | SHAPE_TIME | SHAPE_FIELDS | SHAPE_CHANGES;

/// A field that is left out where it has this value: a record has one encoding.
fn unless<T: PartialEq>(value: T, left_out: T) -> Result<T, Malformed> {
    match value == left_out {
        true => Err(Malformed("a commit's shape says more than it has")),
        false => Ok(value),
    }
}

impl CommitRecord {
    pub fn decode(body: &[u8]) -> Result<CommitRecord, Malformed> {
        let mut input = Bytes::new(body);
        let before = input.uvar()?;
        let shape = input.u8()?;
        if shape & !SHAPE_KNOWN != 0 {
            return Err(Malformed("unknown shape of a commit"));
        }
        let unsynced = match shape & SHAPE_UNSYNCED {
            0 => 0,
            _ => unless(input.uvar()?, 0)?,
        };
        let batch_checksum = if before > 0 {
            input.array()?
        } else {
            [0; CHECKSUM_LEN]
        };
        let parent_count = match shape & SHAPE_PARENTS {
            0 => 1,
            _ => unless(input.uvar()?, 1)?,
        };
        let parents: Vec<CommitId> = (0..parent_count)
            .map(|_| input.array().map(CommitId))
            .collect::<Result<_, _>>()?;
        if parents.is_empty() {
            return Err(Malformed("a commit without a parent"));
        }
        let seq = input.counted()?;
        let recorded = input.ivar()?;
        let offset = match shape & SHAPE_TIME {
            0 => 0,
            _ => unless(input.ivar()?, 0)?,
        };
        let time = recorded
            .checked_add(offset)
            .ok_or(Malformed("time out of range"))?;
        let fields = match shape & SHAPE_FIELDS {
            0 => Fields::default(),
            _ => unless(Fields::decode(&mut input)?, Fields::default())?,
        };
        let change_count = match shape & SHAPE_CHANGES {
            0 => 1,
            _ => unless(input.uvar()?, 1)?,
        };
        if change_count == 0 {
            return Err(Malformed("a commit without changes"));
        }
        let changes = if change_count <= CHANGES_PER_RECORD as u64 {
            CommitChanges::Inline(decode_changes(&mut input, seq, 0, change_count)?)
        } else {
            let root = input.array()?;
            let records = change_count.div_ceil(CHANGES_PER_RECORD as u64);
            let lengths = (0..records)
                .map(|_| input.uvar())
                .collect::<Result<_, _>>()?;
            CommitChanges::Records { lengths, root }
        };
        if !input.rest().is_empty() {
            return Err(Malformed("text behind the commit"));
        }
        Ok(CommitRecord {
            before,
            unsynced,
            batch_checksum,
            parents,
            seq,
            recorded,
            time,
            fields,
            change_count,
            changes,
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let offset = self.time.wrapping_sub(self.recorded);
        let shape = [
            (self.unsynced != 0, SHAPE_UNSYNCED),
            (self.parents.len() != 1, SHAPE_PARENTS),
            (offset != 0, SHAPE_TIME),
            (self.fields != Fields::default(), SHAPE_FIELDS),
            (self.change_count != 1, SHAPE_CHANGES),
        ]
        .into_iter()
        .fold(0, |shape, (set, bit)| if set { shape | bit } else { shape });
        put_uvar(out, self.before);
        out.push(shape);
        if shape & SHAPE_UNSYNCED != 0 {
            put_uvar(out, self.unsynced);
        }
        if self.before > 0 {
            out.extend_from_slice(&self.batch_checksum);
        }
        if shape & SHAPE_PARENTS != 0 {
            put_uvar(out, self.parents.len() as u64);
        }
        for parent in &self.parents {
            out.extend_from_slice(&parent.0);
        }
        put_uvar(out, self.seq);
        put_ivar(out, self.recorded);
        if shape & SHAPE_TIME != 0 {
            put_ivar(out, offset);
        }
        if shape & SHAPE_FIELDS != 0 {
            self.fields.encode(out);
        }
        if shape & SHAPE_CHANGES != 0 {
            put_uvar(out, self.change_count);
        }
        match &self.changes {
            CommitChanges::Inline(changes) => {
                changes.iter().for_each(|c| c.encode(self.seq, out));
            }
            CommitChanges::Records { lengths, root } => {
                out.extend_from_slice(root);
                lengths.iter().for_each(|len| put_uvar(out, *len));
            }
        }
    }

    /// The commit's id, computed from what the record holds.
    pub fn id(&self) -> CommitId {
        let root = match &self.changes {
            CommitChanges::Inline(changes) => {
                merkle_root(self.seq, changes.iter().map(|stored| &stored.change))
            }
            CommitChanges::Records { root, .. } => *root,
        };
        let count = self.change_count;
        commit_id(
            &self.parents,
            self.seq,
            self.recorded,
            self.time,
            &self.fields,
            count,
            root,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Op;

    fn record() -> CommitRecord {
        CommitRecord {
            before: 0,
            unsynced: 0,
            batch_checksum: [0; CHECKSUM_LEN],
            parents: vec![CommitId([9; 32])],
            seq: 4,
            recorded: 10,
            time: 10,
            fields: Fields::default(),
            change_count: 1,
            changes: CommitChanges::Inline(vec![stored("a")]),
        }
    }

    fn stored(path: &str) -> StoredChange {
        StoredChange {
            change: Change::new(Op::Delete, path, 2),
            object_len: 0,
            source_len: 0,
        }
    }

    fn encoded(record: &CommitRecord) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    }

    #[test]
    fn commits_round_trip_and_defaults_take_no_bytes() {
        let plain = record();
        // before, shape, parent, seq, recorded, change of 5 bytes
        assert_eq!(encoded(&plain).len(), 1 + 1 + 32 + 1 + 1 + 5);
        let mut all = vec![plain];
        let mut push = |edit: &dyn Fn(&mut CommitRecord)| {
            let mut copy = record();
            edit(&mut copy);
            all.push(copy);
        };
        push(&|r| r.unsynced = 300);
        push(&|r| (r.before, r.batch_checksum) = (7, [5; CHECKSUM_LEN]));
        push(&|r| r.parents.push(CommitId([8; 32])));
        push(&|r| r.time = -10);
        push(&|r| r.fields.set(Fields::AUTHOR, "ada"));
        push(&|r| {
            r.change_count = 2;
            r.changes = CommitChanges::Inline(vec![stored("a"), stored("b")]);
        });
        for record in all {
            assert_eq!(CommitRecord::decode(&encoded(&record)), Ok(record));
        }
    }

    #[test]
    fn a_record_has_one_encoding() {
        let plain = encoded(&record());
        let refused = |shape: u8, at: usize, field: &[u8]| {
            let mut bytes = plain.clone();
            bytes[1] = shape;
            bytes.splice(at..at, field.iter().copied());
            assert!(CommitRecord::decode(&bytes).is_err(), "shape {shape:#b}");
        };
        refused(SHAPE_UNSYNCED, 2, &[0]);
        refused(SHAPE_PARENTS, 2, &[1]);
        refused(SHAPE_TIME, 36, &[0]);
        refused(SHAPE_FIELDS, 36, &[0]);
        refused(SHAPE_CHANGES, 36, &[1]);
        refused(1 << 5, 2, &[]);
        let none = CommitRecord {
            change_count: 0,
            changes: CommitChanges::Inline(Vec::new()),
            ..record()
        };
        assert!(CommitRecord::decode(&encoded(&none)).is_err());
    }
}
