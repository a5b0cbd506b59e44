//! What an open archive is made of: the log, the index, and the view of both that reads go by.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::Settings;
use super::objects::{ChangeCache, ContentCache};
use super::sources::LayoutCache;
use super::transaction::Queue;
use crate::error::{Error, Result};
use crate::id::{ArchiveId, CommitId};
use crate::index::{
    Binding, Catalog, IndexError, Mark, Recent, Rows, SqliteIndex, rows_of_batch, rows_of_orphans,
};
use crate::log::cursor::{Cursor, Event, Progress};
use crate::log::format::*;
use crate::log::manifest::Manifest;
use crate::log::reader::{LogReader, segment_file};
use crate::log::writer::LogWriter;
use crate::storage::Storage;

/// The index may lag the log by this many commits …
const MAX_LAG_COMMITS: usize = 256;
/// … or this many bytes: what opening an archive reads at most, but for the last commit …
const MAX_LAG_BYTES: u64 = 1 << 20;
/// … but while commits come in large groups, which cost the index less when it takes many at once, by so many times
/// more, until the handle is dropped.
const MAX_LAG_IN_BULK: usize = 32;
/// A question is asked again where segments were packed meanwhile, but not more often than this.
const MAX_REPACKED: usize = 3;
/// A group of more commits than this is a large one.
const BULK: usize = 64;

/// A failure inside an operation on the index's rows.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The index could not answer.
    Index(IndexError),
    /// A row says something that the log does not.
    Doubt(Error),
    /// Nothing to do with the index.
    Error(Error),
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Fault {
        Fault::Index(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            // What a row points to is not there: the row may be wrong, or the log damaged.
            Error::Corrupt(_) => Fault::Doubt(error),
            other => Fault::Error(other),
        }
    }
}

impl Fault {
    pub fn into_error(self) -> Error {
        match self {
            Fault::Index(error) => index_error(&error),
            Fault::Doubt(error) | Fault::Error(error) => error,
        }
    }
}

fn index_error(error: &IndexError) -> Error {
    Error::io("use the index", std::io::Error::other(error.to_string()))
}

/// What reads go by: how far the log was read, and the rows of commits that the index file does not have.
#[derive(Debug)]
pub(crate) struct View {
    pub cursor: Cursor,
    /// The index file is asked up to this sequence number.
    pub mark: u64,
    pub recent: Recent,
}

/// An open archive.
#[derive(Debug)]
pub(crate) struct Engine {
    pub reader: Arc<LogReader>,
    pub storage: Arc<dyn Storage>,
    pub id: ArchiveId,
    pub root: Option<PathBuf>,
    pub wait: Duration,
    pub read_only: bool,
    settings: Settings,
    binding: Binding,
    index_file: Option<PathBuf>,
    pub index: Mutex<SqliteIndex>,
    pub view: RwLock<View>,
    pub writer: Mutex<LogWriter>,
    pub queue: Queue,
    pub cache: Mutex<ContentCache>,
    pub layouts: LayoutCache,
    pub changes: ChangeCache,
    /// Building the index anew did not help: the log itself is damaged, and each doubt need not be paid for again.
    damaged: AtomicBool,
    /// Goes up when the log turns out to be another than the one that was read.
    reading: AtomicU64,
    notices: Mutex<Vec<String>>,
    process: u32,
}

pub(crate) struct EngineParts {
    pub storage: Arc<dyn Storage>,
    pub reader: Arc<LogReader>,
    pub id: ArchiveId,
    pub root: Option<PathBuf>,
    pub wait: Duration,
    pub read_only: bool,
    pub settings: Settings,
    pub binding: Binding,
    /// Where the index may be, the best place first; none is memory.
    pub index_files: Vec<PathBuf>,
}

impl Engine {
    pub fn open(parts: EngineParts) -> Result<Engine> {
        let mut notices = Vec::new();
        let mut writer = LogWriter::new(parts.reader.clone());
        writer.segment_len = parts.settings.segment_len;
        let (index, index_file) = open_index(&parts.index_files, &mut notices)?;
        let cursor = Cursor::start(&parts.reader)?;
        let engine = Engine {
            writer: Mutex::new(writer),
            reader: parts.reader,
            storage: parts.storage,
            id: parts.id,
            root: parts.root,
            wait: parts.wait,
            read_only: parts.read_only,
            settings: parts.settings,
            binding: parts.binding,
            index_file,
            index: Mutex::new(index),
            view: RwLock::new(View {
                cursor,
                mark: 0,
                recent: Recent::default(),
            }),
            queue: Queue::default(),
            cache: Mutex::default(),
            layouts: LayoutCache::default(),
            changes: ChangeCache::default(),
            damaged: AtomicBool::new(false),
            reading: AtomicU64::new(0),
            notices: Mutex::new(notices),
            process: std::process::id(),
        };
        let view = engine.load_view(None)?;
        *engine.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(engine)
    }

    pub fn notice(&self, text: impl Into<String>) {
        self.notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text.into());
    }

    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A forked child shares the lock's file and the index's connection with its parent: neither may be used.
    pub fn check_process(&self) -> Result<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        Err(Error::invalid(
            "this archive was opened before the process forked; open it again in the child",
        ))
    }

    /// Brings the view up to the end of the log.
    pub fn refresh(&self) -> Result<()> {
        self.check_process()?;
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            if !view.cursor.is_stale(&self.reader)? {
                return Ok(());
            }
        }
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        self.advance(&mut view)
    }

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
            // What was read before `repair` came may be gone from the log.
            self.forget_objects_from(0);
        }
        let known = head.seq == 0 || self.has_commit(&fresh, head.seq, &head.commit);
        *view = fresh;
        match known || head.place.is_none_or(|place| place.record_len == 0) {
            true => Ok(()),
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

    /// Were segments packed that this list still has?
    pub fn was_repacked_since(&self, repacked: u64) -> bool {
        let now = self.reader.manifest();
        now.is_ok_and(|(manifest, _)| manifest.repacked > repacked)
    }

    /// Reads the log anew: it is not the one that was read before.
    pub fn start_over(&self, view: &mut View) -> Result<()> {
        self.damaged.store(false, Ordering::SeqCst);
        self.forget_all();
        *view = self.load_view(Some("the log is not the one that was read before"))?;
        Ok(())
    }

    /// Forgets all that was read: a commit may have been cut and another one stand in its place, with its number.
    fn forget_all(&self) {
        self.reading.fetch_add(1, Ordering::SeqCst);
        self.forget_objects_from(0);
        self.reader.forget_files();
    }

    /// Which reading of the log this is.
    pub fn reading(&self) -> u64 {
        self.reading.load(Ordering::SeqCst)
    }

    /// Forgets what is kept of the objects of commits from this number on.
    pub fn forget_objects_from(&self, seq: u64) {
        self.lock_cache().forget_from(seq);
        self.layouts.forget_from(seq);
        self.changes.forget_from(seq);
    }

    pub fn lock_cache(&self) -> MutexGuard<'_, ContentCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves recent rows into the index file where there are enough of them. `group` is how many commits came
    /// together just now.
    pub fn flush_index(&self, view: &mut View, group: usize) {
        let times = if group > BULK { MAX_LAG_IN_BULK } else { 1 };
        let due = view.recent.len() >= MAX_LAG_COMMITS * times
            || view.recent.log_bytes >= MAX_LAG_BYTES * times as u64;
        if !due {
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
    fn load_view(&self, doubt: Option<&str>) -> Result<View> {
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

    /// Asks the catalog, after bringing it up to date. Where a row contradicts the log or the index fails, the index
    /// is built anew and the question asked once more.
    pub fn ask<T>(&self, question: impl Fn(&Catalog<'_>) -> Result<T, Fault>) -> Result<T> {
        self.refresh()?;
        self.ask_as_is(question)
    }

    /// The same without looking for what has come since: for what will be looked at again under the lock.
    pub fn ask_as_is<T>(&self, question: impl Fn(&Catalog<'_>) -> Result<T, Fault>) -> Result<T> {
        let mut tries = 0;
        let fault = loop {
            let (fault, repacked) = {
                let view = self.view();
                match question(&self.catalog(&view)) {
                    Ok(answer) => return Ok(answer),
                    Err(Fault::Error(error)) => return Err(error),
                    Err(fault) => (fault, view.cursor.manifest.repacked),
                }
            };
            tries += 1;
            if tries > MAX_REPACKED || !self.was_repacked_since(repacked) {
                break fault;
            }
            self.refresh()?;
        };
        match fault {
            Fault::Doubt(error) if self.damaged.load(Ordering::SeqCst) => Err(error),
            fault => self.ask_again(fault, question),
        }
    }

    /// Builds the index anew and asks once more.
    fn ask_again<T>(
        &self,
        fault: Fault,
        question: impl Fn(&Catalog<'_>) -> Result<T, Fault>,
    ) -> Result<T> {
        let reason = match &fault {
            Fault::Index(error) => format!("it is damaged ({error})"),
            _ => "it did not agree with the log".to_owned(),
        };
        self.mend_index()?;
        let view = self.view();
        match question(&self.catalog(&view)) {
            Ok(answer) => {
                self.notice(format!("index rebuilt: {reason}"));
                Ok(answer)
            }
            Err(again) => {
                if matches!(again, Fault::Doubt(_)) {
                    self.damaged.store(true, Ordering::SeqCst);
                }
                Err(again.into_error())
            }
        }
    }

    /// Could building the index anew help? Not where that was tried, and the log itself is damaged.
    pub fn may_mend_index(&self) -> bool {
        !self.damaged.load(Ordering::SeqCst)
    }

    /// Builds the index anew from the log.
    pub fn mend_index(&self) -> Result<()> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        self.forget_all();
        let mark = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            self.rebuild(&mut index, None)?
        };
        *view = self.view_from(mark)?;
        Ok(())
    }

    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn catalog<'a>(&'a self, view: &'a View) -> Catalog<'a> {
        Catalog::new(
            self.reader.keys(),
            &self.index,
            view.mark,
            vec![&view.recent],
        )
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

/// Opens the index in the first of these places that works, else in memory.
fn open_index(
    files: &[PathBuf],
    notices: &mut Vec<String>,
) -> Result<(SqliteIndex, Option<PathBuf>)> {
    for file in files {
        if make_parent(file).is_err() {
            continue;
        }
        match SqliteIndex::open(Some(file)) {
            Ok(index) => return Ok((index, Some(file.clone()))),
            Err(error) if error.is_read_only() || error.is_busy() => {}
            Err(_) => {
                // Noise instead of a database.
                if SqliteIndex::remove(file).is_ok()
                    && let Ok(index) = SqliteIndex::open(Some(file))
                {
                    return Ok((index, Some(file.clone())));
                }
            }
        }
    }
    if !files.is_empty() {
        notices.push(
            "the index cannot be written here; reading the whole log into memory instead"
                .to_owned(),
        );
    }
    Ok((SqliteIndex::open(None).map_err(|e| index_error(&e))?, None))
}

fn make_parent(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(parent) => crate::storage::make_folders(parent),
        None => Ok(()),
    }
}

impl Engine {
    /// What the index remembers of commits that the log has lost.
    pub fn lost_commits(&self) -> Option<String> {
        self.index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lost()
            .ok()
            .flatten()
    }

    /// May this handle write? Says why not.
    pub fn check_writable(&self) -> Result<()> {
        check_writable(&*self.storage, self.read_only, &self.settings)
    }
}

/// May an archive be written? Says why not.
pub(crate) fn check_writable(
    storage: &dyn Storage,
    read_only: bool,
    settings: &Settings,
) -> Result<()> {
    let failed = |error| Error::io(format!("write to {ARCHIVE_FOLDER}"), error);
    if read_only {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            "the archive was opened for reading only",
        )));
    }
    if let Some(kind) = storage.network_file_system()
        && !settings.network_writes
    {
        return Err(failed(std::io::Error::other(format!(
            "it is on a network file system ({kind}), where locks may not hold; \
             set \"network_writes\": true in {ARCHIVE_FOLDER}/{SETTINGS_FILE} to write all the same"
        ))));
    }
    Ok(())
}

impl Drop for Engine {
    /// What a writer of many commits has put off: the index is brought up to date, and a note says how far the log is
    /// on disk. Only with the lock, and only behind its own last commit: what others have put there since, or in its
    /// place, is not looked into here.
    fn drop(&mut self) {
        if std::process::id() != self.process {
            return;
        }
        let writer = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if !writer.has_more_to_say() {
            return;
        }
        let Ok(Some(lock)) = self.storage.lock(Duration::ZERO) else {
            return;
        };
        let own_end = {
            let view = self.view.get_mut().unwrap_or_else(PoisonError::into_inner);
            let own_end = writer.synced_up_to(&view.cursor)
                && writer.is_current()
                && view.cursor.is_stale(&self.reader).is_ok_and(|stale| !stale)
                && view.cursor.head_stands(&self.reader);
            if own_end {
                writer.leave_note(&*lock);
            }
            own_end
        };
        if own_end {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            self.flush_index(&mut view, 1);
        }
    }
}
