//! The view: what an open archive has read of its log, by the index where that fits, and how both keep up.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::engine::{Engine, index_error};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::index::{IndexError, Mark, Recent, Rows, SqliteIndex, rows_of_batch, rows_of_orphans};
use crate::log::cursor::{Cursor, Event, Progress};
use crate::log::manifest::Manifest;
use crate::log::reader::segment_file;

/// The index may lag the log by this many commits …
const MAX_LAG_COMMITS: usize = 256;
/// … or this many bytes: what opening an archive reads at most, but for the last commit …
const MAX_LAG_BYTES: u64 = 1 << 20;
/// … but while commits come in large groups, which cost the index less when it takes many at once, by so many times
/// more, until the handle is dropped.
const MAX_LAG_IN_BULK: usize = 32;
/// A group of more commits than this is a large one.
const BULK: usize = 64;

/// What reads go by: how far the log was read, and the rows of commits that the index file does not have.
#[derive(Debug)]
pub(crate) struct View {
    pub cursor: Cursor,
    /// The index file is asked up to this sequence number.
    pub mark: u64,
    pub recent: Recent,
}

impl Engine {
    /// Reads on to the end of the log.
    pub fn advance(&self, view: &mut View) -> Result<()> {
        let View { cursor, recent, .. } = view;
        let progress = cursor.advance(&self.reader, &mut |event| {
            match event {
                Event::Batch { segment, placed } => {
                    recent.log_bytes += placed.batch.len;
                    recent.add(rows_of_batch(segment, &placed, self.reader.keys()));
                }
                event => recent.add(rows_of_lost(&event)),
            }
            Ok(())
        })?;
        match progress {
            Progress::Reached => Ok(()),
            // Segments that were packed while they were read are gone without the history being another.
            Progress::Diverged if self.was_repacked_since(view.cursor.manifest.repacked) => {
                self.take_new_list(view)
            }
            Progress::Diverged => self.start_over(view),
            Progress::Repacked => self.take_new_list(view),
        }
    }

    /// Goes on with the same history in other segments. Contents and layouts that are kept go by commit numbers, and
    /// stay.
    fn take_new_list(&self, view: &mut View) -> Result<()> {
        let head = view.cursor.head;
        // These say in which segment they stand.
        self.changes.forget_from(0);
        let fresh = self.load_view(None)?;
        if newest_repaired(&fresh.cursor.manifest) != newest_repaired(&view.cursor.manifest) {
            // What was read before `repair` came may be gone from the log, and what was compressed over it.
            self.forget_all();
        }
        let known = head.seq == 0 || self.has_commit(&fresh, head.seq, &head.commit);
        *view = fresh;
        match known || head.place.is_none_or(|place| place.record_len == 0) {
            true => Ok(()),
            false if self.was_repacked_since(view.cursor.manifest.repacked) => {
                view.cursor.head = head;
                self.take_new_list(view)
            }
            false => self.start_over(view),
        }
    }

    /// Is this commit in the log, as far as the view goes?
    fn has_commit(&self, view: &View, seq: u64, id: &CommitId) -> bool {
        let row = self.catalog(view).commit(seq);
        row.is_ok_and(|row| {
            row.filter(|row| row.record_len > 0)
                .and_then(|row| self.reader.commit(row.place()).ok())
                .is_some_and(|record| record.id() == *id)
        })
    }

    /// Reads the log anew: it is not the one that was read before.
    pub fn start_over(&self, view: &mut View) -> Result<()> {
        self.damaged.store(false, Ordering::SeqCst);
        self.forget_all();
        *view = self.load_view(Some("the log is not the one that was read before"))?;
        Ok(())
    }

    /// Moves recent rows into the index file where there are enough of them. `group` is how many commits came
    /// together just now.
    pub fn flush_index(&self, view: &mut View, group: usize) {
        let times = if group > BULK { MAX_LAG_IN_BULK } else { 1 };
        if !is_behind(view, times) {
            return;
        }
        let mark = mark_of(&view.cursor);
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        match index.absorb(view.mark, &view.recent.rows(), &mark) {
            Ok(()) => {
                view.mark = mark.head.seq;
                view.recent = Recent::default();
            }
            // The log is synced: the index is behind, and will be until someone can write it.
            Err(error) if error.is_busy() => {}
            Err(error) => self.notice(format!(
                "the index could not be brought up to date: {error}"
            )),
        }
    }

    /// Opens the view: by the index where its mark stands in the log, else after building the index anew.
    pub(super) fn load_view(&self, doubt: Option<&str>) -> Result<View> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.forget();
        let mut reason = doubt.map(str::to_owned);
        let mut lost = None;
        // Where it was made before segments were packed: the newest commit that it had seen.
        let mut outdated = None;
        match index.mark(&self.binding) {
            Ok(Ok(mark)) => match self.mark_stands(&mark)? {
                Ok(checked) if reason.is_none() => {
                    drop(index);
                    return self.view_from(checked);
                }
                Ok(_) => {}
                Err(None) => outdated = Some(mark.head),
                Err(Some(text)) => {
                    lost = Some(format!("commit {} ({})", mark.head.seq, mark.head.commit));
                    reason = reason.or(Some(text));
                }
            },
            Ok(Err(text)) => reason = reason.or(Some(text.to_owned())),
            Err(error) if error.is_busy() => {
                *index = SqliteIndex::open(None).map_err(|e| index_error(&e))?;
                reason = Some("another process is writing it; using memory instead".into());
            }
            Err(error) => reason = reason.or(Some(format!("it is damaged ({error})"))),
        }
        let mut mark = self.rebuild(&mut index, lost.as_deref())?;
        if let Some(head) = outdated
            && head.seq > 0
            && head.place.is_some_and(|place| place.record_len > 0)
        {
            let row = index.commit(head.seq).ok().flatten();
            let stands = match row.map(|row| self.reader.commit(row.place())) {
                Some(Ok(record)) => record.id() == head.commit,
                // What could not be read is not known to be lost.
                Some(Err(error @ Error::Io { .. })) => return Err(error),
                Some(Err(_)) | None => false,
            };
            if !stands {
                lost = Some(format!("commit {} ({})", head.seq, head.commit));
                reason = Some("the log does not hold the last commit it read".to_owned());
                mark = self.rebuild(&mut index, lost.as_deref())?;
            }
        }
        drop(index);
        // A new archive has nothing to tell of, and an index in memory is always new.
        if mark.head.seq > 0
            && (self.index_file.is_some() || doubt.is_some())
            && let Some(reason) = reason
        {
            match lost {
                Some(lost) => self.notice(format!(
                    "index rebuilt: {reason}; the index had seen {lost}, which the log no longer holds"
                )),
                None => self.notice(format!("index rebuilt: {reason}")),
            }
        }
        self.view_from(mark)
    }

    fn view_from(&self, mark: Mark) -> Result<View> {
        let mut cursor = Cursor::start(&self.reader)?;
        if mark.generation < cursor.manifest.repacked {
            return self.load_view(None);
        }
        (cursor.segment, cursor.offset, cursor.head) = (mark.segment, mark.offset, mark.head);
        let mut view = View {
            cursor,
            mark: mark.head.seq,
            recent: Recent::default(),
        };
        self.advance(&mut view)?;
        Ok(view)
    }

    /// Is what the index says it has read still what the log holds? If not, why; there is nothing to say where
    /// segments were packed since.
    ///
    /// # Errors
    /// Where the log cannot be read: that says nothing of what it holds.
    fn mark_stands(&self, mark: &Mark) -> Result<Result<Mark, Option<String>>> {
        let (manifest, _) = self.reader.manifest()?;
        if mark.generation < manifest.repacked {
            return Ok(Err(None));
        }
        Ok(self.mark_fits(mark, &manifest)?.map_err(Some))
    }

    fn mark_fits(&self, mark: &Mark, manifest: &Manifest) -> Result<Result<Mark, String>> {
        if !manifest
            .segments
            .iter()
            .any(|segment| segment.number == mark.segment)
        {
            return Ok(Err("it was made from segments that are gone".into()));
        }
        if mark.generation > manifest.generation {
            return Ok(Err("it is ahead of the log".into()));
        }
        let len = self.reader.segment(mark.segment).and_then(|file| {
            file.len()
                .map_err(|error| Error::io(format!("read {}", segment_file(mark.segment)), error))
        });
        match len {
            Ok(len) if len < mark.offset => return Ok(Err("it is ahead of the log".into())),
            Ok(_) => {}
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        }
        Ok(match mark.head.place {
            None if mark.head.seq == 0 => Ok(*mark),
            None => Err("it is damaged".into()),
            // Lost, and known from MANIFEST alone.
            Some(place) if place.record_len == 0 => Ok(*mark),
            Some(place) => match self.reader.commit(place) {
                Ok(record) if record.id() == mark.head.commit && record.seq == mark.head.seq => {
                    // Where to append and what is on disk is for the log to say: a row may be wrong.
                    let mut checked = *mark;
                    checked.head.recorded = record.recorded;
                    checked.head.synced_before = place.offset.saturating_sub(record.unsynced);
                    checked.offset = match place.segment == mark.segment {
                        true => place
                            .offset
                            .saturating_add(place.before)
                            .saturating_add(place.record_len),
                        false => 0,
                    };
                    let follows =
                        |number: u64| manifest.segments.iter().position(|s| s.number == number);
                    let packed = |number: u64| self.reader.is_packed(number);
                    if follows(place.segment) > follows(mark.segment) || packed(mark.segment) {
                        return Ok(Err("it is damaged".into()));
                    }
                    Ok(checked)
                }
                Err(error @ Error::Io { .. }) => return Err(error),
                _ => Err("the log does not hold the last commit it read".into()),
            },
        })
    }

    /// Builds the index anew from the log. Where the file cannot be used, in memory.
    fn rebuild(&self, index: &mut SqliteIndex, lost: Option<&str>) -> Result<Mark> {
        let mut kept_lost = index.lost().ok().flatten();
        if let Some(lost) = lost {
            kept_lost = Some(lost.to_owned());
        }
        match self.fill(index, kept_lost.as_deref()) {
            Ok(done) => return Ok(done),
            Err(FillError::Log(error)) => return Err(error),
            Err(FillError::Index(error)) if error.is_busy() || error.is_read_only() => {}
            Err(FillError::Index(_)) => {
                // Not a database, or one that is broken beyond its tables: begin with a new file.
                if let Some(file) = &self.index_file {
                    *index = SqliteIndex::open(None).map_err(|e| index_error(&e))?;
                    if SqliteIndex::remove(file).is_ok()
                        && let Ok(fresh) = SqliteIndex::open(Some(file))
                    {
                        *index = fresh;
                        if let Ok(done) = self.fill(index, kept_lost.as_deref()) {
                            return Ok(done);
                        }
                    }
                }
            }
        }
        *index = SqliteIndex::open(None).map_err(|e| index_error(&e))?;
        match self.fill(index, kept_lost.as_deref()) {
            Ok(done) => Ok(done),
            Err(FillError::Log(error)) => Err(error),
            Err(FillError::Index(error)) => Err(index_error(&error)),
        }
    }

    fn fill(&self, index: &mut SqliteIndex, lost: Option<&str>) -> Result<Mark, FillError> {
        let mark = index.rebuild(&self.binding, lost, |insert| {
            let mut cursor = Cursor::start(&self.reader)?;
            let mut sink = |event| {
                let rows = match event {
                    Event::Batch { segment, placed } => {
                        rows_of_batch(segment, &placed, self.reader.keys())
                    }
                    event => rows_of_lost(&event),
                };
                insert(rows).map_err(FillError::into_log)
            };
            // The list of segments may be replaced before the first of them is read, but not later.
            while cursor.advance(&self.reader, &mut sink)? == Progress::Repacked {
                cursor = Cursor::start(&self.reader)?;
            }
            Ok(mark_of(&cursor))
        })?;
        Ok(mark)
    }

    /// Builds the index anew whatever it says; the number of commits.
    pub fn reindex(&self) -> Result<u64> {
        self.check_process()?;
        self.damaged.store(false, Ordering::SeqCst);
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        self.forget_all();
        let mark = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = &self.index_file {
                *index = SqliteIndex::open(None).map_err(|e| index_error(&e))?;
                SqliteIndex::remove(file).map_err(|e| index_error(&e))?;
                *index = SqliteIndex::open(Some(file)).map_err(|e| index_error(&e))?;
            }
            self.rebuild(&mut index, None)?
        };
        *view = self.view_from(mark)?;
        Ok(view.cursor.head.seq)
    }

    /// Builds the index anew from the log.
    pub fn mend_index(&self) -> Result<()> {
        self.mend_index_of(None).map(drop)
    }

    /// The same, unless the log is at another reading than this by now; whether it was done.
    pub fn mend_index_of(&self, reading: Option<u64>) -> Result<bool> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if reading.is_some_and(|reading| reading != self.reading()) {
            return Ok(false);
        }
        self.forget_all();
        let mark = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            self.rebuild(&mut index, None)?
        };
        *view = self.view_from(mark)?;
        Ok(true)
    }
}

/// The segment that `repair` has made last.
fn newest_repaired(list: &Manifest) -> Option<u64> {
    let made = list.segments.iter().filter(|entry| entry.repaired);
    made.map(|entry| entry.number).max()
}

/// A failure while the index is filled: of the index, or of the log it is filled from.
enum FillError {
    Index(IndexError),
    Log(Error),
}

impl FillError {
    fn into_log(self) -> Error {
        match self {
            FillError::Index(error) => index_error(&error),
            FillError::Log(error) => error,
        }
    }
}

impl From<IndexError> for FillError {
    fn from(error: IndexError) -> FillError {
        FillError::Index(error)
    }
}

impl From<Error> for FillError {
    fn from(error: Error) -> FillError {
        FillError::Log(error)
    }
}

/// What is left of commits that are gone: objects that others may rest on.
fn rows_of_lost(event: &Event) -> Rows {
    match event {
        Event::Damage {
            segment,
            damage,
            missing: Some((first, _)),
        } => rows_of_orphans(*first, *segment, &damage.orphans),
        Event::Loss { segment, loss } => match &loss.record.commits {
            Some(lost) => rows_of_orphans(lost.first, *segment, &loss.orphans),
            None => Rows::default(),
        },
        Event::Damage { .. } | Event::Batch { .. } => Rows::default(),
    }
}

pub(crate) fn mark_of(cursor: &Cursor) -> Mark {
    Mark {
        generation: cursor.manifest.generation,
        segment: cursor.segment,
        offset: cursor.offset,
        head: cursor.head,
    }
}

/// Does the index lag by so many times what it may?
pub(super) fn is_behind(view: &View, times: usize) -> bool {
    view.recent.len() >= MAX_LAG_COMMITS * times
        || view.recent.log_bytes >= MAX_LAG_BYTES * times as u64
}
