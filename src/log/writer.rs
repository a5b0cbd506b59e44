//! Appending to the log: one write and one sync a group of commits, and what must be done before and after.
//!
//! Everything here is called with the writer's lock held.

use std::io;
use std::sync::Arc;

use super::cursor::Cursor;
use super::format::*;
use super::manifest::{Manifest, Sealed, SegmentEntry, segment_name};
use super::reader::{LogReader, segment_file};
use super::record::write_frame;
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::storage::{FileIdentity, Storage, StorageFile, StorageLock, read_exact_at, replace};
use crate::wire::Bytes;

/// A writer of more commits than this leaves its note at its end.
const NOTED_APPENDS: u64 = 8;

/// Writes to the active segment.
#[derive(Debug)]
pub(crate) struct LogWriter {
    reader: Arc<LogReader>,
    active: Option<(u64, Arc<dyn StorageFile>, FileIdentity)>,
    /// Segment, and the offset up to which this writer has seen a sync succeed.
    synced: Option<(u64, u64)>,
    poisoned: bool,
    /// How many times this writer has appended.
    appends: u64,
    /// Which reading of the log this writer's knowledge is of.
    reading: u64,
    /// Length from which a segment takes no more commits.
    pub segment_len: u64,
}

/// What an append that failed leaves to say: the sync's error, once for each commit that waited for it.
#[derive(Debug)]
pub(crate) struct AppendFailed {
    action: String,
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl AppendFailed {
    fn new(action: String, error: &io::Error) -> AppendFailed {
        AppendFailed {
            action,
            kind: error.kind(),
            code: error.raw_os_error(),
        }
    }

    pub fn error(&self) -> Error {
        let source = self
            .code
            .map_or_else(|| self.kind.into(), io::Error::from_raw_os_error);
        Error::OutcomeUnknown {
            action: self.action.clone(),
            source,
        }
    }
}

impl LogWriter {
    pub fn new(reader: Arc<LogReader>) -> LogWriter {
        LogWriter {
            reader,
            active: None,
            synced: None,
            poisoned: false,
            appends: 0,
            reading: 0,
            segment_len: SEGMENT_LEN,
        }
    }

    /// Did an append fail? Then this writer writes no more: what the page cache shows proves nothing.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn storage(&self) -> &dyn Storage {
        self.reader.storage()
    }

    fn active(&mut self, cursor: &Cursor) -> Result<Arc<dyn StorageFile>> {
        if let Some((number, file, _)) = &self.active
            && *number == cursor.segment
        {
            return Ok(file.clone());
        }
        let name = segment_file(cursor.segment);
        let file = self
            .storage()
            .open(&name, true)
            .map_err(|e| Error::io(format!("open {name} for writing"), e))?;
        self.open(cursor.segment, &file)
            .map_err(|e| Error::io(format!("read {name}"), e))?;
        Ok(file)
    }

    fn open(&mut self, segment: u64, file: &Arc<dyn StorageFile>) -> io::Result<()> {
        self.active = Some((segment, file.clone(), file.identity()?));
        Ok(())
    }

    /// Forgets the open segment: its name stands for another file now.
    pub fn forget(&mut self) {
        self.active = None;
        self.synced = None;
    }

    /// Forgets what was known of another reading of the log: it may have been another log.
    pub fn forget_after(&mut self, reading: u64) {
        if self.reading != reading {
            self.forget();
            self.reading = reading;
        }
    }

    /// Is the open segment still the file that has its name?
    pub fn is_current(&self) -> bool {
        let Some((number, _, open)) = &self.active else {
            return true;
        };
        self.storage()
            .identity(&segment_file(*number))
            .is_ok_and(|named| named == *open)
    }

    /// Takes over what the writers before this one know to be on disk. Without it the newest commit would have to be
    /// written again by every new process: its own record was written before its sync.
    pub fn take_note(&mut self, lock: &dyn StorageLock, cursor: &Cursor) {
        if self.synced_up_to(cursor) {
            return;
        }
        let Ok(note) = lock.note() else { return };
        let Ok(file) = self.reader.segment(cursor.segment) else {
            return;
        };
        let (Ok(identity), Ok(changed)) = (file.identity(), file.changed_at()) else {
            return;
        };
        let offset = SyncNote::read(&note, self.reader.keys())
            .filter(|note| {
                note.segment == cursor.segment
                    && note.file == identity
                    && note.changed == changed
                    && note.offset <= cursor.offset
            })
            .map(|note| note.offset);
        if let Some(offset) = offset {
            let known = self
                .synced
                .filter(|(segment, _)| *segment == cursor.segment)
                .map_or(0, |(_, end)| end);
            self.synced = Some((cursor.segment, offset.max(known)));
        }
    }

    /// Tells later writers how far the log is known to be on disk, unless this one is likely to write on: then it says
    /// so at its end, and whoever comes before writes the newest batch again.
    pub fn leave_note_if_short(&self, lock: &dyn StorageLock) {
        if self.appends <= NOTED_APPENDS {
            self.leave_note(lock);
        }
    }

    /// Tells later writers how far the log is known to be on disk. Failing is no harm.
    pub fn leave_note(&self, lock: &dyn StorageLock) {
        let Some((segment, offset)) = self.synced else {
            return;
        };
        let Ok(open) = self.reader.segment(segment) else {
            return;
        };
        let (Ok(file), Ok(changed)) = (open.identity(), open.changed_at()) else {
            return;
        };
        let note = SyncNote {
            segment,
            file,
            changed,
            offset,
        };
        let _ = lock.set_note(&note.write(self.reader.keys()));
    }

    /// Makes the log ready to be appended to at the cursor: a torn tail is moved away, a full segment sealed.
    pub fn prepare(&mut self, cursor: &mut Cursor) -> Result<Option<String>> {
        let notice = if cursor.torn {
            Some(self.move_torn_tail(cursor)?)
        } else {
            None
        };
        if cursor.offset >= self.segment_len
            && cursor
                .head
                .place
                .is_some_and(|p| p.segment == cursor.segment)
        {
            self.roll_over(cursor)?;
        } else if cursor.head.place.map(|p| p.segment) != Some(cursor.segment)
            && !self.synced_up_to(cursor)
        {
            // The first commit of this segment, which another writer began and may not have lived to put its name
            // on disk.
            self.storage()
                .sync_dir(LOG_FOLDER)
                .map_err(|e| Error::io("sync log", e))?;
            if cursor.head.place.is_none() {
                // The first commit of all: whoever made the archive may not have lived to put its name on disk.
                self.storage()
                    .sync_dir("")
                    .map_err(|e| Error::io(format!("sync {ARCHIVE_FOLDER}"), e))?;
            }
        } else if cursor.manifest.active().is_some_and(|a| a.repaired) && !self.synced_up_to(cursor)
        {
            // `repair` has put this segment in the place of another that has commits, and may not have lived to sync
            // MANIFEST's new name: the old list would come back without what is written here.
            self.storage()
                .sync_dir(LOG_FOLDER)
                .map_err(|e| Error::io("sync log", e))?;
        }
        Ok(notice)
    }

    fn move_torn_tail(&mut self, cursor: &mut Cursor) -> Result<String> {
        let file = self.active(cursor)?;
        let name = segment_file(cursor.segment);
        let failed =
            |action: &str, error| Error::io(format!("{action} the torn tail of {name}"), error);
        let len = file.len().map_err(|e| failed("measure", e))?;
        let count = len.saturating_sub(cursor.offset);
        let mut bytes = vec![
            0;
            usize::try_from(count)
                .map_err(|_| failed("read", io::ErrorKind::OutOfMemory.into()))?
        ];
        read_exact_at(&*file, &mut bytes, cursor.offset).map_err(|e| failed("read", e))?;
        let folder = format!("{LOG_FOLDER}/{TORN_FOLDER}");
        let keep = |storage: &dyn Storage| -> io::Result<String> {
            storage.create_dir(&folder)?;
            storage.sync_dir(LOG_FOLDER)?;
            for attempt in 1u32.. {
                let kept = format!("{folder}/{:08}-{}-{attempt}", cursor.segment, cursor.offset);
                match storage.create(&kept) {
                    Ok(copy) => {
                        copy.write_all_at(&bytes, 0)?;
                        copy.sync_data()?;
                        storage.sync_dir(&folder)?;
                        return Ok(kept);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            Err(io::ErrorKind::AlreadyExists.into())
        };
        let kept = keep(self.storage()).map_err(|e| failed("keep", e))?;
        file.set_len(cursor.offset).map_err(|e| failed("cut", e))?;
        file.sync_data().map_err(|e| failed("cut", e))?;
        cursor.torn = false;
        Ok(format!(
            "a write that was never finished, {count} bytes, was moved to {kept}"
        ))
    }

    fn roll_over(&mut self, cursor: &mut Cursor) -> Result<()> {
        self.sync_existing(cursor)
            .map_err(|failed| failed.error())?;
        let manifest = cursor.manifest.clone();
        // A crash between the steps below leaves a file that no MANIFEST names; its name is not used again.
        let number = unused_number(self.storage(), &manifest)?;
        let failed = |error| Error::io(format!("begin segment {}", segment_name(number)), error);
        let mut segments = manifest.segments.clone();
        if let Some(last) = segments.last_mut() {
            last.sealed = Some(Sealed {
                len: cursor.offset,
                last_commit: cursor.head.commit,
            });
        }
        segments.push(SegmentEntry {
            number,
            first_seq: cursor.head.seq + 1,
            sealed: None,
            packed: false,
            repaired: false,
        });
        let next = Manifest {
            generation: manifest.generation + 1,
            repacked: manifest.repacked,
            segments,
        };
        // Zeros behind the last record are legal in the active segment only.
        let full = self.active(cursor)?;
        let sealed_name = segment_file(cursor.segment);
        let cut = |error| Error::io(format!("seal {sealed_name}"), error);
        if full.len().map_err(cut)? > cursor.offset {
            full.set_len(cursor.offset).map_err(cut)?;
            full.sync_data().map_err(cut)?;
        }
        let name = segment_file(number);
        let header = segment_header(self.reader.identity(), self.reader.keys());
        let file = self.storage().create(&name).map_err(failed)?;
        file.write_all_at(&header, 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        self.storage().sync_dir(LOG_FOLDER).map_err(failed)?;
        let manifest_bytes = next.encode(self.reader.keys());
        replace(self.storage(), LOG_FOLDER, MANIFEST_FILE, &manifest_bytes).map_err(failed)?;
        let (manifest, stamp) = self.reader.manifest()?;
        (cursor.manifest, cursor.stamp) = (manifest, stamp);
        (cursor.segment, cursor.offset) = (number, header.len() as u64);
        self.open(number, &file).map_err(failed)?;
        self.synced = Some((number, cursor.offset));
        Ok(())
    }

    /// Where the bytes begin of which this writer does not know that they are on disk.
    fn unsynced_from(&self, cursor: &Cursor) -> u64 {
        let seen = match self.synced {
            Some((segment, offset)) if segment == cursor.segment => offset,
            _ => 0,
        };
        let told = match cursor.head.place {
            Some(place) if place.segment == cursor.segment => cursor.head.synced_before,
            // Nothing but the header, which was synced before MANIFEST named the segment.
            _ => cursor.offset,
        };
        seen.max(told).min(cursor.offset)
    }

    /// Has this writer itself seen everything up to the cursor on disk?
    pub fn synced_up_to(&self, cursor: &Cursor) -> bool {
        self.synced == Some((cursor.segment, cursor.offset))
    }

    /// How many bytes in front of the cursor this writer does not know to be on disk: `synced_before`, as a distance.
    pub fn unsynced(&self, cursor: &Cursor) -> u64 {
        cursor.offset - self.unsynced_from(cursor)
    }

    /// Appends the batches and returns once they are on disk, and with them whatever stood unsynced in front.
    ///
    /// What a killed writer left unsynced is written again, same bytes, so that this sync covers it: after a failed
    /// writeback the page cache shows bytes that no sync would write.
    pub fn append(&mut self, cursor: &Cursor, batches: &[u8]) -> Result<(), AppendFailed> {
        let name = segment_file(cursor.segment);
        let file = self.active(cursor).map_err(|error| AppendFailed {
            action: format!("open {name}"),
            kind: match &error {
                Error::Io { source, .. } => source.kind(),
                _ => io::ErrorKind::Other,
            },
            code: match &error {
                Error::Io { source, .. } => source.raw_os_error(),
                _ => None,
            },
        })?;
        let from = self.unsynced_from(cursor);
        let write = || -> io::Result<()> {
            if from < cursor.offset {
                let len = usize::try_from(cursor.offset - from)
                    .map_err(|_| io::ErrorKind::OutOfMemory)?;
                let mut again = vec![0; len];
                read_exact_at(&*file, &mut again, from)?;
                file.write_all_at(&again, from)?;
            }
            if !batches.is_empty() {
                file.write_all_at(batches, cursor.offset)?;
            }
            file.sync_data()
        };
        match write() {
            Ok(()) => {
                self.synced = Some((cursor.segment, cursor.offset + batches.len() as u64));
                self.appends += 1;
                Ok(())
            }
            Err(error) => {
                self.poisoned = true;
                self.synced = None;
                // Best effort: the next writer finds either this or a torn tail, and handles both.
                let _ = file.set_len(cursor.offset);
                let _ = file.sync_data();
                Err(AppendFailed::new(format!("write to {name}"), &error))
            }
        }
    }

    /// Has this writer a note to leave?
    pub fn has_more_to_say(&self) -> bool {
        self.appends > NOTED_APPENDS && self.synced.is_some()
    }

    /// Has it written, and do its commits stand?
    pub fn has_written(&self) -> bool {
        self.appends > 0 && self.synced.is_some()
    }

    /// Makes sure that all commits up to the cursor are on disk.
    pub fn sync_existing(&mut self, cursor: &Cursor) -> Result<(), AppendFailed> {
        if self.synced_up_to(cursor) || self.unsynced(cursor) == 0 {
            return Ok(());
        }
        self.append(cursor, &[])
    }
}

/// A number that no segment has, nor any file that a crash has left.
pub(crate) fn unused_number(storage: &dyn Storage, manifest: &Manifest) -> Result<u64> {
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|e| Error::io("list log", e))?;
    let on_disk = names
        .iter()
        .filter_map(|name| name.strip_suffix(SEGMENT_SUFFIX)?.parse::<u64>().ok());
    let newest = on_disk
        .chain(manifest.segments.iter().map(|s| s.number))
        .max();
    Ok(newest.unwrap_or(0) + 1)
}

/// How far a segment was known to be on disk when it was last changed. Whoever puts other bytes in its place changes
/// the time too, which no copying program can set.
struct SyncNote {
    segment: u64,
    file: FileIdentity,
    /// [`StorageFile::changed_at`] after the sync.
    changed: i64,
    offset: u64,
}

impl SyncNote {
    fn write(&self, keys: &ArchiveKeys) -> Vec<u8> {
        let mut note = Vec::with_capacity(72);
        let changed = self.changed.cast_unsigned();
        for value in [
            self.segment,
            self.file.device,
            self.file.inode,
            changed,
            self.offset,
        ] {
            note.extend_from_slice(&value.to_le_bytes());
        }
        let sum = blake3::keyed_hash(&keys.checksum, &note);
        note.extend_from_slice(sum.as_bytes());
        note
    }

    fn read(note: &[u8], keys: &ArchiveKeys) -> Option<SyncNote> {
        let (values, sum) = note.split_at_checked(40)?;
        if blake3::keyed_hash(&keys.checksum, values).as_bytes() != sum {
            return None;
        }
        let mut input = Bytes::new(values);
        let mut value = || input.array().map(u64::from_le_bytes).ok();
        Some(SyncNote {
            segment: value()?,
            file: FileIdentity {
                device: value()?,
                inode: value()?,
            },
            changed: value()?.cast_signed(),
            offset: value()?,
        })
    }
}

/// The header record that a segment starts with.
pub(crate) fn segment_header(identity: &[u8], keys: &ArchiveKeys) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, RECORD_HEADER, identity, keys);
    bytes
}
