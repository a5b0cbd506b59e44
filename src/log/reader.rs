//! Reading the log: MANIFEST, segments, single records.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::all_changes;
use super::format::*;
use super::manifest::{Manifest, UNKNOWN_FEATURE, segment_name};
use super::packed::{BlockCache, CommitBlock, JoinChanges, PackedChange, PackedChangeBlock};
use super::record::*;
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::storage::{FileIdentity, Storage, StorageFile, read_exact_at};

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub segment: u64,
    pub offset: u64,
    /// Bytes in front of the commit record.
    pub before: u64,
    /// Length of the commit record; 0 where the commit record is lost and only objects are left.
    pub record_len: u64,
}

/// Where an object record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub segment: u64,
    pub offset: u64,
    pub len: u64,
}

/// One change of a commit and what is needed to find its objects.
#[derive(Clone, Debug)]
pub(crate) struct LocatedChange {
    pub stored: StoredChange,
    /// How many object records of the batch are in front of this change's.
    pub first_object: u64,
    pub segment: u64,
}

/// Which MANIFEST was read. The file stays open, for the inode of one that is gone may be given to a later one.
#[derive(Clone, Debug)]
pub(crate) struct ManifestStamp {
    pub identity: FileIdentity,
    /// When it was last changed, as of the reading.
    changed: i64,
    file: Arc<dyn StorageFile>,
}

impl ManifestStamp {
    /// Is the file that has the name now, with this identity, the one that was read, unchanged?
    pub fn is_still(&self, identity: FileIdentity) -> bool {
        identity == self.identity
            && self
                .file
                .changed_at()
                .is_ok_and(|changed| changed == self.changed)
    }
}

/// Commit blocks by segment and offset, and about how many bytes they take.
#[derive(Debug, Default)]
struct KeptBlocks {
    blocks: HashMap<(u64, u64), Arc<CommitBlock>>,
    bytes: usize,
}

/// Opens and reads the files of the log.
#[derive(Debug)]
pub(crate) struct LogReader {
    storage: Arc<dyn Storage>,
    keys: ArchiveKeys,
    identity: Vec<u8>,
    files: Mutex<HashMap<u64, Arc<dyn StorageFile>>>,
    /// Numbers of packed segments. One is never given again, so what is in here stays true.
    packed: Mutex<HashSet<u64>>,
    /// Commit blocks of packed segments by segment and offset; what is asked for together mostly stands together.
    blocks: Mutex<KeptBlocks>,
    contents: BlockCache,
    /// MANIFEST as it was read last.
    known: Mutex<Option<(Manifest, ManifestStamp)>>,
}

/// More open segments than this are closed and opened again when needed.
const MAX_OPEN_SEGMENTS: usize = 64;
/// Up to this many bytes are read without asking first how long the file is.
const READ_UNASKED: u64 = 64 << 10;
/// What is read of a record of unknown length first: most of those of packed segments are shorter.
const READ_FIRST: usize = 8 << 10;
/// Commit blocks kept, some ten kilobytes each; when there are more, all are forgotten …
const MAX_BLOCKS: usize = 4096;
/// … and when they take more than so many bytes.
const MAX_BLOCK_BYTES: usize = 64 << 20;

impl LogReader {
    pub fn new(storage: Arc<dyn Storage>, keys: ArchiveKeys, identity: Vec<u8>) -> LogReader {
        LogReader {
            storage,
            keys,
            identity,
            files: Mutex::default(),
            packed: Mutex::default(),
            blocks: Mutex::default(),
            contents: BlockCache::default(),
            known: Mutex::default(),
        }
    }

    pub fn keys(&self) -> &ArchiveKeys {
        &self.keys
    }

    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// MANIFEST, and what tells whether it was replaced since. It is read again only where it was.
    pub fn manifest(&self) -> Result<(Manifest, ManifestStamp)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((manifest, stamp)) = &*known
            && self
                .manifest_stamp()
                .is_ok_and(|identity| stamp.is_still(identity))
        {
            return Ok((manifest.clone(), stamp.clone()));
        }
        let read = self.read_manifest()?;
        *known = Some(read.clone());
        Ok(read)
    }

    fn read_manifest(&self) -> Result<(Manifest, ManifestStamp)> {
        let name = format!("{LOG_FOLDER}/{MANIFEST_FILE}");
        let file = self
            .storage
            .open(&name, false)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::corrupt(&name, None, "it is missing"),
                _ => Error::io(format!("read {name}"), error),
            })?;
        let identity = file
            .identity()
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        let changed = file
            .changed_at()
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        let stamp = ManifestStamp {
            identity,
            changed,
            file,
        };
        let bytes = self
            .storage
            .read(&name)
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        let manifest = Manifest::decode(&bytes, &self.keys).map_err(|reason| match reason {
            UNKNOWN_FEATURE => Error::Unsupported(UNKNOWN_FEATURE.to_owned()),
            reason => Error::corrupt(name, None, reason),
        })?;
        let packed = manifest.segments.iter().filter(|segment| segment.packed);
        self.packed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(packed.map(|segment| segment.number));
        Ok((manifest, stamp))
    }

    /// Is this a packed segment, as far as MANIFEST has told?
    pub fn is_packed(&self, segment: u64) -> bool {
        self.packed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&segment)
    }

    /// Forgets a packed segment that will not count, and whose number may be given to another.
    pub fn forget_packed(&self, segment: u64) {
        self.packed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&segment);
        self.forget_files();
    }

    /// Takes note of a packed segment that no MANIFEST names yet.
    pub fn note_packed(&self, segment: u64) {
        self.packed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(segment);
    }

    pub fn manifest_stamp(&self) -> io::Result<FileIdentity> {
        self.storage
            .identity(&format!("{LOG_FOLDER}/{MANIFEST_FILE}"))
    }

    /// The open file of a segment.
    pub fn segment(&self, number: u64) -> Result<Arc<dyn StorageFile>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&number) {
            return Ok(file.clone());
        }
        let name = segment_file(number);
        let file = self
            .storage
            .open(&name, false)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::corrupt(&name, None, "the segment is missing"),
                _ => Error::io(format!("open {name}"), error),
            })?;
        if files.len() >= MAX_OPEN_SEGMENTS {
            files.clear();
        }
        files.insert(number, file.clone());
        Ok(file)
    }

    /// Takes an open file for the segment of this number, which has not its name yet.
    pub fn lend(&self, number: u64, file: Arc<dyn StorageFile>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(number, file);
    }

    /// Closes every segment: their names may stand for other files now.
    pub fn forget_files(&self) {
        self.files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        *self.blocks.lock().unwrap_or_else(PoisonError::into_inner) = KeptBlocks::default();
        self.contents.clear();
    }

    /// Contents of blocks of packed segments.
    pub fn contents(&self) -> &BlockCache {
        &self.contents
    }

    /// Does the active segment repeat the identity that `archive.json` has?
    pub fn check_header(&self) -> Result<()> {
        let (manifest, _) = self.manifest()?;
        let Some(active) = manifest.active() else {
            return Ok(());
        };
        // Type, length, checksum and room for a longer identity, which then is another one.
        let mut bytes = vec![0; self.identity.len() + 64];
        let file = match self.segment(active.number) {
            Ok(file) => file,
            // For the scan to report; older segments can still be read.
            Err(Error::Corrupt(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = active.file();
        let count = file
            .read_at(&mut bytes, 0)
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        match read_frame(&bytes[..count], &self.keys) {
            Ok(frame) if frame.kind == RECORD_HEADER && frame.body != self.identity => {
                Err(Error::corrupt(
                    IDENTITY_FILE,
                    None,
                    format!("it is not the identity that {name} repeats"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Is the open file of this segment still the one that has its name?
    pub fn is_current(&self, number: u64) -> Result<bool> {
        let name = segment_file(number);
        let open = self
            .segment(number)?
            .identity()
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        match self.storage.identity(&name) {
            Ok(named) => Ok(named == open),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(format!("read {name}"), error)),
        }
    }

    fn bytes(&self, place: RecordPlace) -> Result<Vec<u8>> {
        let file = self.segment(place.segment)?;
        let name = || segment_file(place.segment);
        let beyond = || {
            Error::corrupt(
                name(),
                Some(place.offset),
                "a record goes beyond the end of its segment",
            )
        };
        let len = usize::try_from(place.len).map_err(|_| beyond())?;
        // The system takes offsets as signed numbers.
        let end = place.offset.checked_add(place.len).ok_or_else(beyond)?;
        i64::try_from(end).map_err(|_| beyond())?;
        // The length comes from a row that may be wrong: never reserve more than the file could hold.
        if place.len > READ_UNASKED {
            let size = file
                .len()
                .map_err(|e| Error::io(format!("read {}", name()), e))?;
            if end > size {
                return Err(beyond());
            }
        }
        let mut bytes = vec![0; len];
        read_exact_at(&*file, &mut bytes, place.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => beyond(),
            _ => Error::io(format!("read {}", name()), error),
        })?;
        Ok(bytes)
    }

    /// Reads one record and hands its body on.
    pub fn record<T>(
        &self,
        place: RecordPlace,
        kind: u8,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T> {
        let (bytes, body) = self.record_bytes(place, kind)?;
        read(&bytes[body]).map_err(|reason| {
            Error::corrupt(segment_file(place.segment), Some(place.offset), reason)
        })
    }

    /// Reads one record: its bytes, and where in them its body is.
    pub fn record_bytes(
        &self,
        place: RecordPlace,
        kind: u8,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>)> {
        self.checked_record(self.bytes(place)?, place, kind)
    }

    /// Reads the record that begins at this offset, however long it is.
    pub fn record_from(
        &self,
        segment: u64,
        offset: u64,
        kind: u8,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>)> {
        let file = self.segment(segment)?;
        let name = segment_file(segment);
        // The offset comes from a row or a block that may be wrong, and the system takes offsets as signed numbers.
        if i64::try_from(offset.saturating_add(READ_FIRST as u64)).is_err() {
            let reason = "a record goes beyond the end of its segment";
            return Err(Error::corrupt(&name, Some(offset), reason));
        }
        let mut bytes = vec![0; READ_FIRST];
        let count = file
            .read_at(&mut bytes, offset)
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        bytes.truncate(count);
        let len = claimed_len(&bytes)
            .ok_or_else(|| Error::corrupt(&name, Some(offset), "another record than expected"))?;
        let place = RecordPlace {
            segment,
            offset,
            len,
        };
        match usize::try_from(len).ok().filter(|len| *len <= count) {
            Some(len) => bytes.truncate(len),
            None => bytes = self.bytes(place)?,
        }
        self.checked_record(bytes, place, kind)
    }

    fn checked_record(
        &self,
        bytes: Vec<u8>,
        place: RecordPlace,
        kind: u8,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>)> {
        let corrupt =
            |reason: &str| Error::corrupt(segment_file(place.segment), Some(place.offset), reason);
        let frame = match read_frame(&bytes, &self.keys) {
            Ok(frame) => frame,
            Err(NoRecord::Incomplete) => return Err(corrupt("a record is cut off")),
            Err(NoRecord::Broken(reason)) => return Err(corrupt(reason)),
        };
        if frame.kind != kind || frame.len != bytes.len() {
            return Err(corrupt("another record than expected"));
        }
        let end = frame.len - checksum_len(kind).unwrap_or(CHECKSUM_LEN);
        let body = end - frame.body.len()..end;
        Ok((bytes, body))
    }

    /// A commit block of a packed segment.
    fn commit_block(&self, segment: u64, offset: u64) -> Result<Arc<CommitBlock>> {
        let kept = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = kept().blocks.get(&(segment, offset)) {
            return Ok(block.clone());
        }
        let (bytes, body) = self.record_from(segment, offset, RECORD_COMMIT_BLOCK)?;
        let block = CommitBlock::decode(&bytes[body], offset)
            .map_err(|error| Error::corrupt(segment_file(segment), Some(offset), error.0))?;
        let block = Arc::new(block);
        let mut kept = kept();
        kept.bytes += block.size();
        if kept.blocks.len() >= MAX_BLOCKS || kept.bytes > MAX_BLOCK_BYTES {
            *kept = KeptBlocks::default();
            kept.bytes = block.size();
        }
        kept.blocks.insert((segment, offset), block.clone());
        Ok(block)
    }

    /// A block of changes of a packed segment.
    fn change_block(&self, segment: u64, offset: u64) -> Result<PackedChangeBlock> {
        let (bytes, body) = self.record_from(segment, offset, RECORD_CHANGE_BLOCK)?;
        PackedChangeBlock::decode(&bytes[body], offset)
            .map_err(|error| Error::corrupt(segment_file(segment), Some(offset), error.0))
    }

    /// All changes of a commit of a packed segment that has blocks for them.
    fn packed_changes(
        &self,
        place: BatchPlace,
        record: &CommitRecord,
        (offsets, root): (&[u64], &[u8; 32]),
    ) -> Result<Vec<PackedChange>> {
        let fault =
            |reason: &str| Error::corrupt(segment_file(place.segment), Some(place.offset), reason);
        let mut join = JoinChanges::new(record.seq);
        for offset in offsets {
            join.push(self.change_block(place.segment, *offset)?)
                .map_err(fault)?;
        }
        join.finish(record.change_count, root).map_err(fault)
    }

    /// Reads a commit record.
    pub fn commit(&self, place: BatchPlace) -> Result<CommitRecord> {
        if self.is_packed(place.segment) {
            let block = self.commit_block(place.segment, place.offset)?;
            let record = usize::try_from(place.before)
                .ok()
                .and_then(|number| block.record(number));
            return record.ok_or_else(|| {
                let file = segment_file(place.segment);
                Error::corrupt(file, Some(place.offset), "another commit than expected")
            });
        }
        let at = RecordPlace {
            segment: place.segment,
            offset: place.offset.saturating_add(place.before),
            len: place.record_len,
        };
        self.record(at, RECORD_COMMIT, |body| {
            let record = CommitRecord::decode(body).map_err(|error| error.0)?;
            if record.before != place.before {
                return Err("another commit than expected");
            }
            Ok(record)
        })
    }

    /// One change of a commit, by its number.
    pub fn change(
        &self,
        place: BatchPlace,
        record: &CommitRecord,
        number: u64,
    ) -> Result<LocatedChange> {
        let missing = || {
            let at = place.offset.saturating_add(place.before);
            Error::corrupt(
                segment_file(place.segment),
                Some(at),
                "a commit lacks a change",
            )
        };
        let pick = |changes: &[StoredChange], first: u64, first_object: u64| {
            let index = usize::try_from(number.checked_sub(first)?).ok()?;
            let stored = changes.get(index)?.clone();
            let objects = changes[..index]
                .iter()
                .map(StoredChange::objects)
                .sum::<u64>();
            Some(LocatedChange {
                stored,
                first_object: first_object.saturating_add(objects),
                segment: place.segment,
            })
        };
        match &record.changes {
            CommitChanges::Inline(changes) => pick(changes, 0, 0).ok_or_else(missing),
            CommitChanges::Records { lengths, .. } => {
                let index =
                    usize::try_from(number / CHANGES_PER_RECORD as u64).map_err(|_| missing())?;
                let len = *lengths.get(index).ok_or_else(missing)?;
                if self.is_packed(place.segment) {
                    let block = self.change_block(place.segment, len)?;
                    if block.seq != record.seq {
                        return Err(missing());
                    }
                    let changes: Vec<StoredChange> =
                        block.changes.into_iter().map(|c| c.stored).collect();
                    return pick(&changes, block.first_change, block.first_object)
                        .ok_or_else(missing);
                }
                let behind = lengths[index..]
                    .iter()
                    .fold(0u64, |sum, len| sum.saturating_add(*len));
                let front = place.before.checked_sub(behind).ok_or_else(missing)?;
                let at = RecordPlace {
                    segment: place.segment,
                    offset: place.offset.saturating_add(front),
                    len,
                };
                let block = self.record(at, RECORD_CHANGES, |body| {
                    ChangeBlock::decode(body, record.seq).map_err(|e| e.0)
                })?;
                pick(&block.changes, block.first_change, block.first_object).ok_or_else(missing)
            }
        }
    }

    /// All changes of a commit.
    pub fn changes(&self, place: BatchPlace, record: &CommitRecord) -> Result<Vec<StoredChange>> {
        let (lengths, root) = match &record.changes {
            CommitChanges::Inline(changes) => return Ok(changes.clone()),
            CommitChanges::Records { lengths, root } => (lengths, root),
        };
        if self.is_packed(place.segment) {
            let changes = self.packed_changes(place, record, (lengths, root))?;
            return Ok(changes.into_iter().map(|change| change.stored).collect());
        }
        let total = lengths
            .iter()
            .fold(0u64, |sum, len| sum.saturating_add(*len))
            .min(place.before);
        let offset = place.offset.saturating_add(place.before - total);
        let bytes = self.bytes(RecordPlace {
            segment: place.segment,
            offset,
            len: total,
        })?;
        all_changes(record, &bytes, &self.keys)
            .map_err(|reason| Error::corrupt(segment_file(place.segment), Some(offset), reason))
    }
}

/// The file of a segment, relative to the archive's folder.
pub(crate) fn segment_file(number: u64) -> String {
    format!("{LOG_FOLDER}/{}", segment_name(number))
}
