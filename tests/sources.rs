//! Sources that a layout makes: byte for byte, wherever the layout was brought, and never other bytes.

mod support;

use std::sync::Arc;

use backstory::storage::MemoryStorage;
use backstory::verify::{FindingKind, VerifyOptions, verify};
use backstory::{Archive, Document, ObjectId, Spec, Status};
use proptest::prelude::*;
use support::{Files, files_of, save, short_segments, source, storage_of};

fn wide(n: u64) -> String {
    format!("{{\n   \"name\": \"a\",\n   \"n\": {n}.0\n}}")
}

fn tabbed(n: u64) -> String {
    format!("{{\r\n\t\"n\" : {n},\r\n\t\"name\" : \"a\"\r\n}}\r\n")
}

/// Every source, by version, from the archive and from one that is opened anew.
fn check(storage: &Arc<MemoryStorage>, path: &str, wanted: &[String]) {
    let again = Archive::open_on(storage.clone()).unwrap();
    for (version, text) in (1..).zip(wanted) {
        let bytes = source(&again, path, version).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), *text, "{path}@{version}");
        let found = again.resolve(path, &Spec::Number(version)).unwrap();
        let id = again.source_id(&found).unwrap();
        assert_eq!(id, Some(ObjectId::of(text.as_bytes())));
        let same = again.identify(text.as_bytes()).unwrap();
        assert!(
            same.iter()
                .any(|m| m.same_bytes && m.version.path == path && m.version.version == version)
        );
    }
    let report = verify(&again, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

#[test]
fn going_back_brings_the_bytes_back_from_another_segment_too() {
    for short in [false, true] {
        let storage = Arc::new(MemoryStorage::new());
        let archive = match short {
            true => short_segments(&storage),
            false => Archive::create_on(storage.clone()).unwrap(),
        };
        let path = "config/production.json";
        let mut wanted = vec![wide(1), tabbed(2), wide(3)];
        for text in &wanted {
            save(&archive, path, text);
        }
        // So that the first layouts are in a segment that is closed.
        for n in 0..20 {
            save(
                &archive,
                "filler",
                &format!("[{n}, \"{}\"]", "x".repeat(60)),
            );
        }
        let rollback = |to: u64| {
            let mut back = archive.rollback();
            back.path(path, Some(Spec::Number(to))).unwrap();
            back.commit().unwrap().changes.remove(0).status
        };
        assert_eq!(rollback(2), Status::RolledBack);
        assert_eq!(rollback(2), Status::Unchanged);
        wanted.push(tabbed(2));
        let undone = archive.undo_target().unwrap();
        archive.undo(undone).commit().unwrap();
        wanted.push(wide(3));
        archive.redo().unwrap().commit().unwrap();
        wanted.push(tabbed(2));
        // Written as the newest was, and as an older one was.
        save(&archive, path, &tabbed(7));
        save(&archive, path, &wide(8));
        wanted.extend([tabbed(7), wide(8)]);
        assert_eq!(save(&archive, path, &wide(8)).status, Status::Unchanged);
        assert_eq!(save(&archive, path, &tabbed(8)).status, Status::Reformatted);
        wanted.push(tabbed(8));
        check(&storage, path, &wanted);
        archive.delete(&[path]).commit().unwrap();
        archive.undelete(&[path]).commit().unwrap();
        archive
            .rename(path, "config/renamed.json")
            .commit()
            .unwrap();
        save(&archive, "config/renamed.json", &tabbed(9));
        check(&storage, "config/renamed.json", &[tabbed(8), tabbed(9)]);
    }
}

#[test]
fn the_same_bytes_are_the_same_content_by_whatever_layout() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    // Version 32 brings the layout again.
    for n in 1..=40 {
        save(&archive, "a", &wide(n % 2));
    }
    let mut back = archive.rollback();
    back.path("a", Some(Spec::Number(2))).unwrap();
    assert_eq!(back.commit().unwrap().changes[0].status, Status::Unchanged);
    assert_eq!(save(&archive, "a", &wide(0)).status, Status::Unchanged);
    // Undo goes by content: version 2 is what the path holds again.
    let second = archive.find_commit("2").unwrap();
    archive.undo(second).commit().unwrap();
    assert_eq!(source(&archive, "a", 41).unwrap(), wide(1).into_bytes());
}

#[test]
fn one_layout_serves_a_path_and_every_path_written_alike() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let mut many = archive.save();
    for n in 0..40 {
        many.add(&format!("first/{n}"), Document::source(wide(n)))
            .unwrap();
    }
    many.commit().unwrap();
    for n in 0..10 {
        save(&archive, "second", &wide(n + 100));
    }
    // 50 documents and one layout.
    assert_eq!(archive.stats().unwrap().objects, 51);
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    assert!(report.ok);
    assert_eq!(report.objects, 51);
    let wanted: Vec<String> = (100..110).map(wide).collect();
    check(&storage, "second", &wanted);
}

/// Changes the bytes of the last commit record's body and makes its checksum right again.
fn forge(files: &mut Files, edit: impl Fn(&mut [u8])) {
    let identity: serde_json::Value = serde_json::from_slice(&files["archive.json"]).unwrap();
    let digits = identity["archive"].as_str().unwrap();
    let id: Vec<u8> = (0..16)
        .map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let key = blake3::derive_key("backstory 2026-11 record checksum", &id);
    let marker = blake3::derive_key("backstory 2026-11 commit marker", &id);
    let segment = files.get_mut("log/00000001.seg").unwrap();
    let at = memchr::memmem::rfind(segment, &marker[..4]).unwrap() - 1;
    let end = segment.len() - 8;
    edit(&mut segment[at + 5..end]);
    let sum = blake3::keyed_hash(&key, &segment[at..end]);
    segment[end..].copy_from_slice(&sum.as_bytes()[..8]);
}

#[test]
fn a_check_that_does_not_hold_is_damage() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    save(&archive, "a", &wide(1));
    save(&archive, "b", &wide(2));
    save(&archive, "a", &wide(3));
    let whole = files_of(&storage);
    let check = ObjectId::of(wide(3).as_bytes()).as_bytes()[..8].to_owned();
    let mut same = whole.clone();
    forge(&mut same, |_| {});
    assert_eq!(same, whole);
    for bit in [0, 1, 35, 63] {
        let mut files = whole.clone();
        forge(&mut files, |body| {
            let at = memchr::memmem::find(body, &check).unwrap();
            body[at + bit / 8] ^= 1 << (bit % 8);
        });
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        assert!(source(&archive, "a", 2).unwrap_err().is_corrupt());
        let third = archive.resolve("a", &Spec::Number(2)).unwrap();
        assert!(archive.source_id(&third).unwrap_err().is_corrupt());
        assert_eq!(source(&archive, "a", 1).unwrap(), wide(1).into_bytes());
        assert_eq!(source(&archive, "b", 1).unwrap(), wide(2).into_bytes());
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        assert_eq!(report.findings[0].kind, FindingKind::DamagedObject);
        assert_eq!(report.findings[0].affects, [("a".to_owned(), 2)]);
        // What cannot be read is not taken for the same, and the bytes are kept once more.
        assert_eq!(save(&archive, "a", &wide(3)).status, Status::Reformatted);
        assert_eq!(source(&archive, "a", 3).unwrap(), wide(3).into_bytes());
    }
}

#[test]
fn a_layout_that_is_lost_is_told_once_for_all_who_need_it() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let header = support::header_len(&files_of(&storage)["log/00000001.seg"]);
    for n in 1..=31 {
        save(&archive, "some/path", &wide(n));
    }
    let mut files = files_of(&storage);
    let segment = files.get_mut("log/00000001.seg").unwrap();
    let at = memchr::memmem::find(segment, b"some/path").unwrap();
    // The first commit, the document and the layout that it brought.
    segment[header..at].fill(0);
    let archive = Archive::open_on(storage_of(&files)).unwrap();
    for n in 1..=31 {
        let error = source(&archive, "some/path", n).unwrap_err();
        assert!(error.is_corrupt());
        // The log has lost it; the index is not to blame.
        assert!(!error.to_string().contains("index"), "{n}: {error}");
    }
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds[0], FindingKind::LostCommits);
    let lacking: Vec<u64> = report.findings[1..]
        .iter()
        .flat_map(|found| found.affects.iter().map(|(_, n)| *n))
        .collect();
    assert!((2..32).all(|n| lacking.contains(&n)), "{lacking:?}");
    assert!(kinds.len() <= 3, "{kinds:?}");
}

#[test]
fn what_a_lost_commit_leaves_and_what_others_bring_serves_instead_of_a_lost_layout() {
    for whole_batch in [false, true] {
        let storage = Arc::new(MemoryStorage::new());
        let archive = Archive::create_on(storage.clone()).unwrap();
        for n in 1..=40 {
            save(&archive, "some/path", &wide(n));
        }
        let mut files = files_of(&storage);
        let segment = files.get_mut("log/00000001.seg").unwrap();
        let at = memchr::memmem::find(segment, b"some/path").unwrap();
        // The commit record alone: the objects in front of it are whole.
        segment[at] ^= 1;
        if whole_batch {
            // The layout too, but not the document, on which all others rest.
            segment[at - 60..at].fill(0);
        }
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        let found = (2..=40).filter(|n| {
            source(&archive, "some/path", *n).is_ok_and(|found| found == wide(*n).into_bytes())
        });
        assert_eq!(found.count(), 39, "{whole_batch}");
        assert!(source(&archive, "some/path", 1).is_err());
    }
}

fn spaces() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,3}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sources_come_back_byte_for_byte(
        versions in prop::collection::vec((spaces(), spaces(), spaces(), 0..4u32, any::<bool>()), 1..6),
    ) {
        let storage = Arc::new(MemoryStorage::new());
        let archive = Archive::create_on(storage.clone()).unwrap();
        let mut wanted: Vec<String> = Vec::new();
        for (a, b, c, n, turned) in versions {
            let (first, second) = if turned { ("y", "x") } else { ("x", "y") };
            let text = format!("{a}{{{b}\"{first}\":{c}{n}.50,\"{second}\"{c}:{a}[1,{b}2]{c}}}{b}");
            let saved = save(&archive, "p", &text);
            if saved.status != Status::Unchanged {
                wanted.push(text);
            }
        }
        let again = Archive::open_on(storage).unwrap();
        for (version, text) in (1..).zip(&wanted) {
            prop_assert_eq!(source(&again, "p", version).unwrap(), text.as_bytes());
        }
        prop_assert!(verify(&again, &VerifyOptions::default()).unwrap().ok);
    }
}
