//! Damage on either side, a full disk, and a process that dies: never another content, and a history that goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstory::remote::{TransferOptions, transfer};
use backstory::repair::{RepairOptions, repair_on};
use backstory::storage::MemoryStorage;
use backstory::{Archive, CompactOptions, ErrorKind};

use super::support::{
    Call, Tapped, commits_of, documents_of, files_of, header_len, save, storage_of,
};
use super::{Side, assert_equal, assert_whole, document};

fn filled(packed: bool) -> Side {
    let side = Side::new();
    for n in 0..24 {
        save(&side.archive, "a", &document(n, 150));
        save(&side.archive, "b/of some length", &document(n / 5, 80));
    }
    if packed {
        side.archive.compact(&CompactOptions::default()).unwrap();
        for n in 24..28 {
            save(&side.archive, "a", &document(n, 150));
        }
    }
    side
}

fn side_of(storage: Arc<MemoryStorage>) -> Side {
    let archive = Archive::open_on(storage.clone()).unwrap();
    Side { storage, archive }
}

/// The copy has commits and contents of the source, from the first on.
#[track_caller]
fn assert_prefix(copy: &Side, source: &Side) {
    assert_whole(copy);
    let commits: BTreeMap<_, _> = commits_of(&copy.archive);
    let all = commits_of(&source.archive);
    assert_eq!(commits.len() as u64, copy.archive.head().unwrap().seq);
    assert!(commits.iter().all(|(seq, id)| all[seq] == *id));
    let known = documents_of(&source.archive);
    let versions = documents_of(&copy.archive);
    assert!(versions.iter().all(|(at, text)| known[at] == *text));
}

#[test]
fn a_damaged_source_is_refused_and_what_came_before_it_stays() {
    for packed in [false, true] {
        let good = filled(packed);
        let files = files_of(&good.storage);
        let (mut refused, mut whole) = (0, 0);
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            for at in (header_len(bytes)..bytes.len()).step_by(61) {
                let mut files = files.clone();
                files.get_mut(name).unwrap()[at] ^= 0x10;
                let source = side_of(storage_of(&files));
                let copy = good.copy();
                match source.try_push(&copy) {
                    Ok(_) => whole += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name} {at}: {error}");
                        assert!(error.to_string().contains(".seg"), "{error}");
                        refused += 1;
                    }
                }
                assert_prefix(&copy, &good);
                // A source that is whole goes on with what there is.
                good.push(&copy);
                assert_equal(&good, &copy);
            }
        }
        // The end of the active segment is a torn tail.
        assert!(refused > 30 && whole < refused / 4, "{refused} {whole}");
    }
}

#[test]
fn a_destination_whose_objects_are_damaged_is_refused() {
    let source = filled(false);
    let copy = source.copy();
    source.push(&copy);
    save(&source.archive, "a", &document(900, 150));
    let files = files_of(&copy.storage);
    let names: Vec<&String> = files.keys().filter(|name| name.ends_with(".seg")).collect();
    let (mut refused, mut taken) = (0, 0);
    for name in names {
        for at in (header_len(&files[name])..files[name].len()).step_by(31) {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 0x10;
            let copy = side_of(storage_of(&files));
            let before = commits_of(&copy.archive);
            match source.try_push(&copy) {
                Ok(done) => {
                    taken += 1;
                    // What came loads, whatever else is damaged.
                    assert_eq!(done.head, source.archive.head().unwrap());
                    let known = documents_of(&source.archive);
                    let now = documents_of(&copy.archive);
                    assert!(now.iter().all(|(at, text)| known[at] == *text));
                    assert!(now.contains_key(&("a".to_owned(), 25)));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name} {at}: {error}");
                    assert_eq!(before, commits_of(&copy.archive));
                    refused += 1;
                }
            }
        }
    }
    // What a push does not meet is for `push --check` to find.
    assert!(refused > 5 && taken > 20, "{refused} {taken}");
}

#[test]
fn what_dies_on_the_way_is_a_prefix_and_goes_on() {
    for packed in [false, true] {
        let source = filled(packed);
        let mut ends = BTreeMap::new();
        for after in (0..).step_by(3) {
            let copy = source.copy();
            let tapped = Tapped::around(copy.storage.clone());
            let dying = Archive::open_on(tapped.clone()).unwrap();
            tapped.taps.die_after(after);
            let result = transfer(&source.archive, &dying, &TransferOptions::default());
            let met = !tapped.taps.heal();
            drop(dying);
            let copy = side_of(copy.storage);
            assert_prefix(&copy, &source);
            *ends.entry(copy.archive.head().unwrap().seq).or_insert(0) += 1;
            if !met {
                result.unwrap();
                break;
            }
            source.push(&copy);
            assert_equal(&source, &copy);
        }
        assert!(ends.len() > 1, "{ends:?}");
    }
}

#[test]
fn a_disk_that_takes_no_more_is_named_and_the_next_push_goes_on() {
    for packed in [false, true] {
        let source = filled(packed);
        for call in [
            Call::Write,
            Call::Sync,
            Call::Create,
            Call::Rename,
            Call::SyncDir,
        ] {
            for after in 0.. {
                let copy = source.copy();
                let tapped = Tapped::around(copy.storage.clone());
                let full = Archive::open_on(tapped.clone()).unwrap();
                tapped.taps.fail_on(call, after);
                let result = transfer(&source.archive, &full, &TransferOptions::default());
                let met = !tapped.taps.heal();
                drop(full);
                match result {
                    Ok(_) => {
                        if !met {
                            break;
                        }
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                        let text = error.to_string();
                        let file = ["0000", "log", ".backstory"]
                            .iter()
                            .any(|file| text.contains(file));
                        assert!(file, "{text}");
                    }
                }
                let copy = side_of(copy.storage);
                assert_prefix(&copy, &source);
                source.push(&copy);
                assert_equal(&source, &copy);
                assert!(after < 1000);
            }
        }
    }
}

#[test]
fn losses_that_repair_has_noted_travel_to_a_new_copy() {
    for packed in [false, true] {
        let good = filled(packed);
        let files = files_of(&good.storage);
        let mut travelled = 0;
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            for at in (header_len(bytes)..bytes.len()).step_by(211) {
                let mut files = files.clone();
                files.get_mut(name).unwrap()[at] ^= 0x10;
                let storage = storage_of(&files);
                repair_on(storage.clone(), &RepairOptions::default()).unwrap();
                let source = side_of(storage);
                let copy = good.copy();
                source.push(&copy);
                assert_eq!(source.archive.head().unwrap(), copy.archive.head().unwrap());
                assert_eq!(documents_of(&source.archive), documents_of(&copy.archive));
                assert_whole(&copy);
                save(&source.archive, "a", &document(77, 150));
                save(&source.archive, "c", &document(78, 150));
                source.push(&copy);
                assert_eq!(documents_of(&source.archive), documents_of(&copy.archive));
                assert_eq!(commits_of(&source.archive), commits_of(&copy.archive));
                assert_whole(&copy);
                travelled += 1;
            }
        }
        assert!(travelled > 10, "{travelled}");
    }
}

#[test]
fn a_whole_copy_takes_what_comes_after_its_source_was_repaired() {
    let source = filled(false);
    let copy = source.copy();
    source.push(&copy);
    let known = documents_of(&copy.archive);
    let mut files = files_of(&source.storage);
    let bytes = files.get_mut("log/00000002.seg").unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    let storage = storage_of(&files);
    repair_on(storage.clone(), &RepairOptions::default()).unwrap();
    let source = side_of(storage);
    save(&source.archive, "a", &document(77, 150));
    assert_eq!(source.push(&copy).commits, 1);
    // The copy still has what the source has lost.
    let now = documents_of(&copy.archive);
    assert_eq!(now.len(), known.len() + 1);
    assert!(documents_of(&source.archive).len() < now.len());
    assert_whole(&copy);
}

#[test]
fn a_copy_that_was_repaired_takes_what_comes_after() {
    for packed in [false, true] {
        let source = filled(packed);
        let files = {
            let copy = source.copy();
            source.push(&copy);
            files_of(&copy.storage)
        };
        save(&source.archive, "a", &document(900, 150));
        save(&source.archive, "b/of some length", &document(901, 80));
        let mut repaired = 0;
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            for at in (header_len(bytes)..bytes.len()).step_by(97) {
                let mut files = files.clone();
                files.get_mut(name).unwrap()[at] ^= 0x10;
                let storage = storage_of(&files);
                repair_on(storage.clone(), &RepairOptions::default()).unwrap();
                let copy = side_of(storage);
                let before = documents_of(&copy.archive);
                let done = source.push(&copy);
                assert_eq!(done.head, source.archive.head().unwrap());
                let now = documents_of(&copy.archive);
                let known = documents_of(&source.archive);
                assert!(now.iter().all(|(at, text)| known[at] == *text));
                assert!(now.len() >= before.len() + 2, "{name} {at}");
                assert_whole(&copy);
                repaired += 1;
            }
        }
        assert!(repaired > 20, "{repaired}");
    }
}
