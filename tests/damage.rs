//! One place of an archive is damaged, at every place in turn: it is noticed, nothing wrong is given out, and what the
//! damage did not touch can still be read.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstory::storage::MemoryStorage;
use backstory::verify::{Report, VerifyOptions, verify};
use backstory::{Archive, Document, Spec};
use support::{Files, files_of, save, short_segments, storage_of};

/// Where a batch is, its segment, start and end, and the versions that its commit made.
type Stretch = (String, usize, usize, BTreeSet<(String, u64)>);

/// The archive under test: what it holds, and which bytes belong to what.
struct Sample {
    files: Files,
    /// The source of each version that has one.
    documents: BTreeMap<(String, u64), Vec<u8>>,
    /// The batches: segment, start, end, and the versions that the commit made.
    batches: Vec<Stretch>,
    /// For each version the batches whose objects it needs, its own included.
    needs: BTreeMap<(String, u64), BTreeSet<usize>>,
    active: String,
}

fn number(n: u64) -> String {
    // Enough like the one before for a delta.
    format!("{{\"a\": \"a text that stays as it is\", \"n\": {n}, \"z\": \"and more of it\"}}")
}

fn sample() -> Sample {
    let storage = Arc::new(MemoryStorage::new());
    let archive = short_segments(&storage);
    let mut commits: Vec<Stretch> = Vec::new();
    let mut documents: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
    let mut needs: BTreeMap<(String, u64), BTreeSet<usize>> = BTreeMap::new();
    let mut lengths: BTreeMap<String, usize> = BTreeMap::new();
    let mut note = |versions: &[(&str, u64, String)]| {
        let files = files_of(&storage);
        let (name, bytes) = files
            .iter()
            .rfind(|(name, _)| name.ends_with(".seg"))
            .unwrap();
        let header = support::header_len(bytes);
        let start = lengths.get(name).copied().unwrap_or(header);
        lengths.insert(name.clone(), bytes.len());
        let mut made = BTreeSet::new();
        for (path, version, document) in versions {
            let key = ((*path).to_owned(), *version);
            let mut chain = BTreeSet::from([commits.len()]);
            // Whatever held this path or this document before, or was written alike, may be what it rests on.
            for (other, text) in &documents {
                let alike = text.starts_with(b"{") && document.starts_with('{');
                if other.0 == key.0 || text == document.as_bytes() || alike {
                    chain.extend(&needs[other]);
                }
            }
            needs.insert(key.clone(), chain);
            made.insert(key);
        }
        // Of many that are alike a few will do.
        for (path, version, document) in versions
            .iter()
            .filter(|v| !v.0.contains("m1") && !v.0.contains("m2"))
        {
            documents.insert(
                ((*path).to_owned(), *version),
                document.clone().into_bytes(),
            );
        }
        commits.push((name.clone(), start, bytes.len(), made));
    };
    for n in 1..=3 {
        save(&archive, "p", &number(n));
        note(&[("p", n, number(n))]);
        save(&archive, "q", &format!("[{n}]"));
        note(&[("q", n, format!("[{n}]"))]);
    }
    let mut many = archive.save();
    let names: Vec<String> = (0..34).map(|n| format!("m{n}")).collect();
    let docs: Vec<String> = (0..34).map(|n| (n % 3).to_string()).collect();
    for (name, doc) in names.iter().zip(&docs) {
        many.add(name, Document::source(&**doc)).unwrap();
    }
    many.commit().unwrap();
    let versions: Vec<(&str, u64, String)> = names
        .iter()
        .zip(&docs)
        .map(|(name, doc)| (&**name, 1, doc.clone()))
        .collect();
    note(&versions);
    for n in 4..=5 {
        save(&archive, "p", &number(n));
        note(&[("p", n, number(n))]);
    }
    // Stored by another path, in another segment.
    save(&archive, "r", "[2]");
    note(&[("r", 1, "[2]".to_owned())]);
    save(&archive, "r", &number(9));
    note(&[("r", 2, number(9))]);
    let files = files_of(&storage);
    let active = commits.last().unwrap().0.clone();
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    assert!(files.keys().filter(|name| name.ends_with(".seg")).count() >= 3);
    Sample {
        files,
        documents,
        batches: commits,
        needs,
        active,
    }
}

impl Sample {
    /// Checks an archive of these files. `hit` says which bytes of which file were changed; `None` for a whole file.
    fn check(&self, files: &Files, hit: Option<(&str, usize, usize)>, what: &str) {
        let opened = Archive::open_on(storage_of(files));
        let Ok(archive) = opened else {
            let error = opened.unwrap_err();
            assert!(
                hit.is_none_or(|(name, ..)| !name.ends_with(".seg")),
                "{what}: an archive with a damaged segment must open: {error}"
            );
            return;
        };
        let report = verify(&archive, &VerifyOptions::default());
        let Some((name, from, to)) = hit else {
            assert!(
                report.is_err() || !report.unwrap().ok,
                "{what}: not noticed"
            );
            self.load_all(&archive, &BTreeSet::new(), what);
            return;
        };
        let report = report.unwrap();
        // The last batch of the active segment may be a tail that was never acknowledged.
        let last = self.batches.last().unwrap();
        // With it falls the proof that what stands in front of it had been on disk.
        let tail = name == last.0 && to > last.1;
        assert!(tail || !report.ok, "{what}: not noticed");
        let touched: BTreeSet<usize> = (0..self.batches.len())
            .filter(|at| {
                let (segment, start, end, _) = &self.batches[*at];
                segment == name && from < *end && to > *start
            })
            .collect();
        let lost = self.load_all(&archive, &touched, what);
        if !tail {
            assert!(
                report
                    .findings
                    .iter()
                    .any(|f| f.segment.as_deref() == Some(name)),
                "{what}: no finding names {name}: {:?}",
                report.findings
            );
            let placed = |f: &backstory::verify::Finding| f.offset.is_some();
            assert!(
                report.findings.iter().all(placed),
                "{what}: {:?}",
                report.findings
            );
            self.named(&report, &lost, what);
        }
    }

    /// Loads everything; what needs nothing that was touched must load. Gives back what does not load.
    fn load_all(
        &self,
        archive: &Archive,
        touched: &BTreeSet<usize>,
        what: &str,
    ) -> BTreeSet<(String, u64)> {
        let mut lost = BTreeSet::new();
        for ((path, version), document) in &self.documents {
            let key = (path.clone(), *version);
            let found = archive
                .resolve(path, &Spec::Number(*version))
                .and_then(|found| archive.load(&found));
            match found {
                Ok(loaded) => assert_eq!(loaded.source(), *document, "{what}: {key:?}"),
                Err(error) => {
                    assert!(
                        self.needs[&key].iter().any(|need| touched.contains(need)),
                        "{what}: {key:?} is whole and does not load: {error}"
                    );
                    lost.insert(key);
                }
            }
        }
        lost
    }

    /// Is each version that does not load named by a finding? Of a lost commit only what newer versions prove can be.
    fn named(&self, report: &Report, lost: &BTreeSet<(String, u64)>, what: &str) {
        let named: BTreeSet<&(String, u64)> =
            report.findings.iter().flat_map(|f| &f.affects).collect();
        for key in lost {
            let newer = (key.0.clone(), key.1 + 1);
            let provable = self.documents.contains_key(&newer) && !lost.contains(&newer);
            assert!(
                !provable || named.contains(key),
                "{what}: {key:?} is lost and no finding names it: {:?}",
                report.findings
            );
        }
    }

    fn with(&self, name: &str, bytes: Vec<u8>) -> Files {
        let mut files = self.files.clone();
        files.insert(name.to_owned(), bytes);
        files
    }

    fn segments(&self) -> Vec<&str> {
        let names = self.files.keys().map(String::as_str);
        names.filter(|name| name.ends_with(".seg")).collect()
    }
}

#[test]
fn a_changed_bit_anywhere() {
    let sample = sample();
    for (name, bytes) in &sample.files {
        if name == "settings.json" {
            continue;
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let hit = name.ends_with(".seg").then_some((&**name, at, at + 1));
            let what = format!("{name} bit {} of byte {at}", at % 8);
            sample.check(&sample.with(name, changed), hit, &what);
        }
    }
}

#[test]
fn a_file_cut_at_every_length() {
    let sample = sample();
    for (name, bytes) in &sample.files {
        if name == "settings.json" {
            continue;
        }
        // A sealed segment is found too short however much is gone: every third length will do.
        let sealed = name.ends_with(".seg") && *name != sample.active;
        for len in (0..bytes.len()).step_by(if sealed { 3 } else { 1 }) {
            let files = sample.with(name, bytes[..len].to_vec());
            let what = format!("{name} cut to {len}");
            if *name != sample.active || len < support::header_len(bytes) {
                let hit = name
                    .ends_with(".seg")
                    .then_some((&**name, len, bytes.len()));
                sample.check(&files, hit, &what);
                continue;
            }
            // A shorter active segment is a true prefix, and can be written to.
            let storage = storage_of(&files);
            let archive = Archive::open_on(storage.clone()).unwrap();
            let whole = sample
                .batches
                .iter()
                .filter(|(segment, _, end, _)| segment != name || *end <= len);
            assert_eq!(
                archive.head().unwrap().seq as usize,
                whole.count(),
                "{what}"
            );
            assert!(
                verify(&archive, &VerifyOptions::default()).unwrap().ok,
                "{what}"
            );
            let saved = save(&archive, "p", "\"after\"");
            assert_eq!(
                support::source(&archive, "p", saved.version).unwrap(),
                b"\"after\""
            );
            let again = Archive::open_on(storage).unwrap();
            assert!(
                verify(&again, &VerifyOptions::default()).unwrap().ok,
                "{what}"
            );
        }
    }
}

#[test]
fn bytes_put_in_between_and_bytes_zeroed() {
    let sample = sample();
    for name in sample.segments() {
        let bytes = &sample.files[name];
        for at in (0..=bytes.len()).step_by(13) {
            for new in [&[0u8; 5][..], b"\x02\x05noise", &bytes[..40]] {
                let mut changed = bytes.clone();
                changed.splice(at..at, new.iter().copied());
                let zeros_at_end = name == sample.active && at == bytes.len();
                if zeros_at_end {
                    continue;
                }
                let what = format!("{name}: {} bytes put in at {at}", new.len());
                // Between two batches nothing that was written is touched.
                let between = sample
                    .batches
                    .iter()
                    .any(|(s, start, ..)| s == name && *start == at);
                let from = if between { at } else { at.saturating_sub(1) };
                sample.check(
                    &sample.with(name, changed),
                    Some((name, from, at + 1)),
                    &what,
                );
            }
        }
        for at in (0..bytes.len()).step_by(19) {
            for len in [7, 90, 400] {
                let end = (at + len).min(bytes.len());
                let mut changed = bytes.clone();
                changed[at..end].fill(0);
                if changed == *bytes {
                    continue;
                }
                let what = format!("{name}: zeros from {at} to {end}");
                sample.check(&sample.with(name, changed), Some((name, at, end)), &what);
            }
        }
    }
}

#[test]
fn segments_lost_swapped_repeated_and_foreign() {
    let sample = sample();
    let other = self::sample();
    let names = sample.segments();
    for name in &names {
        let mut files = sample.files.clone();
        let len = files.remove(*name).unwrap().len();
        sample.check(&files, Some((name, 0, len)), &format!("{name} is missing"));
        let foreign = other.files[*name].clone();
        sample.check(
            &sample.with(name, foreign),
            Some((name, 0, len)),
            &format!("{name} is foreign"),
        );
        for from in &names {
            if from != name {
                let repeated = sample.with(name, sample.files[*from].clone());
                sample.check(
                    &repeated,
                    Some((name, 0, len)),
                    &format!("{name} holds {from}"),
                );
            }
        }
    }
    for pair in names.windows(2) {
        let mut files = sample.with(pair[0], sample.files[pair[1]].clone());
        files.insert(pair[1].to_owned(), sample.files[pair[0]].clone());
        let archive = Archive::open_on(storage_of(&files)).unwrap();
        assert!(!verify(&archive, &VerifyOptions::default()).unwrap().ok);
        let touched: BTreeSet<usize> = (0..sample.batches.len())
            .filter(|at| pair.contains(&&*sample.batches[*at].0))
            .collect();
        sample.load_all(&archive, &touched, "swapped");
    }
}

#[test]
fn a_list_of_segments_that_is_missing_is_damage() {
    let sample = sample();
    let mut files = sample.files.clone();
    files.remove("log/MANIFEST").unwrap();
    let error = Archive::open_on(storage_of(&files)).unwrap_err();
    assert!(error.is_corrupt(), "{error}");
}

#[test]
fn saving_behind_damage_keeps_everything() {
    let sample = sample();
    for (at, (name, start, end, _)) in sample.batches.iter().enumerate() {
        if at + 1 == sample.batches.len() {
            continue;
        }
        let mut changed = sample.files[name].clone();
        changed[(start + end) / 2] ^= 4;
        let storage = storage_of(&sample.with(name, changed));
        let archive = Archive::open_on(storage.clone()).unwrap();
        let before = verify(&archive, &VerifyOptions::default()).unwrap();
        for n in 0..20 {
            let document = format!("{{\"after\":{n}}}");
            let saved = save(&archive, "new", &document);
            assert_eq!(saved.version, n + 1);
        }
        let again = Archive::open_on(storage).unwrap();
        for n in 0..20 {
            let document = format!("{{\"after\":{n}}}");
            assert_eq!(
                support::source(&again, "new", n + 1).unwrap(),
                document.as_bytes()
            );
        }
        sample.load_all(&again, &BTreeSet::from([at]), name);
        let after = verify(&again, &VerifyOptions::default()).unwrap();
        assert_eq!(after.findings, before.findings, "damage in batch {at}");
    }
}
