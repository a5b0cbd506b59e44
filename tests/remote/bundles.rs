//! Commits in one file.

use std::path::PathBuf;

use backstory::remote::{TransferOptions, Transferred, apply_bundle, write_bundle};
use backstory::{CommitView, CompactOptions, ErrorKind, Result};
use tempfile::TempDir;

use super::support::{documents_of, save};
use super::{Side, assert_equal, assert_whole, document};

fn write(side: &Side, folder: &TempDir, since: Option<&CommitView>) -> PathBuf {
    let file = folder.path().join("bundle");
    let options = TransferOptions::default();
    let bundle = write_bundle(&side.archive, &file, since, &options).unwrap();
    assert_eq!(bundle.len, std::fs::metadata(&file).unwrap().len());
    assert_eq!(bundle.head, side.archive.head().unwrap());
    file
}

fn apply(side: &Side, file: &PathBuf) -> Result<Transferred> {
    apply_bundle(&side.archive, file, &TransferOptions::default())
}

fn commit(side: &Side, seq: u64) -> CommitView {
    side.archive.find_commit(&seq.to_string()).unwrap()
}

#[test]
fn a_bundle_brings_what_came_behind_a_commit() {
    for packed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let source = Side::new();
        let copy = source.copy();
        for n in 0..20 {
            save(&source.archive, "a", &document(n, 200));
        }
        source.push(&copy);
        for n in 20..60 {
            save(&source.archive, "a", &document(n, 200));
            save(&source.archive, &format!("b/{}", n % 3), &document(n, 90));
        }
        if packed {
            source.archive.compact(&CompactOptions::default()).unwrap();
        }
        // Some of it is there already.
        let file = write(&source, &folder, Some(&commit(&source, 10)));
        assert_eq!(apply(&copy, &file).unwrap().commits, 80);
        assert_equal(&source, &copy);
        let again = apply(&copy, &file).unwrap();
        assert_eq!((again.commits, again.ahead), (0, 0));
        save(&copy.archive, "a", "[1]");
        assert_eq!(apply(&copy, &file).unwrap().ahead, 1);
        // All of it.
        let third = source.copy();
        let file = write(&source, &folder, None);
        assert_eq!(apply(&third, &file).unwrap().commits, 100);
        assert_equal(&source, &third);
    }
}

#[test]
fn a_bundle_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = Side::new();
    let copy = source.copy();
    for n in 0..20 {
        save(&source.archive, "a", &document(n, 200));
        if n == 5 {
            source.push(&copy);
        }
    }
    let forked = source.copy();
    copy.push(&forked);
    for n in 0..2 {
        save(&forked.archive, "own", &document(n, 20));
    }
    let file = write(&source, &folder, Some(&commit(&source, 10)));
    let refused = apply(&copy, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let text = refused.to_string();
    assert!(
        text.contains(&commit(&source, 10).commit.to_string()),
        "{text}"
    );
    assert!(
        text.contains(&commit(&source, 6).commit.to_string()),
        "{text}"
    );
    // One that has gone another way.
    for n in 0..10 {
        save(&copy.archive, "b", &document(n, 20));
    }
    let before = documents_of(&copy.archive);
    assert_eq!(apply(&copy, &file).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(before, documents_of(&copy.archive));
    // And where that is so behind the first commits of the bundle.
    let file = write(&source, &folder, Some(&commit(&source, 3)));
    let before = documents_of(&forked.archive);
    let refused = apply(&forked, &file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(before, documents_of(&forked.archive));
    let other = Side::new();
    let file = write(&source, &folder, None);
    assert_eq!(
        apply(&other, &file).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(other.archive.head().unwrap().seq, 0);
    let options = TransferOptions::default();
    let newest = commit(&source, 20);
    let nothing = write_bundle(&source.archive, &file, Some(&newest), &options);
    assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_bundle_that_is_cut_or_changed_brings_nothing_that_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = Side::new();
    for n in 0..12 {
        save(&source.archive, "a", &document(n, 100));
    }
    let file = write(&source, &folder, None);
    let bytes = std::fs::read(&file).unwrap();
    let known = documents_of(&source.archive);
    for at in (0..bytes.len()).step_by(7) {
        for cut in [true, false] {
            let mut bytes = bytes.clone();
            match cut {
                true => bytes.truncate(at),
                false => bytes[at] ^= 0x04,
            }
            std::fs::write(&file, &bytes).unwrap();
            let copy = source.copy();
            let refused = apply(&copy, &file).unwrap_err();
            let kinds = [
                ErrorKind::Corrupt,
                ErrorKind::Conflict,
                ErrorKind::Unsupported,
            ];
            assert!(kinds.contains(&refused.kind()), "{at} {cut}: {refused}");
            assert_whole(&copy);
            let brought = documents_of(&copy.archive);
            assert!(brought.iter().all(|(at, text)| known[at] == *text));
        }
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&bytes[bytes.len() - 200..]);
    std::fs::write(&file, &longer).unwrap();
    assert!(apply(&source.copy(), &file).unwrap_err().is_corrupt());
}
