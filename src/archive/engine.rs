//! What an open archive is made of, and how it is asked: where index and log disagree the question is asked again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::Settings;
use super::contents::ContentCache;
use super::group::Queue;
use super::objects::ChangeCache;
use super::sources::LayoutCache;
use super::view::{View, is_behind};
use crate::error::{Error, Result};
use crate::id::ArchiveId;
use crate::index::{Binding, Catalog, IndexError, Recent, SqliteIndex};
use crate::log::cursor::Cursor;
use crate::log::format::*;
use crate::log::reader::LogReader;
use crate::log::writer::LogWriter;
use crate::storage::Storage;

/// A question is asked again where segments were packed meanwhile, but not more often than this.
const MAX_REPACKED: usize = 3;

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

pub(super) fn index_error(error: &IndexError) -> Error {
    Error::io("use the index", std::io::Error::other(error.to_string()))
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
    pub(super) binding: Binding,
    pub(super) index_file: Option<PathBuf>,
    pub index: Mutex<SqliteIndex>,
    pub view: RwLock<View>,
    pub writer: Mutex<LogWriter>,
    pub queue: Queue,
    pub cache: Mutex<ContentCache>,
    pub layouts: LayoutCache,
    pub changes: ChangeCache,
    /// Building the index anew did not help: the log itself is damaged, and each doubt need not be paid for again.
    pub(super) damaged: AtomicBool,
    /// Goes up when the log turns out to be another than the one that was read.
    reading: AtomicU64,
    notices: Mutex<Vec<String>>,
    process: u32,
    /// How many objects were compressed with the lock held.
    #[cfg(test)]
    pub(super) compressed_late: AtomicU64,
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
            #[cfg(test)]
            compressed_late: AtomicU64::new(0),
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

    /// Were segments packed that this list still has?
    pub fn was_repacked_since(&self, repacked: u64) -> bool {
        let now = self.reader.manifest();
        now.is_ok_and(|(manifest, _)| manifest.repacked > repacked)
    }

    /// Forgets all that was read: a commit may have been cut and another one stand in its place, with its number.
    pub(super) fn forget_all(&self) {
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

    /// Asks the catalog, after bringing it up to date. Where a row contradicts the log or the index fails, the index
    /// is built anew and the question asked once more.
    pub fn ask<T>(&self, question: impl Fn(&Catalog<'_>) -> Result<T, Fault>) -> Result<T> {
        self.refresh()?;
        self.ask_as_is(question)
    }

    /// The same without looking for what has come since: for what will be looked at again under the lock.
    pub fn ask_as_is<T>(&self, question: impl Fn(&Catalog<'_>) -> Result<T, Fault>) -> Result<T> {
        let mut tries = 0;
        let (fault, reading) = loop {
            let (fault, repacked, reading) = {
                let view = self.view();
                let reading = self.reading();
                match question(&self.catalog(&view)) {
                    Ok(answer) => return Ok(answer),
                    Err(Fault::Error(error)) => return Err(error),
                    Err(fault) => (fault, view.cursor.manifest.repacked, reading),
                }
            };
            tries += 1;
            if tries > MAX_REPACKED || !self.was_repacked_since(repacked) {
                break (fault, reading);
            }
            self.refresh()?;
        };
        match fault {
            Fault::Doubt(error) if self.damaged.load(Ordering::SeqCst) => Err(error),
            fault => self.ask_again(fault, reading, question),
        }
    }

    /// Builds the index anew, unless another thread has done so since that reading of the log, and asks once more.
    fn ask_again<T>(
        &self,
        fault: Fault,
        reading: u64,
        question: impl Fn(&Catalog<'_>) -> Result<T, Fault>,
    ) -> Result<T> {
        let reason = match &fault {
            Fault::Index(error) => format!("it is damaged ({error})"),
            _ => "it did not agree with the log".to_owned(),
        };
        let mended = self.mend_index_of(Some(reading))?;
        let view = self.view();
        match question(&self.catalog(&view)) {
            Ok(answer) if !mended => Ok(answer),
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
        let has_note = writer.has_more_to_say();
        let view = self.view.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !(has_note || writer.has_written() && is_behind(view, 1)) {
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
            if own_end && has_note {
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
