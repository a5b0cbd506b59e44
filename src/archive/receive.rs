//! Taking over commits that another copy of the archive has made, as they are: ids, times and numbers.
//!
//! The writer's lock is held from the first look at the newest commit to the last write. Commits go in like those of a
//! save, one append and one sync a group, so that a crash leaves a true prefix of the other copy's history.

use std::sync::{MutexGuard, PoisonError};

use super::engine::{Engine, Fault};
use super::objects::{ObjectReader, Unwritten};
use super::rebatch::{Incoming, Rebatch, Refused};
use crate::error::{Error, Result};
use crate::index::{Catalog, Recent, rows_of_batch};
use crate::log::batch::Batch;
use crate::log::cursor::{Cursor, Head};
use crate::log::scan::PlacedBatch;
use crate::log::writer::LogWriter;
use crate::storage::StorageLock;

/// What is gathered before it is written: bytes …
const GROUP_LEN: usize = 8 << 20;
/// … commits …
const GROUP_COMMITS: usize = 4096;
/// … and changes, which are held in memory meanwhile.
const GROUP_CHANGES: usize = 8192;

/// Takes commits over. Dropped early, it leaves what was flushed.
pub(crate) struct Receiver<'a> {
    pub(super) engine: &'a Engine,
    pub(super) writer: MutexGuard<'a, LogWriter>,
    lock: Box<dyn StorageLock>,
    /// The end of what is on disk.
    pub(super) cursor: Cursor,
    /// The newest commit, those included that are not written yet.
    pub(super) head: Head,
    /// Segments were taken over whole that the view does not know.
    pub(super) view_is_behind: bool,
    unwritten: Unwritten,
    rows: Recent,
    staged: usize,
    staged_changes: usize,
    /// Bytes that were written.
    pub(super) written: u64,
}

impl Engine {
    /// Begins to take commits over.
    pub fn receive(&self) -> Result<Receiver<'_>> {
        self.check_process()?;
        self.check_writable()?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_poisoned() {
            return Err(Error::Poisoned);
        }
        let lock = self.lock_log()?;
        self.catch_up(&mut writer, &*lock)
            .map_err(|error| error())?;
        let cursor = self.view().cursor.clone();
        Ok(Receiver {
            engine: self,
            writer,
            lock,
            head: cursor.head,
            cursor,
            view_is_behind: false,
            unwritten: Unwritten::default(),
            rows: Recent::default(),
            staged: 0,
            staged_changes: 0,
            written: 0,
        })
    }
}

impl Receiver<'_> {
    /// The newest commit here, those included that are not written yet.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Has `repair` noted losses here?
    pub fn has_losses(&self) -> bool {
        let mut segments = self.cursor.manifest.segments.iter();
        segments.any(|entry| entry.repaired)
    }

    /// Takes a commit, which must be the next one. It is on disk after the next [`Receiver::flush`].
    pub fn stage(&mut self, incoming: &Incoming) -> Result<(), Refused> {
        let record = &incoming.batch.record;
        if record.seq != self.head.seq + 1 || record.parents.first() != Some(&self.head.commit) {
            let message = format!("commit {} does not follow the one before it", record.seq);
            return Err(Refused::Incoming(message));
        }
        if self.unwritten.bytes.is_empty() {
            self.begin_group().map_err(Fault::from)?;
        }
        let start = self.unwritten.bytes.len();
        let offset = self.unwritten.offset + start as u64;
        let mut bytes = Vec::new();
        let batch = self.rebatch(incoming, start as u64, &mut bytes)?;
        self.unwritten.bytes.append(&mut bytes);
        let seq = batch.record.seq;
        self.head = Head {
            seq,
            commit: batch.id,
            recorded: batch.record.recorded,
            place: Some(batch.place(self.unwritten.segment, offset)),
            synced_before: offset.saturating_sub(batch.record.unsynced),
        };
        let changes = batch.changes.clone();
        self.staged_changes += changes.len();
        self.unwritten.changes.insert(seq, changes.into());
        self.unwritten.ids.insert(seq, batch.id);
        let keys = self.engine.reader.keys();
        let placed = PlacedBatch { offset, batch };
        self.rows
            .add(rows_of_batch(self.unwritten.segment, &placed, keys));
        self.staged += 1;
        if self.unwritten.bytes.len() >= GROUP_LEN
            || self.staged >= GROUP_COMMITS
            || self.staged_changes >= GROUP_CHANGES
        {
            self.flush().map_err(Fault::from)?;
        }
        Ok(())
    }

    /// Makes the commit's batch for this log. `before` bytes of the group stand in front of it.
    fn rebatch(
        &self,
        incoming: &Incoming,
        before: u64,
        out: &mut Vec<u8>,
    ) -> Result<Batch, Refused> {
        let engine = self.engine;
        let view = engine.view();
        let layers = vec![&view.recent, &self.rows];
        let catalog = Catalog::new(engine.reader.keys(), &engine.index, view.mark, layers);
        let objects = ObjectReader {
            unwritten: Some(&self.unwritten),
            ..ObjectReader::new(engine, &catalog)
        };
        let rebatch = Rebatch {
            objects: &objects,
            cache: &engine.cache,
        };
        rebatch.append(incoming, self.writer.unsynced(&self.cursor) + before, out)
    }

    /// Makes the log ready for a group of commits.
    fn begin_group(&mut self) -> Result<()> {
        self.catch_up_view()?;
        let engine = self.engine;
        let mut view = engine.view.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = self.writer.prepare(&mut view.cursor)? {
            engine.notice(notice);
        }
        self.cursor = view.cursor.clone();
        self.unwritten = Unwritten {
            segment: self.cursor.segment,
            offset: self.cursor.offset,
            ..Unwritten::default()
        };
        Ok(())
    }

    /// Makes sure that what is there is on disk, and nothing stands behind it.
    pub(super) fn make_ready(&mut self) -> Result<()> {
        if !self.view_is_behind {
            self.begin_group()?;
        }
        self.sync_existing()
    }

    fn sync_existing(&mut self) -> Result<()> {
        let synced = self.writer.sync_existing(&self.cursor);
        synced.map_err(|failed| failed.error())
    }

    /// What follows begins a new segment: the other copy does so too.
    pub fn begin_segment(&mut self) -> Result<()> {
        self.flush()?;
        let usual = std::mem::replace(&mut self.writer.segment_len, 0);
        let begun = self.begin_group();
        self.writer.segment_len = usual;
        begun
    }

    /// Returns once everything that was staged is on disk.
    pub fn flush(&mut self) -> Result<()> {
        if self.unwritten.bytes.is_empty() {
            return Ok(());
        }
        let engine = self.engine;
        self.writer
            .append(&self.cursor, &self.unwritten.bytes)
            .map_err(|failed| failed.error())?;
        self.writer.leave_note_if_short(&*self.lock);
        let len = self.unwritten.bytes.len() as u64;
        let rows = std::mem::take(&mut self.rows);
        let mut view = engine.view.write().unwrap_or_else(PoisonError::into_inner);
        // A reader may have gone on to the new commits already.
        let in_place =
            (view.cursor.segment, view.cursor.offset) == (self.cursor.segment, self.cursor.offset);
        if in_place && view.cursor.head == self.cursor.head {
            view.cursor.head = self.head;
            view.cursor.offset += len;
            view.recent.log_bytes += len;
            view.recent.append(rows);
        } else {
            engine.advance(&mut view)?;
        }
        engine.flush_index(&mut view, self.staged);
        self.cursor = view.cursor.clone();
        self.written += len;
        (self.staged, self.staged_changes) = (0, 0);
        self.unwritten = Unwritten::default();
        Ok(())
    }

    /// Reads what was taken over whole.
    pub(super) fn catch_up_view(&mut self) -> Result<()> {
        if std::mem::take(&mut self.view_is_behind) {
            let engine = self.engine;
            let mut view = engine.view.write().unwrap_or_else(PoisonError::into_inner);
            engine.advance(&mut view)?;
            engine.flush_index(&mut view, self.staged);
            self.cursor = view.cursor.clone();
        }
        Ok(())
    }

    /// Ends it: everything is on disk, and the index knows it.
    pub fn finish(mut self) -> Result<Head> {
        self.flush()?;
        self.sync_existing()?;
        self.catch_up_view()?;
        let engine = self.engine;
        let mut view = engine.view.write().unwrap_or_else(PoisonError::into_inner);
        engine.flush_index(&mut view, 1);
        Ok(self.head)
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        // What was staged and not written: other objects may have these places.
        self.engine
            .forget_objects_from(self.cursor.head.seq.saturating_add(1));
    }
}
