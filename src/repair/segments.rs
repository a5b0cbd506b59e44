//! Damaged segments are written anew and put in the place of the old ones.

use std::collections::{BTreeMap, BTreeSet};

use super::rewrite::{Piece, rewrite};
use super::{Step, aside};
use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::cursor::{Cursor, Event, Progress};
use crate::log::format::*;
use crate::log::loss::{LossRecord, LostCommits};
use crate::log::manifest::{Manifest, Sealed, SegmentEntry, segment_name};
use crate::log::reader::segment_file;
use crate::storage::replace;
use crate::verify::{FindingKind, Report};

/// What a damaged segment still holds.
#[derive(Default)]
struct Remains {
    pieces: Vec<Piece>,
    damaged: bool,
}

/// Writes every damaged segment anew. `report` says what is wrong.
pub(super) fn mend(archive: &Archive, report: &Report) -> Result<Vec<Step>> {
    let storage = &*archive.engine.storage;
    let mut lost = lost_versions(report);
    let (manifest, remains) = read(archive, report)?;
    if remains.is_empty() {
        return Ok(Vec::new());
    }
    let noted = crate::archive::now();
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|error| Error::io(format!("list {LOG_FOLDER}"), error))?;
    let mut number = names
        .iter()
        .filter_map(|name| name.strip_suffix(SEGMENT_SUFFIX)?.parse::<u64>().ok())
        .chain(manifest.segments.iter().map(|entry| entry.number))
        .max()
        .unwrap_or(0);
    let mut next = manifest.clone();
    let mut steps = Vec::new();
    for entry in &mut next.segments {
        let Some(remains) = remains.get(&entry.number) else {
            continue;
        };
        number += 1;
        let losses = losses(remains, entry, noted, &mut lost);
        let made = rewrite(archive, entry, number, &remains.pieces, &losses)?;
        let file = entry.file();
        let kept = match storage.identity(&file) {
            Ok(_) => Some(aside::keep(storage, &file)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(format!("read {file}"), error)),
        };
        let commits = remains.pieces.iter().filter(|piece| piece.is_commit());
        let what = match commits.count() {
            1 => "1 whole commit".to_owned(),
            count => format!("{count} whole commits"),
        };
        steps.push(Step {
            file,
            what: format!("{what} taken over into {}", segment_file(number)),
            kept,
        });
        *entry = SegmentEntry {
            number,
            first_seq: entry.first_seq,
            sealed: entry.sealed.as_ref().map(|_| Sealed {
                len: made.len,
                last_commit: made.last_commit,
            }),
            packed: false,
            repaired: true,
        };
    }
    put_in_place(archive, next, &steps)?;
    Ok(steps)
}

/// What damaged segments hold, by their number. Where none is damaged, and versions are lost that nothing notes any
/// more, one that will note them.
fn read(archive: &Archive, report: &Report) -> Result<(Manifest, BTreeMap<u64, Remains>)> {
    let all = read_those(archive, None)?;
    let unnoted = report
        .findings
        .iter()
        .find(|found| found.kind == FindingKind::DamagedObject && !found.affects.is_empty());
    let (Some(unnoted), true) = (unnoted, all.1.is_empty()) else {
        return Ok(all);
    };
    let segments = &all.0.segments;
    let named = |entry: &&SegmentEntry| unnoted.segment.as_ref() == Some(&entry.file());
    let entry = segments.iter().find(named).or(segments.last());
    read_those(archive, entry.map(|entry| entry.number))
}

/// What damaged segments hold, and this one.
fn read_those(archive: &Archive, other: Option<u64>) -> Result<(Manifest, BTreeMap<u64, Remains>)> {
    let reader = &archive.engine.reader;
    let mut cursor = Cursor::start(reader)?;
    let mut all: BTreeMap<u64, Remains> = BTreeMap::new();
    let wanted = |number: &u64, remains: &Remains| remains.damaged || Some(*number) == other;
    let mut sink = |event: Event| {
        let (Event::Batch { segment, .. }
        | Event::Loss { segment, .. }
        | Event::Damage { segment, .. }) = &event;
        if !all.contains_key(segment) {
            // What is whole is not held longer than it is read.
            all.retain(|number, remains| wanted(number, remains));
        }
        match event {
            Event::Batch { segment, placed } => {
                let remains = all.entry(segment).or_default();
                remains.pieces.push(Piece::Batch(placed));
            }
            Event::Loss { segment, loss } => {
                let remains = all.entry(segment).or_default();
                remains.pieces.push(Piece::Loss(loss));
            }
            Event::Damage {
                segment,
                damage,
                missing,
            } => {
                let remains = all.entry(segment).or_default();
                remains.damaged = true;
                if let Some((first, last)) = missing {
                    let orphans = damage.orphans;
                    remains.pieces.push(Piece::Gone {
                        first,
                        last,
                        orphans,
                    });
                }
            }
        }
        Ok(())
    };
    match cursor.advance(reader, &mut sink)? {
        Progress::Reached => {}
        Progress::Diverged | Progress::Repacked => {
            let changed = std::io::Error::other("it changed meanwhile; try again");
            return Err(Error::io("read the log", changed));
        }
    }
    all.retain(|number, remains| wanted(number, remains));
    Ok((cursor.manifest, all))
}

/// The versions that cannot be loaded, by path.
fn lost_versions(report: &Report) -> BTreeMap<String, BTreeSet<u64>> {
    let mut lost: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for finding in &report.findings {
        if matches!(
            finding.kind,
            FindingKind::LostCommits | FindingKind::DamagedObject
        ) {
            for (path, version) in &finding.affects {
                lost.entry(path.clone()).or_default().insert(*version);
            }
        }
    }
    lost
}

/// A loss record for each stretch of commits that are gone. The first one, or one of its own where no commit is, takes
/// the versions; they are noted once.
fn losses(
    remains: &Remains,
    entry: &SegmentEntry,
    noted: i64,
    lost: &mut BTreeMap<String, BTreeSet<u64>>,
) -> Vec<LossRecord> {
    let mut versions: Vec<(String, Vec<u64>)> = std::mem::take(lost)
        .into_iter()
        .map(|(path, numbers)| (path, numbers.into_iter().collect()))
        .collect();
    let mut records = Vec::new();
    let mut add = |commits| {
        records.push(LossRecord {
            before: 0,
            batch_checksum: [0; CHECKSUM_LEN],
            noted,
            commits,
            versions: std::mem::take(&mut versions),
        });
    };
    for (at, piece) in remains.pieces.iter().enumerate() {
        if let Piece::Gone { first, last, .. } = piece {
            let ends = entry.sealed.as_ref().map(|sealed| sealed.last_commit);
            let id = match remains.pieces.get(at + 1) {
                Some(next) => next.parent(),
                None => ends,
            };
            add(Some(LostCommits {
                first: *first,
                last: *last,
                id: id.unwrap_or(CommitId([0; 32])),
            }));
        }
    }
    if records.is_empty() && !versions.is_empty() {
        let versions = std::mem::take(&mut versions);
        records.push(LossRecord {
            before: 0,
            batch_checksum: [0; CHECKSUM_LEN],
            noted,
            commits: None,
            versions,
        });
    }
    records
}

/// Replaces MANIFEST, and removes the segments that were kept aside.
fn put_in_place(archive: &Archive, mut list: Manifest, steps: &[Step]) -> Result<()> {
    let engine = &archive.engine;
    let failed = |error| Error::io("put mended segments in place", error);
    engine.storage.sync_dir(LOG_FOLDER).map_err(failed)?;
    list.generation += 1;
    list.repacked = list.generation;
    let bytes = list.encode(engine.reader.keys());
    replace(&*engine.storage, LOG_FOLDER, MANIFEST_FILE, &bytes).map_err(failed)?;
    for step in steps.iter().filter(|step| step.kept.is_some()) {
        engine.storage.remove(&step.file).map_err(failed)?;
    }
    engine.storage.sync_dir(LOG_FOLDER).map_err(failed)?;
    Ok(())
}

/// The file of a new segment, which must not stand yet.
pub(super) fn begin(
    archive: &Archive,
    number: u64,
) -> Result<std::sync::Arc<dyn crate::storage::StorageFile>> {
    let failed = |error| Error::io(format!("begin segment {}", segment_name(number)), error);
    let file = archive.engine.storage.create(&segment_file(number));
    file.map_err(failed)
}
