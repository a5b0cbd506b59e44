//! Histories that contradict themselves: numbers out of range, gaps without end, circles of renames and rollbacks.

use backstory::commit::{Change, LayoutAt, Op, SourceForm};
use backstory::fuzzing::Forge;
use backstory::verify::{FindingKind, VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, ObjectId, Version};

use crate::memory::measure;
use crate::saved;

/// The largest number that a commit or a version can have.
const MOST: u64 = 1 << 62;

fn one(forge: &mut Forge, change: Change) {
    forge.object(b"{}");
    forge.commit(vec![change]);
}

/// Asks everything that goes back in history.
fn ask(archive: &Archive) -> usize {
    let mut given = 0;
    let mut walk = |query: HistoryQuery| {
        let history = archive.history(query).unwrap();
        // An error ends it.
        given += history
            .take(10_000)
            .take_while(|version| version.is_ok())
            .count();
    };
    walk(HistoryQuery::default());
    for version in archive.list("").unwrap() {
        walk(HistoryQuery {
            path: Some(version.path.clone()),
            follow: true,
            ..HistoryQuery::default()
        });
        let _ = archive.rollback().path(&version.path, None).map(|_| ());
        let _ = archive.undelete(&[&version.path]).commit();
    }
    let _ = (archive.undo_target(), archive.redo_target());
    let _ = (
        archive.stats().unwrap(),
        archive.tags(),
        archive.head().unwrap(),
    );
    let _ = verify(archive, &VerifyOptions::default()).unwrap();
    let _ = verify(
        archive,
        &VerifyOptions {
            quick: true,
            ..VerifyOptions::default()
        },
    )
    .unwrap();
    given
}

fn save(archive: &Archive, path: &str) -> backstory::Result<Version> {
    let mut save = archive.save();
    save.add(path, Document::source("[ 1 ]"))?;
    save.commit()?;
    Ok(archive.newest(path)?.unwrap())
}

#[test]
fn commits_may_be_missing_in_any_number() {
    for seq in [1 << 20, 1 << 40, MOST - 10] {
        let mut forge = Forge::new();
        one(&mut forge, saved("a", 1, b"{}"));
        forge.object(b"{}");
        forge.commit_with(vec![saved("a", 2, b"{}")], |claims| claims.seq = seq);
        let archive = forge.open().unwrap();
        assert_eq!(archive.head().unwrap().seq, seq);
        assert_eq!(ask(&archive), 4);
        let notices = archive.take_notices().join("\n");
        let lost = format!("commits 2 to {} are in a damaged part", seq - 1);
        assert!(notices.contains(&lost), "{notices}");
        assert_eq!(save(&archive, "b").unwrap().seq, seq + 1);
    }
}

#[test]
fn versions_may_be_missing_in_any_number() {
    for version in [1 << 20, 1 << 40, MOST - 10] {
        let mut forge = Forge::new();
        one(&mut forge, saved("a", 1, b"{}"));
        // Commits are missing too: verify names the versions that may be lost with them.
        forge.commit_with(vec![Change::new(Op::Delete, "a", version)], |claims| {
            claims.seq = 1000;
        });
        let archive = forge.open().unwrap();
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        let lost = report
            .findings
            .iter()
            .find(|f| f.kind == FindingKind::LostCommits)
            .unwrap();
        assert!((1..=100_000).contains(&lost.affects.len()));
        assert!(ask(&archive) > 0);
        // It was undeleted by that.
        assert_eq!(archive.newest("a").unwrap().unwrap().version, version + 1);
        assert_eq!(save(&archive, "a").unwrap().version, version + 2);
    }
}

#[test]
fn numbers_that_nothing_can_follow_are_no_commits() {
    for number in [MOST + 1, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX] {
        let mut all: Vec<Forge> = Vec::new();
        let mut push = |make: &dyn Fn(&mut Forge)| {
            let mut forge = Forge::new();
            one(&mut forge, saved("a", 1, b"{}"));
            forge.object(b"{}");
            make(&mut forge);
            all.push(forge);
        };
        push(&|forge| {
            forge.commit_with(vec![saved("a", 2, b"{}")], |claims| claims.seq = number);
        });
        push(&|forge| {
            forge.commit(vec![saved("a", number, b"{}")]);
        });
        push(&|forge| {
            let mut rolled = saved("a", 2, b"{}");
            (rolled.op, rolled.of) = (Op::Rollback, number);
            forge.commit(vec![rolled]);
        });
        push(&|forge| {
            forge.commit_with(vec![saved("a", 2, b"{}")], |claims| claims.before = number);
        });
        push(&|forge| {
            forge.commit_with(vec![saved("a", 2, b"{}")], |claims| {
                claims.lengths = Some(vec![[number, number]]);
            });
        });
        for forge in all {
            let archive = forge.open().unwrap();
            assert_eq!(ask(&archive), 2, "{number}");
            assert_eq!(save(&archive, "b").unwrap().seq, 2);
        }
    }
}

#[test]
fn the_last_numbers_of_all_end_in_an_error() {
    let mut forge = Forge::new();
    forge.object(b"{}");
    forge.commit_with(vec![saved("a", 1, b"{}")], |claims| claims.seq = MOST);
    let archive = forge.open().unwrap();
    assert!(
        save(&archive, "b")
            .unwrap_err()
            .to_string()
            .contains("used up")
    );
    let mut forge = Forge::new();
    one(&mut forge, saved("a", MOST, b"{}"));
    let archive = forge.open().unwrap();
    assert!(
        save(&archive, "a")
            .unwrap_err()
            .to_string()
            .contains("used up")
    );
    assert_eq!(save(&archive, "b").unwrap().version, 1);
}

#[test]
fn claims_about_the_disk_and_the_clock_do_no_harm() {
    for number in [1, 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let mut forge = Forge::new();
        one(&mut forge, saved("a", 1, b"{}"));
        forge.object(b"{}");
        forge.commit_with(vec![saved("a", 2, b"{}")], |claims| {
            claims.unsynced = number;
            claims.undo_of = Some(number);
            claims.redo_of = Some(number);
        });
        let archive = forge.open().unwrap();
        assert_eq!(ask(&archive), 4);
        save(&archive, "b").unwrap();
    }
    for (recorded, time) in [
        (i64::MIN, i64::MIN),
        (i64::MAX, i64::MAX),
        (i64::MAX, 0),
        (i64::MIN, -1),
        (0, i64::MAX),
    ] {
        let mut forge = Forge::new();
        forge.object(b"{}");
        forge.commit_with(vec![saved("a", 1, b"{}")], |claims| {
            (claims.recorded, claims.time) = (recorded, time);
        });
        let archive = forge.open().unwrap();
        assert_eq!(ask(&archive), 2);
        let version = archive.newest("a").unwrap().unwrap();
        assert_eq!((version.recorded, version.time), (recorded, time));
        let later = save(&archive, "a").unwrap();
        assert!(later.recorded >= recorded);
        for since in [i64::MIN, i64::MAX] {
            let query = HistoryQuery {
                since: Some(since),
                until: Some(since),
                ..HistoryQuery::default()
            };
            assert!(
                archive
                    .history(query)
                    .unwrap()
                    .all(|version| version.is_ok())
            );
        }
    }
}

#[test]
fn a_time_that_no_record_can_say_is_refused() {
    let archive = Archive::in_memory().unwrap();
    for time in [i64::MIN, i64::MIN + 1] {
        let mut save = archive.save();
        save.add("a", Document::source("1")).unwrap();
        save.note(backstory::Note {
            time: Some(time),
            ..backstory::Note::default()
        });
        assert!(save.commit().is_err());
    }
    assert_eq!(archive.stats().unwrap().commits, 0);
}

fn renamed(from: &str, of: u64, to: &str, version: u64) -> Change {
    let mut change = saved(to, version, b"{}");
    (change.op, change.of, change.other) = (Op::Rename, of, from.to_owned());
    change
}

#[test]
fn renames_in_a_circle_end_in_an_error() {
    let most = MOST - 1;
    // A path from itself; two from each other; a hundred in a ring, each of whose versions is far behind.
    let mut rings = vec![vec![renamed("a", most, "a", 1)]];
    rings.push(vec![renamed("b", most, "a", 1), renamed("a", most, "b", 1)]);
    let name = |n: usize| format!("p{:03}", n % 100);
    rings.push(
        (0..100)
            .map(|n| renamed(&name(n + 1), most, &name(n), 1))
            .collect(),
    );
    for ring in rings {
        let mut forge = Forge::new();
        for change in ring.clone() {
            one(&mut forge, change);
        }
        let archive = forge.open().unwrap();
        for change in &ring {
            let query = HistoryQuery {
                path: Some(change.path.clone()),
                follow: true,
                ..HistoryQuery::default()
            };
            let all: Vec<_> = archive.history(query).unwrap().take(1000).collect();
            assert!(all.len() <= ring.len() + 1, "{} versions", all.len());
            assert!(
                all.last()
                    .unwrap()
                    .as_ref()
                    .is_err_and(backstory::Error::is_corrupt)
            );
        }
        ask(&archive);
        save(&archive, "new").unwrap();
    }
}

#[test]
fn renames_cannot_list_a_history_over_and_over() {
    // Each rename claims that the whole of one long history stands in front of it.
    let mut forge = Forge::new();
    for version in 1..=100 {
        one(&mut forge, saved("long", version, b"{}"));
    }
    for version in 101..=200 {
        one(&mut forge, renamed("long", MOST - 1, "long", version));
    }
    let archive = forge.open().unwrap();
    let query = HistoryQuery {
        path: Some("long".to_owned()),
        follow: true,
        ..HistoryQuery::default()
    };
    let given = archive.history(query).unwrap().take(100_000).count();
    assert!(given <= 201, "{given} versions");
}

#[test]
fn rollbacks_in_a_circle_end_in_an_error() {
    let rolled = |version, of| {
        let mut change = saved("a", version, b"{}");
        (change.op, change.of) = (Op::Rollback, of);
        change
    };
    for of in [[1, 2], [2, 1], [2, 2], [1, 1]] {
        let mut forge = Forge::new();
        one(&mut forge, rolled(1, of[0]));
        one(&mut forge, rolled(2, of[1]));
        let archive = forge.open().unwrap();
        let error = archive.rollback().path("a", None).map(|_| ()).unwrap_err();
        assert!(error.is_corrupt(), "{error}");
        ask(&archive);
    }
}

#[test]
fn undos_of_one_another_end() {
    let mut forge = Forge::new();
    for seq in 1..=300u64 {
        forge.object(b"{}");
        forge.commit_with(vec![saved("a", seq, b"{}")], |claims| {
            // Of a later one, of itself, of nothing.
            claims.undo_of = Some([seq + 1, seq, 0][seq as usize % 3]);
            claims.redo_of = Some(301 - seq);
        });
    }
    let archive = forge.open().unwrap();
    assert!(archive.undo_target().is_err());
    let _ = archive.redo_target();
    ask(&archive);
}

#[test]
fn objects_that_nobody_stored_are_looked_for_once() {
    // Thousands of versions whose object has no record, each of another id with the same first bytes: all that an
    // index goes by.
    let mut forge = Forge::new();
    for version in 1..=3000u64 {
        let mut change = saved("a", version, b"{}");
        if let Some(content) = &mut change.content {
            let mut id = [7; 32];
            id[24..].copy_from_slice(&version.to_le_bytes());
            content.object = ObjectId(id);
            content.source = SourceForm::LaidOut {
                check: [1; 8],
                layout: LayoutAt { seq: 1, change: 0 },
            };
        }
        forge.commit(vec![change]);
        if version == 1500 {
            // Objects whose commit is lost: they are decoded to find out what they are.
            forge.raw(&[1; 40]);
        }
    }
    let storage = forge.storage().unwrap();
    let (_, calls, archive) = measure(|| {
        let archive = Archive::open_on(storage).unwrap();
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(!report.ok);
        archive
    });
    assert!(calls < 3000 * 1000, "{calls} allocations");
    for version in archive.list("").unwrap() {
        assert!(archive.load(&version).is_err());
    }
}

#[test]
fn a_commit_twice_and_out_of_its_place() {
    let mut forge = Forge::new();
    one(&mut forge, saved("a", 1, b"{}"));
    let start = forge.bytes().len();
    one(&mut forge, saved("a", 2, b"{}"));
    let again = forge.bytes()[start..].to_vec();
    for _ in 0..1000 {
        forge.raw(&again);
    }
    let archive = forge.open().unwrap();
    assert_eq!(archive.stats().unwrap().commits, 2);
    assert_eq!(ask(&archive), 4);
}
