//! Commits: staged against the newest state under the writer's lock, appended together, synced once.
//!
//! Threads that save at the same time share one append and one sync: whoever gets the writer next does the work of
//! all that wait (group commit).

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Fault};
use super::objects::{Content, Encoded, ObjectAt, ObjectReader, Packing, Unwritten};
use super::sources::SourceOf;
use super::version::Note;
use crate::commit::{Change, Fields, SourceForm};
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId};
use crate::index::{Catalog, Question, Recent, VersionRow, rows_of_batch};
use crate::log::batch::BatchBuilder;
use crate::log::cursor::Head;
use crate::log::format::{ARCHIVE_FOLDER, CHECKSUM_LEN};
use crate::log::reader::LocatedChange;
use crate::log::record::{CommitChanges, CommitRecord, StoredChange};
use crate::log::scan::PlacedBatch;
use crate::log::writer::LogWriter;
use crate::wire::Malformed;

/// A piece of work that waits for the writer.
pub(crate) trait Job: Send + std::fmt::Debug {
    fn run(&mut self, transaction: &mut Transaction<'_>);
    /// Is its answer one that must not be given before the newest commit is on disk?
    fn succeeded(&self) -> bool;
    /// The group failed: the answer is this instead.
    fn fail(&mut self, error: Error);
    /// Hands the answer over.
    fn settle(self: Box<Self>);
}

struct Work<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    slot: Arc<Mutex<Option<Result<T>>>>,
}

impl<T, F> std::fmt::Debug for Work<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl<T: Send, F: FnOnce(&mut Transaction<'_>) -> Result<T, Fault> + Send> Job for Work<T, F> {
    fn run(&mut self, transaction: &mut Transaction<'_>) {
        if let Some(work) = self.work.take() {
            self.result = Some(transaction.attempt(work));
        }
    }

    fn succeeded(&self) -> bool {
        matches!(self.result, Some(Ok(_)))
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn settle(self: Box<Self>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.result;
    }
}

/// Jobs that wait for the writer, and whether a thread is at work on a group of them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    turn_over: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: Vec<Box<dyn Job>>,
    busy: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, QueueState>) -> MutexGuard<'a, QueueState> {
        self.turn_over
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One group's turn. It ends whatever happens in it: a thread that panics must not keep the others waiting.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.turn_over.notify_all();
    }
}

/// A new object of a change: its content, and what it may rest on.
#[derive(Clone, Debug)]
pub(crate) struct NewObject {
    pub id: ObjectId,
    pub bytes: Arc<[u8]>,
    /// Compressed before the lock was taken.
    pub guess: Option<Guess>,
}

/// An object compressed for the newest state that was known.
#[derive(Clone, Debug)]
pub(crate) struct Guess {
    /// The object in front of it.
    pub base: Option<ObjectAt>,
    /// Of which reading of the log: after another the same place may hold another object.
    pub reading: u64,
    pub encoded: Encoded,
}

/// A change to be staged.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub change: Change,
    /// The document, where the log may not have it yet.
    pub object: Option<NewObject>,
    /// The source, likewise.
    pub source: Option<NewObject>,
    /// The path's previous version: what the new objects may rest on.
    pub before: Option<Newest>,
}

impl Draft {
    pub fn of(change: Change) -> Draft {
        Draft {
            change,
            object: None,
            source: None,
            before: None,
        }
    }
}

/// A version's row and what the log says of it.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub row: VersionRow,
    pub located: LocatedChange,
}

impl Newest {
    pub fn change(&self) -> &Change {
        &self.located.stored.change
    }
}

/// A commit that was staged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub seq: u64,
    pub commit: CommitId,
}

/// Stages commits on top of the newest state.
pub(crate) struct Transaction<'a> {
    engine: &'a Engine,
    view: &'a super::engine::View,
    group: Recent,
    /// What the running job has staged.
    job: Recent,
    unwritten: Unwritten,
    head: Head,
    /// Bytes in front of the group that are not known to be on disk.
    unsynced: u64,
    now: i64,
}

impl Transaction<'_> {
    /// Runs a job; where it fails, nothing of it stays.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T> {
        let (len, head) = (self.unwritten.bytes.len(), self.head);
        let result = work(self);
        if result.is_ok() {
            self.group.append(std::mem::take(&mut self.job));
        } else {
            self.unwritten.bytes.truncate(len);
            for seq in head.seq + 1..=self.head.seq {
                self.unwritten.changes.remove(&seq);
                self.unwritten.ids.remove(&seq);
            }
            // The next commit of this number, maybe another process's, has other objects.
            self.engine.forget_objects_from(head.seq + 1);
            self.head = head;
            self.job = Recent::default();
        }
        result.map_err(Fault::into_error)
    }

    fn with<T>(&self, ask: impl FnOnce(&ObjectReader<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let layers = vec![&self.view.recent, &self.group, &self.job];
        let catalog = Catalog::new(&self.engine.index, self.view.mark, layers);
        ask(&ObjectReader {
            reader: &self.engine.reader,
            catalog: &catalog,
            unwritten: Some(&self.unwritten),
            layouts: &self.engine.layouts,
        })
    }

    /// The newest version of a path, a deletion included.
    pub fn newest(&self, path: &str) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.newest(path)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// One version of a path.
    pub fn version(&self, path: &str, version: u64) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.version(path, version)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// The newest version of a path made by commit `seq` or before.
    pub fn version_as_of(&self, path: &str, seq: u64) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.version_as_of(path, seq)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// What was last said of a tag by commit `seq` or before.
    pub fn tag_as_of(&self, name: &str, seq: u64) -> Result<Option<Change>, Fault> {
        self.with(|objects| match objects.catalog.tag_as_of(name, seq)? {
            None => Ok(None),
            Some(row) => Ok(Some(objects.change_at(row.seq, row.change)?.stored.change)),
        })
    }

    /// The newest sequence number.
    pub fn head_seq(&self) -> u64 {
        self.head.seq
    }

    /// The id of a commit.
    pub fn commit_id(&self, seq: u64) -> Result<CommitId, Fault> {
        if seq == self.head.seq {
            return Ok(self.head.commit);
        }
        if let Some(id) = self.unwritten.ids.get(&seq) {
            return Ok(*id);
        }
        self.with(|objects| match objects.catalog.commit(seq)? {
            Some(row) if row.record_len > 0 => Ok(self.engine.reader.commit(row.place())?.id()),
            _ => Err(Fault::Error(Error::not_found(format!("no commit {seq}")))),
        })
    }

    /// Stages a commit. The drafts may come in any order.
    pub fn stage(
        &mut self,
        note: &Note,
        mut fields: Fields,
        drafts: Vec<Draft>,
    ) -> Result<Staged, Fault> {
        if let Some(author) = &note.author {
            fields.set(Fields::AUTHOR, author.as_bytes());
        }
        if let Some(message) = &note.message {
            fields.set(Fields::MESSAGE, message.as_bytes());
        }
        if !note.meta.is_empty() {
            let text = serde_json::Value::Object(note.meta.clone()).to_string();
            let meta = crate::canon::canonicalize(text.as_bytes()).map_err(|source| {
                Fault::Error(Error::InvalidDocument {
                    path: "metadata".to_owned(),
                    source,
                })
            })?;
            fields.set(Fields::META, meta);
        }
        let mut drafts = drafts;
        drafts.sort_by(|a, b| {
            let key = |draft: &Draft| (draft.change.op.makes_version(), draft.change.path.clone());
            let ((a_version, a_path), (b_version, b_path)) = (key(a), key(b));
            b_version.cmp(&a_version).then(a_path.cmp(&b_path))
        });
        let seq = self.head.seq + 1;
        let keys = self.engine.reader.keys();
        let start = self.unwritten.bytes.len();
        let mut builder = BatchBuilder::new(keys, &self.unwritten.bytes);
        let mut stored = Vec::with_capacity(drafts.len());
        let mut new_ids: HashMap<ObjectId, u64> = HashMap::new();
        for draft in &drafts {
            let mut change = StoredChange {
                change: draft.change.clone(),
                object_len: 0,
                source_len: 0,
            };
            let before = draft.before.as_ref();
            if let Some(object) = &draft.object {
                let base = self.base(before, |change| {
                    change.content.map(|content| content.object)
                });
                change.object_len =
                    self.write_object(&mut builder, seq, object, base, None, &mut new_ids)?;
            }
            if let Some((source, object)) = draft.source.as_ref().zip(draft.object.as_ref()) {
                let base = self.base(before, |change| match change.content?.source {
                    SourceForm::Object(id) => Some(id),
                    _ => None,
                });
                let nan = draft.change.content.is_some_and(|content| content.nan);
                change.source_len = self.write_object(
                    &mut builder,
                    seq,
                    source,
                    base,
                    Some((object, nan)),
                    &mut new_ids,
                )?;
            }
            stored.push(change);
        }
        let recorded = self.now.max(self.head.recorded);
        let time = note.time.unwrap_or(recorded);
        if time.checked_sub(recorded).is_none() {
            let message = format!("the time {time} is out of range");
            return Err(Fault::Error(Error::invalid(message)));
        }
        let record = CommitRecord {
            before: 0,
            unsynced: self.unsynced + start as u64,
            batch_checksum: [0; CHECKSUM_LEN],
            parents: vec![self.head.commit],
            seq,
            recorded,
            time,
            fields,
            change_count: 0,
            changes: CommitChanges::Inline(Vec::new()),
        };
        let batch = builder.finish(&mut self.unwritten.bytes, record, stored);
        let commit = batch.id;
        let offset = self.unwritten.offset + start as u64;
        self.head = Head {
            seq,
            commit,
            recorded,
            place: Some(batch.place(self.unwritten.segment, offset)),
            synced_before: offset,
        };
        self.unwritten
            .changes
            .insert(seq, Arc::new(batch.changes.clone()));
        self.unwritten.ids.insert(seq, commit);
        self.job.add(rows_of_batch(
            self.unwritten.segment,
            &PlacedBatch { offset, batch },
        ));
        Ok(Staged { seq, commit })
    }

    fn base(
        &self,
        before: Option<&Newest>,
        id: impl FnOnce(&Change) -> Option<ObjectId>,
    ) -> Option<ObjectAt> {
        let before = before?;
        let id = id(before.change())?;
        self.with(|objects| objects.locate(&before.located, before.row.seq, &id))
            .ok()
    }

    /// Writes an object unless the log has it; the length of its record, 0 where none was written. Of a source,
    /// `document` is what it is a source of, and whether tagged numbers are bare literals in it.
    fn write_object(
        &mut self,
        builder: &mut BatchBuilder<'_>,
        seq: u64,
        object: &NewObject,
        base: Option<ObjectAt>,
        document: Option<(&NewObject, bool)>,
        new_ids: &mut HashMap<ObjectId, u64>,
    ) -> Result<u64, Fault> {
        if new_ids.contains_key(&object.id)
            || self.with(|objects| objects.find(&object.id))?.is_some()
        {
            return Ok(0);
        }
        let encoded = match &object.guess {
            Some(guess) if guess.base == base && guess.reading == self.engine.reading() => {
                guess.encoded.clone()
            }
            _ => {
                let mut cached = |at| self.engine.lock_cache().get(at);
                self.with(|objects| match document {
                    None => objects.encode(&object.bytes, base, &mut cached),
                    Some((document, nan)) => {
                        let source = SourceOf {
                            bytes: &object.bytes,
                            canonical: &document.bytes,
                            nan,
                        };
                        objects.encode_source(source, base, &mut cached)
                    }
                })?
            }
        };
        let at = ObjectAt {
            seq,
            ordinal: new_ids.len() as u64,
        };
        let document_at = match document {
            None => at,
            Some((document, _)) => match new_ids.get(&document.id) {
                Some(ordinal) => ObjectAt {
                    seq,
                    ordinal: *ordinal,
                },
                None => self
                    .with(|objects| objects.find(&document.id))?
                    .ok_or_else(|| {
                        super::objects::doubt("a source without its document".to_owned())
                    })?,
            },
        };
        let nan = document.is_some_and(|(_, nan)| nan);
        let record = encoded.record(seq, document_at, nan);
        let (_, len) = builder.object(&mut self.unwritten.bytes, &record);
        new_ids.insert(object.id, at.ordinal);
        let mut cache = self.engine.lock_cache();
        if let Some(base) = base {
            cache.remove(base);
        }
        // Nothing rests on a source that a layout makes.
        if matches!(encoded.packing, Packing::Alone(_) | Packing::Delta { .. }) {
            let content = Content {
                bytes: object.bytes.clone(),
                k: encoded.k,
                load_len: encoded.load_len,
                written: false,
            };
            cache.put(at, content);
        }
        Ok(len)
    }
}

impl Engine {
    /// Runs `work` against the newest state, with the writer's lock held, and returns once what it staged, and what
    /// its answer rests on, is on disk.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.check_process()?;
        self.check_writable()?;
        let slot = Arc::new(Mutex::new(None));
        let job = Box::new(Work {
            work: Some(work),
            result: None,
            slot: slot.clone(),
        });
        let mut queue = self.queue.lock();
        queue.jobs.push(job);
        // Who waits sleeps until its group is done, and does not queue for the writer only to learn that it is: the
        // threads that are done would come back one by one, and groups would stay small.
        let result = loop {
            let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if result.is_some() {
                break result;
            }
            if queue.busy {
                queue = self.queue.wait(queue);
            } else if queue.jobs.is_empty() {
                break None;
            } else {
                queue.busy = true;
                let jobs = std::mem::take(&mut queue.jobs);
                drop(queue);
                let turn = Turn(&self.queue);
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                self.commit_group(&mut writer, jobs);
                drop(writer);
                drop(turn);
                queue = self.queue.lock();
            }
        };
        drop(queue);
        result.unwrap_or_else(|| {
            Err(Error::io(
                "commit",
                io::Error::other("a thread ended inside a commit"),
            ))
        })
    }

    fn commit_group(&self, writer: &mut LogWriter, mut jobs: Vec<Box<dyn Job>>) {
        if let Err(error) = self.run_group(writer, &mut jobs) {
            for job in &mut jobs {
                job.fail(error());
            }
        }
        jobs.into_iter().for_each(Job::settle);
    }

    /// The error comes as a function: each job of the group is told.
    fn run_group(
        &self,
        writer: &mut LogWriter,
        jobs: &mut [Box<dyn Job>],
    ) -> Result<(), Box<dyn Fn() -> Error>> {
        if writer.is_poisoned() {
            return Err(Box::new(|| Error::Poisoned));
        }
        let wait = self.wait;
        let lock = match self.storage.lock(wait) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(Box::new(move || Error::Busy(wait.as_secs_f64()))),
            Err(error) => {
                return Err(again(Error::io(
                    format!("lock {ARCHIVE_FOLDER}/lock"),
                    error,
                )));
            }
        };
        {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            // Behind its own last commit this writer knows what stands: nothing, or zeros of its own.
            let nothing_new = writer.synced_up_to(&view.cursor)
                && !view.cursor.is_stale(&self.reader).map_err(again)?;
            if !nothing_new {
                self.advance(&mut view).map_err(again)?;
            }
            if !self.reader.is_current(view.cursor.segment).map_err(again)? {
                writer.forget();
                self.reader.forget_files();
                self.advance(&mut view).map_err(again)?;
            }
            // What stands in front of a sync that failed elsewhere may have been cut and written anew.
            if !writer.synced_up_to(&view.cursor) && !view.cursor.head_stands(&self.reader) {
                self.start_over(&mut view).map_err(again)?;
            }
            if !writer.is_current() {
                writer.forget();
            }
            writer.forget_after(self.reading());
            writer.take_note(&*lock, &view.cursor);
            if let Some(notice) = writer.prepare(&mut view.cursor).map_err(again)? {
                self.notice(notice);
            }
        }
        let (before, head, rows, len) = {
            let view = self.view();
            let cursor = view.cursor.clone();
            let question = Question::new(&self.index);
            let mut transaction = Transaction {
                engine: self,
                view: &view,
                group: Recent::default(),
                job: Recent::default(),
                unwritten: Unwritten {
                    segment: cursor.segment,
                    offset: cursor.offset,
                    ..Unwritten::default()
                },
                head: cursor.head,
                unsynced: writer.unsynced(&cursor),
                now: chrono::Utc::now().timestamp_micros(),
            };
            for job in jobs.iter_mut() {
                job.run(&mut transaction);
            }
            let Transaction {
                unwritten: Unwritten { bytes, .. },
                head,
                group: rows,
                ..
            } = transaction;
            drop(question);
            // Readers go on while the disk works.
            drop(view);
            let synced = if !bytes.is_empty() {
                writer.append(&cursor, &bytes)
            } else if jobs.iter().any(|job| job.succeeded()) {
                writer.sync_existing(&cursor)
            } else {
                Ok(())
            };
            if let Err(failed) = synced {
                self.forget_objects_from(cursor.head.seq + 1);
                return Err(Box::new(move || failed.error()));
            }
            writer.leave_note(&*lock);
            (cursor, head, rows, bytes.len() as u64)
        };
        // From here on everything is on disk: trouble with the view is for the next operation to meet.
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let group = usize::try_from(head.seq - before.head.seq).unwrap_or(usize::MAX);
        // A reader may have gone on to the new commits, or begun to, while the disk worked.
        let in_place = (view.cursor.segment, view.cursor.offset) == (before.segment, before.offset);
        let read = match in_place && view.cursor.head == before.head {
            true => {
                view.cursor.head = head;
                view.cursor.offset += len;
                view.recent.log_bytes += len;
                view.recent.append(rows);
                Ok(())
            }
            false => self.advance(&mut view),
        };
        if read.is_ok() {
            self.flush_index(&mut view, group);
        }
        drop(lock);
        Ok(())
    }
}

/// The same error as often as it is needed: the first time it is the error itself.
fn again(error: Error) -> Box<dyn Fn() -> Error> {
    let first = std::cell::RefCell::new(Some(error));
    let text = first
        .borrow()
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let kind = first.borrow().as_ref().map(Error::kind);
    Box::new(move || match first.borrow_mut().take() {
        Some(error) => error,
        None if kind == Some(crate::error::ErrorKind::Corrupt) => {
            Error::corrupt("log", None, text.clone())
        }
        None => Error::io(
            "commit together with other threads",
            io::Error::other(text.clone()),
        ),
    })
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Fault {
        super::objects::doubt(error.0.to_owned())
    }
}
