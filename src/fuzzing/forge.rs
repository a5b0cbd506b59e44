//! A writer that knows the format and none of its rules: every checksum is right, and what stands under it is up to the
//! caller.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::archive::Archive;
use crate::commit::{ArchiveKeys, Change, Fields, identity_hash};
use crate::error::Result;
use crate::id::{ArchiveId, CommitId, ObjectId};
use crate::log::batch::BatchBuilder;
use crate::log::format::*;
use crate::log::manifest::{Manifest, Sealed, SegmentEntry};
use crate::log::packed::{
    CommitBlock, ObjectBlock, PackedChange, PackedChanges, PackedCommit, Spot,
};
use crate::log::reader::segment_file;
use crate::log::record::{
    CommitChanges, CommitRecord, ObjectRecord, Reference, StoredChange, write_frame,
};
use crate::log::writer::segment_header;
use crate::storage::{LocalStorage, MemoryStorage, Storage};

/// What a commit record says of itself; [`Forge::commit`] fills in the truth, and a caller changes it.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Its number.
    pub seq: u64,
    /// The writer's clock.
    pub recorded: i64,
    /// The time it claims.
    pub time: i64,
    /// Bytes of the batch in front of the record.
    pub before: u64,
    /// Bytes in front of the batch that were not known to be on disk.
    pub unsynced: u64,
    /// Its first parent.
    pub parent: CommitId,
    /// The commit that it undoes.
    pub undo_of: Option<u64>,
    /// The undo that it takes back.
    pub redo_of: Option<u64>,
    /// Its message.
    pub message: Option<String>,
    /// Leaves the length that a change gives for its object as it is.
    pub lengths: Option<Vec<[u64; 2]>>,
}

/// Makes archives record by record.
#[derive(Clone, Debug)]
pub struct Forge {
    keys: ArchiveKeys,
    identity: Vec<u8>,
    /// Finished segments, packed or not.
    sealed: Vec<(SegmentEntry, Vec<u8>)>,
    bytes: Vec<u8>,
    batch: usize,
    lengths: Vec<u64>,
    first_seq: u64,
    seq: u64,
    head: CommitId,
}

impl Default for Forge {
    fn default() -> Forge {
        Forge::new()
    }
}

impl Forge {
    /// An archive without commits, always of the same identity.
    pub fn new() -> Forge {
        let id = ArchiveId([0x5e; 16]);
        let identity = json!({
            "archive": id.to_string(),
            "created": "2026-11-01T00:00:00.000000Z",
            "format": FORMAT,
            "name": FORMAT_NAME,
            "required": [],
        });
        let identity = identity.to_string().into_bytes();
        let keys = ArchiveKeys::new(id);
        let bytes = segment_header(&identity, &keys);
        let batch = bytes.len();
        let head = identity_hash(&identity);
        Forge {
            keys,
            identity,
            sealed: Vec::new(),
            bytes,
            batch,
            lengths: Vec::new(),
            first_seq: 1,
            seq: 0,
            head,
        }
    }

    pub(crate) fn keys(&self) -> &ArchiveKeys {
        &self.keys
    }

    /// The bytes of the segment that is being made.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, to be changed.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The number of the newest commit.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its id.
    pub fn head(&self) -> CommitId {
        self.head
    }

    /// Four bytes by which commits are found behind damage.
    pub fn marker(&self) -> [u8; 4] {
        self.keys.marker
    }

    /// Appends bytes that are no record, unless the caller makes them one.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a record of any kind with any body; how long it is.
    pub fn record(&mut self, kind: u8, body: &[u8]) -> u64 {
        write_frame(&mut self.bytes, kind, body, &self.keys) as u64
    }

    fn object_record(&mut self, record: ObjectRecord<'_>) {
        let mut body = Vec::new();
        let rest = record.encode(&mut body);
        body.extend_from_slice(rest);
        let len = self.record(RECORD_OBJECT, &body);
        self.lengths.push(len);
    }

    /// Appends an object as it is.
    pub fn object(&mut self, content: &[u8]) -> ObjectId {
        self.object_record(ObjectRecord::Stored(content));
        ObjectId::of(content)
    }

    /// Appends an object that no commit takes by itself; the length of its record.
    pub fn object_alone(&mut self, content: &[u8]) -> u64 {
        self.object_record(ObjectRecord::Stored(content));
        self.lengths.pop().unwrap_or(0)
    }

    /// Appends an object as a frame, given without its magic number.
    pub fn frame(&mut self, frame: &[u8]) {
        self.object_record(ObjectRecord::Frame(frame));
    }

    /// Appends an object that rests on another.
    pub fn delta(&mut self, k: u64, seq_back: u64, ordinal: u64, frame: &[u8]) {
        let base = Reference { seq_back, ordinal };
        self.object_record(ObjectRecord::Delta { k, base, frame });
    }

    /// Closes the batch: each change that has content takes the next of the objects appended since the last commit, as
    /// far as there are any.
    pub fn commit(&mut self, changes: Vec<Change>) -> CommitId {
        self.commit_with(changes, |_| ())
    }

    /// The same; `edit` may change what the commit says of itself.
    pub fn commit_with(
        &mut self,
        changes: Vec<Change>,
        edit: impl FnOnce(&mut Claims),
    ) -> CommitId {
        let recorded = 1_700_000_000_000_000 + i64::try_from(self.seq % 1_000_000).unwrap_or(0);
        let mut claims = Claims {
            seq: self.seq.saturating_add(1),
            recorded,
            time: recorded,
            before: (self.bytes.len() - self.batch) as u64,
            unsynced: 0,
            parent: self.head,
            undo_of: None,
            redo_of: None,
            message: None,
            lengths: None,
        };
        let before = claims.before;
        edit(&mut claims);
        let changes = self.stored(changes, claims.lengths.as_deref());
        let mut fields = Fields::default();
        if let Some(message) = claims.message {
            fields.set(Fields::MESSAGE, message);
        }
        if let Some(of) = claims.undo_of {
            fields.set_number(Fields::UNDO_OF, of);
        }
        if let Some(of) = claims.redo_of {
            fields.set_number(Fields::REDO_OF, of);
        }
        let mut record = CommitRecord {
            before: claims.before,
            unsynced: claims.unsynced,
            batch_checksum: [0; CHECKSUM_LEN],
            parents: vec![claims.parent],
            seq: claims.seq,
            recorded: claims.recorded,
            time: claims.time,
            fields,
            change_count: changes.len() as u64,
            changes: CommitChanges::Inline(Vec::new()),
        };
        let id = if claims.before == before && !changes.is_empty() {
            // The builder appends what stands between objects and record.
            let mut batch = self.bytes.split_off(self.batch);
            let built = BatchBuilder::new(&self.keys, &[]).finish(&mut batch, record, changes);
            self.bytes.extend(batch);
            built.id
        } else {
            // A wrong length reaches to other bytes of the segment; the checksum over them is right.
            let from = usize::try_from(claims.before)
                .ok()
                .and_then(|before| self.bytes.len().checked_sub(before));
            if let Some(from) = from {
                record.batch_checksum =
                    crate::log::record::batch_checksum(&self.bytes[from..], &self.keys);
            }
            record.changes = CommitChanges::Inline(changes);
            let mut body = Vec::new();
            record.encode(&mut body);
            self.record(RECORD_COMMIT, &body);
            record.id()
        };
        self.batch = self.bytes.len();
        self.lengths.clear();
        self.seq = claims.seq;
        self.head = id;
        id
    }

    fn stored(&mut self, changes: Vec<Change>, lengths: Option<&[[u64; 2]]>) -> Vec<StoredChange> {
        let mut objects = std::mem::take(&mut self.lengths).into_iter();
        let mut stored = Vec::new();
        for (at, change) in changes.into_iter().enumerate() {
            let mut next = StoredChange {
                change,
                object_len: 0,
                source_len: 0,
            };
            if let Some(lengths) = lengths {
                [next.object_len, next.source_len] = lengths.get(at).copied().unwrap_or([0, 0]);
            } else {
                if next.change.content.is_some() {
                    next.object_len = objects.next().unwrap_or(0);
                }
                if next.second().is_some() {
                    next.source_len = objects.next().unwrap_or(0);
                }
            }
            stored.push(next);
        }
        stored
    }

    /// Ends the segment and begins the next one.
    pub fn roll_over(&mut self) {
        let next = segment_header(&self.identity, &self.keys);
        self.batch = next.len();
        let bytes = std::mem::replace(&mut self.bytes, next);
        self.lengths.clear();
        self.seal(bytes, false);
    }

    fn seal(&mut self, bytes: Vec<u8>, packed: bool) {
        let entry = SegmentEntry {
            number: self.sealed.len() as u64 + 1,
            first_seq: self.first_seq,
            sealed: Some(Sealed {
                len: bytes.len() as u64,
                last_commit: self.head,
            }),
            packed,
            repaired: false,
        };
        self.sealed.push((entry, bytes));
        self.first_seq = self.seq.saturating_add(1);
    }

    /// Makes what was appended since the segment's start a packed segment, in front of the active one.
    pub fn roll_over_packed(&mut self, seq: u64, head: CommitId) {
        (self.seq, self.head) = (seq, head);
        let next = segment_header(&self.identity, &self.keys);
        self.batch = next.len();
        let bytes = std::mem::replace(&mut self.bytes, next);
        self.lengths.clear();
        self.seal(bytes, true);
    }

    /// Appends an object block of a packed segment: bases are offsets of blocks and numbers in them. Where it stands.
    pub fn object_block(
        &mut self,
        bases: &[(u64, u32)],
        lengths: &[u64],
        encoding: u8,
        payload: &[u8],
    ) -> u64 {
        let offset = self.bytes.len() as u64;
        let spot = |(block, number): &(u64, u32)| Spot {
            block: *block,
            number: *number,
        };
        let block = ObjectBlock {
            bases: bases.iter().map(spot).collect(),
            lengths: lengths.to_vec(),
            encoding,
            payload,
        };
        let body = block.encode(offset);
        self.record(RECORD_OBJECT_BLOCK, &body);
        offset
    }

    /// Appends a commit block of a packed segment with one change a commit, each with the place of its object; the
    /// number and the id of its last commit.
    pub fn commit_block(&mut self, commits: Vec<(Change, Option<(u64, u32)>)>) -> (u64, CommitId) {
        let messages = vec![None; commits.len()];
        self.commit_block_with(commits, messages)
    }

    /// The same with a message for each commit.
    pub fn commit_block_with(
        &mut self,
        commits: Vec<(Change, Option<(u64, u32)>)>,
        messages: Vec<Option<String>>,
    ) -> (u64, CommitId) {
        let offset = self.bytes.len() as u64;
        let mut block = CommitBlock::new(self.seq.saturating_add(1), self.head);
        for ((change, at), message) in commits.into_iter().zip(messages) {
            let mut fields = Fields::default();
            if let Some(message) = message {
                fields.set(Fields::MESSAGE, message);
            }
            let document = at.map(|(block, number)| Spot { block, number });
            let stored = StoredChange {
                change,
                object_len: document.is_some().into(),
                source_len: 0,
            };
            let change = PackedChange {
                stored,
                document,
                second: None,
            };
            let commit = PackedCommit {
                other_parents: Vec::new(),
                recorded: 1_700_000_000_000_000,
                time: 1_700_000_000_000_000,
                fields,
                change_count: 1,
                changes: PackedChanges::Inline(0..0),
            };
            block.push(commit, vec![change]);
        }
        let body = block.encode(offset);
        self.record(RECORD_COMMIT_BLOCK, &body);
        let number = block.len().saturating_sub(1);
        self.seq = self.seq.saturating_add(block.len() as u64);
        self.head = block.id(number).unwrap_or(self.head);
        (self.seq, self.head)
    }

    /// Appends a commit block of so many commits, each of which names these records as the blocks of its changes.
    pub fn commit_block_naming(&mut self, commits: usize, places: &[u64]) {
        let offset = self.bytes.len() as u64;
        let mut block = CommitBlock::new(self.seq.saturating_add(1), self.head);
        for _ in 0..commits {
            let commit = PackedCommit {
                other_parents: Vec::new(),
                recorded: 0,
                time: 0,
                fields: Fields::default(),
                change_count: (places.len() * CHANGES_PER_RECORD) as u64,
                changes: PackedChanges::Blocks {
                    offsets: places.to_vec(),
                    root: [0; 32],
                },
            };
            block.push(commit, Vec::new());
        }
        let body = block.encode(offset);
        self.record(RECORD_COMMIT_BLOCK, &body);
        self.seq = self.seq.saturating_add(commits as u64);
    }

    /// The files of the archive, by their names in its folder.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let active = SegmentEntry {
            number: self.sealed.len() as u64 + 1,
            first_seq: self.first_seq,
            sealed: None,
            packed: false,
            repaired: false,
        };
        let mut segments: Vec<SegmentEntry> =
            self.sealed.iter().map(|(entry, _)| entry.clone()).collect();
        let mut files: Vec<(String, Vec<u8>)> = self
            .sealed
            .iter()
            .map(|(entry, bytes)| (segment_file(entry.number), bytes.clone()))
            .collect();
        files.push((segment_file(active.number), self.bytes.clone()));
        segments.push(active);
        let manifest = Manifest {
            generation: 1,
            repacked: 0,
            segments,
        };
        files.push((
            format!("{LOG_FOLDER}/{MANIFEST_FILE}"),
            manifest.encode(&self.keys),
        ));
        let mut line = self.identity.clone();
        line.push(b'\n');
        files.push((IDENTITY_FILE.to_owned(), line));
        files
    }

    /// The archive in memory.
    ///
    /// # Errors
    /// What the system says.
    pub fn storage(&self) -> io::Result<Arc<dyn Storage>> {
        let storage = MemoryStorage::new();
        self.fill(&storage)?;
        Ok(Arc::new(storage))
    }

    fn fill(&self, storage: &dyn Storage) -> io::Result<()> {
        storage.create_dir(LOG_FOLDER)?;
        for (name, bytes) in self.files() {
            storage.create(&name)?.write_all_at(&bytes, 0)?;
        }
        Ok(())
    }

    /// Opens it in memory.
    ///
    /// # Errors
    /// As for any other archive.
    pub fn open(&self) -> Result<Archive> {
        let storage = self
            .storage()
            .map_err(|error| crate::Error::io("make an archive in memory", error))?;
        Archive::open_on(storage)
    }

    /// Writes it below a folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        LocalStorage::create_whole(&root.join(ARCHIVE_FOLDER), |storage| self.fill(storage))
    }
}
