//! Crashes of a copy while it is pushed to: a shorter history of the source's, whole, that takes the next commit.

use std::sync::Arc;

use backstory::remote::{TransferOptions, create_copy_on, transfer};
use backstory::storage::MemoryStorage;
use backstory::{Archive, CompactOptions, Document};

use super::disk::{Disk, Fault, Image, Op};
use super::explore::{Counts, Effort};
use super::history::Commit;
use super::workload::{Run, document, explore};

/// A source in memory, and a copy of it on a disk that is crashed.
struct Push {
    source: Archive,
    waiting: Vec<Commit>,
    run: Run,
}

impl Push {
    fn begin(segment_bytes: u64) -> Push {
        let settings = |storage: &dyn backstory::storage::Storage| {
            let text = format!("{{\"segment_bytes\": {segment_bytes}}}");
            let file = storage.create("settings.json").unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
        };
        let storage = Arc::new(MemoryStorage::new());
        Archive::create_on(storage.clone()).unwrap();
        settings(&*storage);
        let source = Archive::open_on(storage).unwrap();
        let disk = Disk::with(Image::default());
        create_copy_on(&source, disk.share()).unwrap();
        settings(&disk);
        let disk = Disk::with(disk.0.image());
        disk.0.mark(Op::Made);
        let archive = Archive::open_on(disk.share()).unwrap();
        Push {
            source,
            waiting: Vec::new(),
            run: Run {
                disk,
                archive,
                commits: Vec::new(),
            },
        }
    }

    fn save(&mut self, n: u64) {
        let (a, b) = (document(1, n, 150), document(n, n, 60));
        let other = format!("b/{}", n % 3);
        let documents = [("a", a.as_str()), (other.as_str(), b.as_str())];
        let mut save = self.source.save();
        for (path, text) in documents {
            save.add(path, Document::source(text)).unwrap();
        }
        save.commit().unwrap();
        let changes: Vec<_> = documents
            .iter()
            .map(|(path, text)| (*path, Some(*text)))
            .collect();
        self.waiting.push(Commit::of(&changes));
    }

    fn compact(&self) {
        self.source.compact(&CompactOptions::default()).unwrap();
    }

    fn push(&mut self) -> bool {
        let source = self.source.clone();
        let commits = std::mem::take(&mut self.waiting);
        self.run.commit(commits, |copy| {
            transfer(&source, copy, &TransferOptions::default())
        })
    }
}

#[test]
fn push_batches_and_segments() {
    let mut push = Push::begin(1024);
    for n in 0..3 {
        push.save(n);
    }
    assert!(push.push());
    for n in 3..8 {
        push.save(n);
    }
    assert!(push.push());
    push.run.reopen();
    push.save(8);
    assert!(push.push());
    push.run.explore("push").at_least(40, 60, 20, 40);
}

#[test]
fn push_packed_segments() {
    let mut push = Push::begin(1024);
    for n in 0..6 {
        push.save(n);
    }
    push.compact();
    // A packed segment to a copy without commits.
    assert!(push.push());
    push.save(6);
    assert!(push.push());
    push.save(7);
    push.save(8);
    push.compact();
    // The rest of one that was packed meanwhile.
    assert!(push.push());
    push.run.reopen();
    for n in 9..11 {
        push.save(n);
    }
    push.compact();
    // And one behind commits.
    assert!(push.push());
    push.save(11);
    assert!(push.push());
    push.run.explore("push, packed").at_least(60, 80, 40, 60);
}

/// A sync fails while a packed segment is taken over; then it is pushed again.
#[test]
fn push_after_a_failed_sync() {
    let mut total = Counts::default();
    for fault in [Fault::Sync, Fault::SyncDir] {
        for after in 0.. {
            let mut push = Push::begin(1024);
            for n in 0..2 {
                push.save(n);
            }
            push.compact();
            push.save(2);
            push.run.disk.0.fail(fault(after));
            let waiting = push.waiting.len();
            let pushed = push.push();
            let Some(from) = push.run.disk.0.failed() else {
                break;
            };
            assert!(!pushed);
            push.run.reopen();
            let numbers = 0..waiting;
            let options = TransferOptions::default();
            transfer(&push.source, &push.run.archive, &options).unwrap();
            numbers.for_each(|n| push.run.disk.0.mark(Op::Acknowledge(n)));
            let (mut recording, commits) = push.run.end();
            recording.ops.truncate(from + 24);
            let name = format!("push, {:?}", fault(after));
            total.add(&explore(&name, &recording, from, &commits, Effort::brief()));
        }
    }
    total.at_least(30, 50, 20, 30);
}
