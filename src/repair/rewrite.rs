//! A segment from what is whole of another.

use std::collections::HashMap;
use std::sync::Arc;

use super::segments::begin;
use crate::archive::{Archive, Content, ContentCache, Encoded, Fault, ObjectAt, ObjectReader};
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId, PathKey};
use crate::log::batch::{Batch, BatchBuilder, check_batch};
use crate::log::format::*;
use crate::log::loss::{LossRecord, PlacedLoss};
use crate::log::manifest::SegmentEntry;
use crate::log::reader::segment_file;
use crate::log::record::{ObjectRecord, StoredChange, read_frame};
use crate::log::scan::{Found, PlacedBatch, scan};
use crate::log::writer::segment_header;
use crate::storage::{StorageFile, read_exact_at};

/// So many bytes are collected before they are written.
const CHUNK: usize = 1 << 20;

/// A part of a damaged segment, in order.
pub(super) enum Piece {
    /// A commit; some of its objects may be damaged.
    Batch(PlacedBatch),
    /// What an earlier repair has noted.
    Loss(PlacedLoss),
    /// Commits that are gone, and objects of the first of them that are whole.
    Gone {
        first: u64,
        last: u64,
        orphans: Vec<(u64, u64)>,
    },
}

impl Piece {
    pub fn is_commit(&self) -> bool {
        matches!(self, Piece::Batch(_))
    }

    /// The commit that this one follows.
    pub fn parent(&self) -> Option<CommitId> {
        match self {
            Piece::Batch(placed) => placed.batch.record.parents.first().copied(),
            Piece::Loss(_) | Piece::Gone { .. } => None,
        }
    }
}

/// A segment that was written.
pub(super) struct Made {
    pub len: u64,
    pub last_commit: CommitId,
}

/// Writes a new segment, on disk and read back, from the pieces of an old one.
pub(super) fn rewrite(
    archive: &Archive,
    entry: &SegmentEntry,
    number: u64,
    pieces: &[Piece],
    losses: &[LossRecord],
) -> Result<Made> {
    let reader = &archive.engine.reader;
    let file = begin(archive, number)?;
    let name = segment_file(number);
    let old = match reader.segment(entry.number) {
        Ok(file) => Some(file),
        Err(Error::Corrupt(_)) => None,
        Err(error) => return Err(error),
    };
    let mut rewriter = Rewriter {
        archive,
        packed: entry.packed,
        old,
        old_name: entry.file(),
        newest: HashMap::new(),
        cache: ContentCache::default(),
    };
    let mut out = segment_header(reader.identity(), reader.keys());
    let mut written = 0u64;
    let failed = |error| Error::io(format!("write {name}"), error);
    let mut losses = losses.iter();
    // Versions that are lost without their commits are noted in front.
    if !pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Gone { .. }))
        && let Some(loss) = losses.next()
    {
        let start = out.len();
        loss.clone().finish(&mut out, start, reader.keys());
    }
    let mut ids = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Batch(placed) => {
                rewriter.batch(placed, &mut out)?;
                ids.push(placed.batch.id);
            }
            Piece::Loss(loss) => rewriter.copy(loss.offset, loss.end - loss.offset, &mut out)?,
            Piece::Gone { orphans, .. } => {
                if let Some(loss) = losses.next() {
                    let start = out.len();
                    for (offset, len) in orphans {
                        rewriter.copy(*offset, *len, &mut out)?;
                    }
                    loss.clone().finish(&mut out, start, reader.keys());
                }
            }
        }
        if out.len() >= CHUNK {
            file.write_all_at(&out, written).map_err(failed)?;
            written += out.len() as u64;
            out.clear();
        }
    }
    file.write_all_at(&out, written).map_err(failed)?;
    written += out.len() as u64;
    file.sync_data().map_err(failed)?;
    let last = read_back(archive, &*file, &name, written, &ids)?;
    Ok(Made {
        len: written,
        last_commit: last
            .or(entry.sealed.as_ref().map(|sealed| sealed.last_commit))
            .unwrap_or(CommitId([0; 32])),
    })
}

/// Does the new segment hold these commits, and nothing that is not whole? The id of the last one, or of what is lost
/// behind it.
fn read_back(
    archive: &Archive,
    file: &dyn StorageFile,
    name: &str,
    len: u64,
    ids: &[CommitId],
) -> Result<Option<CommitId>> {
    let failed = |error| Error::io(format!("read {name}"), error);
    let size = usize::try_from(len).map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
    let mut bytes = vec![0; size];
    read_exact_at(file, &mut bytes, 0).map_err(failed)?;
    let mut found = Vec::new();
    let mut damaged = false;
    let mut last: Option<(u64, CommitId)> = None;
    let end = scan(&bytes, 0, true, archive.engine.reader.keys(), &mut |part| {
        let behind = match part {
            Found::Identity(..) => None,
            Found::Damage(_) => {
                damaged = true;
                None
            }
            Found::Batch(placed) => {
                found.push(placed.batch.id);
                Some((placed.batch.record.seq, placed.batch.id))
            }
            Found::Loss(loss) => loss.record.commits.map(|lost| (lost.last, lost.id)),
        };
        last = [last, behind]
            .into_iter()
            .flatten()
            .max_by_key(|(seq, _)| *seq);
        Ok::<(), Error>(())
    })?;
    if found != ids || damaged || end.end != len {
        return Err(Error::corrupt(name, None, "it is not what was written"));
    }
    Ok(last.map(|(_, id)| id))
}

struct Rewriter<'a> {
    archive: &'a Archive,
    packed: bool,
    old: Option<Arc<dyn StorageFile>>,
    old_name: String,
    /// The newest object of each path that was compressed anew: of its documents, and of what it has beside them.
    newest: HashMap<(PathKey, bool), ObjectAt>,
    cache: ContentCache,
}

impl Rewriter<'_> {
    /// Bytes of the old segment.
    fn old(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let failed = |error| Error::io(format!("read {}", self.old_name), error);
        let size =
            usize::try_from(len).map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
        let mut bytes = vec![0; size];
        if let Some(old) = &self.old {
            read_exact_at(&**old, &mut bytes, offset).map_err(failed)?;
        }
        Ok(bytes)
    }

    fn copy(&self, offset: u64, len: u64, out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.old(offset, len)?);
        Ok(())
    }

    /// Appends a commit: the bytes as they are where they are whole, else what is whole of them.
    fn batch(&mut self, placed: &PlacedBatch, out: &mut Vec<u8>) -> Result<()> {
        let made = match self.packed {
            true => self.unpack(&placed.batch, out)?,
            false => match self.salvage(placed, out)? {
                Some(made) => made,
                None => return Ok(()),
            },
        };
        match made.id == placed.batch.id {
            true => Ok(()),
            false => Err(Error::corrupt(
                &self.old_name,
                Some(placed.offset),
                "a commit cannot be written anew",
            )),
        }
    }

    /// A batch of a plain segment. `None` where it was whole.
    fn salvage(&self, placed: &PlacedBatch, out: &mut Vec<u8>) -> Result<Option<Batch>> {
        let keys = self.archive.engine.reader.keys();
        let batch = &placed.batch;
        let bytes = self.old(placed.offset, batch.len)?;
        let record_at = usize::try_from(batch.record.before).unwrap_or(usize::MAX);
        let record = bytes
            .get(record_at..)
            .and_then(|record| read_frame(record, keys).ok());
        if record.is_some_and(|frame| check_batch(&bytes, record_at, frame.body, keys).is_ok()) {
            out.extend(bytes);
            return Ok(None);
        }
        let mut builder = BatchBuilder::new(keys, out);
        let mut lengths = Vec::new();
        for (at, len) in batch.objects(placed.offset) {
            let stands = usize::try_from(at)
                .ok()
                .and_then(|at| bytes.get(at..record_at))
                .and_then(|record| read_frame(record, keys).ok())
                .filter(|frame| frame.kind == RECORD_OBJECT && frame.len as u64 == len)
                .and_then(|frame| ObjectRecord::decode(frame.body).ok());
            let record = stands.unwrap_or(ObjectRecord::Lost);
            lengths.push(builder.object(out, &record).1);
        }
        Ok(Some(finish(builder, batch, lengths, out)))
    }

    /// A commit of a packed segment, its objects compressed anew.
    fn unpack(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Result<Batch> {
        let archive = self.archive;
        let keys = archive.engine.reader.keys();
        let seq = batch.record.seq;
        let mut builder = BatchBuilder::new(keys, out);
        let mut lengths = Vec::new();
        for stored in &batch.changes {
            let key = keys.key_of(&stored.change);
            let document = stored.change.content.map(|content| content.object);
            let named = [
                (stored.object_len > 0).then_some(document).flatten(),
                (stored.source_len > 0).then(|| stored.second()).flatten(),
            ];
            for (second, id) in [false, true].into_iter().zip(named) {
                let Some(id) = id else { continue };
                let at = ObjectAt {
                    seq,
                    ordinal: lengths.len() as u64,
                };
                let encoded = self.encode(at, id, (key, second))?;
                let record = encoded
                    .as_ref()
                    .map_or(ObjectRecord::Lost, |encoded| encoded.record(seq));
                lengths.push(builder.object(out, &record).1);
            }
        }
        Ok(finish(builder, batch, lengths, out))
    }

    /// Compresses an object of the old segment; `None` where it cannot be read.
    fn encode(
        &mut self,
        at: ObjectAt,
        id: ObjectId,
        chain: (PathKey, bool),
    ) -> Result<Option<Encoded>> {
        let engine = &self.archive.engine;
        let cache = &mut self.cache;
        let read = {
            let view = engine.view();
            let catalog = engine.catalog(&view);
            ObjectReader::new(engine, &catalog).content(at, &mut |_| None)
        };
        let bytes = match read {
            Ok((content, _)) if ObjectId::of(&content.bytes) == id => content.bytes,
            Ok(_) | Err(Fault::Doubt(_)) => return Ok(None),
            Err(fault) => return Err(fault.into_error()),
        };
        let base = self.newest.get(&chain).copied();
        let below = base.and_then(|base| Some((base, cache.get(base)?)));
        let encoded = match below.filter(|(_, below)| below.k + 1 < ANCHOR_EVERY) {
            Some((base, below)) => {
                Encoded::over(&bytes, &below, base).map_err(Fault::into_error)?
            }
            None => Encoded::whole(&bytes).map_err(Fault::into_error)?,
        };
        self.newest.insert(chain, at);
        let content = Content {
            bytes,
            k: encoded.k,
            load_len: encoded.load_len,
        };
        self.cache.put(at, content);
        Ok(Some(encoded))
    }
}

/// Closes a batch with the commit that another one had, and records of these lengths.
fn finish(builder: BatchBuilder<'_>, batch: &Batch, lengths: Vec<u64>, out: &mut Vec<u8>) -> Batch {
    let mut lengths = lengths.into_iter();
    let changes: Vec<StoredChange> = batch
        .changes
        .iter()
        .map(|stored| {
            let mut stored = stored.clone();
            for len in [&mut stored.object_len, &mut stored.source_len] {
                if *len > 0 {
                    *len = lengths.next().unwrap_or(0);
                }
            }
            stored
        })
        .collect();
    let mut record = batch.record.clone();
    record.unsynced = 0;
    builder.finish(out, record, changes)
}
