//! Copies in folders, and more than one process at once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use backstory::remote::{Standing, TransferOptions, check, clone_archive, pull, push};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, ErrorKind};

use super::document;
use super::support::{commits_of, documents_of, python_agrees, save};

fn options<'a>() -> TransferOptions<'a> {
    TransferOptions::default()
}

fn is_prefix(copy: &Path, source: &Archive) -> u64 {
    let copy = Archive::open(copy).unwrap();
    let report = verify(&copy, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    let all = commits_of(source);
    let commits = commits_of(&copy);
    assert!(commits.iter().all(|(seq, id)| all[seq] == *id));
    let known = documents_of(source);
    assert!(
        documents_of(&copy)
            .iter()
            .all(|(at, text)| known[at] == *text)
    );
    commits.len() as u64
}

#[test]
fn push_makes_a_copy_and_pull_brings_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("deep/two"));
    let archive = Archive::create(&one).unwrap();
    save(&archive, "a", "1");
    let done = push(&archive, &two, &options()).unwrap();
    assert!(done.made && done.commits == 1);
    let done = push(&archive, &two, &options()).unwrap();
    assert!(!done.made && done.commits == 0);
    let copy = Archive::open(&two).unwrap();
    save(&copy, "a", "2");
    let refused = push(&archive, &two, &options()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let done = pull(&archive, &two, &options()).unwrap();
    assert_eq!((done.commits, done.ahead), (1, 0));
    assert_eq!(archive.head().unwrap(), copy.head().unwrap());
    let same = push(&archive, &one, &options()).unwrap_err();
    assert_eq!(same.kind(), ErrorKind::Usage);
    let nothing = pull(&archive, folder.path().join("three"), &options()).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NoArchive);
    // Each has an index of its own.
    assert!(one.join(".backstory/index.sqlite").exists());
    assert!(two.join(".backstory/index.sqlite").exists());
}

#[test]
fn clone_goes_on_where_it_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    for n in 0..50 {
        save(&archive, "a", &document(n, 200));
    }
    let first = clone_archive(&one, &two, &options()).unwrap();
    assert!(first.made && first.commits == 50);
    save(&archive, "a", "1");
    let again = clone_archive(&one, &two, &options()).unwrap();
    assert!(!again.made && again.commits == 1);
    assert_eq!(is_prefix(&two, &archive), 51);
}

#[test]
fn a_check_proves_the_copy_equal_or_says_how_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    for n in 0..20 {
        save(&archive, "a", &document(n, 200));
    }
    push(&archive, &two, &options()).unwrap();
    let checked = check(&archive, &two, &options()).unwrap();
    assert!(checked.is_equal());
    assert_eq!(checked.report.commits, 20);
    save(&archive, "a", "1");
    let checked = check(&archive, &two, &options()).unwrap();
    assert!(!checked.is_equal() && checked.report.ok);
    assert_eq!(checked.standing, Standing::Behind { commits: 1 });
    push(&archive, &two, &options()).unwrap();
    let segment = two.join(".backstory/log/00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let checked = check(&archive, &two, &options()).unwrap();
    assert_eq!(checked.standing, Standing::Same);
    assert!(!checked.is_equal() && !checked.report.ok);
}

#[test]
fn many_push_at_once_while_the_source_is_written_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    std::fs::write(
        one.join(".backstory/settings.json"),
        "{\"segment_bytes\": 4096}",
    )
    .unwrap();
    save(&archive, "a", "0");
    let done = AtomicBool::new(false);
    let pushes = thread::scope(|scope| {
        let pushers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut pushes = 0;
                    while !done.load(Ordering::SeqCst) || pushes == 0 {
                        let archive = Archive::open(&one).unwrap();
                        push(&archive, &two, &options()).unwrap();
                        pushes += 1;
                    }
                    pushes
                })
            })
            .collect();
        let writer = Archive::open(&one).unwrap();
        for n in 0..150 {
            save(&writer, "a", &document(n, 300));
            save(&writer, &format!("b/{}", n % 4), &document(n, 100));
            if n % 40 == 39 {
                writer.compact(&CompactOptions::default()).unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
        let counts = pushers.into_iter().map(|pusher| pusher.join().unwrap());
        counts.sum::<u32>()
    });
    assert!(pushes >= 3);
    let archive = Archive::open(&one).unwrap();
    is_prefix(&two, &archive);
    push(&archive, &two, &options()).unwrap();
    assert_eq!(is_prefix(&two, &archive), 301);
    assert!(check(&archive, &two, &options()).unwrap().is_equal());
}

#[test]
fn readers_of_a_copy_see_one_history_while_it_is_pushed_to() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    push(&archive, &two, &options()).unwrap();
    let reader = Archive::open(&two).unwrap();
    let mut seen = 0;
    for round in 0..12 {
        for n in 0..20 {
            save(&archive, "a", &document(round * 20 + n, 200));
        }
        if round % 3 == 2 {
            archive.compact(&CompactOptions::default()).unwrap();
        }
        push(&archive, &two, &options()).unwrap();
        let head = reader.head().unwrap();
        assert_eq!(head, archive.head().unwrap());
        assert!(head.seq > seen);
        seen = head.seq;
        assert_eq!(documents_of(&reader), documents_of(&archive));
        python_agrees(&two);
    }
    assert!(reader.take_notices().is_empty());
}
