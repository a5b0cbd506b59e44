//! What a transfer brings, and what it costs.

use backstory::canon::NanMode;
use backstory::remote::{Standing, compare};
use backstory::{CompactOptions, Document, ErrorKind, Note, Spec};

use super::support::{Tapped, save};
use super::{Side, answers, assert_equal, assert_whole, document};

fn compact(side: &Side) {
    side.archive.compact(&CompactOptions::default()).unwrap();
}

/// Something of everything.
fn fill(side: &Side) {
    let archive = &side.archive;
    for n in 0..40 {
        save(archive, "configuration/production.json", &document(n, 300));
        save(
            archive,
            &format!("run/{}", n % 5),
            &format!("{{\"n\":{n}}}"),
        );
    }
    let mut many = archive.save();
    for n in 0..90 {
        let text = format!("{{\"many\": [{n}, {}]}}", n * n);
        many.add(&format!("many/{n:02}.json"), Document::source(text))
            .unwrap();
    }
    many.note(Note {
        message: Some("many at once".to_owned()),
        author: Some("ada".to_owned()),
        time: Some(1_000_000),
        ..Note::default()
    });
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
    let version = archive.resolve("run/0", &Spec::Number(5)).unwrap();
    archive.tag_version("good", &version).commit().unwrap();
    archive.tag_archive("release", 20).commit().unwrap();
    let target = archive.undo_target().unwrap();
    archive.undo(target).commit().unwrap();
    archive.redo().unwrap().commit().unwrap();
}

#[test]
fn everything_travels_and_nothing_changes_on_the_way() {
    let source = Side::new();
    fill(&source);
    let copy = source.copy();
    let done = source.push(&copy);
    let head = source.archive.head().unwrap();
    assert_eq!((done.commits, done.head), (head.seq, head));
    assert_equal(&source, &copy);
    assert_eq!(source.archive.id(), copy.archive.id());
    // And back, to a third one, from the copy alone.
    let third = copy.copy();
    assert_eq!(copy.push(&third).commits, head.seq);
    assert_equal(&source, &third);
}

#[test]
fn packed_segments_travel_whole_and_those_begun_by_their_commits() {
    for begun in [0, 1, 30, 80] {
        let source = Side::new();
        let copy = source.copy();
        for n in 0..begun {
            save(&source.archive, "a", &document(n, 200));
        }
        source.push(&copy);
        fill(&source);
        compact(&source);
        let done = source.push(&copy);
        assert_eq!(done.head, source.archive.head().unwrap());
        assert_equal(&source, &copy);
        // What rests on packed objects goes on where they are plain.
        for n in 0..50 {
            save(
                &source.archive,
                "configuration/production.json",
                &document(n, 300),
            );
        }
        source.push(&copy);
        assert_equal(&source, &copy);
        compact(&copy);
        for n in 50..90 {
            save(
                &source.archive,
                "configuration/production.json",
                &document(n, 300),
            );
        }
        compact(&source);
        save(&source.archive, "run/0", "1");
        source.push(&copy);
        assert_equal(&source, &copy);
    }
}

#[test]
fn a_new_copy_of_a_packed_archive_is_packed() {
    let source = Side::new();
    for n in 0..200 {
        save(&source.archive, "a", &document(n, 2000));
    }
    compact(&source);
    let copy = source.copy();
    let done = source.push(&copy);
    let size = source.archive.stats().unwrap().log_bytes;
    assert!(done.bytes <= size && size < 60_000, "{} {size}", done.bytes);
    assert_equal(&source, &copy);
}

#[test]
fn the_second_push_writes_nothing_and_the_third_what_grew() {
    let source = Side::new();
    for n in 0..300 {
        save(&source.archive, "a", &document(n, 3000));
    }
    let copy = source.copy();
    let all = source.push(&copy).bytes;
    let taps = Tapped::around(copy.storage.clone());
    let tapped = backstory::Archive::open_on(taps.clone()).unwrap();
    let transfer = || {
        let options = backstory::remote::TransferOptions::default();
        backstory::remote::transfer(&source.archive, &tapped, &options).unwrap()
    };
    transfer();
    taps.taps.take_written();
    let done = transfer();
    assert_eq!((done.commits, done.bytes), (0, 0));
    assert!(taps.taps.take_written().is_empty());
    save(&source.archive, "a", &document(1000, 3000));
    let done = transfer();
    let written: usize = taps
        .taps
        .take_written()
        .iter()
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert_eq!(done.commits, 1);
    assert_eq!(done.bytes, written as u64);
    assert!(done.bytes * 50 < all, "{} of {all}", done.bytes);
}

#[test]
fn a_copy_with_commits_of_its_own_is_refused() {
    let source = Side::new();
    for n in 0..10 {
        save(&source.archive, "a", &document(n, 100));
    }
    let copy = source.copy();
    source.push(&copy);
    save(&copy.archive, "a", "[1]");
    let ahead = compare(&source.archive, &copy.archive).unwrap();
    assert_eq!(ahead, Standing::Ahead { commits: 1 });
    let done = source.push(&copy);
    assert_eq!((done.commits, done.ahead), (0, 1));
    for n in 10..13 {
        save(&source.archive, "a", &document(n, 100));
    }
    let before = (answers(&source.archive), answers(&copy.archive));
    for (from, to) in [(&source, &copy), (&copy, &source)] {
        let refused = from.try_push(to).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let text = refused.to_string();
        for side in [from, to] {
            let head = side.archive.head().unwrap().commit.to_string();
            assert!(text.contains(&head), "{text}");
        }
        assert!(text.contains("commit 10 "), "{text}");
    }
    assert_eq!(before, (answers(&source.archive), answers(&copy.archive)));
    assert_whole(&copy);
    // The copy's own way can be taken over by one that has not gone another.
    let third = copy.copy();
    copy.push(&third);
    assert_equal(&copy, &third);
}

#[test]
fn another_archive_is_refused() {
    let (source, other) = (Side::new(), Side::new());
    save(&source.archive, "a", "1");
    let refused = source.try_push(&other).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let text = refused.to_string();
    assert!(text.contains(&source.archive.id().to_string()), "{text}");
    assert_eq!(other.archive.head().unwrap().seq, 0);
}

#[test]
fn a_copy_made_by_hand_is_one_to_push_to() {
    let source = Side::new();
    for n in 0..30 {
        save(&source.archive, "a", &document(n, 100));
    }
    let storage = super::support::storage_of(&super::support::files_of(&source.storage));
    for n in 30..40 {
        save(&source.archive, "a", &document(n, 100));
    }
    let archive = backstory::Archive::open_on(storage.clone()).unwrap();
    let copy = Side { storage, archive };
    assert_eq!(source.push(&copy).commits, 10);
    assert_equal(&source, &copy);
}
