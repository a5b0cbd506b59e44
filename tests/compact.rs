//! Compact: the log gets smaller and says the same, whatever happens on the way.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use backstory::canon::NanMode;
use backstory::storage::{MemoryStorage, Storage};
use backstory::verify::{VerifyOptions, verify};
use backstory::{
    Archive, CompactOptions, Compacted, Document, ErrorKind, HistoryQuery, Note, Spec,
};
use support::{
    Call, Files, Tapped, files_of, put_file, python_agrees, save, source, storage_of, try_save,
};

fn compact(archive: &Archive) -> Compacted {
    archive.compact(&CompactOptions::default()).unwrap()
}

fn whole(archive: &Archive) {
    let report = verify(archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert!(archive.take_notices().is_empty());
}

/// All that an archive answers but for how many bytes it takes.
fn answers(archive: &Archive) -> Vec<String> {
    let mut lines = support::answers(archive);
    lines.retain(|line| !line.starts_with("Stats"));
    lines
}

fn number(n: u64) -> String {
    format!(
        "{{\"a\": \"a text that stays as it is\", \"n\": {n}, \"z\": [{}, {}]}}",
        n / 3,
        n % 7
    )
}

fn long(n: usize) -> String {
    let rows: Vec<String> = (0..400)
        .map(|row| {
            format!(
                "{{\"row\": {row}, \"value\": {}}}",
                row * 7919 % 1000 + if row % 50 == n % 50 { n } else { 0 }
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

/// Something of everything.
fn fill(archive: &Archive) {
    for n in 0..70 {
        save(archive, "configuration/production.json", &number(n));
        save(
            archive,
            &format!("run/{}", n % 5),
            &format!("{{\"n\":{n}}}"),
        );
        if n % 3 == 0 {
            save(archive, "long.json", &long(n as usize));
        }
    }
    let mut many = archive.save();
    for n in 0..90 {
        let text = format!("{{\"many\": [{n}, {}]}}", n * n);
        many.add(&format!("many/{n:02}.json"), Document::source(text))
            .unwrap();
    }
    let mut note = Note {
        message: Some("many at once".to_owned()),
        author: Some("ada".to_owned()),
        time: Some(1_000_000),
        ..Note::default()
    };
    note.meta
        .insert("host".to_owned(), serde_json::json!("node-7"));
    many.note(note);
    many.commit().unwrap();
    // A source that no layout gives back, numbers that JSON lacks, and values without a source.
    save(
        archive,
        "odd",
        "{\"a\":1.50e0,\"b\":\t[1 ,2.0,\n3e1],   \"c\":\"\\u0041\"}",
    );
    let mut nan = archive.save();
    nan.add("nan", Document::source("[NaN, 1]").nan(NanMode::Tag))
        .unwrap();
    nan.add("value", Document::value("{\"v\":1}")).unwrap();
    nan.commit().unwrap();
    archive.delete(&["run/1"]).commit().unwrap();
    archive.undelete(&["run/1"]).commit().unwrap();
    archive.delete(&["run/2"]).commit().unwrap();
    archive.rename("run/3", "renamed").commit().unwrap();
    let version = archive.resolve("long.json", &Spec::Number(5)).unwrap();
    archive.tag_version("good", &version).commit().unwrap();
    archive.tag_archive("release", 20).commit().unwrap();
    archive.delete_tag("good").commit().unwrap();
    let target = archive.undo_target().unwrap();
    archive.undo(target).commit().unwrap();
    archive.redo().unwrap().commit().unwrap();
}

#[test]
fn everything_is_as_it_was_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    fill(&archive);
    for round in 0..3 {
        let other = Archive::open(dir.path()).unwrap();
        let before = answers(&archive);
        let head = archive.head().unwrap();
        let done = compact(&archive);
        assert!(
            done.commits > 0 && (round > 0 || done.after < done.before),
            "{done:?}"
        );
        assert_eq!(archive.head().unwrap(), head);
        for handle in [&archive, &other, &Archive::open(dir.path()).unwrap()] {
            assert_eq!(answers(handle), before);
            whole(handle);
        }
        python_agrees(dir.path());
        assert_eq!(compact(&other).commits, 0);
        // What comes behind may rest on what was packed.
        let n = 100 + round;
        for handle in [&other, &archive] {
            for more in 0..3 {
                save(
                    handle,
                    "configuration/production.json",
                    &number(n * 10 + more),
                );
                save(handle, "long.json", &long((n + more) as usize));
                save(handle, "run/4", &format!("{{\"n\":{n},\"more\":{more}}}"));
            }
            let mut back = handle.rollback();
            back.path("configuration/production.json", Some(Spec::Number(3)))
                .unwrap();
            back.commit().unwrap();
            let target = handle.undo_target().unwrap();
            handle.undo(target).commit().unwrap();
            handle
                .tag_archive(&format!("round-{round}"), 9 + round)
                .commit()
                .unwrap();
        }
        archive.delete(&["many/07.json"]).commit().unwrap();
        archive.undelete(&["many/07.json"]).commit().unwrap();
        whole(&other);
        python_agrees(dir.path());
    }
}

#[test]
fn an_empty_archive_has_nothing_to_pack() {
    let archive = Archive::in_memory().unwrap();
    assert_eq!(compact(&archive).commits, 0);
    save(&archive, "p", "1");
    assert_eq!(compact(&archive).commits, 1);
    assert_eq!(compact(&archive).commits, 0);
    whole(&archive);
}

#[test]
fn many_alike_take_far_fewer_bytes() {
    let archive = Archive::in_memory().unwrap();
    for round in 0..60u64 {
        let mut batch = archive.batch();
        for path in 0..20u64 {
            let mut one = archive.save();
            let values: Vec<String> = (0..20)
                .map(|k| {
                    format!(
                        "\"metric-{k}\": {}",
                        (path * 31 + k * 17 + round * (k % 3)) % 101
                    )
                })
                .collect();
            let text = format!("{{\n  {}\n}}\n", values.join(",\n  "));
            one.add(&format!("experiment/number-{path}"), Document::source(text))
                .unwrap();
            batch.push(one);
        }
        batch.commit().unwrap();
    }
    let done = compact(&archive);
    assert_eq!(done.commits, 1200);
    assert!(done.after < done.before / 2, "{done:?}");
    assert!(done.after < 1200 * 110, "{done:?}");
    whole(&archive);
}

/// An archive of a few short segments, and what it answers.
fn sample() -> (Files, Vec<String>) {
    let storage = Arc::new(MemoryStorage::new());
    let archive = support::short_segments(&storage);
    for n in 0..12 {
        save(&archive, "p", &number(n));
        save(&archive, "q", &format!("[{n}]"));
    }
    let mut many = archive.save();
    for n in 0..40 {
        many.add(&format!("m/{n}"), Document::source(format!("[[{n}]]")))
            .unwrap();
    }
    many.commit().unwrap();
    (files_of(&storage), answers(&archive))
}

fn segments(storage: &MemoryStorage) -> usize {
    let names = storage.list("log").unwrap();
    names.iter().filter(|name| name.ends_with(".seg")).count()
}

#[test]
fn a_process_killed_at_each_call_leaves_the_old_or_the_new() {
    let (files, before) = sample();
    let mut step = 1;
    let mut calls = 0;
    loop {
        let inner = storage_of(&files);
        let storage = Tapped::around(inner.clone());
        let archive = Archive::open_on(storage.clone()).unwrap();
        storage.taps.die_after(calls);
        let done = archive.compact(&CompactOptions::default());
        let alive = storage.taps.heal();
        assert!(done.is_ok() || !alive);
        let next = Archive::open_on(inner.clone()).unwrap();
        assert_eq!(answers(&next), before, "killed after {calls}");
        whole(&next);
        save(&next, "p", "\"next\"");
        let last = compact(&next);
        assert!(last.commits > 0);
        // Nothing that a MANIFEST does not name is left: the packed ones and the active one.
        assert!(
            segments(&inner) <= 3,
            "killed after {calls}: {}",
            segments(&inner)
        );
        assert_eq!(source(&next, "p", 13).unwrap(), b"\"next\"");
        whole(&next);
        if alive {
            break;
        }
        calls += step;
        if calls > 400 {
            step = 3;
        }
    }
    assert!(calls > 100, "{calls}");
}

#[test]
fn a_call_that_fails_changes_nothing() {
    let (files, before) = sample();
    for call in [
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
    ] {
        for after in 0.. {
            let inner = storage_of(&files);
            let storage = Tapped::around(inner.clone());
            let archive = Archive::open_on(storage.clone()).unwrap();
            storage.taps.fail(call, after);
            let done = archive.compact(&CompactOptions::default());
            // Of the calls that are many the first ones, and of the names that files have all.
            if storage.taps.heal() || (after >= 12 && call != Call::Identity) {
                break;
            }
            if let Err(error) = &done {
                // Nobody else is at work: what fails is not taken for another's compact.
                let kinds = [ErrorKind::Io, ErrorKind::OutcomeUnknown];
                assert!(kinds.contains(&error.kind()), "{call:?} {after}: {error}");
            }
            assert_eq!(answers(&archive), before, "{call:?} {after}");
            let next = Archive::open_on(inner).unwrap();
            assert_eq!(answers(&next), before, "{call:?} {after}");
            save(&next, "p", "\"next\"");
            assert!(compact(&next).commits > 0);
            whole(&next);
            assert_eq!(
                source(&archive, "p", 13).unwrap(),
                b"\"next\"",
                "{call:?} {after}"
            );
        }
    }
}

#[test]
fn others_read_and_save_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    let settings = dir.path().join(".backstory/settings.json");
    std::fs::write(settings, "{\"segment_bytes\": 4096}").unwrap();
    for n in 0..50 {
        save(&archive, "a", &number(n));
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2u64)
            .map(|writer| {
                let dir = dir.path();
                scope.spawn(move || {
                    let archive = Archive::open(dir).unwrap();
                    for n in 0..60 {
                        save(&archive, &format!("own/{writer}"), &number(n));
                        save(&archive, "b", &number(writer * 1000 + n));
                    }
                    assert!(archive.take_notices().is_empty());
                })
            })
            .collect();
        for reader in 0..2 {
            let (dir, done) = (dir.path(), &done);
            scope.spawn(move || {
                let mut archive = Archive::open(dir).unwrap();
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    if reader == 1 {
                        archive = Archive::open(dir).unwrap();
                    }
                    for n in 0..50 {
                        assert_eq!(source(&archive, "a", n + 1).unwrap(), number(n).as_bytes());
                    }
                    let seen = archive.history(HistoryQuery::default()).unwrap().count();
                    assert!(seen >= last);
                    last = seen;
                    assert_eq!(archive.take_notices(), Vec::<String>::new());
                }
            });
        }
        let compactor = {
            let (dir, done) = (dir.path(), &done);
            scope.spawn(move || {
                let archive = Archive::open(dir).unwrap();
                let mut packed = 0;
                while !done.load(Ordering::SeqCst) {
                    packed += compact(&archive).commits;
                    whole(&archive);
                }
                packed
            })
        };
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        assert!(compactor.join().unwrap() > 0);
    });
    for handle in [&archive, &Archive::open(dir.path()).unwrap()] {
        assert_eq!(handle.head().unwrap().seq, 50 + 2 * 2 * 60);
        for writer in 0..2 {
            for n in 0..60 {
                let found = source(handle, &format!("own/{writer}"), n + 1).unwrap();
                assert_eq!(found, number(n).as_bytes());
            }
        }
        whole(handle);
    }
}

/// A packed archive, the name of its packed segment, and the source of each version.
fn packed_sample() -> (Files, String, BTreeMap<(String, u64), Vec<u8>>) {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let mut many = archive.save();
    for n in 0..40 {
        many.add(&format!("m/{n}"), Document::source(format!("[[{n}]]")))
            .unwrap();
    }
    many.commit().unwrap();
    for n in 0..50 {
        save(&archive, "p", &number(n));
        save(&archive, "q", &format!("[{n}]"));
    }
    compact(&archive);
    let files = files_of(&storage);
    let longest = files
        .iter()
        .filter(|(name, _)| name.ends_with(".seg"))
        .max_by_key(|(_, bytes)| bytes.len());
    let name = longest.unwrap().0.clone();
    let mut documents = BTreeMap::new();
    for version in archive.history(HistoryQuery::default()).unwrap() {
        let version = version.unwrap();
        let text = archive.load(&version).unwrap().source();
        documents.insert((version.path, version.version), text);
    }
    (files, name, documents)
}

#[test]
fn damage_is_found_wherever_it_is_and_hides_no_more_than_it_hits() {
    let (files, name, documents) = packed_sample();
    let len = files[&name].len();
    let mut unread = Vec::new();
    for at in (0..len).step_by(11) {
        let mut damaged = files.clone();
        damaged.get_mut(&name).unwrap()[at] ^= 0x10;
        let archive = Archive::open_on(storage_of(&damaged)).unwrap();
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(!report.ok, "byte {at} of {len}");
        assert!(
            report.findings.iter().any(|finding| {
                finding.segment.as_deref() == Some(&*name)
                    && finding.offset.is_some_and(|offset| offset <= at as u64)
            }),
            "byte {at}: {:?}",
            report.findings
        );
        let mut lost = 0;
        for ((path, version), text) in &documents {
            match source(&archive, path, *version) {
                Ok(found) => assert_eq!(found, *text, "byte {at}: {path}@{version}"),
                Err(error) => {
                    let kinds = [ErrorKind::Corrupt, ErrorKind::NotFound];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    lost += 1;
                }
            }
        }
        unread.push(lost);
        // No history is made of what is damaged.
        let refused = archive.compact(&CompactOptions::default());
        let kind = refused.map_err(|error| error.kind());
        assert!(
            matches!(kind, Err(ErrorKind::Corrupt) | Ok(_)),
            "byte {at}: {kind:?}"
        );
    }
    assert!(unread.iter().all(|lost| *lost < documents.len()));
    assert!(
        unread
            .iter()
            .filter(|lost| **lost * 2 < documents.len())
            .count()
            * 2
            > unread.len()
    );
}

#[test]
fn a_segment_that_is_damaged_is_not_packed() {
    let (files, _) = sample();
    let name = "log/00000001.seg";
    let mut damaged = files.clone();
    let middle = files[name].len() / 2;
    damaged.get_mut(name).unwrap()[middle] ^= 1;
    let storage = storage_of(&damaged);
    let archive = Archive::open_on(storage.clone()).unwrap();
    let error = archive.compact(&CompactOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("verify"), "{error}");
    assert_eq!(files_of(&storage)[name], damaged[name]);
    save(&archive, "p", "\"goes on\"");
}

#[test]
fn what_a_crash_left_beside_the_list_is_removed() {
    let (files, before) = sample();
    let storage = storage_of(&files);
    put_file(&*storage, "log/00000099.seg", b"left by a crash");
    let archive = Archive::open_on(storage.clone()).unwrap();
    assert_eq!(answers(&archive), before);
    compact(&archive);
    assert!(storage.read("log/00000099.seg").is_err());
    assert!(try_save(&archive, "p", "1").is_ok());
    whole(&archive);
}

/// Its maker may still be at work, and a number that is given again would stand for two files in its reader.
#[test]
fn a_segment_newer_than_all_of_the_list_is_left_until_there_is_a_newer_one() {
    let (files, before) = sample();
    let storage = storage_of(&files);
    let archive = Archive::open_on(storage.clone()).unwrap();
    compact(&archive);
    put_file(&*storage, "log/00000099.seg", b"being made");
    assert_eq!(compact(&archive).commits, 0);
    assert_eq!(storage.read("log/00000099.seg").unwrap(), b"being made");
    assert_eq!(answers(&archive), before);
    save(&archive, "p", "\"next\"");
    assert!(compact(&archive).commits > 0);
    assert!(storage.read("log/00000099.seg").is_err());
    assert!(
        storage
            .list("log")
            .unwrap()
            .contains(&"00000100.seg".to_owned())
    );
    whole(&archive);
}

#[test]
fn a_commit_that_could_not_be_read_once_is_not_told_to_be_lost() {
    for after in 0.. {
        let storage = Tapped::new();
        let archive = Archive::create_on(storage.clone()).unwrap();
        for n in 0..5 {
            save(&archive, "p", &number(n));
        }
        // A handle whose index has read up to the newest commit.
        let archive = Archive::open_on(storage.clone()).unwrap();
        storage.taps.fail(Call::ReadAt, after);
        let _ = archive.compact(&CompactOptions::default());
        if storage.taps.heal() {
            assert!(after > 5);
            break;
        }
        // A load asks the log where the index is in doubt, and `verify` has nothing to tell then.
        assert_eq!(source(&archive, "p", 5).unwrap(), number(4).into_bytes());
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(report.ok, "read {after}: {:?}", report.findings);
        assert_eq!(report.commits, 5);
    }
}
