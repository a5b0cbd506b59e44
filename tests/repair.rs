//! `repair` makes a damaged archive whole again: all that could be read before can be read behind it, what is gone is
//! said by path and version, what was damaged is kept, and the archive can be used again.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use backstory::repair::{RepairOptions, Repaired, repair_on};
use backstory::storage::{MemoryStorage, Storage};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CommitId, CompactOptions, Document, Spec};
use support::{
    Files, commits_of, documents_of, files_of, save, short_segments, source, storage_of,
};

struct Sample {
    files: Files,
    /// The source of each version.
    documents: BTreeMap<(String, u64), Vec<u8>>,
    commits: BTreeMap<u64, CommitId>,
}

fn text(n: u64) -> String {
    format!("{{\"a\": \"a text that stays as it is\", \"n\": {n}, \"z\": \"and more of it\"}}\n")
}

/// Several short segments, commits of many changes, objects that other segments rest on.
fn sample(compact: bool) -> Sample {
    let storage = Arc::new(MemoryStorage::new());
    let archive = short_segments(&storage);
    for n in 1..=6 {
        save(&archive, "config/production.json", &text(n));
        save(&archive, "q", &format!("[{n}]"));
        if n == 3 {
            let mut many = archive.save();
            for number in 0..34 {
                let name = format!("sensors/number-{number}.json");
                many.add(&name, Document::source(text(100 + number % 5)))
                    .unwrap();
            }
            many.commit().unwrap();
        }
        if n == 4 && compact {
            assert!(archive.compact(&CompactOptions::default()).unwrap().commits > 0);
        }
    }
    // What another path has stored.
    save(&archive, "r", "[2]");
    let (documents, commits) = (documents_of(&archive), commits_of(&archive));
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    let files = files_of(&storage);
    assert!(files.keys().filter(|name| name.ends_with(".seg")).count() >= 2);
    Sample {
        files,
        documents,
        commits,
    }
}

/// What loads, checked against what was saved.
fn loads(archive: &Archive, sample: &Sample, what: &str) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    for ((path, version), document) in &sample.documents {
        let read = archive
            .resolve(path, &Spec::Number(*version))
            .and_then(|version| archive.load(&version));
        if let Ok(loaded) = read {
            assert_eq!(loaded.source(), *document, "{what}: {path}@{version}");
            found.insert((path.clone(), *version));
        }
    }
    found
}

impl Sample {
    /// Repairs an archive of these files and checks what came of it.
    fn check(&self, files: &Files, what: &str) -> Repaired {
        let before = match Archive::open_on(storage_of(files)) {
            Ok(archive) => loads(&archive, self, what),
            Err(_) => BTreeSet::new(),
        };
        let storage = storage_of(files);
        let repaired = repair_on(storage.clone(), &RepairOptions::default())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(repaired.report.ok, "{what}: {:?}", repaired);
        let archive = Archive::open_on(storage.clone()).unwrap();
        let after = loads(&archive, self, what);
        assert!(
            after.is_superset(&before),
            "{what}: lost by repair: {:?}",
            before.difference(&after)
        );
        // What is gone is said, but for versions that nothing left knows of.
        let said: BTreeSet<&(String, u64)> = repaired.lost_versions().collect();
        for key in self.documents.keys().filter(|key| !after.contains(*key)) {
            let newest = archive.newest(&key.0).ok().flatten();
            let known = newest.is_some_and(|newest| newest.version >= key.1);
            assert!(!known || said.contains(key), "{what}: {key:?} is not said");
        }
        for key in &said {
            assert!(!after.contains(*key), "{what}: {key:?} is there");
        }
        for (seq, id) in &self.commits {
            if let Ok(view) = archive.find_commit(&seq.to_string()) {
                assert_eq!(view.commit, *id, "{what}: commit {seq}");
            }
        }
        // What was damaged is kept.
        for step in &repaired.steps {
            let Some(kept) = &step.kept else { continue };
            assert_eq!(storage.read(kept).unwrap(), files[&step.file], "{what}");
        }
        // It can be used, and there is nothing more to do.
        let saved = save(&archive, "config/production.json", &text(99));
        let read = source(&archive, "config/production.json", saved.version);
        assert_eq!(read.unwrap(), text(99).as_bytes());
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(report.ok, "{what}: {report:?}");
        let again = repair_on(storage, &RepairOptions::default()).unwrap();
        assert!(
            again.steps.is_empty() && again.lost.is_empty(),
            "{what}: {again:?}"
        );
        assert!(again.report.ok);
        repaired
    }

    fn with(&self, name: &str, bytes: Vec<u8>) -> Files {
        let mut files = self.files.clone();
        files.insert(name.to_owned(), bytes);
        files
    }

    /// Files that are damaged in turn, and how many bytes lie between two places of damage.
    fn targets(&self) -> impl Iterator<Item = (&String, &Vec<u8>, usize)> {
        self.files
            .iter()
            .filter(|(name, _)| *name != "settings.json")
            .map(|(name, bytes)| (name, bytes, if bytes.len() > 600 { 61 } else { 23 }))
    }
}

#[test]
fn nothing_is_done_to_a_whole_archive() {
    for compact in [false, true] {
        let sample = sample(compact);
        let storage = storage_of(&sample.files);
        let repaired = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
        assert!(repaired.steps.is_empty() && repaired.report.ok);
        assert_eq!(files_of(&storage), sample.files);
    }
}

#[test]
fn a_changed_byte_somewhere() {
    for compact in [false, true] {
        let sample = sample(compact);
        for (name, bytes, step) in sample.targets() {
            for at in (0..bytes.len()).step_by(step) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                let what = format!("compact {compact}: {name} byte {at}");
                sample.check(&sample.with(name, changed), &what);
            }
        }
    }
}

#[test]
fn bytes_that_are_zeros_cut_out_or_put_in() {
    for compact in [false, true] {
        let sample = sample(compact);
        for (name, bytes, step) in sample.targets() {
            for at in (0..bytes.len()).step_by(step * 5) {
                let end = (at + 100).min(bytes.len());
                let mut zeros = bytes.clone();
                zeros[at..end].fill(0);
                let mut out = bytes.clone();
                out.drain(at..end);
                let mut twice = bytes.clone();
                twice.splice(at..at, bytes[at..end].iter().copied());
                for (changed, how) in [(zeros, "zeros"), (out, "cut out"), (twice, "twice")] {
                    let what = format!("compact {compact}: {name} bytes {at} to {end} {how}");
                    sample.check(&sample.with(name, changed), &what);
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_missing_or_empty() {
    for compact in [false, true] {
        let sample = sample(compact);
        for (name, ..) in sample.targets() {
            let mut files = sample.files.clone();
            files.remove(name);
            sample.check(&files, &format!("compact {compact}: {name} is missing"));
            let empty = sample.with(name, Vec::new());
            sample.check(&empty, &format!("compact {compact}: {name} is empty"));
        }
    }
}

#[test]
fn the_list_and_a_segment_both_missing() {
    for compact in [false, true] {
        let sample = sample(compact);
        let segments = sample.files.keys().filter(|name| name.ends_with(".seg"));
        for name in segments {
            let mut files = sample.files.clone();
            files.remove("log/MANIFEST");
            files.remove(name);
            sample.check(&files, &format!("{name} and the list are missing"));
            files.remove("archive.json");
            sample.check(
                &files,
                &format!("{name}, the list and the identity are missing"),
            );
        }
    }
}

#[test]
fn segments_that_stand_in_each_others_place() {
    for compact in [false, true] {
        let sample = sample(compact);
        let names: Vec<&String> = sample
            .files
            .keys()
            .filter(|n| n.ends_with(".seg"))
            .collect();
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                let mut files = sample.files.clone();
                files.insert((*one).clone(), sample.files[*other].clone());
                files.insert((*other).clone(), sample.files[*one].clone());
                sample.check(&files, &format!("{one} and {other} swapped"));
                files.insert((*other).clone(), sample.files[*other].clone());
                sample.check(&files, &format!("{one} is a copy of {other}"));
            }
        }
    }
}

#[test]
fn a_segment_of_another_archive() {
    let (mine, theirs) = (sample(false), sample(false));
    for name in mine.files.keys().filter(|name| name.ends_with(".seg")) {
        let files = mine.with(name, theirs.files[name].clone());
        let repaired = mine.check(&files, &format!("a foreign {name}"));
        assert!(!repaired.steps.is_empty());
    }
}

#[test]
fn damage_on_damage() {
    let sample = sample(false);
    let mut files = sample.files.clone();
    // Each round hits what the round before has made.
    for round in 0..6 {
        let names: Vec<String> = files
            .keys()
            .filter(|name| name.ends_with(".seg") && name.matches('/').count() == 1)
            .cloned()
            .collect();
        for name in &names {
            let bytes = files.get_mut(name).unwrap();
            let at = bytes.len() * (round + 1) / 8;
            bytes[at] ^= 1;
        }
        let storage = storage_of(&files);
        let repaired = repair_on(storage.clone(), &RepairOptions::default()).unwrap();
        assert!(repaired.report.ok, "round {round}: {repaired:?}");
        let archive = Archive::open_on(storage.clone()).unwrap();
        loads(&archive, &sample, &format!("round {round}"));
        save(&archive, "q", &format!("\"round {round}\""));
        files = files_of(&storage);
    }
}

#[test]
fn the_reader_in_python_agrees() {
    let Some(python) = std::env::var_os("BACKSTORY_PYTHON") else {
        println!("left out: docs/reader.py (BACKSTORY_PYTHON is not set; tests/run sets it)");
        return;
    };
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reader.py");
    for compact in [false, true] {
        let sample = sample(compact);
        for (name, bytes) in sample
            .files
            .iter()
            .filter(|(name, _)| name.ends_with(".seg"))
        {
            for part in 1..5 {
                let mut changed = bytes.clone();
                let at = bytes.len() * part / 5;
                let end = (at + 70).min(bytes.len());
                changed[at..end].fill(0x33);
                let storage = storage_of(&sample.with(name, changed));
                repair_on(storage.clone(), &RepairOptions::default()).unwrap();
                let root = tempfile::tempdir().unwrap();
                for (name, bytes) in files_of(&storage) {
                    let file = root.path().join(".backstory").join(name);
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, bytes).unwrap();
                }
                let output = Command::new(&python)
                    .arg(&reader)
                    .arg(root.path())
                    .arg("verify")
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&output.stderr);
                assert!(
                    output.status.success(),
                    "compact {compact}: {name} part {part}: {text}"
                );
            }
        }
    }
}
