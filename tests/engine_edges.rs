//! Edges of saving and going back that are easy to get wrong.

mod support;

use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, ErrorKind, HistoryQuery, Note, Spec, Status};
use std::sync::Arc;
use support::{save, source};

fn whole(archive: &Archive) {
    let report = verify(archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

/// A long text that compresses badly alone, so that its next version becomes a delta.
fn text(seed: u64, version: u64) -> String {
    let mut state = seed * 2 + 1;
    let numbers: Vec<String> = (0..200)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33).to_string()
        })
        .collect();
    format!("{{\"n\":[{}],\"v\":{version}}}", numbers.join(","))
}

#[test]
fn unchanged_behind_other_commits_of_one_batch() {
    let archive = Archive::in_memory().unwrap();
    let mut batch = archive.batch();
    for (path, doc) in [("p", "1"), ("q", "2"), ("p", "1")] {
        let mut one = archive.save();
        one.add(path, Document::source(doc)).unwrap();
        batch.push(one);
    }
    let answers = batch.commit().unwrap();
    assert_eq!(answers[2][0].status, Status::Unchanged);
    assert_eq!(answers[2][0].commit, answers[0][0].commit);
    assert_eq!(answers[2][0].seq, 1);
}

#[test]
fn a_batch_that_fails_leaves_nothing_for_later_deltas() {
    let storage = Arc::new(MemoryStorage::new());
    let first = Archive::create_on(storage.clone()).unwrap();
    let second = Archive::open_on(storage).unwrap();
    save(&first, "p", &text(1, 1));
    let mut batch = first.batch();
    let mut good = first.save();
    good.add("p", Document::source(text(3, 1_234_567))).unwrap();
    batch.push(good);
    let mut bad = first.save();
    bad.add("p", Document::source("3")).unwrap();
    bad.if_version(77);
    batch.push(bad);
    assert!(batch.commit().unwrap_err().is_conflict());
    // The same number of commit and object, with other content.
    save(&second, "p", &text(3, 2));
    save(&first, "p", &text(3, 3));
    assert_eq!(source(&first, "p", 3).unwrap(), text(3, 3).as_bytes());
    assert_eq!(source(&first, "p", 2).unwrap(), text(3, 2).as_bytes());
    whole(&first);
}

#[test]
fn a_path_named_twice_makes_one_version() {
    let archive = Archive::in_memory().unwrap();
    save(&archive, "a", "1");
    match archive.delete(&["a", "a"]).commit() {
        Ok(_) => assert_eq!(archive.newest("a").unwrap().unwrap().version, 2),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Usage);
            archive.delete(&["a"]).commit().unwrap();
        }
    }
    assert_eq!(archive.stats().unwrap().versions, 2);
    let _ = archive.undelete(&["a", "a"]).commit();
    let mut rollback = archive.rollback();
    rollback.path("a", Some(Spec::Number(1))).unwrap();
    rollback.save_first("a", Document::source("7")).unwrap();
    let _ = rollback.save_first("a", Document::source("8")).map(|_| ());
    let _ = rollback.commit();
    let history: Vec<u64> = archive
        .history(HistoryQuery {
            path: Some("a".into()),
            ..HistoryQuery::default()
        })
        .unwrap()
        .map(|version| version.unwrap().version)
        .collect();
    let wanted: Vec<u64> = (1..=history.len() as u64).rev().collect();
    assert_eq!(history, wanted);
    assert_eq!(archive.stats().unwrap().versions, history.len() as u64);
    whole(&archive);
}

#[test]
fn every_claimed_time_is_kept_or_refused() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let mut saved = 0;
    for time in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        let mut one = archive.save();
        one.add("p", Document::source(time.to_string())).unwrap();
        one.note(Note {
            time: Some(time),
            ..Note::default()
        });
        match one.commit() {
            Ok(changes) => {
                saved += 1;
                assert_eq!(changes[0].version, saved);
                let again = Archive::open_on(storage.clone()).unwrap();
                let version = again.resolve("p", &Spec::Number(saved)).unwrap();
                assert_eq!(version.time, time);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Usage),
        }
    }
    assert!(saved >= 2);
    whole(&archive);
}

#[test]
fn time_on_a_path_goes_by_what_commits_claim() {
    let archive = Archive::in_memory().unwrap();
    for (number, time) in (1..).zip([300, 100, 200, 100]) {
        let mut one = archive.save();
        one.add("p", Document::source(format!("{number}"))).unwrap();
        one.note(Note {
            time: Some(time),
            ..Note::default()
        });
        one.commit().unwrap();
    }
    let at = |time| archive.resolve("p", &Spec::Time(time)).map(|v| v.version);
    assert!(at(99).unwrap_err().is_not_found());
    for time in [100, 199, 200, 300] {
        assert_eq!(at(time).unwrap(), 4, "{time}");
    }
    let recorded: Vec<i64> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(|v| v.unwrap().recorded)
        .collect();
    assert!(recorded.is_sorted_by(|newer, older| newer >= older));
}

#[test]
fn small_and_large_documents_and_their_deltas() {
    let archive = Archive::in_memory().unwrap();
    let large: String = format!("[{}]", vec![text(9, 9); 1500].join(","));
    let documents = [
        "0",
        "\"\"",
        "{}",
        "[]",
        "null",
        "1",
        &text(5, 1),
        "0",
        &large,
        "0",
        &large.replace("9]", "8]"),
    ];
    for (number, document) in (1..).zip(documents) {
        assert_eq!(save(&archive, "p", document).version, number);
    }
    for (number, document) in (1..).zip(documents) {
        assert_eq!(source(&archive, "p", number).unwrap(), document.as_bytes());
    }
    whole(&archive);
}

#[test]
fn versions_compared_in_a_row_say_what_each_says_alone() {
    let archive = Archive::in_memory().unwrap();
    for version in 1..40u64 {
        save(&archive, "p", &text(version / 7, version));
        save(&archive, "q", &text(9, version));
        match version {
            10 => drop(archive.delete(&["p"]).commit().unwrap()),
            20 => drop(archive.rename("p", "r").commit().unwrap()),
            30 => {
                let mut rollback = archive.rollback();
                rollback.path("p", Some(Spec::Number(3))).unwrap();
                rollback.commit().unwrap();
            }
            _ => {}
        }
    }
    let query = |path: Option<&str>| HistoryQuery {
        path: path.map(str::to_owned),
        follow: true,
        ..HistoryQuery::default()
    };
    for path in [None, Some("p"), Some("q")] {
        let versions: Vec<_> = archive
            .history(query(path))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(versions.len() > 38);
        for page in [1, 3, 16, versions.len()] {
            for page in versions.chunks(page) {
                let each = archive.changes_of_each(page);
                assert_eq!(each.len(), page.len());
                for (version, changes) in page.iter().zip(each) {
                    assert_eq!(
                        changes.unwrap().changes,
                        archive.changes_of(version).unwrap().changes,
                        "{}",
                        version.rev()
                    );
                }
            }
        }
    }
}

/// A source of more than 32 MiB, whose tokens would take more memory than it does, and which shows only late how its
/// writer spells small numbers: what is stored of it is a layout.
#[test]
fn a_large_source_costs_a_layout() {
    let archive = Archive::in_memory().unwrap();
    let count = 1_150_000;
    let rows: Vec<String> = (0..count)
        .map(|n| match n == count / 2 {
            true => format!("{{\"n\": 0.000015, \"a\": [{n}, 1]}}"),
            false => format!("{{\"n\": {n}.0, \"a\": [{n}, 1]}}"),
        })
        .collect();
    let rows = format!(
        "{{\"rows\": [{}], \"by_name\": {{\"x\": {{\"y\": 1}}}}}}\n",
        rows.join(", ")
    );
    assert!(rows.len() > 33 << 20, "{}", rows.len());
    save(&archive, "p", &rows);
    assert_eq!(archive.newest("p").unwrap().unwrap().source, None);
    assert!(source(&archive, "p", 1).unwrap() == rows.as_bytes());
}

#[test]
fn a_long_chain_starts_again_and_every_version_loads() {
    let archive = Archive::in_memory().unwrap();
    for from in (1..=1100u64).step_by(100) {
        let mut batch = archive.batch();
        for version in from..from + 100 {
            let mut one = archive.save();
            one.add("p", Document::value(text(1, version))).unwrap();
            batch.push(one);
        }
        batch.commit().unwrap();
    }
    // A chain goes on over a rename, and over a document that another path stored first.
    archive.rename("p", "q").commit().unwrap();
    save(&archive, "q", &text(1, 5000));
    save(&archive, "r", &text(1, 1050));
    save(&archive, "r", &text(1, 6000));
    for version in [1, 2, 31, 32, 33, 1022, 1023, 1024, 1025, 1056, 1100] {
        let found = archive.resolve("p", &Spec::Number(version)).unwrap();
        assert_eq!(
            archive.load(&found).unwrap().canonical(),
            text(1, version).as_bytes()
        );
    }
    assert_eq!(source(&archive, "q", 2).unwrap(), text(1, 5000).as_bytes());
    assert_eq!(source(&archive, "r", 2).unwrap(), text(1, 6000).as_bytes());
    // All of it in a small part of what the documents take: these are deltas.
    let stats = archive.stats().unwrap();
    assert!(stats.log_bytes * 5 < stats.document_bytes, "{stats:?}");
    whole(&archive);
}

#[test]
fn names_that_go_in_a_circle_have_a_history_that_ends() {
    let archive = Archive::in_memory().unwrap();
    save(&archive, "a", "1");
    for (old, new) in [("a", "b"), ("b", "a"), ("a", "b"), ("b", "c"), ("c", "a")] {
        archive.rename(old, new).commit().unwrap();
        let query = HistoryQuery {
            path: Some(new.into()),
            follow: true,
            ..HistoryQuery::default()
        };
        let found: Vec<_> = archive
            .history(query)
            .unwrap()
            .map(|v| v.unwrap())
            .collect();
        assert_eq!(found.last().unwrap().rev(), "a@1");
        assert!(found.is_sorted_by(|newer, older| newer.seq > older.seq));
        assert!(
            found.iter().all(|version| !version.is_deleted()),
            "{found:?}"
        );
    }
    assert!(
        archive
            .rename("b", "c")
            .commit()
            .unwrap_err()
            .is_not_found()
    );
    save(&archive, "b", "2");
    assert!(archive.rename("b", "a").commit().unwrap_err().is_conflict());
    // The newest rename can be taken back only while its paths are as it left them.
    let rename = archive.find_commit("6").unwrap();
    let undone = archive.undo(rename.clone()).commit().unwrap();
    assert_eq!(undone.changes.len(), 2);
    assert_eq!(source(&archive, "c", 3).unwrap(), b"1");
    assert!(archive.undo(rename).commit().unwrap_err().is_conflict());
    whole(&archive);
}

#[test]
fn the_same_document_on_many_paths_costs_the_same_each_time() {
    let archive = Archive::in_memory().unwrap();
    let mut times = Vec::new();
    for round in 0..8 {
        let mut one = archive.save();
        for number in 0..1000 {
            one.add(&format!("{round}/{number}"), Document::value("{}"))
                .unwrap();
        }
        let start = std::time::Instant::now();
        one.commit().unwrap();
        times.push(start.elapsed());
    }
    assert_eq!(archive.stats().unwrap().objects, 1);
    // A busy machine slows single rounds down: compare the best late one with the worst early one.
    let (early, late) = (
        times[..2].iter().max().unwrap(),
        times[5..].iter().min().unwrap(),
    );
    assert!(*late < *early * 4, "{times:?}");
}
