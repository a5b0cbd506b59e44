//! Group commit: threads that save at the same time share one append and one sync. Whoever gets the writer next does the
//! work of all that wait.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Fault};
use super::objects::Unwritten;
use super::transaction::Transaction;
use crate::error::{Error, Result};
use crate::index::{Question, Recent};
use crate::log::cursor::{Cursor, Head};
use crate::log::format::ARCHIVE_FOLDER;
use crate::log::record::StoredChange;
use crate::log::writer::LogWriter;
use crate::storage::StorageLock;

/// A piece of work that waits for the writer.
pub(crate) trait Job: Send + std::fmt::Debug {
    /// Does the work; false where it failed for the index, and might not with a new one.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Is its answer one that must not be given before the newest commit is on disk?
    fn succeeded(&self) -> bool;
    /// The group failed: the answer is this instead.
    fn fail(&mut self, error: Error);
    /// Hands the answer over.
    fn settle(self: Box<Self>);
}

struct Work<T, F> {
    work: F,
    result: Option<Result<T>>,
    slot: Arc<Mutex<Option<Result<T>>>>,
}

impl<T, F> std::fmt::Debug for Work<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl<T: Send, F: FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send> Job for Work<T, F> {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let result = transaction.attempt(&mut self.work);
        let done = !matches!(result, Err(Fault::Index(_) | Fault::Doubt(_)));
        self.result = Some(result.map_err(Fault::into_error));
        done
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

/// What a group has staged is kept for the next deltas. Unless it comes to be on disk, whatever ends the group, it is
/// forgotten: other objects will have these places.
struct Staging<'a> {
    engine: &'a Engine,
    from: u64,
    on_disk: bool,
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.on_disk {
            self.engine.forget_objects_from(self.from);
        }
    }
}

/// What a group of jobs has staged.
struct StagedGroup<'a> {
    /// What the group stands on.
    before: Cursor,
    head: Head,
    rows: Recent,
    bytes: Vec<u8>,
    /// The changes of each commit.
    changes: HashMap<u64, Arc<Vec<StoredChange>>>,
    staging: Staging<'a>,
    /// No job failed for the index.
    done: bool,
}

/// One group's turn. It ends whatever happens in it: a thread that panics must not keep the others waiting.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.turn_over.notify_all();
    }
}

impl Engine {
    /// Runs `work` against the newest state, with the writer's lock held, and returns once what it staged, and what
    /// its answer rests on, is on disk. Where the index fails it is built anew, and the work done once more.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.check_process()?;
        self.check_writable()?;
        let slot = Arc::new(Mutex::new(None));
        let job = Box::new(Work {
            work,
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
    pub(super) fn run_group(
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
        self.catch_up(writer, &*lock)?;
        let mut staged = self.stage_group(writer, jobs);
        if !staged.done && self.may_mend_index() {
            // Another process may have removed the index, or begun a new one. Nothing was written.
            drop(staged);
            self.mend_index().map_err(again)?;
            self.catch_up(writer, &*lock)?;
            staged = self.stage_group(writer, jobs);
        }
        let StagedGroup {
            before,
            head,
            rows,
            bytes,
            changes,
            mut staging,
            ..
        } = staged;
        // Readers go on while the disk works.
        let synced = if !bytes.is_empty() {
            writer.append(&before, &bytes)
        } else if jobs.iter().any(|job| job.succeeded()) {
            writer.sync_existing(&before)
        } else {
            Ok(())
        };
        if let Err(failed) = synced {
            return Err(Box::new(move || failed.error()));
        }
        staging.on_disk = true;
        writer.leave_note_if_short(&*lock);
        let len = bytes.len() as u64;
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
                self.changes.keep(before.segment, changes);
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

    /// Reads on to the end of the log, and makes the log ready to be written to.
    pub(super) fn catch_up(
        &self,
        writer: &mut LogWriter,
        lock: &dyn StorageLock,
    ) -> Result<(), Box<dyn Fn() -> Error>> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        // Behind its own last commit this writer knows that nothing stands, as long as the length says so.
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
        writer.take_note(lock, &view.cursor);
        if let Some(notice) = writer.prepare(&mut view.cursor).map_err(again)? {
            self.notice(notice);
        }
        Ok(())
    }

    /// Runs all jobs against the newest state.
    fn stage_group<'a>(&'a self, writer: &LogWriter, jobs: &mut [Box<dyn Job>]) -> StagedGroup<'a> {
        let view = self.view();
        let cursor = view.cursor.clone();
        let staging = Staging {
            engine: self,
            from: cursor.head.seq + 1,
            on_disk: false,
        };
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
            staged: HashMap::new(),
            head: cursor.head,
            unsynced: writer.unsynced(&cursor),
            now: super::now(),
        };
        let mut done = true;
        for job in jobs.iter_mut() {
            done &= job.run(&mut transaction);
        }
        let Transaction {
            unwritten: Unwritten { bytes, changes, .. },
            head,
            group: rows,
            ..
        } = transaction;
        drop(question);
        StagedGroup {
            before: cursor,
            head,
            rows,
            bytes,
            changes,
            staging,
            done,
        }
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
