//! `repair` where MANIFEST is lost, old or forged, and where segments stand beside those that it names.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use backstory::repair::{RepairOptions, repair_on};
use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CommitId, CompactOptions, Spec};
use support::{Files, commits_of, documents_of, files_of, save, short_segments, storage_of};

const LIST: &str = "log/MANIFEST";

fn text(n: u64) -> String {
    format!(
        "{{\"a\": \"a text that stays as it is {}\", \"n\": {n}, \"z\": 1}}\n",
        n * 7919
    )
}

/// The files behind each of some steps, and what the archive holds at the end.
struct Story {
    steps: Vec<Files>,
    /// In front of and behind the last time that the log was packed.
    packed: Option<(Files, Files)>,
    documents: BTreeMap<(String, u64), Vec<u8>>,
    commits: BTreeMap<u64, CommitId>,
}

fn story(compact_at: &[u64]) -> Story {
    let storage = Arc::new(MemoryStorage::new());
    let archive = short_segments(&storage);
    let mut steps = vec![files_of(&storage)];
    let mut packed = None;
    for n in 1..=12 {
        save(&archive, "a", &text(n));
        save(&archive, &format!("b/{}", n % 3), &text(100 + n));
        if compact_at.contains(&n) {
            let before = files_of(&storage);
            archive.compact(&CompactOptions::default()).unwrap();
            packed = Some((before, files_of(&storage)));
        }
        steps.push(files_of(&storage));
    }
    let (documents, commits) = (documents_of(&archive), commits_of(&archive));
    Story {
        steps,
        packed,
        documents,
        commits,
    }
}

impl Story {
    fn end(&self) -> &Files {
        &self.steps[self.steps.len() - 1]
    }

    /// Repairs these files: all that was ever saved is there, and stays when the log is packed.
    fn nothing_is_lost(&self, files: &Files, what: &str) {
        let storage = storage_of(files);
        let repaired = repair_on(storage.clone(), &RepairOptions::default())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(repaired.report.ok, "{what}: {repaired:?}");
        assert!(repaired.lost.is_empty(), "{what}: {:?}", repaired.lost);
        for packed in [false, true] {
            let archive = Archive::open_on(storage.clone()).unwrap();
            for ((path, version), document) in &self.documents {
                let found = archive.resolve(path, &Spec::Number(*version));
                let loaded = found.and_then(|found| archive.load(&found));
                let loaded = loaded.unwrap_or_else(|error| {
                    panic!("{what}, packed {packed}: {path}@{version}: {error}")
                });
                assert_eq!(loaded.source(), *document, "{what}: {path}@{version}");
            }
            for (seq, id) in &self.commits {
                let there = archive.find_commit(&seq.to_string()).unwrap();
                assert_eq!(there.commit, *id, "{what}: commit {seq}");
            }
            let report = verify(&archive, &VerifyOptions::default()).unwrap();
            assert!(report.ok, "{what}: {report:?}");
            save(&archive, "after", &text(u64::from(packed)));
            if !packed {
                archive.compact(&CompactOptions::default()).unwrap();
            }
        }
        let again = repair_on(storage, &RepairOptions::default()).unwrap();
        assert!(again.steps.is_empty() && again.report.ok, "{what}");
    }
}

/// Offsets at which records of a segment end.
fn record_ends(bytes: &[u8]) -> Vec<usize> {
    let ends = support::records(bytes).into_iter().map(|(_, _, end)| end);
    ends.collect()
}

fn segments(files: &Files) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    files.iter().filter(|(name, _)| name.ends_with(".seg"))
}

#[test]
fn an_older_list_put_back() {
    for compact_at in [&[][..], &[4, 8], &[12]] {
        let story = story(compact_at);
        let mut lists: Vec<&Vec<u8>> = story.steps.iter().map(|files| &files[LIST]).collect();
        lists.dedup();
        for (at, list) in lists[..lists.len() - 1].iter().enumerate() {
            let mut files = story.end().clone();
            files.insert(LIST.to_owned(), (*list).clone());
            story.nothing_is_lost(&files, &format!("compact at {compact_at:?}, list {at}"));
        }
    }
}

/// A compact was killed half-way, and then the list was lost: segments and what was being made of them side by side.
#[test]
fn a_compact_cut_off_and_no_list() {
    for compact_at in [&[10][..], &[5, 10]] {
        let story = story(compact_at);
        let (before, after) = story.packed.as_ref().unwrap();
        let (name, packed) = segments(after)
            .find(|(name, bytes)| bytes.contains(&6) && !before.contains_key(*name))
            .unwrap();
        let ends = record_ends(packed);
        let last = packed.len();
        let mut ends: Vec<usize> = ends.into_iter().step_by(2).collect();
        ends.extend([last - 1, last / 2, last / 3, last]);
        for end in ends {
            let mut files = story.end().clone();
            for (name, bytes) in segments(before) {
                files.entry(name.clone()).or_insert_with(|| bytes.clone());
            }
            files.insert(name.clone(), packed[..end].to_vec());
            files.remove(LIST);
            story.nothing_is_lost(
                &files,
                &format!("compact at {compact_at:?}, {end} of {last}"),
            );
        }
    }
}

/// Copies of a segment that end early, as a repair that was killed leaves them, and no list.
#[test]
fn what_a_repair_has_left_and_no_list() {
    let story = story(&[]);
    for (name, bytes) in segments(story.end()) {
        let ends = record_ends(bytes);
        for end in ends[..ends.len() - 1].iter().step_by(3) {
            for hit in [false, true] {
                let mut files = story.end().clone();
                files.insert("log/00000099.seg".to_owned(), bytes[..*end].to_vec());
                files.remove(LIST);
                if hit {
                    // Damage that costs nothing: the header.
                    files.get_mut(name).unwrap()[3] ^= 1;
                }
                story.nothing_is_lost(&files, &format!("{name}, {end} bytes, hit {hit}"));
            }
        }
    }
}

/// A list with another order, or with a segment in it twice, whose checksum is right.
#[test]
fn a_forged_list() {
    let story = story(&[6]);
    let files = story.end();
    let key = {
        let line = String::from_utf8(files["archive.json"].clone()).unwrap();
        let id = line.split_once("\"archive\":\"").unwrap().1;
        let id: Vec<u8> = (0..16)
            .map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        blake3::derive_key("backstory 2026-11 record checksum", &id)
    };
    let list = String::from_utf8(files[LIST].clone()).unwrap();
    let line = list.lines().next().unwrap();
    let (front, rest) = line.split_once("\"segments\":[").unwrap();
    let (entries, back) = rest.split_once(']').unwrap();
    let entries: Vec<&str> = entries.split_inclusive('}').collect();
    let entries: Vec<&str> = entries.iter().map(|e| e.trim_start_matches(',')).collect();
    assert!(entries.len() >= 4);
    let last = entries.len() - 1;
    let mut orders = vec![[&[0][..], &(0..=last).collect::<Vec<_>>()].concat()];
    for (one, other) in [(0, 1), (1, last - 1), (0, last - 1)] {
        let mut order: Vec<usize> = (0..=last).collect();
        order.swap(one, other);
        orders.push(order.clone());
        // Twice.
        order.swap(one, other);
        order.insert(other, one);
        orders.push(order);
    }
    for order in orders {
        let entries: Vec<&str> = order.iter().map(|at| entries[*at]).collect();
        let line = format!("{front}\"segments\":[{}]{back}", entries.join(","));
        let sum = blake3::keyed_hash(&key, line.as_bytes()).to_hex();
        let mut forged = files.clone();
        forged.insert(LIST.to_owned(), format!("{line}\n{sum}\n").into_bytes());
        let opened = Archive::open_on(storage_of(&forged));
        assert_eq!(opened.unwrap_err().kind(), backstory::ErrorKind::Corrupt);
        story.nothing_is_lost(&forged, &format!("order {order:?}"));
    }
}
