//! Many writers and readers at once: nothing lost, nothing half done, and few syncs for many saves.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, Spec, Status};
use support::{Call, Tapped, save, source, try_save};

fn whole(archive: &Archive) {
    let report = verify(archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

#[test]
fn threads_on_one_handle_lose_nothing() {
    let archive = Archive::in_memory().unwrap();
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let archive = &archive;
                scope.spawn(move || {
                    (0..100)
                        .map(|n| {
                            let path = if n % 2 == 0 {
                                "shared".to_owned()
                            } else {
                                format!("own/{thread}")
                            };
                            let document = format!("{{\"thread\":{thread},\"n\":{n}}}");
                            (save(archive, &path, &document), document)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(archive.head().unwrap().seq, 800);
    let mut revisions = BTreeSet::new();
    for (change, document) in &answers {
        assert_eq!(
            source(&archive, &change.path, change.version).unwrap(),
            document.as_bytes()
        );
        let version = archive
            .resolve(&change.path, &Spec::Number(change.version))
            .unwrap();
        assert_eq!((version.commit, version.seq), (change.commit, change.seq));
        assert!(revisions.insert(change.rev()));
    }
    assert_eq!(archive.newest("shared").unwrap().unwrap().version, 400);
    whole(&archive);
}

#[test]
fn the_same_document_by_all_threads_is_one_version() {
    for round in 0..20 {
        let archive = Archive::in_memory().unwrap();
        thread::scope(|scope| {
            for thread in 0..8 {
                let archive = &archive;
                scope.spawn(move || {
                    for n in 0..5 {
                        let change = save(archive, "p", &n.to_string());
                        assert!(matches!(change.status, Status::Saved | Status::Unchanged));
                        save(archive, &format!("own/{thread}"), &n.to_string());
                        save(archive, "same", "[]");
                    }
                });
            }
        });
        assert_eq!(
            archive.newest("same").unwrap().unwrap().version,
            1,
            "round {round}"
        );
        whole(&archive);
    }
}

#[test]
fn handles_on_one_directory_lose_nothing_and_readers_see_prefixes() {
    let dir = tempfile::tempdir().unwrap();
    Archive::create(dir.path()).unwrap();
    // Segments short enough that readers and writers meet rollovers.
    std::fs::write(
        dir.path().join(".backstory/settings.json"),
        "{\"segment_bytes\": 4096}",
    )
    .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let dir = dir.path();
                scope.spawn(move || {
                    let archive = Archive::open(dir).unwrap();
                    for n in 0..40 {
                        let mut both = archive.save();
                        let document = format!("{{\"writer\":{writer},\"n\":{n}}}");
                        both.add("a", Document::source(&*document)).unwrap();
                        both.add("b", Document::source(&*document)).unwrap();
                        both.commit().unwrap();
                    }
                })
            })
            .collect();
        for reader in 0..2 {
            let (dir, done) = (dir.path(), &done);
            scope.spawn(move || {
                let mut archive = Archive::open(dir).unwrap();
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    if reader == 1 {
                        archive = Archive::open(dir).unwrap();
                    }
                    let head = archive.head().unwrap().seq;
                    assert!(head >= last, "history went back from {last} to {head}");
                    last = head;
                    let query = HistoryQuery {
                        limit: Some(20),
                        ..HistoryQuery::default()
                    };
                    let seen: Vec<_> = archive
                        .history(query)
                        .unwrap()
                        .map(|v| v.unwrap())
                        .collect();
                    for pair in seen.chunks_exact(2) {
                        // Both paths of a commit or none.
                        assert_eq!(pair[0].seq, pair[1].seq);
                        assert_eq!(pair[0].id, pair[1].id);
                        archive.load(&pair[0]).unwrap();
                    }
                    assert!(seen.windows(2).all(|two| two[0].seq - two[1].seq <= 1));
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(archive.head().unwrap().seq, 160);
    assert_eq!(archive.newest("b").unwrap().unwrap().version, 160);
    assert!(
        std::fs::read_dir(dir.path().join(".backstory/log"))
            .unwrap()
            .count()
            > 5
    );
    whole(&archive);
    std::fs::remove_file(dir.path().join(".backstory/index.sqlite")).unwrap();
    whole(&Archive::open(dir.path()).unwrap());
}

#[test]
fn an_idle_reader_notices_any_number_of_rollovers() {
    let dir = tempfile::tempdir().unwrap();
    Archive::create(dir.path()).unwrap();
    std::fs::write(
        dir.path().join(".backstory/settings.json"),
        "{\"segment_bytes\": 1024}",
    )
    .unwrap();
    let writer = Archive::open(dir.path()).unwrap();
    let long = "long ".repeat(40);
    for round in 0..4 {
        let reader = Archive::open(dir.path()).unwrap();
        let before = reader.head().unwrap().seq;
        for n in 0..20 {
            // Inode numbers that become free are given out again.
            std::fs::write(dir.path().join("filler"), "x").unwrap();
            save(&writer, "p", &format!("\"{round} {n} {long}\""));
            std::fs::remove_file(dir.path().join("filler")).unwrap();
            assert_eq!(reader.head().unwrap().seq, before + 1 + n as u64);
            let idle = Archive::open(dir.path()).unwrap();
            for m in 0..(n % 7) {
                save(&writer, "q", &format!("\"{round} {n} {m} {long}\""));
            }
            assert_eq!(idle.head().unwrap(), writer.head().unwrap());
            if n % 7 > 0 {
                break;
            }
        }
    }
}

#[test]
fn counters_that_compare_and_swap_lose_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    save(&archive, "count", "0");
    thread::scope(|scope| {
        for thread in 0..4 {
            let (dir, shared) = (dir.path(), archive.clone());
            scope.spawn(move || {
                let archive = if thread % 2 == 0 {
                    Archive::open(dir).unwrap()
                } else {
                    shared
                };
                let mut done = 0;
                while done < 25 {
                    let newest = archive.newest("count").unwrap().unwrap();
                    let text = String::from_utf8(archive.load(&newest).unwrap().source()).unwrap();
                    let next: u64 = text.parse::<u64>().unwrap() + 1;
                    let mut swap = archive.save();
                    swap.add("count", Document::source(next.to_string()))
                        .unwrap();
                    swap.if_version(newest.version);
                    match swap.commit() {
                        Ok(changes) => {
                            assert_eq!(changes[0].version, newest.version + 1);
                            done += 1;
                        }
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            });
        }
    });
    let newest = archive.newest("count").unwrap().unwrap();
    assert_eq!(newest.version, 101);
    assert_eq!(archive.load(&newest).unwrap().source(), b"100");
    whole(&archive);
}

#[test]
fn threads_share_syncs() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    save(&archive, "p", "0");
    storage.taps.take();
    storage.taps.sync_takes(Duration::from_millis(2));
    thread::scope(|scope| {
        for thread in 0..16 {
            let archive = &archive;
            scope.spawn(move || {
                for n in 0..20 {
                    save(archive, &format!("{thread}"), &n.to_string());
                }
            });
        }
    });
    let syncs = storage.taps.count(Call::Sync);
    assert_eq!(archive.head().unwrap().seq, 321);
    assert!(syncs < 120, "{syncs} syncs for 320 saves");
    whole(&archive);
}

#[test]
fn a_condition_that_fails_in_one_thread_is_no_matter_for_the_others() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    storage.taps.sync_takes(Duration::from_millis(1));
    thread::scope(|scope| {
        for thread in 0..8 {
            let archive = &archive;
            scope.spawn(move || {
                for n in 0..20 {
                    let path = format!("{thread}");
                    let text = "text that makes a delta worth while ".repeat(8);
                    let mut wrong = archive.save();
                    wrong
                        .add(
                            &path,
                            Document::source(format!("[\"wrong {n}\",\"{text}\"]")),
                        )
                        .unwrap();
                    wrong.if_version(1000);
                    assert!(wrong.commit().unwrap_err().is_conflict());
                    let saved =
                        try_save(archive, &path, &format!("[\"right {n}\",\"{text}\"]")).unwrap();
                    assert_eq!(saved.version, n + 1);
                }
            });
        }
    });
    assert_eq!(archive.head().unwrap().seq, 160);
    whole(&archive);
}
