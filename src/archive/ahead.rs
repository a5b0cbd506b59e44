//! Threads that compress the documents of a batch while its caller adds more.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::engine::Engine;
use super::guess::Chains;
use super::save::Prepared;
use crate::error::{Error, Result};

/// From so many commits on a batch has threads: a short one is done before they have started.
pub(crate) const AHEAD_FROM: usize = 8;
/// At most so many of them.
const MAX_WORKERS: usize = 8;
/// Documents are handed over in parcels of so many: waking a thread costs as much as compressing a small one …
const PARCEL: usize = 16;
/// … or of so many bytes.
const PARCEL_LEN: usize = 64 << 10;
/// How many parcels may wait for a thread.
const WAITING: usize = 8;

/// A document with the number of its commit in the batch, and its number in the commit.
type Item = ((usize, usize), Prepared);

/// The threads of a batch.
#[derive(Debug)]
pub(crate) struct Ahead {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    queue: SyncSender<Vec<Item>>,
    thread: JoinHandle<Vec<Item>>,
    parcel: Vec<Item>,
    parcel_len: usize,
}

impl Ahead {
    /// `None` where there is no thread to be had.
    pub fn start(engine: &Arc<Engine>) -> Option<Ahead> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<Worker> = (0..cores.min(MAX_WORKERS))
            .map_while(|_| Worker::start(engine.clone()))
            .collect();
        (!workers.is_empty()).then_some(Ahead { workers })
    }

    /// Takes the documents of a commit. All documents of a path go to the same thread, in order.
    pub fn take(&mut self, number: usize, documents: &mut Vec<Prepared>) {
        let count = self.workers.len() as u64;
        for (at, document) in documents.drain(..).enumerate() {
            let mut hasher = DefaultHasher::new();
            document.path.hash(&mut hasher);
            let worker = (hasher.finish() % count) as usize;
            self.workers[worker].take(((number, at), document));
        }
    }

    /// All documents that were taken, each with the number of its commit, in order.
    pub fn finish(self) -> Result<impl Iterator<Item = (usize, Prepared)>> {
        let mut done = Vec::new();
        // First all of them are told that nothing more comes.
        let threads: Vec<_> = self
            .workers
            .into_iter()
            .map(|mut worker| {
                worker.send();
                worker.thread
            })
            .collect();
        for thread in threads {
            let items = thread.join().map_err(|_| {
                let ended = std::io::Error::other("a thread that did it ended");
                Error::io("compress a batch", ended)
            })?;
            done.extend(items);
        }
        done.sort_by_key(|(at, _)| *at);
        Ok(done
            .into_iter()
            .map(|((number, _), document)| (number, document)))
    }
}

impl Worker {
    fn start(engine: Arc<Engine>) -> Option<Worker> {
        let (queue, waiting) = sync_channel::<Vec<Item>>(WAITING);
        let work = move || {
            let mut chains = Chains::default();
            let mut done = Vec::new();
            for mut parcel in waiting {
                for (_, document) in &mut parcel {
                    chains.guess(document, &engine);
                }
                done.append(&mut parcel);
            }
            done
        };
        Some(Worker {
            queue,
            thread: std::thread::Builder::new().spawn(work).ok()?,
            parcel: Vec::new(),
            parcel_len: 0,
        })
    }

    fn take(&mut self, item: Item) {
        self.parcel_len += item.1.object.bytes.len();
        self.parcel.push(item);
        if self.parcel.len() >= PARCEL || self.parcel_len >= PARCEL_LEN {
            self.send();
        }
    }

    fn send(&mut self) {
        self.parcel_len = 0;
        // The thread takes parcels until this end is dropped; if it has ended, joining it tells.
        let _ = self.queue.send(std::mem::take(&mut self.parcel));
    }
}
