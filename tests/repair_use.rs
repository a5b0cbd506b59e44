//! `repair` of archives that are in use, or have an index beside them, or were hit in several places.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstory::repair::{RepairOptions, repair, repair_on};
use backstory::storage::{MemoryStorage, Storage};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, ErrorKind, OpenOptions, Spec, Status};
use support::{
    Files, commits_of, documents_of, files_of, header_len, save, short_segments, source,
    storage_of, try_save,
};

fn text(n: u64) -> String {
    format!(
        "{{\"a\": \"a text that stays as it is {}\", \"n\": {n}}}\n",
        n * 7919
    )
}

type Documents = BTreeMap<(String, u64), Vec<u8>>;

/// Damages the first commit of a file: a byte behind the header.
fn hit(bytes: &mut [u8]) {
    let at = header_len(bytes) + 20;
    bytes[at] ^= 1;
}

fn hit_in(storage: &dyn Storage, name: &str) {
    let mut bytes = storage.read(name).unwrap();
    hit(&mut bytes);
    let file = storage.open(name, true).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
}

#[test]
fn other_handles_go_on_behind_a_repair() {
    for compact in [false, true] {
        for active in [false, true] {
            let storage = Arc::new(MemoryStorage::new());
            let first = short_segments(&storage);
            for n in 1..=6 {
                save(&first, "a", &text(n));
                save(&first, "b", &text(100 + n));
            }
            if compact {
                first.compact(&CompactOptions::default()).unwrap();
                for n in 7..=9 {
                    save(&first, "c", &format!("[{n}]"));
                }
            }
            let reader = Archive::open_on(storage.clone()).unwrap();
            let writer = Archive::open_on(storage.clone()).unwrap();
            save(&writer, "c", "1");
            save(&writer, "c", "2");
            save(&first, "c", "3");
            let mut names = storage.list("log").unwrap();
            names.retain(|name| name.ends_with(".seg"));
            let list = String::from_utf8(storage.read("log/MANIFEST").unwrap()).unwrap();
            let number = list.rsplit_once("\"number\":").unwrap().1;
            let number: u64 = number[..number.find('}').unwrap()].parse().unwrap();
            let last = format!("log/{number:08}.seg");
            let name = match active {
                true => last.clone(),
                false => format!("log/{}", names[0]),
            };
            let what = format!("compact {compact}, {name}");
            hit_in(&*storage, &name);
            // What is in the cache of a handle may be lost.
            let fresh = Archive::open_on(storage.clone()).unwrap();
            let before = documents_of(&fresh);
            let ids = commits_of(&fresh);
            let repaired = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
            assert!(repaired.report.ok && !repaired.steps.is_empty(), "{what}");
            for (number, archive) in [&writer, &first].into_iter().enumerate() {
                let saved = save(archive, "after", &format!("[{number}]"));
                assert_eq!(saved.version, number as u64 + 1, "{what}");
                let again = save(archive, "after", &format!("[{number}]"));
                assert_eq!(again.status, Status::Unchanged, "{what}");
            }
            for archive in [
                &reader,
                &writer,
                &first,
                &Archive::open_on(storage.clone()).unwrap(),
            ] {
                assert_eq!(
                    source(archive, "after", 1).unwrap(),
                    b"[0]".as_slice(),
                    "{what}"
                );
                let after = documents_of(archive);
                assert!(
                    before.iter().all(|(key, text)| after[key] == *text),
                    "{what}"
                );
                let now = commits_of(archive);
                assert!(ids.iter().all(|(seq, id)| now[seq] == *id), "{what}");
                assert!(
                    verify(archive, &VerifyOptions::default()).unwrap().ok,
                    "{what}"
                );
            }
            writer.compact(&CompactOptions::default()).unwrap();
            save(&first, "after", "[9]");
            let report = verify(&reader, &VerifyOptions::default()).unwrap();
            assert!(report.ok, "{what}: {report:?}");
            assert!(
                before
                    .iter()
                    .all(|(key, text)| documents_of(&reader)[key] == *text)
            );
            let again = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
            assert!(again.steps.is_empty(), "{what}: {:?}", again.steps);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// An archive in a folder, with an index that has most of its commits.
fn in_folder(dir: &Path) {
    let archive = Archive::create(dir).unwrap();
    std::fs::write(
        dir.join(".backstory/settings.json"),
        "{\"segment_bytes\": 1024}",
    )
    .unwrap();
    drop(archive);
    let archive = Archive::open(dir).unwrap();
    for n in 1..=8 {
        save(&archive, "a", &text(n));
        save(&archive, "b", &text(100 + n));
    }
    archive.reindex().unwrap();
    save(&archive, "a", &text(9));
}

#[test]
fn an_index_beside_and_copies() {
    let place = tempfile::tempdir().unwrap();
    let one = place.path().join("one");
    std::fs::create_dir(&one).unwrap();
    in_folder(&one);
    let open = Archive::open(&one).unwrap();
    let all = documents_of(&open);
    let segment = one.join(".backstory/log/00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    hit(&mut bytes);
    std::fs::write(&segment, bytes).unwrap();
    let two = place.path().join("two");
    copy(&one, &two);
    for dir in [&one, &two] {
        let before = documents_of(&Archive::open(dir).unwrap());
        let repaired = repair(dir, &RepairOptions::default()).unwrap();
        assert!(repaired.report.ok, "{repaired:?}");
        assert!(!repaired.steps.is_empty());
        let archive = Archive::open(dir).unwrap();
        assert!(archive.take_notices().is_empty());
        let after = documents_of(&archive);
        assert!(before.iter().all(|(key, text)| after[key] == *text));
        let again = repair(dir, &RepairOptions::default()).unwrap();
        assert!(again.steps.is_empty() && again.report.ok, "{again:?}");
    }
    // The handle that was open all the time.
    save(&open, "a", &text(10));
    assert_eq!(source(&open, "a", 10).unwrap(), text(10).as_bytes());
    let now = documents_of(&Archive::open(&one).unwrap());
    assert_eq!(documents_of(&open), now);
    assert!(
        now.iter()
            .all(|(key, text)| all.get(key).is_none_or(|was| was == text))
    );
    let report = verify(&open, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{report:?}");
    let other = Archive::open(&two).unwrap();
    assert!(other.resolve("a", &Spec::Number(10)).is_err());
}

#[test]
fn a_repair_that_may_not_write_changes_nothing() {
    for name in ["log/00000001.seg", "log/MANIFEST", "archive.json"] {
        let place = tempfile::tempdir().unwrap();
        in_folder(place.path());
        let file = place.path().join(".backstory").join(name);
        let mut bytes = std::fs::read(&file).unwrap();
        match name.ends_with(".seg") {
            true => hit(&mut bytes),
            false => bytes[20] ^= 1,
        }
        std::fs::write(&file, &bytes).unwrap();
        let listed = || {
            let entries = std::fs::read_dir(place.path().join(".backstory/log")).unwrap();
            entries.count()
        };
        let before = listed();
        let reading = RepairOptions {
            open: OpenOptions {
                read_only: true,
                ..OpenOptions::default()
            },
            ..RepairOptions::default()
        };
        let error = repair(place.path(), &reading).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{name}");
        assert_eq!(listed(), before, "{name}");
        // Another has the lock.
        let storage = backstory::storage::LocalStorage::open(place.path().join(".backstory"));
        let lock = storage.unwrap().lock(Duration::ZERO).unwrap().unwrap();
        let short = RepairOptions {
            open: OpenOptions {
                wait: Duration::from_millis(20),
                ..OpenOptions::default()
            },
            ..RepairOptions::default()
        };
        let error = repair(place.path(), &short).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{name}: {error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{name}");
        drop(lock);
        let repaired = repair(place.path(), &short).unwrap();
        assert!(repaired.report.ok, "{name}: {repaired:?}");
    }
}

/// Another archive's segment in the place of one says nothing of this one.
#[test]
fn a_whole_identity_stays() {
    let make = || {
        let storage = Arc::new(MemoryStorage::new());
        let archive = short_segments(&storage);
        for n in 1..=4 {
            save(&archive, "a", &text(n));
            save(&archive, "b", &text(100 + n));
        }
        files_of(&storage)
    };
    let (mine, theirs) = (make(), make());
    let names: Vec<&String> = mine.keys().filter(|name| name.ends_with(".seg")).collect();
    let mut some = 0;
    for name in &names {
        let mut files = mine.clone();
        for other in &names {
            match other == name {
                true => files.insert((*other).clone(), theirs[*other].clone()),
                // The header only.
                false => files.get_mut(*other).map(|bytes| {
                    bytes[30] ^= 1;
                    bytes.clone()
                }),
            };
        }
        let before = documents_of(&Archive::open_on(storage_of(&files)).unwrap());
        some += before.len();
        let storage = storage_of(&files);
        let repaired = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
        assert!(repaired.report.ok, "{name}: {repaired:?}");
        assert_eq!(
            storage.read("archive.json").unwrap(),
            mine["archive.json"],
            "{name}"
        );
        let after = documents_of(&Archive::open_on(storage).unwrap());
        assert!(
            before
                .iter()
                .all(|(key, text)| after.get(key) == Some(text)),
            "{name}"
        );
    }
    assert!(some > 0);
}

#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) % end as u64) as usize
    }
}

/// Damage in several places, repaired, saved to, packed, and damaged again.
#[test]
fn damage_in_several_places_again_and_again() {
    let times = std::env::var_os("BACKSTORY_TORTURE").map_or(20, |_| 2000);
    for seed in 0..times {
        let mut random = Random(seed * 77 + 1);
        let storage = Arc::new(MemoryStorage::new());
        let archive = short_segments(&storage);
        for n in 1..=6 {
            save(&archive, "a", &text(n));
            save(&archive, &format!("b/{}", n % 3), &text(100 + n));
            if n == 4 && seed % 2 == 0 {
                archive.compact(&CompactOptions::default()).unwrap();
            }
        }
        let mut known = documents_of(&archive);
        drop(archive);
        let mut files: Files = files_of(&storage);
        for round in 0..3u64 {
            let what = format!("seed {seed}, round {round}");
            let names: Vec<String> = files
                .keys()
                .filter(|name| name.ends_with(".seg") || name.ends_with("MANIFEST"))
                .filter(|name| name.matches('/').count() == 1)
                .cloned()
                .collect();
            for _ in 0..1 + random.below(4) {
                let name = &names[random.below(names.len())];
                let Some(bytes) = files.get_mut(name) else {
                    continue;
                };
                if bytes.is_empty() {
                    continue;
                }
                let at = random.below(bytes.len());
                match random.below(8) {
                    0 => drop(files.remove(name)),
                    1 => bytes.truncate(at),
                    2 => {
                        let end = (at + 40).min(bytes.len());
                        bytes[at..end].fill(0);
                    }
                    _ => bytes[at] ^= 1 << random.below(8),
                }
            }
            let before = match Archive::open_on(storage_of(&files)) {
                Ok(archive) => documents_of(&archive),
                Err(_) => Documents::new(),
            };
            let storage = storage_of(&files);
            let repaired = match repair_on(storage.clone(), &RepairOptions::default()) {
                Ok(repaired) => repaired,
                Err(error) => panic!("{what}: {error}"),
            };
            assert!(repaired.report.ok, "{what}: {:?}", repaired.report);
            let archive = Archive::open_on(storage.clone()).unwrap();
            let after = documents_of(&archive);
            for (key, text) in &before {
                assert_eq!(after.get(key), Some(text), "{what}: {key:?}");
            }
            for (key, text) in &after {
                // Numbers of versions that nothing knows of any more are given again.
                if let Some(was) = known.get(key).filter(|_| !key.0.starts_with("new")) {
                    assert_eq!(text, was, "{what}: {key:?}");
                }
            }
            let again = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
            assert!(
                again.steps.is_empty() && again.lost.is_empty(),
                "{what}: {again:?}"
            );
            let saved = try_save(&archive, &format!("new/{round}"), &text(1000 + round));
            let saved = saved.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(
                source(&archive, &format!("new/{round}"), saved.version).unwrap(),
                text(1000 + round).as_bytes(),
                "{what}"
            );
            if random.below(2) == 0 {
                archive
                    .compact(&CompactOptions::default())
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                let report = verify(&archive, &VerifyOptions::default()).unwrap();
                assert!(report.ok, "{what}: {report:?}");
                let packed = documents_of(&archive);
                assert!(
                    after.iter().all(|(key, text)| packed[key] == *text),
                    "{what}"
                );
            }
            known.extend(documents_of(&archive));
            files = files_of(&storage);
        }
    }
}
