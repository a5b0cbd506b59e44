use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::super::objects::ObjectReader;
use super::super::{Archive, CompactOptions, Fault, ObjectAt};
use super::*;
use crate::remote::{TransferOptions, push};
use crate::storage::{MemoryStorage, Storage};
use crate::verify::{VerifyOptions, verify};
use crate::{Document, Spec};

/// The file of one run: most of it is what the file of any other run has too.
fn run(n: u64) -> String {
    let figure = |m: u64| (n * 31 + m + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    format!(
        "{{\n  \"run\": {n},\n  \"host\": \"node.cluster.local\",\n  \"optimizer\": \"adamw\",\n  \"schedule\": \
         \"cosine\",\n  \"lr\": 0.{},\n  \"note\": \"larger batch, augmentation by flips and crops, no early stopping\",\
         \n  \"loss\": 0.{},\n  \"accuracy\": 0.{}\n}}\n",
        figure(0),
        figure(1),
        figure(2)
    )
}

/// The file of one day: a long list of which little changes.
fn day(n: u64) -> String {
    let rows: Vec<String> = (0..1500)
        .map(|row: u64| {
            let since = n.saturating_sub(row % 97) / 97;
            let value = (row * 31 + since).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            format!("{{\"id\":{row},\"value\":{value}}}")
        })
        .collect();
    format!("[{}]", rows.join(","))
}

fn save(archive: &Archive, path: &str, text: &str) {
    let mut one = archive.save();
    one.add(path, Document::value(text)).unwrap();
    one.commit().unwrap();
}

fn save_batch(archive: &Archive, documents: impl Iterator<Item = (String, Document)>) {
    let mut batch = archive.batch();
    for (path, document) in documents {
        let mut one = archive.save();
        one.add(&path, document).unwrap();
        batch.push(one);
    }
    batch.commit().unwrap();
}

/// An object, what it rests on, its number in its chain, the frames that a load takes, and its content's length.
type Node = (ObjectAt, Option<ObjectAt>, u64, usize, usize);

fn objects_of(archive: &Archive) -> Vec<Node> {
    let newest = archive.head().unwrap().seq;
    let all = archive.engine.ask(|catalog| {
        let objects = ObjectReader::new(&archive.engine, catalog);
        let mut all = Vec::new();
        for seq in 1..=newest {
            for ordinal in 0.. {
                let at = ObjectAt { seq, ordinal };
                if catalog.object(seq, ordinal)?.is_none() {
                    break;
                }
                let (base, k) = objects.base_of(at)?;
                let (content, frames) = objects.content(at, &mut |_| None)?;
                all.push((at, base, k, frames, content.bytes.len()));
            }
        }
        Ok::<_, Fault>(all)
    });
    all.unwrap()
}

/// How many first objects rest on the same one, at most.
fn most_resting(archive: &Archive) -> usize {
    let mut counts: BTreeMap<ObjectAt, usize> = BTreeMap::new();
    for (_, base, k, ..) in objects_of(archive) {
        if let (Some(base), 0) = (base, k) {
            *counts.entry(base).or_default() += 1;
        }
    }
    counts.into_values().max().unwrap_or(0)
}

fn late(archive: &Archive) -> u64 {
    archive.engine.compressed_late.load(Relaxed)
}

#[test]
fn few_paths_rest_on_one_object() {
    let archive = Archive::in_memory().unwrap();
    for n in 0..100 {
        save(&archive, &format!("runs/{n}.json"), &run(n));
    }
    assert_eq!(most_resting(&archive), 16);
    let archive = Archive::in_memory().unwrap();
    let value = |n| Document::value(run(n));
    save_batch(
        &archive,
        (0..400).map(|n| (format!("runs/{n}.json"), value(n))),
    );
    assert_eq!(most_resting(&archive), 15);
    // What the log has is shared by batches, and by names and folders that lead to it.
    let archive = Archive::in_memory().unwrap();
    for n in 0..8 {
        save(&archive, &format!("a/{n}.json"), &run(1000 + n));
    }
    let paths = (0..800).map(|n| (format!("f{}/{}.json", n / 8, n % 8), value(n)));
    save_batch(&archive, paths);
    // Eight single saves, and at most three for each thread.
    let threads = crate::archive::beside::all_cores().min(8);
    assert!(most_resting(&archive) <= 15.max(7 + 3 * threads));
    let archive = Archive::in_memory().unwrap();
    for n in 0..30 {
        let mut commit = archive.save();
        for file in 0..12 {
            let path = format!("run{n}/{file:02}.json");
            commit.add(&path, value(file * 1000 + n)).unwrap();
        }
        commit.commit().unwrap();
    }
    assert!(
        most_resting(&archive) <= 11 + 3 * 16,
        "{}",
        most_resting(&archive)
    );
    // The same of layouts, whose documents the log has already.
    let archive = Archive::in_memory().unwrap();
    let spaced = |n: u64| {
        Document::source(run(5).replace("\": ", &format!("\":{}", " ".repeat(n as usize + 2))))
    };
    save_batch(
        &archive,
        (0..100).map(|n| (format!("runs/{n}.json"), spaced(n))),
    );
    assert!(most_resting(&archive) <= 15, "{}", most_resting(&archive));
}

#[test]
fn long_ones_rest_on_each_other_in_rows_of_bounded_length() {
    for batch in [false, true] {
        let archive = Archive::in_memory().unwrap();
        match batch {
            true => save_batch(
                &archive,
                (0..150).map(|n| (format!("days/{n:03}"), Document::value(day(n)))),
            ),
            false => (0..150).for_each(|n| save(&archive, &format!("days/{n:03}"), &day(n))),
        }
        let objects = objects_of(&archive);
        assert!(objects.iter().all(|(.., len)| *len > SHORT_OBJECT));
        let most = objects.iter().map(|(.., frames, _)| *frames).max().unwrap();
        assert!((28..=32).contains(&most), "batch {batch}: {most} frames");
        let alone = objects
            .iter()
            .filter(|(_, base, ..)| base.is_none())
            .count();
        assert!(alone <= 150 / 28 + 1 + 8, "{alone} of 150 stand alone");
        assert_eq!(late(&archive), 0);
    }
}

#[test]
fn the_documents_of_a_commit_rest_on_each_other_in_whatever_order_they_come() {
    let name = |n: u64| format!("runs/{n}.json");
    let mut lens = Vec::new();
    for reversed in [false, true] {
        for count in [12, 400] {
            let archive = Archive::in_memory().unwrap();
            let mut numbers: Vec<u64> = (0..count).collect();
            if reversed {
                numbers.reverse();
            }
            let mut commit = archive.save();
            for n in numbers {
                commit.add(&name(n), Document::value(run(n))).unwrap();
            }
            commit.commit().unwrap();
            assert_eq!(late(&archive), 0);
            let resting = objects_of(&archive)
                .iter()
                .filter(|node| node.1.is_some())
                .count();
            lens.push(resting as u64 * 10 / count);
        }
    }
    assert!(lens.iter().all(|tenths| *tenths >= 8), "{lens:?}");
}

#[test]
fn the_same_document_under_many_paths_breaks_no_row() {
    for text in [run as fn(u64) -> String, day] {
        let archive = Archive::in_memory().unwrap();
        // Back and forth.
        let texts = (0..60).map(|n| text(if n % 3 == 2 { n - 2 } else { n }));
        let documents = texts
            .zip(0..)
            .map(|(text, n)| (format!("runs/{n:02}.json"), Document::value(text)));
        save_batch(&archive, documents);
        assert_eq!(late(&archive), 0);
        assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    }
}

#[test]
fn copies_of_layouts_stand_alone() {
    let archive = Archive::in_memory().unwrap();
    let mut state = 1u64;
    let mut noise = || -> String {
        let mut letter = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            char::from(b'a' + ((state >> 40) % 26) as u8)
        };
        (0..9000).map(|_| letter()).collect()
    };
    let texts: Vec<String> = (0..400)
        .map(|n| {
            format!(
                "{{\n   \"run\":   {n},\n   \"text\": \"{}\",\n   \"list\": [1,2,  3]\n}}\n",
                noise()
            )
        })
        .collect();
    let documents = texts
        .iter()
        .zip(0..)
        .map(|(text, n)| (format!("runs/{n}.json"), Document::source(text.as_str())));
    save_batch(&archive, documents);
    let layouts: Vec<Node> = objects_of(&archive)
        .into_iter()
        .filter(|(.., len)| *len < 8000)
        .collect();
    assert!(layouts.len() >= 2, "stored again every mebibyte");
    assert!(
        layouts.iter().all(|(_, base, ..)| base.is_none()),
        "{layouts:?}"
    );
}

#[test]
fn what_another_reading_of_the_log_had_is_not_rested_on() {
    const SEGMENT: &str = "log/00000001.seg";
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    save(&archive, "other/x.json", &run(5));
    let len = storage.read(SEGMENT).unwrap().len() as u64;
    save(&archive, "runs/base.json", &run(6));
    let slow = Archive::open_on(storage.clone()).unwrap();
    let mut batch = slow.batch();
    // The first two find the newest commit, and more may rest on it.
    let path = |n: u64| match n {
        100 | 101 | 200.. => format!("runs/{n}.json"),
        _ => format!("z{n}/{n}"),
    };
    let mut add = |numbers: std::ops::Range<u64>| {
        let mut commit = slow.save();
        for n in numbers {
            commit.add(&path(n), Document::value(run(n))).unwrap();
        }
        batch.push(commit);
    };
    add(100..170);
    // Its threads have made use of the newest commit, which is cut now, as one whose sync failed is.
    std::thread::sleep(Duration::from_millis(300));
    storage.open(SEGMENT, true).unwrap().set_len(len).unwrap();
    let other = Archive::open_on(storage.clone()).unwrap();
    save(
        &other,
        "runs/other.json",
        &run(987)
            .replace("augmentation", "nothing")
            .replace("adamw", "sgd"),
    );
    save(&slow, "elsewhere", "[1]");
    add(200..260);
    batch.commit().unwrap();
    let fresh = Archive::open_on(storage).unwrap();
    for n in (100..170).chain(200..260) {
        let version = fresh.resolve(&path(n), &Spec::Latest).unwrap();
        let expected = crate::canon::canonicalize(run(n).as_bytes()).unwrap();
        let loaded = fresh.load(&version).unwrap().source();
        assert_eq!(
            crate::canon::canonicalize(&loaded).unwrap(),
            expected,
            "{n}"
        );
    }
    assert!(verify(&fresh, &VerifyOptions::default()).unwrap().ok);
}

#[test]
fn a_long_history_stands_on_its_own_in_copies_too() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    save(&archive, "runs/0.json", &run(0));
    save(&archive, "runs/1.json", &run(1));
    push(&archive, &two, &TransferOptions::default()).unwrap();
    // Here the first version is packed and rests on nothing, there it rests on that of the other path.
    archive.compact(&CompactOptions::default()).unwrap();
    for version in 0..60 {
        save(&archive, "runs/1.json", &run(2000 + version));
    }
    push(&archive, &two, &TransferOptions::default()).unwrap();
    let copy = Archive::open(&two).unwrap();
    let bases: BTreeMap<_, _> = objects_of(&copy)
        .into_iter()
        .map(|node| (node.0, node.1))
        .collect();
    let first = ObjectAt { seq: 1, ordinal: 0 };
    let rests = |at: &&ObjectAt| {
        let mut at = **at;
        while let Some(base) = bases[&at] {
            at = base;
        }
        at == first
    };
    let count = bases.keys().filter(rests).count();
    assert!((2..=17).contains(&count), "{count} objects");
}
