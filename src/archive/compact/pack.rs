//! Making one packed segment of a row of sealed ones.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::super::contents::{ContentCache, ObjectAt};
use super::super::objects::ObjectReader;
use super::super::{Archive, Fault};
use super::chains::{ChainPacker, SMALL};
use super::{CompactOptions, NewSegment};
use crate::commit::SourceForm;
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId, PathKey};
use crate::log::batch::Batch;
use crate::log::cursor::{Event, read_sealed};
use crate::log::delta;
use crate::log::format::*;
use crate::log::manifest::{Sealed, SegmentEntry};
use crate::log::packed::{
    CommitBlock, PackedChange, PackedChangeBlock, PackedChanges, PackedCommit, PackedWriter, Spot,
};
use crate::log::reader::segment_file;
use crate::log::record::StoredChange;

/// Objects are loaded so many at a time …
const LOADED_AT_ONCE: usize = 32;
/// A path of fewer objects than this shares a chain with others of its kind: alone they would have little to rest on.
const FEW: usize = 4;
/// But for those that are longer than this.
const MAX_ALIKE_LEN: u64 = 8 << 20;
/// A block of commits has at most so many changes …
const MAX_CHANGES: usize = 64;
/// … and fields of about this many bytes.
const MAX_FIELDS_LEN: usize = 16 << 10;
/// Progress is told every so many objects.
const TELL_EVERY: usize = 64;

/// What an object is, for its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Document,
    Source,
    Layout,
}

/// The chain of an object: of one path.
type ChainId = (Kind, PathKey);

/// An object of the segments to be packed.
#[derive(Debug)]
struct Object {
    chain: ChainId,
    at: ObjectAt,
    id: ObjectId,
}

/// Hashes of the names and of the folders of paths.
#[derive(Debug, Default)]
struct Names(HashMap<PathKey, (u64, u64)>);

impl Names {
    /// Takes note of a path that stands by its name.
    fn note(&mut self, key: PathKey, path: &str) {
        let hash = |text: &str| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        if !path.is_empty() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let hashes = || (hash(name), hash(folder));
            self.0.entry(key).or_insert_with(hashes);
        }
    }

    fn name(&self, key: PathKey) -> Option<u64> {
        self.0.get(&key).map(|(name, _)| *name)
    }

    fn folder(&self, key: PathKey) -> Option<u64> {
        self.0.get(&key).map(|(_, folder)| *folder)
    }
}

/// A row of segments on its way into one.
pub(super) struct Packing<'a> {
    archive: &'a Archive,
    row: &'a [SegmentEntry],
    parent: CommitId,
    options: &'a CompactOptions<'a>,
    /// In the order of the log.
    objects: Vec<Object>,
    names: Names,
    commits: u64,
    /// The first commit behind the row.
    next_seq: u64,
    last_commit: CommitId,
}

impl<'a> Packing<'a> {
    /// Reads what the segments hold.
    pub fn new(
        archive: &'a Archive,
        row: &'a [SegmentEntry],
        parent: CommitId,
        options: &'a CompactOptions<'a>,
    ) -> Result<Packing<'a>> {
        let mut packing = Packing {
            archive,
            row,
            parent,
            options,
            objects: Vec::new(),
            names: Names::default(),
            commits: 0,
            next_seq: row.first().map_or(1, |entry| entry.first_seq),
            last_commit: parent,
        };
        let mut objects = Vec::new();
        let mut names = Names::default();
        let (mut commits, mut next_seq, mut last_commit) = (0, packing.next_seq, parent);
        let keys = archive.engine.reader.keys();
        packing.each_commit(row, |batch| {
            commits += 1;
            (next_seq, last_commit) = (batch.record.seq + 1, batch.id);
            let mut ordinal = 0;
            for stored in &batch.changes {
                let key = keys.key_of(&stored.change);
                names.note(key, &stored.change.path);
                for (kind, id) in brought(stored) {
                    objects.push(Object {
                        chain: (kind, key),
                        at: ObjectAt {
                            seq: batch.record.seq,
                            ordinal,
                        },
                        id,
                    });
                    ordinal += 1;
                }
            }
            Ok(())
        })?;
        (packing.commits, packing.next_seq, packing.last_commit) = (commits, next_seq, last_commit);
        (packing.objects, packing.names) = (objects, names);
        Ok(packing)
    }

    /// Hands over every commit of these segments. Damage ends it.
    fn each_commit(
        &self,
        row: &[SegmentEntry],
        mut take: impl FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let reader = &self.archive.engine.reader;
        read_sealed(reader, row, self.parent, &mut |event| match event {
            Event::Batch { placed, .. } => take(&placed.batch),
            Event::Damage {
                segment, damage, ..
            } => Err(Error::corrupt(
                segment_file(segment),
                Some(damage.offset),
                format!("{}; run `backstory verify`", damage.reason),
            )),
            Event::Loss { segment, loss } => Err(Error::corrupt(
                segment_file(segment),
                Some(loss.offset),
                "what is lost has no place in a packed segment",
            )),
        })
    }

    /// Can every object be read?
    pub fn loads(&self) -> Result<bool> {
        let mut cache = ContentCache::default();
        let numbers: Vec<usize> = (0..self.objects.len()).collect();
        for numbers in numbers.chunks(LOADED_AT_ONCE) {
            match self.load(numbers, &mut cache) {
                Ok(_) => {}
                Err(Error::Corrupt(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes the new segment, puts it on disk and compares it with the old ones; its entry in MANIFEST, and how many
    /// commits it has.
    pub fn write(&self, new: &NewSegment) -> Result<(SegmentEntry, u64)> {
        let reader = &self.archive.engine.reader;
        let mut writer = PackedWriter::new(reader, new.number, new.file.clone())?;
        let spots = self.write_objects(&mut writer)?;
        self.write_commits(&mut writer, &spots)?;
        let entry = SegmentEntry {
            number: new.number,
            first_seq: self.row.first().map_or(1, |entry| entry.first_seq),
            sealed: Some(Sealed {
                len: writer.finish()?,
                last_commit: self.last_commit,
            }),
            packed: true,
            repaired: false,
        };
        self.compare(&entry)?;
        Ok((entry, self.commits))
    }

    /// Writes all objects, chain by chain; where each stands.
    fn write_objects(&self, writer: &mut PackedWriter<'_>) -> Result<Vec<Spot>> {
        let mut spots = vec![
            Spot {
                block: 0,
                number: 0
            };
            self.objects.len()
        ];
        let mut order: Vec<usize> = (0..self.objects.len()).collect();
        order.sort_by_key(|number| self.objects[*number].chain);
        let chains: Vec<&[usize]> = order
            .chunk_by(|a, b| self.objects[*a].chain == self.objects[*b].chain)
            .collect();
        let mut done = 0;
        let mut packer = ChainPacker::new(writer, &mut spots);
        for chains in chains.chunk_by(|a, b| self.kind(a) == self.kind(b)) {
            // The few of many paths are put together, in the order of the log.
            let (mut small, mut large) = (Vec::new(), Vec::new());
            for chain in chains {
                match self.first_len(chain)? {
                    len if chain.len() < FEW && len <= SMALL as u64 => small.extend(*chain),
                    len if chain.len() < FEW && len <= MAX_ALIKE_LEN => large.push(*chain),
                    _ => self.write_chain(chain, &mut packer, &mut done)?,
                }
            }
            small.sort_unstable();
            packer.of_many_paths(true);
            self.write_chain(&small, &mut packer, &mut done)?;
            for together in self.alike(large)? {
                packer.of_many_paths(true);
                self.write_chain(&together, &mut packer, &mut done)?;
            }
            packer.of_many_paths(false);
        }
        Ok(spots)
    }

    fn kind(&self, chain: &[usize]) -> Option<Kind> {
        chain.first().map(|number| self.objects[*number].chain.0)
    }

    /// How long the first object of a chain is.
    fn first_len(&self, chain: &[usize]) -> Result<u64> {
        let engine = &self.archive.engine;
        let Some(first) = chain.first().map(|number| &self.objects[*number]) else {
            return Ok(0);
        };
        engine.ask(|catalog| ObjectReader::new(engine, catalog).content_len(first.at))
    }

    /// Puts chains of few objects together where their paths have the same name, or are in the same folder, and what
    /// they hold is alike.
    fn alike(&self, chains: Vec<&[usize]>) -> Result<Vec<Vec<usize>>> {
        let key = |chain: &[usize]| chain.first().map(|number| self.objects[*number].chain.1);
        let mut done = Vec::new();
        let mut left = chains;
        for by in [Names::name, Names::folder] {
            let mut groups: BTreeMap<u64, Vec<&[usize]>> = BTreeMap::new();
            let mut alone = Vec::new();
            for chain in left {
                match key(chain).and_then(|key| by(&self.names, key)) {
                    Some(hash) => groups.entry(hash).or_default().push(chain),
                    None => alone.push(chain),
                }
            }
            for chains in groups.into_values() {
                let mut numbers = chains.concat();
                numbers.sort_unstable();
                match chains.len() > 1 && self.are_alike(&numbers)? {
                    true => done.push(numbers),
                    false => alone.extend(chains),
                }
            }
            left = alone;
        }
        done.extend(left.into_iter().map(<[usize]>::to_vec));
        Ok(done)
    }

    /// Does each of a few of these objects take much less beside the one in front of it than alone?
    fn are_alike(&self, numbers: &[usize]) -> Result<bool> {
        let (mut beside, mut alone) = (0, 0);
        let failed = |error: delta::FrameError| {
            Error::io("compress", std::io::Error::other(error.to_string()))
        };
        for at in [0, (numbers.len() / 2).saturating_sub(1), numbers.len() - 2] {
            let pair = self.load(&numbers[at..at + 2], &mut ContentCache::default())?;
            let [(_, one), (_, other)] = &pair[..] else {
                continue;
            };
            beside += delta::compress_delta(other, one).map_err(failed)?.len();
            alone += delta::compress(other).map_err(failed)?.len();
        }
        Ok(beside * 2 < alone)
    }

    fn write_chain(
        &self,
        chain: &[usize],
        packer: &mut ChainPacker<'_, '_>,
        done: &mut usize,
    ) -> Result<()> {
        let mut cache = ContentCache::default();
        for numbers in chain.chunks(LOADED_AT_ONCE) {
            for (number, bytes) in self.load(numbers, &mut cache)? {
                packer.add(number, bytes)?;
                *done += 1;
                if let Some(progress) = self.options.progress
                    && done.is_multiple_of(TELL_EVERY)
                {
                    progress(*done as u64, self.objects.len() as u64);
                }
            }
        }
        packer.finish_chain()
    }

    /// Loads objects and compares them with their ids.
    fn load(
        &self,
        numbers: &[usize],
        cache: &mut ContentCache,
    ) -> Result<Vec<(usize, Arc<Vec<u8>>)>> {
        let engine = &self.archive.engine;
        let cache = std::cell::RefCell::new(cache);
        engine.ask(|catalog| {
            let objects = ObjectReader::new(engine, catalog);
            let mut loaded = Vec::with_capacity(numbers.len());
            for number in numbers {
                let object = &self.objects[*number];
                let (content, _) =
                    objects.content(object.at, &mut |at| cache.borrow_mut().get(at))?;
                if ObjectId::of(&content.bytes) != object.id {
                    let id = object.id;
                    let message = format!("the content of object {id} does not have its hash");
                    return Err(objects.fault_at(object.at, message));
                }
                loaded.push((*number, content.bytes.clone()));
                cache.borrow_mut().put(object.at, content);
            }
            Ok::<_, Fault>(loaded)
        })
    }

    fn write_commits(&self, writer: &mut PackedWriter<'_>, spots: &[Spot]) -> Result<()> {
        let first_seq = self.row.first().map_or(1, |entry| entry.first_seq);
        let mut block = CommitBlock::new(first_seq, self.parent);
        let (mut changes_here, mut fields_len) = (0, 0);
        let mut spots = spots.iter().copied();
        self.each_commit(self.row, |batch| {
            let record = &batch.record;
            let changes: Vec<PackedChange> = batch
                .changes
                .iter()
                .map(|stored| packed(stored, &mut spots))
                .collect();
            let mut fields = Vec::new();
            record.fields.encode(&mut fields);
            fields_len += fields.len();
            let (placed, changes) = if changes.len() <= CHANGES_PER_RECORD {
                changes_here += changes.len();
                (PackedChanges::Inline(0..0), changes)
            } else {
                (write_changes(writer, record.seq, &changes)?, Vec::new())
            };
            let commit = PackedCommit {
                other_parents: record.parents.get(1..).unwrap_or(&[]).to_vec(),
                recorded: record.recorded,
                time: record.time,
                fields: record.fields.clone(),
                change_count: record.change_count,
                changes: placed,
            };
            block.push(commit, changes);
            if block.len() >= COMMITS_PER_BLOCK
                || changes_here >= MAX_CHANGES
                || fields_len >= MAX_FIELDS_LEN
            {
                write_commit_block(writer, &block)?;
                block = CommitBlock::new(record.seq + 1, batch.id);
                (changes_here, fields_len) = (0, 0);
            }
            Ok(())
        })?;
        match block.len() == 0 {
            true => Ok(()),
            false => write_commit_block(writer, &block),
        }
    }

    /// Reads the new segment as any reader would: each commit must have the id it had, which the last one vouches for,
    /// and each object its hash.
    fn compare(&self, entry: &SegmentEntry) -> Result<()> {
        let reader = &self.archive.engine.reader;
        let mut commits = 0;
        self.each_commit(std::slice::from_ref(entry), |batch| {
            commits += 1;
            let ids = batch.changes.iter().flat_map(brought).map(|(_, id)| id);
            for (spot, id) in batch.spots.iter().flatten().zip(ids) {
                let object = reader.packed_object(entry.number, *spot)?;
                if ObjectId::of(&object.bytes) != id {
                    return Err(unlike(entry, Some(spot.block)));
                }
            }
            Ok(())
        })?;
        match commits == self.commits {
            true => Ok(()),
            false => Err(unlike(entry, None)),
        }
    }
}

fn unlike(entry: &SegmentEntry, offset: Option<u64>) -> Error {
    let message = "what was packed is not read back as it was";
    Error::corrupt(entry.file(), offset, message)
}

/// The objects that a change brought, in order.
fn brought(stored: &StoredChange) -> impl Iterator<Item = (Kind, ObjectId)> + use<> {
    let document = stored
        .change
        .content
        .map(|content| (Kind::Document, content.object));
    let kind = match stored.change.content.map(|content| content.source) {
        Some(SourceForm::Object(_)) => Kind::Source,
        _ => Kind::Layout,
    };
    let second = stored.second().map(|id| (kind, id));
    let document = document.filter(|_| stored.object_len > 0);
    let second = second.filter(|_| stored.source_len > 0);
    document.into_iter().chain(second)
}

fn packed(stored: &StoredChange, spots: &mut impl Iterator<Item = Spot>) -> PackedChange {
    let document = (stored.object_len > 0).then(|| spots.next()).flatten();
    let second = (stored.source_len > 0).then(|| spots.next()).flatten();
    PackedChange {
        stored: StoredChange {
            change: stored.change.clone(),
            object_len: document.is_some().into(),
            source_len: second.is_some().into(),
        },
        document,
        second,
    }
}

/// Writes the changes of a commit that has many.
fn write_changes(
    writer: &mut PackedWriter<'_>,
    seq: u64,
    changes: &[PackedChange],
) -> Result<PackedChanges> {
    let root = crate::commit::merkle_root(seq, changes.iter().map(|c| &c.stored.change));
    let mut offsets = Vec::new();
    let (mut first_change, mut first_object) = (0, 0);
    for group in changes.chunks(CHANGES_PER_RECORD) {
        let block = PackedChangeBlock {
            seq,
            first_change,
            first_object,
            changes: group.to_vec(),
        };
        let body = block.encode(writer.offset());
        offsets.push(writer.record(RECORD_CHANGE_BLOCK, &body)?);
        first_change += group.len() as u64;
        first_object += group.iter().map(|c| c.stored.objects()).sum::<u64>();
    }
    Ok(PackedChanges::Blocks { offsets, root })
}

fn write_commit_block(writer: &mut PackedWriter<'_>, block: &CommitBlock) -> Result<()> {
    let body = block.encode(writer.offset());
    writer.record(RECORD_COMMIT_BLOCK, &body)?;
    Ok(())
}
