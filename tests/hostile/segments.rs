//! Segments: false records, overlapping batches, and as many commits as fit.

use std::time::{Duration, Instant};

use backstory::commit::{Change, Op};
use backstory::fuzzing::Forge;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, HistoryQuery};

use crate::memory::measure;
use crate::saved;

/// Far more than reading a few mebibytes takes, and far less than hashing each of them once a record.
const SOON: Duration = Duration::from_secs(60);

/// Opens the archive, reads and checks it all; how many commits there are.
fn read(forge: &Forge) -> u64 {
    let begun = Instant::now();
    let archive = forge.open().unwrap();
    let commits = verify(&archive, &VerifyOptions::default()).unwrap().commits;
    // It may be damaged.
    let _ = archive.stats();
    let history = archive.history(HistoryQuery::default()).unwrap();
    assert!(history.take(100).all(|version| version.is_ok()));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    commits
}

fn start() -> Forge {
    let mut forge = Forge::new();
    forge.object(b"{}");
    forge.commit(vec![saved("a", 1, b"{}")]);
    forge
}

fn uvar(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

const LEN: usize = 2 << 20;

/// The heads of records that each claim nearly all that follows. Hashing what they claim would take the square.
fn heads(forge: &Forge, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < LEN {
        bytes.push(kind);
        bytes.extend(forge.marker());
        bytes.extend(uvar(LEN.saturating_sub(bytes.len() + 20) as u64));
    }
    bytes
}

#[test]
fn false_markers_cost_no_square() {
    for kind in [4, 5, 6, 7] {
        for sealed in [false, true] {
            let mut forge = start();
            let heads = heads(&forge, kind);
            forge.raw(&heads);
            forge.object(b"{}");
            forge.commit_with(vec![saved("a", 2, b"{}")], |claims| claims.before = 0);
            if sealed {
                forge.roll_over();
                forge.object(b"{}");
                forge.commit(vec![saved("b", 1, b"{}")]);
            }
            // What is behind so many false records may be lost, but not what is in front, nor other segments.
            assert!(read(&forge) > u64::from(sealed));
        }
        let mut forge = Forge::new();
        let at = forge.object_block(&[], &[2], 0, b"{}");
        let (seq, head) = forge.commit_block(vec![(saved("a", 1, b"{}"), Some((at, 0)))]);
        let heads = heads(&forge, kind);
        forge.raw(&heads);
        forge.roll_over_packed(seq, head);
        assert_eq!(read(&forge), 1);
    }
}

#[test]
fn commits_that_name_far_blocks_have_no_window_read_for_each() {
    let mut forge = Forge::new();
    let near = forge.object_block(&[], &[2], 0, b"{}");
    let large = forge.object_block(&[], &[3 << 20], 0, &vec![b' '; 3 << 20]);
    for _ in 0..100 {
        forge.commit_block_naming(1024, &[near, large]);
        forge.commit_block_naming(1024, &[large, near]);
    }
    let (seq, head) = (forge.seq(), forge.head());
    forge.roll_over_packed(seq, head);
    assert_eq!(read(&forge), 0);
}

#[test]
fn objects_that_claim_to_reach_the_end_cost_no_square() {
    // Each whole batch is followed by an object that swallows the rest.
    let mut forge = start();
    let mut seq = 1;
    while forge.bytes().len() < LEN / 2 {
        let rest = LEN - forge.bytes().len();
        forge.raw(&[2]);
        forge.raw(&uvar(rest as u64 - 100));
        seq += 1;
        forge.bytes_mut().push(0);
        forge.commit_with(vec![Change::new(Op::Delete, "b", seq)], |claims| {
            (claims.before, claims.lengths) = (0, Some(vec![[0, 0]]));
        });
    }
    forge.raw(&vec![7; LEN]);
    forge.roll_over();
    assert!(read(&forge) >= 1);
}

#[test]
fn batches_that_claim_all_in_front_of_them_cost_no_square() {
    // Commit records with right checksums, each of which says that the batch begins where the segment does, or behind
    // the damage; the checksum over all that is right, too.
    for overlap in [1, 2] {
        let mut forge = start();
        let damage = forge.bytes().len();
        forge.raw(&[0xff; 64]);
        // One large object: all of it would be hashed for each commit.
        forge.raw(&vec![0x20; LEN]);
        let mut version = 1;
        for _ in 0..3000 {
            version += 1;
            let before = (forge.bytes().len() - damage) as u64 / overlap;
            // Making them takes the square: so few, and most of them with another checksum.
            let right = version % 500 == 0;
            forge.commit_with(vec![saved("a", version, b"{}")], |claims| {
                claims.before = if right { before } else { before.min(200) };
                claims.lengths = Some(vec![[claims.before, 0]]);
            });
        }
        assert!(read(&forge) >= 1);
    }
}

#[test]
fn garbage_between_whole_batches_loses_nothing_else() {
    let mut forge = start();
    for version in 2..=2000 {
        forge.raw(b"\x04garbage");
        // What follows is a batch of its own.
        let length = forge.object_alone(b"{}");
        forge.commit_with(vec![saved("a", version, b"{}")], |claims| {
            claims.before = length;
            claims.lengths = Some(vec![[length, 0]]);
        });
    }
    forge.roll_over();
    assert_eq!(read(&forge), 2000);
}

/// The memory that reading an archive takes, while its commits are read one by one, with an index in memory that is
/// SQLite's own and not counted.
fn peak(forge: &Forge) -> usize {
    let storage = forge.storage().unwrap();
    let (most, _, archive) = measure(|| Archive::open_on(storage).unwrap());
    drop(archive);
    most
}

#[test]
fn commits_are_decoded_one_at_a_time() {
    // As many changes as fit: each takes five bytes in the log, and hundreds decoded. The segment itself is in memory
    // once.
    let sizes: Vec<(usize, usize)> = [100, 400]
        .into_iter()
        .map(|commits| {
            let mut forge = Forge::new();
            for version in 1..=commits {
                let changes =
                    (0..1000).map(|n| Change::new(Op::Delete, format!("p{n:03}"), version));
                forge.commit(changes.collect());
            }
            forge.roll_over();
            (
                forge.files().iter().map(|(_, bytes)| bytes.len()).sum(),
                peak(&forge),
            )
        })
        .collect();
    for (len, most) in sizes {
        assert!(most <= 2 * len + (4 << 20), "{most} bytes held for {len}");
    }
}

#[test]
fn one_commit_of_all_changes_that_fit_is_held_whole() {
    let mut forge = Forge::new();
    forge.commit(
        (0..100_000)
            .map(|_| Change::new(Op::Delete, "p", 1))
            .collect(),
    );
    forge.roll_over();
    let len: usize = forge.files().iter().map(|(_, bytes)| bytes.len()).sum();
    let most = peak(&forge);
    assert!(most <= 150 * len, "{most} bytes held for {len}");
}

#[test]
fn text_of_packed_commits_is_held_for_one_block_at_a_time() {
    // Each block is a few kilobytes and says 8 MiB.
    let message = "m".repeat(8 << 20);
    let mut forge = Forge::new();
    for version in 1..=40 {
        let change = Change::new(Op::Delete, "a", version);
        forge.commit_block_with(vec![(change, None)], vec![Some(message.clone())]);
    }
    let (seq, head) = (forge.seq(), forge.head());
    forge.roll_over_packed(seq, head);
    let archive = forge.open().unwrap();
    let most = peak(&forge);
    assert!(most <= 6 * message.len(), "{most} bytes held");
    // Nor are they all kept.
    let (most, _, count) = measure(|| {
        let history = archive.history(HistoryQuery {
            path: Some("a".to_owned()),
            limit: Some(40),
            ..HistoryQuery::default()
        });
        history.unwrap().filter(|version| version.is_ok()).count()
    });
    assert_eq!(count, 40);
    assert!(most <= 60 * message.len(), "{most} bytes held");
}

#[test]
fn every_byte_of_the_small_files_may_be_another() {
    let mut forge = start();
    forge.roll_over();
    forge.object(b"{}");
    forge.commit(vec![saved("a", 2, b"{}")]);
    for (name, bytes) in forge.files() {
        if name.ends_with(".seg") {
            continue;
        }
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let storage = forge.storage().unwrap();
                let mut changed = bytes.clone();
                changed[at] ^= change;
                storage.remove(&name).unwrap();
                storage
                    .create(&name)
                    .unwrap()
                    .write_all_at(&changed, 0)
                    .unwrap();
                // Nearly every byte counts: a time of creation may be another.
                if let Ok(archive) = Archive::open_on(storage) {
                    let _ = verify(&archive, &VerifyOptions::default());
                }
            }
        }
    }
    for text in [
        "",
        "\n",
        "[]\n",
        "{}\n",
        "null\n",
        "9\n",
        &"[".repeat(100_000),
        "{\"name\":\"backstory\"}\n",
    ] {
        for name in ["archive.json", "settings.json"] {
            let storage = forge.storage().unwrap();
            let _ = storage.remove(name);
            storage
                .create(name)
                .unwrap()
                .write_all_at(text.as_bytes(), 0)
                .unwrap();
            let opened = Archive::open_on(storage);
            assert!(opened.is_err() || text == "{}\n", "{name}: {text:.20}");
        }
    }
}
