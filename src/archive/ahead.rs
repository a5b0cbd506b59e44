//! Threads that compress documents: those of a large commit, and those of a batch while its caller adds more.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::beside::all_cores;
use super::engine::Engine;
use super::guess::{BUSY_CORES, Chains};
use super::save::Prepared;
use crate::error::{Error, Result};

/// From so many documents on they are compressed by threads: a few are done before those have started.
pub(crate) const AHEAD_FROM: usize = 16;
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
        let workers: Vec<Worker> = (0..all_cores().min(MAX_WORKERS))
            .map_while(|_| Worker::start(engine.clone()))
            .collect();
        (!workers.is_empty()).then_some(Ahead { workers })
    }

    /// Takes documents, the first of them with these numbers. All documents of a path go to the same thread, in order.
    pub fn take(&mut self, (number, first): (usize, usize), documents: &mut Vec<Prepared>) {
        let count = self.workers.len() as u64;
        // Those of a commit are staged in the order of their paths, and may rest on each other.
        let mut numbered: Vec<_> = (first..).zip(documents.drain(..)).collect();
        numbered.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
        for (at, document) in numbered {
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
            let mut chains = Chains::new(BUSY_CORES);
            let mut done = Vec::new();
            for mut parcel in waiting {
                for ((number, _), document) in &mut parcel {
                    chains.guess(document, *number, &engine);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::{Archive, Document};

    /// A document of some length, much like the others.
    fn readings(changed: usize) -> String {
        let rows: Vec<String> = (0..60)
            .map(|row| match row == changed % 60 {
                true => format!("\"sensor {row}\":{}", changed * 7919 % 1000),
                false => format!("\"sensor {row}\":{row}"),
            })
            .collect();
        format!("{{{}}}", rows.join(","))
    }

    /// What is saved one by one, and then in a batch, by path; how many documents were compressed with the lock held.
    fn late(before: &[(&str, String)], batch: &[(&str, String)]) -> u64 {
        let archive = Archive::in_memory().unwrap();
        for (path, text) in before {
            let mut save = archive.save();
            save.add(path, Document::value(text.as_str())).unwrap();
            save.commit().unwrap();
        }
        let counter = &archive.engine.compressed_late;
        counter.store(0, Relaxed);
        let mut commits = archive.batch();
        for (path, text) in batch {
            let mut save = archive.save();
            save.add(path, Document::value(text.as_str())).unwrap();
            commits.push(save);
        }
        commits.commit().unwrap();
        counter.load(Relaxed)
    }

    #[test]
    fn nothing_of_a_batch_is_compressed_with_the_lock_held() {
        let one = |numbers: &[usize]| -> Vec<(&str, String)> {
            numbers.iter().map(|n| ("a", readings(*n))).collect()
        };
        let many: Vec<usize> = (0..200).collect();
        assert_eq!(late(&[], &one(&many)), 0);
        // Behind what the log has, over its anchors.
        assert_eq!(late(&one(&many[..37]), &one(&many[37..])), 0);
        // Documents that the log has already, that the batch has brought, and that are the same again.
        let again = [
            5, 5, 41, 42, 5, 43, 41, 41, 44, 45, 6, 46, 42, 47, 48, 49, 50, 51,
        ];
        assert_eq!(late(&one(&many[..37]), &one(&again)), 0);
        // Less than threads are begun for.
        assert_eq!(late(&one(&[1, 2]), &one(&[3, 4, 3, 1, 5])), 0);
        // First versions that rest on those of other paths.
        let paths: Vec<String> = (0..60).map(|n| format!("runs/{n}")).collect();
        let firsts = |numbers: std::ops::Range<usize>| -> Vec<(&str, String)> {
            numbers.map(|n| (&*paths[n], readings(n))).collect()
        };
        assert_eq!(late(&[], &firsts(0..60)), 0);
        assert_eq!(late(&firsts(0..3), &firsts(3..60)), 0);
        // Long ones rest on each other in a row.
        let long = |numbers: std::ops::Range<usize>| -> Vec<(&str, String)> {
            let text = |n| format!("[{},\"{}\"]", readings(n), "long ".repeat(4000));
            numbers.map(|n| (&*paths[n], text(n))).collect()
        };
        assert_eq!(late(&[], &long(0..60)), 0);
        assert_eq!(late(&long(0..3), &long(3..60)), 0);
        // What stands alone breaks no chain.
        let mut apart = one(&many[..40]);
        for number in [3, 4, 20] {
            apart[number].1 = "[]".to_owned();
        }
        assert_eq!(late(&[], &apart), 0);
        assert_eq!(late(&apart[..7], &apart[7..]), 0);
    }

    #[test]
    fn a_guess_on_another_place_of_a_chain_does_not_count() {
        let longer = readings(1).replace('{', "{\"site\":\"a longer one\",");
        // Both have the same document as the first behind a keyframe; a load of one decodes more bytes.
        let mut batch = vec![("a/1", longer), ("a/1", readings(2))];
        for number in [3, 2, 4] {
            batch.push(("b/2", readings(number)));
        }
        assert_eq!(late(&[], &batch), 1);
        batch[0].1 = readings(1);
        assert_eq!(late(&[], &batch), 0);
    }
}
