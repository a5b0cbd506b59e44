//! A damaged archive takes saves: each of them can be loaded, whatever the damage has hit, and saving again what was
//! lost brings it back.

mod support;

use std::sync::Arc;

use backstory::repair::{RepairOptions, repair_on};
use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, Document, Spec, Status};
use support::{Call, Files, Tapped, files_of, save, short_segments, source, storage_of};

fn text(n: u64) -> String {
    format!("{{\"a\": \"a text that stays as it is\", \"n\": {n}, \"z\": \"and more of it\"}}\n")
}

const LAST: u64 = 6;

/// An archive of several segments, and all versions of its paths.
fn sample(compact: bool) -> Files {
    let storage = Arc::new(MemoryStorage::new());
    let archive = short_segments(&storage);
    for n in 1..=LAST {
        for path in ["config/production.json", "config/staging.json"] {
            save(&archive, path, &text(n));
        }
        // A source that no layout gives back, and one that is canonical.
        save(&archive, "odd", &format!("[ {n},{n} , {n}]"));
        save(&archive, "plain", &format!("[{n}]"));
        if n == 4 && compact {
            archive.compact(&CompactOptions::default()).unwrap();
        }
    }
    files_of(&storage)
}

fn newest(path: &str) -> String {
    match path {
        "odd" => format!("[ {LAST},{LAST} , {LAST}]"),
        "plain" => format!("[{LAST}]"),
        _ => text(LAST),
    }
}

#[test]
fn every_save_over_damage_can_be_loaded() {
    for compact in [false, true] {
        let files = sample(compact);
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            for at in (support::header_len(bytes)..bytes.len()).step_by(41) {
                let mut damaged = files.clone();
                damaged.get_mut(name).unwrap()[at] ^= 4;
                let what = format!("compact {compact}: {name} byte {at}");
                let storage = storage_of(&damaged);
                let archive = Archive::open_on(storage.clone()).unwrap();
                for path in [
                    "config/production.json",
                    "config/staging.json",
                    "odd",
                    "plain",
                ] {
                    for text in [newest(path), text(3), text(77)] {
                        let saved = support::try_save(&archive, path, &text)
                            .unwrap_or_else(|error| panic!("{what}: {path}: {error}"));
                        let again = Archive::open_on(storage.clone()).unwrap();
                        let read = source(&again, path, saved.version)
                            .unwrap_or_else(|error| panic!("{what}: {path} {saved:?}: {error}"));
                        assert_eq!(read, text.as_bytes(), "{what}: {path}");
                    }
                }
            }
        }
    }
}

#[test]
fn saving_again_what_was_lost_brings_it_back() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    // Nothing rests on it, and nothing behind it.
    let long: Vec<u64> = (0..300).map(|n| n * n * 7919 % 10_007).collect();
    let document = format!("{{\"values\": {long:?}}}\n");
    save(&archive, "p", &document);
    save(&archive, "q", "[1]");
    let mut files = files_of(&storage);
    let log = files.get_mut("log/00000001.seg").unwrap();
    let at = support::header_len(log) + 60;
    log[at] ^= 1;
    let storage = storage_of(&files);
    let archive = Archive::open_on(storage.clone()).unwrap();
    assert!(source(&archive, "p", 1).unwrap_err().is_corrupt());
    // The newest version cannot be given back: this is no `unchanged`.
    let saved = save(&archive, "p", &document);
    assert_eq!((saved.version, saved.status), (2, Status::Saved));
    let archive = Archive::open_on(storage.clone()).unwrap();
    for version in [1, 2] {
        let read = source(&archive, "p", version);
        assert_eq!(read.unwrap(), document.as_bytes(), "version {version}");
    }
    assert_eq!(save(&archive, "p", &document).status, Status::Unchanged);
    // The same at another path: nothing needs to be stored twice.
    let before = archive.stats().unwrap().objects;
    assert_eq!(save(&archive, "r", &document).version, 1);
    assert_eq!(archive.stats().unwrap().objects, before);
}

#[test]
fn a_rollback_to_what_is_lost_changes_nothing() {
    let files = sample(false);
    let name = "log/00000001.seg";
    let bytes = &files[name];
    let mut refused = 0;
    for at in (support::header_len(bytes)..bytes.len()).step_by(7) {
        let mut damaged = files.clone();
        damaged.get_mut(name).unwrap()[at] ^= 4;
        let archive = Archive::open_on(storage_of(&damaged)).unwrap();
        let head = archive.head().unwrap();
        let lost = source(&archive, "config/production.json", 2).is_err();
        let mut rollback = archive.rollback();
        let added = rollback
            .path("config/production.json", Some(Spec::Number(2)))
            .map(drop);
        let done = added.and_then(|_| rollback.commit());
        if lost {
            done.unwrap_err();
            assert_eq!(archive.head().unwrap(), head);
            refused += 1;
        } else {
            let made = done.unwrap();
            let version = made.changes[0].version;
            assert_eq!(
                source(&archive, "config/production.json", version).unwrap(),
                text(2).as_bytes()
            );
        }
    }
    assert!(refused > 3);
}

#[test]
fn a_batch_over_damage() {
    let files = sample(false);
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        for at in (support::header_len(bytes)..bytes.len()).step_by(197) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 4;
            let storage = storage_of(&damaged);
            let archive = Archive::open_on(storage.clone()).unwrap();
            let mut batch = archive.batch();
            let mut texts = Vec::new();
            for n in 0..20 {
                let text = text(LAST + n / 2);
                let mut save = archive.save();
                save.add("config/production.json", Document::source(text.clone()))
                    .unwrap();
                batch.push(save);
                texts.push(text);
            }
            let done = batch.commit().unwrap();
            let archive = Archive::open_on(storage).unwrap();
            for (change, text) in done.into_iter().flatten().zip(texts) {
                let read = source(&archive, "config/production.json", change.version);
                assert_eq!(read.unwrap(), text.as_bytes(), "{name} byte {at}");
            }
        }
    }
}

/// Text that compresses to about half of its length, and is no JSON but for its quotes.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(len);
    while text.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

#[test]
fn the_loss_of_a_layout_does_not_take_every_source() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let document = |n: u64| format!("{{\"n\": {n}, \"noise\": \"{}\"}}\n", noise(n, 100_000));
    let name = "log/00000001.seg";
    let mut first_end = 0;
    for n in 1..=100 {
        save(&archive, &format!("run-{}", n % 3), &document(n));
        if n == 1 {
            first_end = files_of(&storage)[name].len();
        }
    }
    let files = files_of(&storage);
    assert!(files[name].len() > 3 << 20);
    // The first layout stands behind the first document, in front of the first commit record.
    let mut hits = 0;
    for back in (60..400).step_by(20) {
        let mut damaged = files.clone();
        damaged.get_mut(name).unwrap()[first_end - back] ^= 1;
        let archive = Archive::open_on(storage_of(&damaged)).unwrap();
        let lost: Vec<(String, u64)> = (0..3)
            .flat_map(|path| (1..=34).map(move |version| (format!("run-{path}"), version)))
            .filter(|(path, version)| archive.resolve(path, &Spec::Number(*version)).is_ok())
            .filter(|(path, version)| source(&archive, path, *version).is_err())
            .collect();
        // Where it is the document that was hit, its own version is lost.
        assert!(lost.len() <= 1, "{back}: {lost:?}");
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(!report.ok);
        let whole = report.findings.iter().all(|found| found.affects.is_empty());
        hits += usize::from(lost.is_empty() && whole);
    }
    assert!(hits > 0, "the layout was never hit");
}

/// Documents without bytes of their own, and saves that do not care for the layout, over damage and over a repair of it:
/// what is answered can be loaded, and saying it again changes nothing.
#[test]
fn an_answer_of_whatever_kind_can_be_loaded_and_stands() {
    let paths = ["config/production.json", "odd", "plain"];
    for (compact, repaired) in [(false, false), (false, true), (true, true)] {
        let files = sample(compact);
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            for at in (support::header_len(bytes)..bytes.len()).step_by(149) {
                let mut damaged = files.clone();
                damaged.get_mut(name).unwrap()[at] ^= 4;
                for kind in 0..3 {
                    let storage = storage_of(&damaged);
                    if repaired {
                        repair_on(storage.clone(), &RepairOptions::default()).unwrap();
                    }
                    let archive = Archive::open_on(storage.clone()).unwrap();
                    for path in paths {
                        let what = format!("{compact} {repaired} {name} {at}: {path} {kind}");
                        let text = newest(path);
                        let make = || match kind {
                            0 => Document::source(&*text),
                            1 => Document::value(&*text),
                            _ => Document::source(format!("\n{text}")),
                        };
                        let once = |archive: &Archive| {
                            let mut save = archive.save();
                            save.add(path, make()).unwrap();
                            save.ignore_format(kind == 2);
                            save.commit().unwrap().remove(0)
                        };
                        let saved = once(&archive);
                        let fresh = Archive::open_on(storage.clone()).unwrap();
                        let version = fresh.resolve(path, &Spec::Number(saved.version)).unwrap();
                        let loaded = fresh
                            .load(&version)
                            .unwrap_or_else(|error| panic!("{what}: {saved:?}: {error}"));
                        let (read, text): (serde_json::Value, serde_json::Value) = (
                            serde_json::from_slice(&loaded.source()).unwrap(),
                            serde_json::from_str(&text).unwrap(),
                        );
                        assert_eq!(read, text, "{what}");
                        for archive in [&archive, &fresh] {
                            let again = once(archive);
                            assert_eq!(
                                (again.status, again.version),
                                (Status::Unchanged, saved.version),
                                "{what}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// A version whose layout is lost cannot be loaded as it was written, though its document can.
#[test]
fn unchanged_is_not_said_where_the_source_cannot_be_written() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let name = "log/00000001.seg";
    save(&archive, "a.json", &text(1));
    let end = files_of(&storage)[name].len();
    // Damage in the last batch would be a torn tail.
    save(&archive, "plain", "[1]");
    save(&archive, "plain", "[2]");
    let files = files_of(&storage);
    let mut hits = 0;
    for at in support::header_len(&files[name])..end {
        let mut damaged = files.clone();
        damaged.get_mut(name).unwrap()[at] ^= 1;
        for ignore_format in [false, true] {
            let archive = Archive::open_on(storage_of(&damaged)).unwrap();
            let is_lost = match archive.resolve("a.json", &Spec::Number(1)) {
                Ok(version) => archive.load(&version).is_err(),
                Err(_) => continue,
            };
            let mut again = archive.save();
            let document = match ignore_format {
                true => Document::source(format!("\n{}", text(1))),
                false => Document::value(text(1)),
            };
            again.add("a.json", document).unwrap();
            again.ignore_format(ignore_format);
            let saved = again.commit().unwrap().remove(0);
            let version = archive
                .resolve("a.json", &Spec::Number(saved.version))
                .unwrap();
            archive.load(&version).unwrap();
            assert_eq!(is_lost, saved.status != Status::Unchanged, "byte {at}");
            hits += u32::from(is_lost);
        }
    }
    assert!(hits > 0, "the layout was never hit");
}

/// Thousands of sources whose layout is lost: what is tried for one is not read anew for the next.
#[test]
fn many_sources_without_their_layout() {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let count = 3000;
    let mut batch = archive.batch();
    for n in 0..count {
        let mut one = archive.save();
        one.add("p", Document::source(format!("[\n {n},  {n}]\n")))
            .unwrap();
        batch.push(one);
    }
    batch.commit().unwrap();
    // Proves that what is in front was on disk.
    save(&Archive::open_on(storage.clone()).unwrap(), "q", "1");
    let files = files_of(&storage);
    // All object records of layouts: found by trying which of them take sources with them.
    let bytes = &files["log/00000001.seg"];
    let mut damaged = bytes.clone();
    let mut second = false;
    for (kind, body, _) in support::records(bytes) {
        // The second object of a commit is a layout.
        if kind == 2 && second {
            damaged[body + 1] ^= 1;
        }
        second = kind == 2;
    }
    let mut files = files.clone();
    files.insert("log/00000001.seg".to_owned(), damaged);
    let storage = Tapped::around(storage_of(&files));
    let archive = Archive::open_on(storage.clone()).unwrap();
    storage.taps.take();
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    assert!(!report.ok && report.findings.len() == 2, "{report:?}");
    assert_eq!(report.findings[1].affects.len(), count);
    // Millions were each source to look for another layout of its own.
    let reads = storage.taps.count(Call::ReadAt);
    assert!(reads < 40 * count, "{reads} reads");
}
