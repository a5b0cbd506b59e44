//! What a killed writer leaves at the end of the log: readers take it for the end of history and change nothing, the
//! next writer moves it out of the way.

mod support;

use std::sync::Arc;

use backstory::storage::{MemoryStorage, Storage};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document};
use support::{Call, Tapped, files_of, save, source, storage_of, try_save};

const SEGMENT: &str = "log/00000001.seg";

fn whole(archive: &Archive) {
    let report = verify(archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

/// An archive of three commits, the newest two with several objects, and where each ends.
fn sample() -> (Arc<MemoryStorage>, Vec<usize>) {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let mut ends = vec![storage.read(SEGMENT).unwrap().len()];
    for n in 1..=3 {
        let mut one = archive.save();
        one.add("p", Document::source(format!("{{\"n\": {n}}}")))
            .unwrap();
        one.add("q", Document::source(format!("[{n},\n{n}]")))
            .unwrap();
        one.commit().unwrap();
        ends.push(storage.read(SEGMENT).unwrap().len());
    }
    (storage, ends)
}

#[test]
fn a_log_cut_anywhere_in_its_last_batches() {
    let (storage, ends) = sample();
    let files = files_of(&storage);
    let log = &files[SEGMENT];
    for len in ends[1]..=log.len() {
        let mut cut = files.clone();
        cut.insert(SEGMENT.to_owned(), log[..len].to_vec());
        let storage = storage_of(&cut);
        let commits = ends.iter().filter(|end| **end <= len).count() as u64 - 1;

        let reader = Archive::open_on(storage.clone()).unwrap();
        assert_eq!(reader.head().unwrap().seq, commits, "cut to {len}");
        for n in 1..=commits {
            assert_eq!(
                source(&reader, "p", n).unwrap(),
                format!("{{\"n\": {n}}}").as_bytes()
            );
            assert_eq!(
                source(&reader, "q", n).unwrap(),
                format!("[{n},\n{n}]").as_bytes()
            );
        }
        assert!(
            source(&reader, "p", commits + 1)
                .unwrap_err()
                .is_not_found()
        );
        whole(&reader);
        assert_eq!(files_of(&storage), cut, "a reader wrote, cut to {len}");

        let writer = Archive::open_on(storage.clone()).unwrap();
        let saved = save(&writer, "p", "\"next\"");
        assert_eq!((saved.version, saved.seq), (commits + 1, commits + 1));
        let torn = len - ends[commits as usize];
        let after = files_of(&storage);
        let kept: Vec<_> = after
            .iter()
            .filter(|(name, _)| name.starts_with("log/torn/"))
            .collect();
        if torn == 0 {
            assert!(kept.is_empty());
        } else {
            assert_eq!(kept.len(), 1, "cut to {len}");
            assert_eq!(*kept[0].1, log[len - torn..len], "cut to {len}");
            assert_eq!(writer.take_notices().len(), 1);
        }
        assert_eq!(
            after[SEGMENT][..ends[commits as usize]],
            log[..ends[commits as usize]]
        );
        // The reader from before sees the new commit, and so does one that opens now.
        for archive in [&reader, &Archive::open_on(storage.clone()).unwrap()] {
            assert_eq!(source(archive, "p", saved.version).unwrap(), b"\"next\"");
            whole(archive);
        }
    }
}

#[test]
fn any_changed_byte_of_the_last_batch_is_a_tail_and_of_those_in_front_is_damage() {
    let (storage, ends) = sample();
    let files = files_of(&storage);
    let log = &files[SEGMENT];
    for at in ends[1]..log.len() {
        let mut changed = files.clone();
        changed.get_mut(SEGMENT).unwrap()[at] ^= 0x10;
        let archive = Archive::open_on(storage_of(&changed)).unwrap();
        let tail = at >= ends[2];
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert_eq!(report.ok, tail, "byte {at}");
        assert_eq!(
            archive.head().unwrap().seq,
            if tail { 2 } else { 3 },
            "byte {at}"
        );
        save(&archive, "p", "\"next\"");
        assert_eq!(
            verify(&archive, &VerifyOptions::default()).unwrap().ok,
            tail,
            "byte {at}"
        );
    }
}

#[test]
fn zeros_behind_the_last_record_are_a_legal_tail() {
    for zeros in [1, 7, 4096] {
        let (storage, _) = sample();
        let file = storage.open(SEGMENT, true).unwrap();
        let len = file.len().unwrap();
        file.set_len(len + zeros).unwrap();
        let reader = Archive::open_on(storage.clone()).unwrap();
        assert_eq!(reader.head().unwrap().seq, 3);
        whole(&reader);
        let saved = save(&reader, "p", "\"next\"");
        assert_eq!(saved.seq, 4);
        whole(&Archive::open_on(storage.clone()).unwrap());
        assert!(storage.list("log/torn").unwrap().is_empty());
        // Sealed with the zeros behind it, a segment ends where its last record does.
        support::put_file(&*storage, "settings.json", b"{\"segment_bytes\": 1024}");
        let archive = Archive::open_on(storage.clone()).unwrap();
        for n in 0..10 {
            save(&archive, "r", &format!("\"{n} {}\"", "long ".repeat(40)));
        }
        assert!(storage.list("log").unwrap().len() > 2);
        whole(&Archive::open_on(storage).unwrap());
    }
}

#[test]
fn a_whole_batch_behind_a_torn_one_that_nobody_saw_synced_is_tail_too() {
    let (inner, ends) = sample();
    // A writer dies after its write and before its sync; it cannot cut the file either.
    let storage = Tapped::around(inner.clone());
    let killed = Archive::open_on(storage.clone()).unwrap();
    storage.taps.fail_on(Call::Sync, 0);
    let len = inner.read(SEGMENT).unwrap().len();
    assert!(try_save(&killed, "p", "\"killed\"").is_err());
    storage.taps.heal();
    let cut = inner.read(SEGMENT).unwrap().len();
    assert_eq!(cut, len, "a writer that lives takes its bytes back");

    let dead = Tapped::around(inner.clone());
    let killed = Archive::open_on(dead.clone()).unwrap();
    save(&killed, "q", "\"acknowledged\"");
    let acknowledged = inner.read(SEGMENT).unwrap().len();
    dead.taps.fail_after_write();
    assert!(try_save(&killed, "p", "\"killed between write and sync\"").is_err());
    let first = inner.read(SEGMENT).unwrap().len();
    // The next writer finds a whole batch of which it cannot know that it is on disk.
    let next = Archive::open_on(inner.clone()).unwrap();
    assert_eq!(next.head().unwrap().seq, 5);
    save(&next, "p", "\"on top\"");
    whole(&next);
    // Power was cut inside that sync: the second batch reached the disk, of the first not every byte did.
    for at in acknowledged..first {
        let mut files = files_of(&inner);
        files.get_mut(SEGMENT).unwrap()[at] ^= 1;
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        assert_eq!(archive.head().unwrap().seq, 4, "byte {at}");
        whole(&archive);
        save(&archive, "p", "\"after\"");
        whole(&archive);
        assert!(source(&archive, "q", 4).is_ok());
    }
    // What had been on disk before is damage all the same.
    for at in ends[2]..acknowledged {
        let mut files = files_of(&inner);
        files.get_mut(SEGMENT).unwrap()[at] ^= 1;
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        assert!(
            !verify(&archive, &VerifyOptions::default()).unwrap().ok,
            "byte {at}"
        );
        assert_eq!(archive.head().unwrap().seq, 6, "byte {at}");
    }
}

#[test]
fn a_commit_that_was_seen_and_then_taken_back_is_replaced_in_every_handle() {
    let (inner, _) = sample();
    let before = inner.read(SEGMENT).unwrap().len();
    let reader = Archive::open_on(inner.clone()).unwrap();
    let late = Archive::open_on(inner.clone()).unwrap();
    // A writer dies between its write and its sync; the reader looks.
    let storage = Tapped::around(inner.clone());
    let killed = Archive::open_on(storage.clone()).unwrap();
    storage.taps.fail_after_write();
    assert!(try_save(&killed, "p", "\"aaaa\"").is_err());
    for handle in [&reader, &late] {
        assert_eq!(source(handle, "p", 4).unwrap(), b"\"aaaa\"");
    }
    // The power goes, and of what was never synced nothing is left. Another commit of the same length takes its place.
    let len = inner.read(SEGMENT).unwrap().len();
    inner
        .open(SEGMENT, true)
        .unwrap()
        .set_len(before as u64)
        .unwrap();
    let writer = Archive::open_on(inner.clone()).unwrap();
    save(&writer, "p", "\"bbbb\"");
    assert_eq!(inner.read(SEGMENT).unwrap().len(), len);
    // Nothing of what this handle asks before it writes lies in that commit.
    assert_eq!(save(&late, "another", "1").seq, 5);
    assert_eq!(source(&reader, "p", 4).unwrap(), b"\"bbbb\"");
    let saved = save(&reader, "p", "\"cccc\"");
    assert_eq!(saved.version, 5);
    assert_eq!(reader.head().unwrap(), writer.head().unwrap());
    for archive in [&reader, &late, &writer, &Archive::open_on(inner).unwrap()] {
        assert_eq!(source(archive, "p", 4).unwrap(), b"\"bbbb\"");
        assert_eq!(source(archive, "p", 5).unwrap(), b"\"cccc\"");
        whole(archive);
    }
}
