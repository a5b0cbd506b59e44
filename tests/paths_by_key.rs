//! Paths that stand in the log by their key: what that saves, and what damage leaves of their names.

mod support;

use std::sync::Arc;

use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, Spec};
use support::{Files, files_of, save, short_segments, source, storage_of};

const LONG: &str = "experiments/2026-11/resnet/run-0042/loss.json";
const SEGMENT: &str = "log/00000001.seg";

fn count(bytes: &[u8], text: &str) -> usize {
    memchr::memmem::find_iter(bytes, text.as_bytes()).count()
}

fn archive() -> (Arc<MemoryStorage>, Archive) {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    (storage, archive)
}

/// The files with one byte changed inside the commit record that is the `n`th to spell the path.
fn hit(files: &Files, path: &str, n: usize) -> Files {
    let mut files = files.clone();
    let segment = files.get_mut(SEGMENT).unwrap();
    let at = memchr::memmem::find_iter(segment, path.as_bytes())
        .nth(n)
        .unwrap();
    segment[at] ^= 1;
    files
}

fn listed(archive: &Archive) -> Vec<String> {
    let newest = archive.list("").unwrap();
    newest.into_iter().map(|version| version.path).collect()
}

#[test]
fn a_long_name_costs_its_bytes_once_in_32_versions() {
    assert_eq!(LONG.len(), 45);
    let size = |path: &str| {
        let (storage, archive) = archive();
        for n in 0..200 {
            save(&archive, path, &format!("{{\"n\": {n}}}"));
        }
        assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
        // Gives back the room for more commits.
        drop(archive);
        files_of(&storage)[SEGMENT].clone()
    };
    let (long, short) = (size(LONG), size("short"));
    // The first version, and 32, 64 … 192.
    assert_eq!(count(&long, LONG), 7);
    let each = long.len() as f64 / 200.0;
    assert!(each < 155.0, "{each} bytes a version");
    let names = 7 * (LONG.len() - 5) + 193 * 2;
    assert!(
        long.len() <= short.len() + names + 200,
        "{} and {}",
        long.len(),
        short.len()
    );
}

#[test]
fn a_lost_spelling_loses_no_other_version() {
    let (storage, archive) = archive();
    for n in 1..=40 {
        save(&archive, LONG, &format!("[{n}]"));
        save(&archive, "other/path.json", &format!("{{\"n\":{n}}}"));
    }
    let files = hit(&files_of(&storage), LONG, 0);
    let archive = Archive::open_on(storage_of(&files)).unwrap();
    for n in 1..=40 {
        let other = format!("{{\"n\":{n}}}");
        assert_eq!(
            source(&archive, "other/path.json", n).unwrap(),
            other.as_bytes()
        );
        match source(&archive, LONG, n) {
            Ok(bytes) => assert_eq!(bytes, format!("[{n}]").as_bytes()),
            Err(error) => assert!(n == 1 && error.is_corrupt(), "{n}: {error}"),
        }
    }
    // Version 32 spells the name again.
    assert_eq!(listed(&archive), [LONG, "other/path.json"]);
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].affects, [(LONG.to_owned(), 1)]);
}

#[test]
fn a_path_without_a_name_is_told_of_and_gets_its_name_again() {
    let (storage, archive) = archive();
    for n in 1..=20 {
        save(&archive, LONG, &format!("[{n}]"));
        save(&archive, "other/path.json", &format!("{{\"n\":{n}}}"));
    }
    assert_eq!(count(&files_of(&storage)[SEGMENT], LONG), 1);
    let storage = storage_of(&hit(&files_of(&storage), LONG, 0));
    let archive = Archive::open_on(storage.clone()).unwrap();
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    let affects = &report.findings[0].affects;
    assert_eq!((report.findings.len(), affects.len()), (1, 1));
    let (stand_in, version) = &affects[0];
    assert_eq!((stand_in.len(), *version), (17, 1));
    assert!(stand_in.starts_with('?'), "{stand_in}");
    // Every version is there, under the name that stands in; whoever knows the name finds them by it.
    let all: Vec<_> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(all.len(), 39);
    for version in &all {
        let bytes = archive.load(version).unwrap().source();
        if version.path == "other/path.json" {
            continue;
        }
        assert_eq!(version.path, *stand_in);
        assert_eq!(source(&archive, LONG, version.version).unwrap(), bytes);
    }
    assert_eq!(listed(&archive), ["other/path.json"]);
    assert_eq!(archive.stats().unwrap().paths, 2);
    // The next version spells it.
    assert_eq!(save(&archive, LONG, "[21]").version, 21);
    for archive in [archive, Archive::open_on(storage).unwrap()] {
        assert_eq!(listed(&archive), [LONG, "other/path.json"]);
        let third = archive.resolve(LONG, &Spec::Number(3)).unwrap();
        let commit = archive.find_commit(&third.seq.to_string()).unwrap();
        assert_eq!(commit.changes, [third]);
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert_eq!(report.findings[0].affects, [(LONG.to_owned(), 1)]);
    }
}

#[test]
fn each_segment_spells_the_paths_it_has() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = short_segments(&storage);
    let paths = [LONG, "experiments/2026-11/resnet/run-0043/loss.json"];
    for n in 1..=30 {
        let mut both = archive.save();
        for path in paths {
            both.add(path, Document::source(format!("[{n}]"))).unwrap();
        }
        both.commit().unwrap();
    }
    let before = support::answers(&archive);
    archive.reindex().unwrap();
    assert_eq!(support::answers(&archive), before);
    let files = files_of(&storage);
    let segments: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".seg"))
        .collect();
    assert!(segments.len() >= 4, "{} segments", segments.len());
    let mut spelled = 0;
    for (name, bytes) in &segments {
        for path in paths {
            let times = count(bytes, path);
            // One that was begun and has no commit yet has no path either.
            assert!(times == 1 || bytes.len() < 300, "{times} times in {name}");
            spelled += times;
        }
    }
    assert!(spelled < 30, "spelled {spelled} times");
    // What one segment holds is found by name without the others.
    for (lost, _) in &segments[..segments.len() - 1] {
        let mut files = files.clone();
        files.remove(*lost);
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        assert_eq!(listed(&archive), paths, "{lost}");
        let newest = archive.newest(LONG).unwrap().unwrap();
        assert_eq!(newest.version, 30);
    }
}

#[test]
fn a_path_by_key_is_rolled_back_undone_deleted_and_renamed() {
    let (storage, archive) = archive();
    for n in 1..=3 {
        save(&archive, LONG, &format!("[{n}]"));
    }
    let mut back = archive.rollback();
    back.path(LONG, Some(Spec::Number(1))).unwrap();
    back.commit().unwrap();
    assert_eq!(count(&files_of(&storage)[SEGMENT], LONG), 1);
    archive
        .undo(archive.undo_target().unwrap())
        .commit()
        .unwrap();
    assert_eq!(source(&archive, LONG, 5).unwrap(), b"[3]");
    archive.delete(&[LONG]).commit().unwrap();
    archive.undelete(&[LONG]).commit().unwrap();
    archive.rename(LONG, "renamed/loss.json").commit().unwrap();
    save(&archive, LONG, "[9]");
    save(&archive, LONG, "[10]");
    let named = archive.resolve(LONG, &Spec::Number(10)).unwrap();
    archive.tag_version("ten", &named).commit().unwrap();
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    let before = support::answers(&archive);
    let again = Archive::open_on(storage).unwrap();
    assert_eq!(support::answers(&again), before);
}
