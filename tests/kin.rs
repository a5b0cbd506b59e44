//! First versions that rest on those of other paths: what it saves, what a load costs, and how far damage reaches.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use backstory::remote::{TransferOptions, push};
use backstory::repair::{RepairOptions, repair_on};
use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, Document, Spec};
use support::{
    Call, Tapped, documents_of, files_of, python_agrees, records, save, source, storage_of,
};

const SEGMENT: &str = "log/00000001.seg";

/// The file of one run: most of it is what the file of any other run has too. Every third has a metric of its own.
fn run(n: u64) -> String {
    let figure = |m: u64| (n * 31 + m + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let extra = match n % 3 {
        0 => format!("    \"recall\": 0.{},\n", figure(9)),
        _ => String::new(),
    };
    format!(
        "{{\n  \"run\": {n},\n  \"host\": \"node.cluster.local\",\n  \"params\": {{\n    \"optimizer\": \"adamw\",\n    \
         \"schedule\": \"cosine\",\n    \"lr\": 0.{},\n    \"batch_size\": 256,\n    \"warmup_steps\": 1000\n  }},\n  \
         \"note\": \"larger batch, augmentation by flips and crops, no early stopping\",\n  \"metrics\": {{\n{extra}    \
         \"loss\": 0.{},\n    \"accuracy\": 0.{}\n  }}\n}}\n",
        figure(0),
        figure(1),
        figure(2)
    )
}

fn save_all<'a>(archive: &Archive, paths: impl Iterator<Item = (String, &'a str)>, batch: bool) {
    let mut commits = archive.batch();
    for (path, text) in paths {
        if batch {
            let mut one = archive.save();
            one.add(&path, Document::source(text)).unwrap();
            commits.push(one);
        } else {
            save(archive, &path, text);
        }
    }
    commits.commit().unwrap();
}

fn log_len(archive: &Archive) -> u64 {
    archive.stats().unwrap().log_bytes
}

#[test]
fn files_alike_cost_a_part_of_what_each_costs_alone() {
    let texts: Vec<String> = (0..100).map(run).collect();
    let len = |name: &dyn Fn(usize) -> String, batch: bool| {
        let archive = Archive::in_memory().unwrap();
        let paths = texts.iter().enumerate().map(|(n, t)| (name(n), &**t));
        save_all(&archive, paths, batch);
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(source(&archive, &name(n), 1).unwrap(), text.as_bytes());
        }
        assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
        log_len(&archive)
    };
    for batch in [false, true] {
        // Neither a folder nor a name in common.
        let alone = len(&|n| format!("{n}/{n}.json"), batch);
        for name in [
            &(|n| format!("runs/run_{n}.json")) as &dyn Fn(usize) -> String,
            &|n| format!("runs/{n}/result.json"),
            &|n| format!("{n}.json"),
        ] {
            let alike = len(name, batch);
            assert!(
                alike * 100 < alone * 70,
                "{}, batch {batch}: {alike} of {alone} bytes",
                name(7)
            );
        }
    }
    // Each run has files of different kinds: those of the same name are alike.
    let archive = Archive::in_memory().unwrap();
    let other = |n: u64| {
        format!(
            "[\n  \"{}\"\n]\n",
            "0123456789 abcdef ".repeat(5 + n as usize % 3)
        )
    };
    for n in 0..50 {
        save(&archive, &format!("{n}/params.json"), &run(n));
        save(&archive, &format!("{n}/log.json"), &other(n));
    }
    let alone = Archive::in_memory().unwrap();
    for n in 0..50 {
        save(&alone, &format!("p{n}/{n}.json"), &run(n));
        save(&alone, &format!("l{n}/{n}.json"), &other(n));
    }
    assert!(log_len(&archive) * 100 < log_len(&alone) * 80);
}

#[test]
fn a_load_reads_one_frame_more() {
    let storage = Tapped::new();
    let archive = Archive::create_on(storage.clone()).unwrap();
    for n in 0..40 {
        save(&archive, &format!("runs/{n}.json"), &run(n));
    }
    let mut most = 0;
    for n in 0..40 {
        let cold = Archive::open_on(storage.clone()).unwrap();
        let version = cold
            .resolve(&format!("runs/{n}.json"), &Spec::Latest)
            .unwrap();
        storage.taps.take();
        assert_eq!(cold.load(&version).unwrap().source(), run(n).as_bytes());
        let calls = storage.taps.take();
        let read = |(call, name): &&(Call, String)| *call == Call::ReadAt && name == SEGMENT;
        most = most.max(calls.iter().filter(read).count());
    }
    // Two frames of the document, two of the layout, and the commit that names it.
    assert!(most <= 6, "{most} reads");
}

/// An archive of runs, some of them with many versions. They have no layouts, which many share in any case.
fn filled() -> (Arc<MemoryStorage>, Archive) {
    let storage = Arc::new(MemoryStorage::new());
    let archive = Archive::create_on(storage.clone()).unwrap();
    let save = |archive: &Archive, path: &str, text: &str| {
        let mut one = archive.save();
        one.add(path, Document::value(text)).unwrap();
        one.commit().unwrap();
    };
    for n in 0..60 {
        save(&archive, &format!("runs/{n}.json"), &run(n));
    }
    for version in 0..40 {
        for n in [0, 5, 30, 59] {
            save(
                &archive,
                &format!("runs/{n}.json"),
                &run(1000 + 60 * version + n),
            );
        }
    }
    (storage, archive)
}

#[test]
fn damage_to_one_object_reaches_few_paths_and_no_long_history() {
    let (storage, archive) = filled();
    let documents = documents_of(&archive);
    let files = files_of(&storage);
    let mut worst = 0;
    let mut objects = records(&files[SEGMENT]);
    // Damage in the last batch looks like a write that was cut off.
    objects.truncate(objects.len() - 2);
    for (_, start, end) in objects.iter().filter(|(kind, ..)| *kind == 2).step_by(3) {
        let mut damaged = files.clone();
        damaged.get_mut(SEGMENT).unwrap()[(start + end) / 2] ^= 0x10;
        damaged.remove("index.sqlite");
        let archive = Archive::open_on(storage_of(&damaged)).unwrap();
        let (mut paths, mut long) = (BTreeSet::new(), BTreeSet::new());
        for ((path, version), text) in &documents {
            match source(&archive, path, *version) {
                Ok(found) => assert_eq!(found, *text, "{path}@{version}"),
                Err(_) => {
                    paths.insert(path);
                    if *version > 16 {
                        long.insert(path);
                    }
                }
            }
        }
        worst = worst.max(paths.len());
        // A long history has come to stand on its own: only damage in itself takes more of it.
        assert!(long.len() <= 1, "{long:?}");
        if paths.len() > 1 {
            let report = verify(&archive, &VerifyOptions::default()).unwrap();
            assert!(!report.ok);
        }
    }
    assert!((2..=17).contains(&worst), "{worst} paths");
}

#[test]
fn what_rests_on_a_lost_object_is_repaired_and_saved_again() {
    let (storage, archive) = filled();
    let documents = documents_of(&archive);
    let files = files_of(&storage);
    let objects = records(&files[SEGMENT]);
    let (_, start, end) = objects.iter().find(|(kind, ..)| *kind == 2).unwrap();
    let mut damaged = files.clone();
    damaged.get_mut(SEGMENT).unwrap()[(start + end) / 2] ^= 0x10;
    damaged.remove("index.sqlite");
    let storage = storage_of(&damaged);
    let done = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
    let lost: BTreeSet<_> = done.lost_versions().cloned().collect();
    assert!((17..=80).contains(&lost.len()), "{lost:?}");
    let archive = Archive::open_on(storage).unwrap();
    for ((path, version), text) in &documents {
        match source(&archive, path, *version) {
            Ok(found) => assert_eq!(found, *text, "{path}@{version}"),
            Err(_) => assert!(lost.contains(&(path.clone(), *version)), "{path}@{version}"),
        }
    }
    // What was lost is saved again, and what comes behind it is no worse for it.
    for n in 60..90 {
        save(&archive, &format!("runs/{n}.json"), &run(n));
    }
    for (path, _) in lost.iter().filter(|(_, version)| *version == 1) {
        let n = path[5..path.len() - 5].parse().unwrap();
        save(&archive, path, &run(n));
    }
    for (path, version) in &lost {
        let text = &documents[&(path.clone(), *version)];
        assert_eq!(
            source(&archive, path, *version).ok(),
            (*version == 1).then(|| text.clone())
        );
    }
}

#[test]
fn compact_makes_files_alike_smaller_again_and_again() {
    // Long lists of which little changes from one day to the next; and others that have nothing in common.
    let day = |n: u64| {
        let rows = (0..1500).map(|row: u64| {
            let since = n.saturating_sub(row % 97) / 97;
            let value = (row * 31 + since).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            format!("{{\"id\":{row},\"value\":{value}}}")
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(","))
    };
    let other = |n: u64| {
        let figure = |m: u64| (n * 7919 + m + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        format!("{:?}", (0..2000).map(figure).collect::<Vec<_>>())
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    for n in 0..60 {
        save(&archive, &format!("days/{n}.json"), &day(n));
        save(&archive, &format!("sites/{n}/day.json"), &day(n + 3));
        if n % 6 == 0 {
            save(&archive, &format!("others/{n}.json"), &other(n));
        }
    }
    let documents = documents_of(&archive);
    let mut before = log_len(&archive);
    for n in 0..3 {
        archive.compact(&CompactOptions::default()).unwrap();
        let after = log_len(&archive);
        assert!(after < before, "{after} of {before} bytes, round {n}");
        assert!(
            documents_of(&archive)
                .iter()
                .all(|(at, text)| documents.get(at).is_none_or(|t| t == text))
        );
        assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
        python_agrees(folder.path());
        // As much again, so that it is packed once more.
        for day_number in 0..70 {
            save(
                &archive,
                &format!("days/{}.json", 100 * (n + 1) + day_number),
                &day(60 + day_number),
            );
        }
        before = log_len(&archive);
    }
}

#[test]
fn copies_and_packed_segments_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let archive = Archive::create(&one).unwrap();
    std::fs::write(
        one.join(".backstory/settings.json"),
        "{\"segment_bytes\": 8192}",
    )
    .unwrap();
    let archive = {
        drop(archive);
        Archive::open(&one).unwrap()
    };
    for n in 0..40 {
        save(&archive, &format!("runs/{n}.json"), &run(n));
    }
    push(&archive, &two, &TransferOptions::default()).unwrap();
    // The copy is made of the same records, not of larger ones.
    let copy = Archive::open(&two).unwrap();
    assert_eq!(documents_of(&copy), documents_of(&archive));
    let (here, there) = (log_len(&archive), log_len(&copy));
    assert!(there <= here + here / 20, "{there} of {here} bytes");
    for round in 1..4 {
        archive.compact(&CompactOptions::default()).unwrap();
        let texts: Vec<String> = (0..20).map(|n| run(100 * round + n)).collect();
        let path = |n| format!("runs/{}.json", 100 * round as usize + n);
        let paths = texts.iter().enumerate().map(|(n, text)| (path(n), &**text));
        save_all(&archive, paths, round == 2);
        push(&archive, &two, &TransferOptions::default()).unwrap();
        let copy = Archive::open(&two).unwrap();
        assert_eq!(documents_of(&copy), documents_of(&archive));
        assert!(verify(&copy, &VerifyOptions::default()).unwrap().ok);
    }
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    python_agrees(&one);
    python_agrees(&two);
}
