//! Targets of the log: records, segments, whole archives.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use super::{Choices, Forge};
use crate::archive::{Archive, CompactOptions, Document, HistoryQuery, Note};
use crate::commit::{Change, Content, LayoutAt, Op, SourceForm};
use crate::id::{ObjectId, PathKey};
use crate::log::format::*;
use crate::log::loss::LossRecord;
use crate::log::manifest::Manifest;
use crate::log::packed::{CommitBlock, ObjectBlock, PackedChangeBlock, walk};
use crate::log::record::{ChangeBlock, CommitRecord, ObjectRecord, claimed_len, read_frame};
use crate::log::scan::{Found, scan};
use crate::storage::{MemoryStorage, Storage};
use crate::verify::{VerifyOptions, verify};

/// Objects in these targets claim to be no longer than this: more would only take time.
const MOST_CONTENT: u64 = 1 << 20;

/// Bodies of records, and MANIFEST: what is read has one encoding.
pub fn records(data: &[u8]) {
    let forge = Forge::new();
    let _ = read_frame(data, forge.keys());
    let _ = claimed_len(data);
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let mut again = Vec::new();
    match kind % 8 {
        0 => {
            if let Ok(record) = CommitRecord::decode(body) {
                record.encode(&mut again);
                assert_eq!(again, body, "one encoding");
                let _ = record.id();
            }
        }
        1 => {
            if let Ok(block) = ChangeBlock::decode(body, 1 << 20) {
                block.encode(1 << 20, &mut again);
                assert_eq!(again, body, "one encoding");
            }
        }
        2 => {
            if let Ok(record) = ObjectRecord::decode(body) {
                let rest = record.encode(&mut again);
                again.extend_from_slice(rest);
                assert_eq!(again, body, "one encoding");
                let _ = crate::log::delta::record_content_len(&record);
                if let ObjectRecord::Frame(frame) | ObjectRecord::Delta { frame, .. } = record {
                    let prefix = body.get(body.len() / 2..);
                    let mut out = Vec::new();
                    let _ =
                        crate::log::delta::decompress_into(frame, prefix, MOST_CONTENT, &mut out);
                }
            }
        }
        7 => {
            if let Ok(record) = LossRecord::decode(body) {
                record.encode(&mut again);
                assert_eq!(again, body, "one encoding");
            }
        }
        3 => {
            if let Ok(block) = ObjectBlock::decode(body, 1 << 20) {
                let _ = block.content_len();
            }
        }
        4 => {
            if let Ok(block) = CommitBlock::decode(body, 1 << 20) {
                for number in 0..block.len() {
                    assert!(block.record(number).is_some());
                }
                let encoded = block.encode(1 << 20);
                let back = CommitBlock::decode(&encoded, 1 << 20);
                assert!(back.is_ok_and(|back| back.record(0) == block.record(0)));
            }
        }
        5 => {
            if let Ok(block) = PackedChangeBlock::decode(body, 1 << 20) {
                let encoded = block.encode(1 << 20);
                assert_eq!(PackedChangeBlock::decode(&encoded, 1 << 20), Ok(block));
            }
        }
        _ => {
            let mut file = body.to_vec();
            let line = body.split(|byte| *byte == b'\n').next().unwrap_or(body);
            let _ = Manifest::decode(&file, forge.keys());
            file.truncate(line.len());
            file.extend(b"\n");
            file.extend(
                blake3::keyed_hash(&forge.keys().checksum, line)
                    .to_hex()
                    .bytes(),
            );
            file.extend(b"\n");
            if let Ok(manifest) = Manifest::decode(&file, forge.keys()) {
                let encoded = manifest.encode(forge.keys());
                assert_eq!(Manifest::decode(&encoded, forge.keys()), Ok(manifest));
            }
        }
    }
}

/// A plain segment of records with right checksums, and of bytes that are none.
pub fn segment(data: &[u8]) {
    let mut forge = Forge::new();
    let mut choices = Choices::new(data);
    forge_segment(&mut forge, &mut choices);
    scan_all(forge.bytes(), forge.keys());
    scan_all(data, forge.keys());
}

fn scan_all(bytes: &[u8], keys: &crate::commit::ArchiveKeys) {
    for sealed in [false, true] {
        let mut at = 0;
        let ended = scan::<Infallible>(bytes, 0, sealed, keys, &mut |found| {
            if let Found::Batch(placed) = found {
                assert!(placed.offset >= at, "batches lie behind each other");
                at = placed.offset + placed.batch.len;
                for (offset, len) in placed.batch.objects(placed.offset) {
                    let before = placed.batch.record.before;
                    assert!(offset + len <= before, "objects lie in their batch");
                }
            }
            Ok(())
        });
        let Ok(ended) = ended;
        assert!(at <= ended.end && ended.end <= bytes.len() as u64);
    }
}

/// A packed segment.
pub fn packed(data: &[u8]) {
    let mut forge = Forge::new();
    let mut choices = Choices::new(data);
    forge_packed(&mut forge, &mut choices);
    walk_all(forge.bytes(), forge.keys());
    walk_all(data, forge.keys());
}

fn walk_all(bytes: &[u8], keys: &crate::commit::ArchiveKeys) {
    let storage = MemoryStorage::new();
    let file = storage.create("segment");
    let Ok(file) = file else { return };
    if file.write_all_at(bytes, 0).is_err() {
        return;
    }
    let len = bytes.len() as u64;
    match walk::<io::Error>(&file, 0, len, keys, &mut |_| Ok(())) {
        Ok(found) => assert_eq!(found.end, len),
        Err(error) => panic!("memory can be read: {error}"),
    }
}

/// A whole archive: whatever is asked of it is answered or an error, and what is saved in it comes back.
pub fn archive(data: &[u8]) {
    let mut forge = Forge::new();
    let mut choices = Choices::new(data);
    if choices.byte() & 1 == 1 {
        forge_packed(&mut forge, &mut choices);
        let (seq, head) = (forge.seq(), forge.head());
        forge.roll_over_packed(seq, head);
    }
    forge_segment(&mut forge, &mut choices);
    if choices.byte() & 1 == 1 {
        forge.roll_over();
        forge_segment(&mut forge, &mut choices);
    }
    let Ok(storage) = forge.storage() else { return };
    exercise(storage);
}

/// Asks an archive everything and does everything with it.
pub(crate) fn exercise(storage: Arc<dyn Storage>) {
    let Ok(archive) = Archive::open_on(storage.clone()) else {
        return;
    };
    let _ = verify(&archive, &VerifyOptions::default());
    let versions = archive.list("").unwrap_or_default();
    let mut queries = vec![HistoryQuery {
        limit: Some(200),
        ..HistoryQuery::default()
    }];
    for version in &versions {
        queries.push(HistoryQuery {
            path: Some(version.path.clone()),
            follow: true,
            ..HistoryQuery::default()
        });
    }
    for query in queries {
        if let Ok(history) = archive.history(query) {
            for version in history.take(500).flatten() {
                if let Ok(loaded) = archive.load(&version) {
                    assert_eq!(Some(ObjectId::of(loaded.canonical())), version.id);
                    let _ = archive.source_id(&version);
                }
            }
        }
    }
    let _ = (archive.tags(), archive.stats(), archive.undo_target());
    let _ = (
        archive.identify(b"{}"),
        archive.find_commit("1"),
        archive.redo_target(),
    );
    for version in &versions {
        let mut rollback = archive.rollback();
        if rollback.path(&version.path, None).is_ok() {
            let _ = rollback.commit();
        }
        let _ = archive.undelete(&[&version.path]).commit();
        let _ = archive.rename(&version.path, "elsewhere").commit();
    }
    for number in 1..4 {
        if let Ok(view) = archive.find_commit(&number.to_string()) {
            let _ = archive.undo(view).commit();
        }
    }
    for path in ["a", "new"] {
        let mut save = archive.save();
        let note = Note {
            message: Some("later".to_owned()),
            ..Note::default()
        };
        save.note(note);
        let source: &[u8] = b"{ \"later\": [1, 2.50] }";
        if save.add(path, Document::source(source)).is_ok()
            && let Ok(saved) = save.commit()
            && let Some(saved) = saved.first()
        {
            let found = archive.resolve(path, &crate::Spec::Number(saved.version));
            let loaded = found.and_then(|version| archive.load(&version));
            assert!(loaded.is_ok_and(|loaded| loaded.source() == source));
        }
    }
    let _ = archive.compact(&CompactOptions::default());
    drop(archive);
    if let Ok(archive) = Archive::open_on(storage) {
        let _ = verify(&archive, &VerifyOptions::default());
    }
}

fn forge_segment(forge: &mut Forge, choices: &mut Choices<'_>) {
    for _ in 0..48 {
        let Some(step) = choices.next() else { return };
        match step % 12 {
            0 => forge.raw(choices.bytes(40)),
            1 | 2 => {
                forge.object(DOCUMENTS[usize::from(choices.byte()) % DOCUMENTS.len()]);
            }
            3 => forge.frame(&frame(choices)),
            4 => {
                let (k, back, ordinal) = (choices.number(), choices.number(), choices.number());
                forge.delta(k, back, ordinal, &frame(choices));
            }
            5 => {
                forge.record(step % 9, choices.bytes(60));
            }
            6 => forge.raw(&[0; 20]),
            7 => {
                // Bytes that were there before, once more.
                let from = choices.number() as usize % (forge.bytes().len() + 1);
                let copy: Vec<u8> = forge.bytes()[from..].iter().take(400).copied().collect();
                forge.raw(&copy);
            }
            8 => {
                let at = choices.number() as usize % (forge.bytes().len() + 1);
                let byte = choices.byte();
                if let Some(target) = forge.bytes_mut().get_mut(at) {
                    *target ^= byte;
                }
            }
            _ => commit(forge, choices),
        }
    }
}

const DOCUMENTS: [&[u8]; 5] = [b"{}", b"[1,2,3]", b"{\"a\":1}", b"null", b"not JSON"];

/// A frame without its magic number: a real one, or bytes.
fn frame(choices: &mut Choices<'_>) -> Vec<u8> {
    let content = DOCUMENTS[usize::from(choices.byte()) % DOCUMENTS.len()];
    let prefix = DOCUMENTS[usize::from(choices.byte()) % DOCUMENTS.len()];
    match choices.byte() % 3 {
        0 => crate::log::delta::pack(content, None).unwrap_or_default(),
        1 => crate::log::delta::pack(content, Some(prefix)).unwrap_or_default(),
        _ => choices.bytes(60).to_vec(),
    }
}

fn commit(forge: &mut Forge, choices: &mut Choices<'_>) {
    let count = match choices.byte() {
        many @ 0xfe.. => 32 + usize::from(many & 1),
        few => 1 + usize::from(few & 3),
    };
    let seq = forge.seq().saturating_add(1);
    let changes = (0..count).map(|_| change(seq, choices)).collect();
    let lies = choices.byte();
    forge.commit_with(changes, |claims| {
        if lies & 1 != 0 {
            claims.seq = claims.seq.wrapping_add(choices.number());
        }
        if lies & 2 != 0 {
            claims.before = choices.number();
        }
        if lies & 4 != 0 {
            claims.unsynced = choices.number();
        }
        if lies & 8 != 0 {
            (claims.recorded, claims.time) = (choices.time(), choices.time());
            // The record has no other way to say it.
            claims.time = match claims.time.checked_sub(claims.recorded) {
                Some(_) => claims.time,
                None => claims.recorded,
            };
        }
        if lies & 16 != 0 {
            claims.undo_of = Some(choices.number());
        }
        if lies & 32 != 0 {
            claims.redo_of = Some(choices.number());
        }
        if lies & 64 != 0 {
            claims.message = Some(String::from_utf8_lossy(choices.bytes(30)).into_owned());
        }
        if lies & 128 != 0 {
            claims.lengths = Some(
                (0..count)
                    .map(|_| [choices.number(), choices.number()])
                    .collect(),
            );
        }
    });
}

fn change(seq: u64, choices: &mut Choices<'_>) -> Change {
    const PATHS: [&str; 10] = [
        "a", "b", "a/b", "A", "../x", "/etc/x", "", ".", "a//b", "a\0",
    ];
    let (op, _) = Op::ALL[usize::from(choices.byte()) % Op::ALL.len()];
    let path = |choices: &mut Choices<'_>| PATHS[usize::from(choices.byte() & 15) % PATHS.len()];
    let mut change = Change::new(op, path(choices), choices.number());
    let what = choices.byte();
    if what & 1 != 0 {
        let object = ObjectId::of(DOCUMENTS[usize::from(choices.byte()) % DOCUMENTS.len()]);
        let source = match what >> 1 & 7 {
            0 => SourceForm::Canonical,
            1 => SourceForm::Pretty,
            2 => SourceForm::Object(object),
            3 => {
                change.layout = Some(object);
                SourceForm::LaidOut {
                    check: object.check(),
                    layout: LayoutAt { seq, change: 0 },
                }
            }
            4 => SourceForm::LaidOut {
                check: object.check(),
                layout: LayoutAt {
                    seq: seq.saturating_sub(choices.number()),
                    change: choices.number(),
                },
            },
            _ => SourceForm::None,
        };
        change.content = Some(Content {
            object,
            source,
            nan: what & 16 != 0,
        });
    }
    change.file = what & 32 != 0;
    if change.has_reference() {
        change.of = choices.number();
        change.other = path(choices).to_owned();
    }
    if what & 64 != 0 && op.makes_version() {
        change.key = Some(PathKey([choices.byte(); 8]));
        change.path = String::new();
    }
    change
}

fn forge_packed(forge: &mut Forge, choices: &mut Choices<'_>) {
    let mut blocks = vec![0u64];
    for _ in 0..32 {
        let Some(step) = choices.next() else { return };
        let at = |choices: &mut Choices<'_>, blocks: &[u64]| match choices.byte() {
            0xff => choices.number(),
            index => blocks[usize::from(index) % blocks.len()],
        };
        match step % 8 {
            0 => forge.raw(choices.bytes(40)),
            1 | 2 => {
                let content = DOCUMENTS[usize::from(choices.byte()) % DOCUMENTS.len()];
                let len = match choices.byte() {
                    0xf0.. => choices.number().min(MOST_CONTENT),
                    _ => content.len() as u64,
                };
                blocks.push(forge.object_block(&[], &[len], ENCODING_STORED, content));
            }
            3 => {
                let payload = frame(choices);
                let count = usize::from(choices.byte() & 3);
                let bases: Vec<(u64, u32)> = (0..count)
                    .map(|_| (at(choices, &blocks), u32::from(choices.byte() & 3)))
                    .collect();
                let lengths: Vec<u64> = (0..1 + usize::from(choices.byte() & 3))
                    .map(|_| choices.number().min(MOST_CONTENT))
                    .collect();
                blocks.push(forge.object_block(&bases, &lengths, ENCODING_ZSTD, &payload));
            }
            4 => {
                let kind = 1 + choices.byte() % 7;
                forge.record(kind, choices.bytes(80));
            }
            5 => {
                let place = choices.number() as usize % (forge.bytes().len() + 1);
                let byte = choices.byte();
                if let Some(target) = forge.bytes_mut().get_mut(place) {
                    *target ^= byte;
                }
            }
            _ => {
                let seq = forge.seq().saturating_add(1);
                let commits = (0..1 + usize::from(choices.byte() & 7))
                    .map(|number| {
                        let change = change(seq.saturating_add(number as u64), choices);
                        let place = match change.content {
                            Some(_) if choices.byte() & 1 == 0 => {
                                Some((at(choices, &blocks), u32::from(choices.byte() & 3)))
                            }
                            _ => None,
                        };
                        (change, place)
                    })
                    .collect();
                forge.commit_block(commits);
            }
        }
    }
    let _ = choices.rest();
}
