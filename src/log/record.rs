//! Records: the framing, and the four kinds of body.
//!
//! A record is `type, [marker,] length, body, checksum`. The checksum is BLAKE3 keyed with the archive's key, over
//! everything in front of it, so that a copy of another archive's records is not one here.

use super::format::*;
use crate::commit::{ArchiveKeys, Change, Fields, commit_id, merkle_root};
use crate::id::CommitId;
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
        RECORD_HEADER | RECORD_CHANGES | RECORD_COMMIT => Some(CHECKSUM_LEN),
        _ => None,
    }
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
    if kind == RECORD_COMMIT {
        match input.array::<MARKER_LEN>() {
            Ok(marker) if marker == keys.marker => {}
            Ok(_) => return Err(NoRecord::Broken("wrong commit marker")),
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

/// Appends a record around `body`; returns its length.
pub(crate) fn write_frame(out: &mut Vec<u8>, kind: u8, body: &[u8], keys: &ArchiveKeys) -> usize {
    let start = out.len();
    out.push(kind);
    if kind == RECORD_COMMIT {
        out.extend_from_slice(&keys.marker);
    }
    put_uvar(out, body.len() as u64);
    out.extend_from_slice(body);
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
    /// What a layout makes of a document.
    Written {
        document: Reference,
        layout: LayoutPlace<'a>,
        nan: bool,
    },
}

/// Where a layout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayoutPlace<'a> {
    /// Here: how its encoding is packed, and the bytes.
    Here(u8, &'a [u8]),
    /// In another record, which has it itself.
    At(Reference),
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
        const WRITTEN_NAN: u8 = ENCODING_WRITTEN + ENCODING_WRITTEN_NAN;
        const WRITTEN_ALIKE_NAN: u8 = ENCODING_WRITTEN_ALIKE + ENCODING_WRITTEN_NAN;
        let mut input = Bytes::new(body);
        let encoding = input.u8()?;
        Ok(match encoding {
            ENCODING_STORED => ObjectRecord::Stored(input.rest()),
            ENCODING_ZSTD => ObjectRecord::Frame(input.rest()),
            ENCODING_DELTA => ObjectRecord::Delta {
                k: input.uvar()?,
                base: Reference::decode(&mut input)?,
                frame: input.rest(),
            },
            ENCODING_WRITTEN | WRITTEN_NAN => ObjectRecord::Written {
                document: Reference::decode(&mut input)?,
                layout: LayoutPlace::Here(input.u8()?, input.rest()),
                nan: encoding == WRITTEN_NAN,
            },
            ENCODING_WRITTEN_ALIKE | WRITTEN_ALIKE_NAN => {
                let document = Reference::decode(&mut input)?;
                let layout = LayoutPlace::At(Reference::decode(&mut input)?);
                if !input.rest().is_empty() {
                    return Err(Malformed("text behind the layout's place"));
                }
                ObjectRecord::Written {
                    document,
                    layout,
                    nan: encoding == WRITTEN_ALIKE_NAN,
                }
            }
            _ => return Err(Malformed("unknown object encoding")),
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            ObjectRecord::Stored(bytes) => {
                out.push(ENCODING_STORED);
                out.extend_from_slice(bytes);
            }
            ObjectRecord::Frame(frame) => {
                out.push(ENCODING_ZSTD);
                out.extend_from_slice(frame);
            }
            ObjectRecord::Delta { k, base, frame } => {
                out.push(ENCODING_DELTA);
                put_uvar(out, k);
                base.encode(out);
                out.extend_from_slice(frame);
            }
            ObjectRecord::Written {
                document,
                layout,
                nan,
            } => {
                let tagged = if nan { ENCODING_WRITTEN_NAN } else { 0 };
                match layout {
                    LayoutPlace::Here(packing, bytes) => {
                        out.push(ENCODING_WRITTEN + tagged);
                        document.encode(out);
                        out.push(packing);
                        out.extend_from_slice(bytes);
                    }
                    LayoutPlace::At(place) => {
                        out.push(ENCODING_WRITTEN_ALIKE + tagged);
                        document.encode(out);
                        place.encode(out);
                    }
                }
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

    /// The object whose content this one is made from.
    pub fn rests_on(&self) -> Option<Reference> {
        match self {
            ObjectRecord::Delta { base, .. } => Some(*base),
            ObjectRecord::Written { document, .. } => Some(*document),
            ObjectRecord::Stored(_) | ObjectRecord::Frame(_) => None,
        }
    }
}

/// A change, and the lengths of the records in this batch that hold its object and its source: 0 where an earlier
/// record already holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredChange {
    pub change: Change,
    pub object_len: u64,
    pub source_len: u64,
}

impl StoredChange {
    fn encode(&self, out: &mut Vec<u8>) {
        self.change.encode(out);
        if let Some(content) = &self.change.content {
            put_uvar(out, self.object_len);
            if let crate::commit::SourceForm::Object(_) = content.source {
                put_uvar(out, self.source_len);
            }
        }
    }

    fn decode(input: &mut Bytes<'_>) -> Result<StoredChange, Malformed> {
        let change = Change::decode(input)?;
        let (mut object_len, mut source_len) = (0, 0);
        if let Some(content) = &change.content {
            object_len = input.uvar()?;
            if let crate::commit::SourceForm::Object(_) = content.source {
                source_len = input.uvar()?;
            }
        }
        Ok(StoredChange {
            change,
            object_len,
            source_len,
        })
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
    pub fn decode(body: &[u8]) -> Result<ChangeBlock, Malformed> {
        let mut input = Bytes::new(body);
        let (first_change, first_object, objects_offset) =
            (input.uvar()?, input.uvar()?, input.uvar()?);
        let count = input.uvar()?;
        let changes = decode_changes(&mut input, count)?;
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

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvar(out, self.first_change);
        put_uvar(out, self.first_object);
        put_uvar(out, self.objects_offset);
        put_uvar(out, self.changes.len() as u64);
        for change in &self.changes {
            change.encode(out);
        }
    }
}

fn decode_changes(input: &mut Bytes<'_>, count: u64) -> Result<Vec<StoredChange>, Malformed> {
    if count > CHANGES_PER_RECORD as u64 {
        return Err(Malformed("too many changes in one record"));
    }
    (0..count).map(|_| StoredChange::decode(input)).collect()
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

impl CommitRecord {
    pub fn decode(body: &[u8]) -> Result<CommitRecord, Malformed> {
        let mut input = Bytes::new(body);
        let before = input.uvar()?;
        let unsynced = input.uvar()?;
        let batch_checksum = if before > 0 {
            input.array()?
        } else {
            [0; CHECKSUM_LEN]
        };
        let parent_count = input.uvar()?;
        let parents: Vec<CommitId> = (0..parent_count)
            .map(|_| input.array().map(CommitId))
            .collect::<Result<_, _>>()?;
        if parents.is_empty() {
            return Err(Malformed("a commit without a parent"));
        }
        let seq = input.uvar()?;
        let recorded = input.ivar()?;
        let time = recorded
            .checked_add(input.ivar()?)
            .ok_or(Malformed("time out of range"))?;
        let fields = Fields::decode(&mut input)?;
        let change_count = input.uvar()?;
        let changes = if change_count <= CHANGES_PER_RECORD as u64 {
            CommitChanges::Inline(decode_changes(&mut input, change_count)?)
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
        put_uvar(out, self.before);
        put_uvar(out, self.unsynced);
        if self.before > 0 {
            out.extend_from_slice(&self.batch_checksum);
        }
        put_uvar(out, self.parents.len() as u64);
        for parent in &self.parents {
            out.extend_from_slice(&parent.0);
        }
        put_uvar(out, self.seq);
        put_ivar(out, self.recorded);
        put_ivar(out, self.time.wrapping_sub(self.recorded));
        self.fields.encode(out);
        put_uvar(out, self.change_count);
        match &self.changes {
            CommitChanges::Inline(changes) => changes.iter().for_each(|change| change.encode(out)),
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
                merkle_root(changes.iter().map(|stored| &stored.change))
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
