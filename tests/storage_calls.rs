//! What the engine asks of its storage: few calls where all is well, and no broken promise where one fails.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use backstory::storage::{MemoryStorage, Storage};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, ErrorKind, Status};
use support::{Call, Tapped, put_file, save, source, try_save};

fn changing(calls: &[(Call, String)]) -> Vec<(Call, &str)> {
    let reading = [
        Call::Read,
        Call::Open,
        Call::List,
        Call::Identity,
        Call::Lock,
        Call::ReadAt,
        Call::Len,
    ];
    let changing = calls.iter().filter(|(call, _)| !reading.contains(call));
    changing.map(|(call, name)| (*call, &**name)).collect()
}

#[test]
fn a_save_is_one_write_and_one_sync() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    save(&archive, "p", "0");
    storage.taps.take();
    for n in 1..=50 {
        save(&archive, "p", &n.to_string());
        let calls = storage.taps.take();
        let segment = "log/00000001.seg";
        assert_eq!(
            changing(&calls),
            [(Call::Write, segment), (Call::Sync, segment)],
            "save {n}"
        );
        assert!(calls.len() < 25, "{calls:?}");
    }
    // A path of its own costs no more.
    save(&archive, "q", "0");
    assert_eq!(changing(&storage.taps.take()).len(), 2);
    // What is unchanged is on disk already.
    for _ in 0..3 {
        assert_eq!(save(&archive, "q", "0").status, Status::Unchanged);
        assert!(changing(&storage.taps.take()).is_empty());
    }
    // Several commits of a batch have one of each too.
    let mut batch = archive.batch();
    for n in 0..20 {
        let mut one = archive.save();
        one.add("r", backstory::Document::source(format!("[{n}]")))
            .unwrap();
        batch.push(one);
    }
    batch.commit().unwrap();
    assert_eq!(changing(&storage.taps.take()).len(), 2);
}

#[test]
fn a_new_handle_covers_what_the_last_one_may_have_left_and_no_more() {
    let storage = Tapped::new();
    let first = Archive::create_on(storage.clone()).unwrap();
    for n in 0..20 {
        save(&first, "p", &n.to_string());
    }
    storage.taps.take();
    let second = Archive::open_on(storage.clone()).unwrap();
    assert_eq!(save(&second, "p", "19").status, Status::Unchanged);
    let calls = storage.taps.take();
    assert!(changing(&calls).len() <= 2, "{calls:?}");
    assert_eq!(save(&second, "p", "19").status, Status::Unchanged);
    assert!(changing(&storage.taps.take()).is_empty());
    let third = Archive::open_on(storage.clone()).unwrap();
    storage.taps.take();
    save(&third, "p", "20");
    let calls = storage.taps.take();
    let writes = calls
        .iter()
        .filter(|(call, _)| *call == Call::Write)
        .count();
    let syncs = calls.iter().filter(|(call, _)| *call == Call::Sync).count();
    assert!(writes <= 2 && syncs == 1, "{calls:?}");
}

#[test]
fn what_a_killed_writer_left_is_written_again_before_an_answer_rests_on_it() {
    for document in ["\"left\"", "\"new\""] {
        let inner = Arc::new(MemoryStorage::new());
        save(&Archive::create_on(inner.clone()).unwrap(), "p", "0");
        let before = inner.read("log/00000001.seg").unwrap().len() as u64;
        let storage = Tapped::around(inner.clone());
        let killed = Archive::open_on(storage.clone()).unwrap();
        storage.taps.fail_after_write();
        assert!(try_save(&killed, "p", "\"left\"").is_err());
        storage.taps.heal();
        let left = inner.read("log/00000001.seg").unwrap();
        let next = Archive::open_on(storage.clone()).unwrap();
        storage.taps.take();
        storage.taps.take_written();
        let saved = save(&next, "p", document);
        let new = if document == "\"left\"" {
            Status::Unchanged
        } else {
            Status::Saved
        };
        assert_eq!(saved.status, new);
        let (start, bytes) = storage.taps.take_written().remove(0);
        assert!(start <= before, "{start} {before}");
        let start = start as usize;
        assert_eq!(bytes[..left.len() - start], left[start..]);
        assert_eq!(storage.taps.count(Call::Sync), 1);
        let last = storage.taps.take().pop().map(|(call, _)| call);
        assert_ne!(last, Some(Call::Write));
    }
}

#[test]
fn reading_changes_nothing() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    for n in 0..10 {
        save(&archive, "p", &n.to_string());
    }
    storage.taps.take();
    let reader = Archive::open_on(storage.clone()).unwrap();
    support::answers(&reader);
    assert!(verify(&reader, &VerifyOptions::default()).unwrap().ok);
    let calls = storage.taps.take();
    assert!(changing(&calls).is_empty());
    assert!(calls.iter().all(|(call, _)| *call != Call::Lock));
}

/// Saves until something fails; what was acknowledged must be there after opening again, and saving must work.
fn fails_once(call: Call, after: usize, segment_bytes: &str) -> bool {
    let inner = Arc::new(MemoryStorage::new());
    Archive::create_on(inner.clone()).unwrap();
    put_file(&*inner, "settings.json", segment_bytes.as_bytes());
    let storage = Tapped::around(inner.clone());
    let archive = Archive::open_on(storage.clone()).unwrap();
    let what = format!("{call:?} after {after} more");
    let document = |n: u64| {
        format!(
            "{{\"n\":{n},\"text\":\"{}\"}}",
            "words that fill a segment ".repeat(5)
        )
    };
    let mut acknowledged = BTreeMap::new();
    let mut tried = 0;
    let mut failed = 0;
    save(&archive, "p", &document(0));
    acknowledged.insert(1, document(0));
    storage.taps.fail(call, after);
    for n in 1..=10 {
        tried += 1;
        match try_save(&archive, "p", &document(n)) {
            Ok(saved) => {
                acknowledged.insert(saved.version, document(n));
            }
            Err(error) => {
                failed += 1;
                let kinds = [ErrorKind::Io, ErrorKind::OutcomeUnknown];
                assert!(kinds.contains(&error.kind()), "{what}: {error}");
                if error.kind() == ErrorKind::OutcomeUnknown {
                    // From now on this handle only reads.
                    storage.taps.heal();
                    for _ in 0..2 {
                        let again = try_save(&archive, "p", "1").unwrap_err();
                        assert_eq!(again.kind(), ErrorKind::OutcomeUnknown, "{what}");
                        assert!(
                            again.to_string().contains("open it again"),
                            "{what}: {again}"
                        );
                    }
                    let deleted = archive.delete(&["p"]).commit().unwrap_err();
                    assert_eq!(deleted.kind(), ErrorKind::OutcomeUnknown);
                    break;
                }
            }
        }
    }
    let met = !storage.taps.heal();
    assert!(failed <= 1, "{what}: {failed} of {tried} failed");
    for handle in [&archive, &Archive::open_on(storage.clone()).unwrap()] {
        for (version, document) in &acknowledged {
            assert_eq!(
                source(handle, "p", *version).unwrap(),
                document.as_bytes(),
                "{what}"
            );
        }
        let newest = handle.newest("p").unwrap().unwrap().version;
        assert!(newest <= acknowledged.len() as u64 + 1, "{what}");
        assert!(
            verify(handle, &VerifyOptions::default()).unwrap().ok,
            "{what}"
        );
    }
    let again = Archive::open_on(inner.clone()).unwrap();
    for n in 100..110 {
        save(&again, "p", &document(n));
    }
    let last = Archive::open_on(inner).unwrap();
    assert!(
        verify(&last, &VerifyOptions::default()).unwrap().ok,
        "{what}"
    );
    for (version, document) in &acknowledged {
        assert_eq!(
            source(&last, "p", *version).unwrap(),
            document.as_bytes(),
            "{what}"
        );
    }
    met
}

const ALL: [Call; 14] = [
    Call::Read,
    Call::Open,
    Call::Create,
    Call::Rename,
    Call::Remove,
    Call::List,
    Call::SyncDir,
    Call::Identity,
    Call::Lock,
    Call::ReadAt,
    Call::Write,
    Call::SetLen,
    Call::Sync,
    Call::Len,
];

#[test]
fn each_call_fails_in_turn() {
    let mut met = Vec::new();
    for call in ALL {
        for settings in ["{}", "{\"segment_bytes\": 1024}"] {
            let mut after = 0;
            while after < 60 && fails_once(call, after, settings) {
                met.push(call);
                after += 1;
            }
        }
    }
    // In the course of these saves and rollovers each of these was made.
    for call in [
        Call::Create,
        Call::Rename,
        Call::SyncDir,
        Call::Write,
        Call::Sync,
        Call::Lock,
        Call::List,
    ] {
        assert!(met.contains(&call), "{call:?} was never called");
    }
}

#[test]
fn a_process_killed_at_each_call_leaves_a_whole_archive() {
    for calls in 0.. {
        let inner = Arc::new(MemoryStorage::new());
        Archive::create_on(inner.clone()).unwrap();
        put_file(&*inner, "settings.json", b"{\"segment_bytes\": 1024}");
        let storage = Tapped::around(inner.clone());
        let archive = Archive::open_on(storage.clone()).unwrap();
        storage.taps.die_after(calls);
        let document = |n: usize| format!("{{\"n\":{n},\"text\":\"{}\"}}", "words ".repeat(40));
        let mut acknowledged = 0;
        for n in 1..=14 {
            match try_save(&archive, "p", &document(n)) {
                Ok(_) if acknowledged + 1 == n => acknowledged = n,
                _ => break,
            }
        }
        let alive = storage.taps.heal();
        let next = Archive::open_on(inner.clone()).unwrap();
        let newest = next.newest("p").unwrap().map_or(0, |v| v.version as usize);
        assert!(
            (acknowledged..=acknowledged + 1).contains(&newest),
            "killed after {calls}"
        );
        for n in 1..=newest {
            assert_eq!(
                source(&next, "p", n as u64).unwrap(),
                document(n).as_bytes()
            );
        }
        save(&next, "p", "\"next\"");
        assert!(
            verify(&next, &VerifyOptions::default()).unwrap().ok,
            "killed after {calls}"
        );
        if alive {
            assert!(calls > 100);
            break;
        }
    }
}

#[test]
fn a_rollover_whose_names_may_not_be_on_disk_is_finished_before_anything_is_acknowledged() {
    let inner = Arc::new(MemoryStorage::new());
    Archive::create_on(inner.clone()).unwrap();
    put_file(&*inner, "settings.json", b"{\"segment_bytes\": 1024}");
    let storage = Tapped::around(inner.clone());
    let archive = Archive::open_on(storage.clone()).unwrap();
    let mut n = 0;
    while inner.read("log/00000001.seg").unwrap().len() < 1024 {
        n += 1;
        save(
            &archive,
            "p",
            &format!("[\"{n} {}\"]", "words ".repeat(20 + n)),
        );
    }
    // The first sync of the folder is the new segment's, the second that of MANIFEST.
    storage.taps.fail(Call::SyncDir, 1);
    assert!(try_save(&archive, "p", "1").is_err());
    assert!(!storage.taps.heal());
    assert!(
        inner
            .list("log")
            .unwrap()
            .iter()
            .any(|name| name == "00000002.seg")
    );
    for handle in [&archive, &Archive::open_on(storage.clone()).unwrap()] {
        storage.taps.take();
        if try_save(handle, "p", "2").is_ok() {
            let calls = storage.taps.take();
            let named = calls
                .iter()
                .position(|(call, name)| *call == Call::SyncDir && name == "log");
            let synced = calls.iter().position(|(call, _)| *call == Call::Sync);
            assert!(named.is_some() && named < synced, "{calls:?}");
            return;
        }
    }
    panic!("nobody could save");
}
