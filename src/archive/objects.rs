//! Objects: finding them, following their deltas, and choosing what a new one rests on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Fault};
use super::lookups::Lookups;
use super::sources::LayoutCache;
use super::transaction::Newest;
use crate::commit::SourceForm;
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId};
use crate::index::{Catalog, VersionRow};
use crate::log::delta::{self, Packed};
use crate::log::format::*;
use crate::log::packed::Spot;
use crate::log::reader::{LocatedChange, LogReader, RecordPlace, segment_file};
use crate::log::record::{ObjectRecord, Reference, StoredChange};

/// A chain that needs more frames than this for one load is not one that this crate writes.
const MAX_FRAMES: usize = 2 * KEYFRAME_EVERY as usize;
/// At most so many places of one object are looked into for one that is whole.
const MAX_COPIES: usize = 16;
/// Contents kept for the next delta and the next load, in bytes.
const CACHE_LEN: usize = 64 << 20;
/// A base longer than this may be out of reach of a new object.
const LONG_BASE: usize = 100 << 20;
/// A thread keeps buffers for chains up to this many bytes each.
const MAX_KEPT_SCRATCH: usize = 4 << 20;

/// Which object: the number of its commit, and its number in the commit's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectAt {
    pub seq: u64,
    pub ordinal: u64,
}

/// The content of an object, and where its chain stands.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub bytes: Arc<Vec<u8>>,
    /// Objects since the keyframe.
    pub k: u64,
    /// Bytes that loading it decodes.
    pub load_len: u64,
}

/// An object about to be written.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub packing: Packing,
    pub k: u64,
    pub load_len: u64,
}

/// How an object about to be written is packed.
#[derive(Clone, Debug)]
pub(crate) enum Packing {
    Alone(Packed),
    Delta { base: ObjectAt, frame: Vec<u8> },
}

impl ObjectAt {
    /// In front of every commit.
    pub const NOWHERE: ObjectAt = ObjectAt { seq: 0, ordinal: 0 };
}

impl Content {
    /// May an object rest on this one?
    pub fn can_carry(&self, content: &[u8]) -> bool {
        delta::can_reach(self.bytes.len(), content.len())
            && self.load_len.saturating_add(content.len() as u64) <= MAX_LOAD_LEN
    }
}

impl Encoded {
    pub fn alone(content: &[u8], packed: Packed) -> Encoded {
        Encoded {
            packing: Packing::Alone(packed),
            k: 0,
            load_len: content.len() as u64,
        }
    }

    /// The object behind `base` in its chain.
    pub fn delta(content: &[u8], base: &Content, at: ObjectAt, frame: Vec<u8>) -> Encoded {
        Encoded {
            packing: Packing::Delta { base: at, frame },
            k: base.k.saturating_add(1),
            load_len: base.load_len.saturating_add(content.len() as u64),
        }
    }

    /// The same frame over the same content, which stands here.
    pub fn based_on(mut self, at: ObjectAt) -> Encoded {
        if let Packing::Delta { base, .. } = &mut self.packing {
            *base = at;
        }
        self
    }

    /// The record of this object in commit `seq`.
    pub fn record(&self, seq: u64) -> ObjectRecord<'_> {
        match &self.packing {
            Packing::Alone(packed) => packed.record(),
            Packing::Delta { base, frame } => ObjectRecord::Delta {
                k: self.k,
                base: Reference {
                    seq_back: seq - base.seq,
                    ordinal: base.ordinal,
                },
                frame,
            },
        }
    }
}

/// Contents that the next deltas are likely to rest on; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct ContentCache {
    contents: HashMap<ObjectAt, (Content, u64)>,
    len: usize,
    clock: u64,
}

impl ContentCache {
    pub fn get(&mut self, at: ObjectAt) -> Option<Content> {
        self.clock += 1;
        let (content, used) = self.contents.get_mut(&at)?;
        *used = self.clock;
        Some(content.clone())
    }

    pub fn put(&mut self, at: ObjectAt, content: Content) {
        if content.bytes.len() > CACHE_LEN / 2 {
            return;
        }
        self.clock += 1;
        self.len += content.bytes.len();
        if let Some((old, _)) = self.contents.insert(at, (content, self.clock)) {
            self.len -= old.bytes.len();
        }
        if self.len > CACHE_LEN {
            // Half of it at once, so that the sorting is rare.
            let mut by_use: Vec<(u64, ObjectAt)> = self
                .contents
                .iter()
                .map(|(at, (_, used))| (*used, *at))
                .collect();
            by_use.sort_unstable();
            for (_, at) in by_use {
                if self.len <= CACHE_LEN / 2 {
                    break;
                }
                self.remove(at);
            }
        }
    }

    /// Forgets the objects of commits from this number on.
    pub fn forget_from(&mut self, seq: u64) {
        self.contents.retain(|at, _| at.seq < seq);
        self.len = self
            .contents
            .values()
            .map(|(content, _)| content.bytes.len())
            .sum();
    }

    pub fn remove(&mut self, at: ObjectAt) {
        if let Some((old, _)) = self.contents.remove(&at) {
            self.len -= old.bytes.len();
        }
    }
}

/// Batches that are not on disk yet: their bytes, and where they will stand.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    pub segment: u64,
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// The changes of each commit in `bytes`.
    pub changes: HashMap<u64, Arc<Vec<StoredChange>>>,
    /// The id of each commit in `bytes`.
    pub ids: HashMap<u64, CommitId>,
}

thread_local! {
    // Most of the objects on the way to one are needed for a moment only.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Two buffers that take turns while a chain is decoded.
#[derive(Default)]
struct Scratch {
    done: Vec<u8>,
    next: Vec<u8>,
}

impl Scratch {
    fn trim(&mut self) {
        for buffer in [&mut self.done, &mut self.next] {
            if buffer.capacity() > MAX_KEPT_SCRATCH {
                *buffer = Vec::new();
            }
        }
    }
}

/// The body of an object record, in the bytes that were read.
pub(crate) struct Body {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// Reads changes and objects by the catalog's rows.
pub(crate) struct ObjectReader<'a> {
    pub reader: &'a LogReader,
    pub catalog: &'a Catalog<'a>,
    pub unwritten: Option<&'a Unwritten>,
    pub layouts: &'a LayoutCache,
    /// Which reading of the log is asked.
    pub reading: u64,
    pub changes: &'a ChangeCache,
}

/// Changes kept; when there are more, all are forgotten.
const MAX_CHANGES: usize = 8192;

/// Changes that were read, by the numbers of their commit and of the change in it. Each was checked when it was read.
#[derive(Debug, Default)]
pub(crate) struct ChangeCache {
    changes: Mutex<HashMap<(u64, u64), LocatedChange>>,
    /// What was found of objects that are not where they should be.
    lookups: Lookups,
}

impl ChangeCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, u64), LocatedChange>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, at: (u64, u64), change: &LocatedChange) {
        let mut changes = self.lock();
        if changes.len() >= MAX_CHANGES {
            changes.clear();
        }
        changes.insert(at, change.clone());
    }

    /// Forgets the changes of commits from this number on.
    pub fn forget_from(&self, seq: u64) {
        self.lock().retain(|(at, _), _| *at < seq);
        self.lookups.clear();
    }
}

impl<'a> ObjectReader<'a> {
    pub fn new(engine: &'a Engine, catalog: &'a Catalog<'a>) -> ObjectReader<'a> {
        ObjectReader {
            reader: &engine.reader,
            catalog,
            unwritten: None,
            layouts: &engine.layouts,
            reading: engine.reading(),
            changes: &engine.changes,
        }
    }

    /// The change that a row points to, which must be the row's path and version.
    pub fn change(&self, row: &VersionRow) -> Result<LocatedChange, Fault> {
        let mut located = self.stored_change(row.seq, row.change)?;
        if row.agrees(&mut located.stored.change, self.reader.keys()) {
            return Ok(located);
        }
        Err(doubt(format!(
            "the index has another version of {} in commit {}",
            row.path, row.seq
        )))
    }

    /// A change by the number of its commit and its number in it.
    pub fn change_at(&self, seq: u64, number: u64) -> Result<LocatedChange, Fault> {
        let mut located = self.stored_change(seq, number)?;
        self.catalog.fill(&mut located.stored.change)?;
        Ok(located)
    }

    /// The same, its path as it stands in the record.
    pub fn stored_change(&self, seq: u64, number: u64) -> Result<LocatedChange, Fault> {
        if let Some(unwritten) = self.unwritten
            && let Some(changes) = unwritten.changes.get(&seq)
        {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let Some(stored) = changes.get(index) else {
                return Err(doubt(format!("commit {seq} lacks a change")));
            };
            let first_object = changes[..index].iter().map(StoredChange::objects).sum();
            return Ok(LocatedChange {
                stored: stored.clone(),
                first_object,
                segment: unwritten.segment,
            });
        }
        if let Some(known) = self.changes.lock().get(&(seq, number)) {
            return Ok(known.clone());
        }
        let place = match self.catalog.commit(seq)? {
            Some(row) if row.record_len > 0 => row.place(),
            Some(row) => {
                let error = Error::corrupt(
                    segment_file(row.segment),
                    Some(row.offset),
                    format!("the record of commit {seq} is lost"),
                );
                return Err(Fault::Doubt(error));
            }
            None => return Err(doubt(format!("the index lacks commit {seq}"))),
        };
        let record = self.reader.commit(place)?;
        if record.seq != seq {
            return Err(doubt(format!(
                "the index has commit {seq} in another place"
            )));
        }
        let located = self.reader.change(place, &record, number)?;
        self.changes.put((seq, number), &located);
        Ok(located)
    }

    /// Where an object with this id is stored.
    pub fn find(&self, id: &ObjectId) -> Result<Option<ObjectAt>, Fault> {
        let first = self.catalog.first_by_key(id.key())?;
        self.find_from(first, id)
    }

    /// The same, where no commit up to `seq` has the object.
    pub fn find_since(&self, id: &ObjectId, seq: u64) -> Result<Option<ObjectAt>, Fault> {
        match self.catalog.first_by_key_since(id.key(), seq)? {
            Some(first) => self.find_from(first, id),
            None => self.find(id),
        }
    }

    fn find_from(
        &self,
        first: Option<VersionRow>,
        id: &ObjectId,
    ) -> Result<Option<ObjectAt>, Fault> {
        let Some(first) = first else {
            return Ok(None);
        };
        if let Some(at) = stored_here(&self.change(&first)?, first.seq, id) {
            return Ok(Some(at));
        }
        Ok(self.copies(id)?.first().copied())
    }

    /// Where versions stored this object, in order; the first few places.
    fn copies(&self, id: &ObjectId) -> Result<Vec<ObjectAt>, Fault> {
        let newest = self.catalog.newest_seq();
        let places = self
            .changes
            .lookups
            .by_key(id.key(), newest, || self.stored_with(id.key()))?;
        Ok(places.get(id).cloned().unwrap_or_default())
    }

    /// All objects that versions with this key stored, and where.
    fn stored_with(&self, key: i64) -> Result<HashMap<ObjectId, Vec<ObjectAt>>, Fault> {
        let mut places: HashMap<ObjectId, Vec<ObjectAt>> = HashMap::new();
        for row in self.catalog.by_key(key, key)? {
            let located = self.change(&row)?;
            let content = located.stored.change.content.map(|content| content.object);
            for id in content.into_iter().chain(located.stored.second()) {
                if let Some(at) = stored_here(&located, row.seq, &id) {
                    let copies = places.entry(id).or_default();
                    if copies.len() < MAX_COPIES {
                        copies.push(at);
                    }
                }
            }
        }
        Ok(places)
    }

    /// Where the object of a change is stored: usually in its own commit.
    pub fn locate(
        &self,
        located: &LocatedChange,
        seq: u64,
        id: &ObjectId,
    ) -> Result<ObjectAt, Fault> {
        if let Some(at) = stored_here(located, seq, id) {
            return Ok(at);
        }
        if let Some(at) = self.find(id)? {
            return Ok(at);
        }
        self.find_orphan(id)?
            .ok_or_else(|| gone(format!("no record of object {id}")))
    }

    /// An object with this id among those whose commit record is lost: only their content tells them.
    pub fn find_orphan(&self, id: &ObjectId) -> Result<Option<ObjectAt>, Fault> {
        let lost = self.catalog.lost_commits()?;
        if lost.is_empty() {
            return Ok(None);
        }
        let newest = self.catalog.newest_seq();
        let places = self
            .changes
            .lookups
            .orphans(newest, || self.orphans(&lost))?;
        Ok(places.get(id).copied())
    }

    /// The objects of these commits by their ids.
    fn orphans(&self, lost: &[u64]) -> Result<HashMap<ObjectId, ObjectAt>, Fault> {
        let mut places = HashMap::new();
        for seq in lost {
            for ordinal in 0.. {
                let at = ObjectAt { seq: *seq, ordinal };
                if self.catalog.object(at.seq, ordinal)?.is_none() {
                    break;
                }
                if let Ok((content, _)) = self.content(at, &mut |_| None) {
                    places.entry(ObjectId::of(&content.bytes)).or_insert(at);
                }
            }
        }
        Ok(places)
    }

    fn place(&self, at: ObjectAt) -> Result<RecordPlace, Fault> {
        let row = self.catalog.object(at.seq, at.ordinal)?;
        row.ok_or_else(|| {
            gone(format!(
                "no record of object {} of commit {}",
                at.ordinal, at.seq
            ))
        })
    }

    /// An object of a packed segment: what the record's length stands for there is 1 more than its number in its block.
    fn packed(&self, place: RecordPlace) -> Result<Content, Fault> {
        let object = self.reader.packed_object(place.segment, spot(place)?)?;
        Ok(Content {
            bytes: object.bytes,
            k: 0,
            load_len: object.load_len,
        })
    }

    /// The body of an object record.
    fn body_at(&self, place: RecordPlace) -> Result<(RecordPlace, Body), Fault> {
        if let Some(unwritten) = self.unwritten
            && place.segment == unwritten.segment
            && place.offset >= unwritten.offset
        {
            let start = usize::try_from(place.offset - unwritten.offset).unwrap_or(usize::MAX);
            let bytes = unwritten.bytes.get(start..).unwrap_or(&[]);
            return match crate::log::record::read_frame(bytes, self.reader.keys()) {
                Ok(frame) => Ok((
                    place,
                    Body {
                        bytes: frame.body.to_vec(),
                        start: 0,
                        end: frame.body.len(),
                    },
                )),
                Err(_) => Err(doubt(
                    "an unwritten object is not where it should be".to_owned(),
                )),
            };
        }
        let (bytes, body) = self.reader.record_bytes(place, RECORD_OBJECT)?;
        Ok((
            place,
            Body {
                bytes,
                start: body.start,
                end: body.end,
            },
        ))
    }

    /// The object that a record names; it is always an earlier one, so no chain has a loop.
    pub fn earlier(
        &self,
        at: ObjectAt,
        to: Reference,
        place: RecordPlace,
    ) -> Result<ObjectAt, Fault> {
        let found = at.seq.checked_sub(to.seq_back).map(|seq| ObjectAt {
            seq,
            ordinal: to.ordinal,
        });
        match found {
            Some(found) if found < at && found.seq > 0 => Ok(found),
            _ => Err(self.corrupt(place, "an object rests on one that is not in front of it")),
        }
    }

    /// The fault of a record.
    pub fn corrupt(&self, place: RecordPlace, message: &str) -> Fault {
        Fault::Doubt(Error::corrupt(
            segment_file(place.segment),
            Some(place.offset),
            message,
        ))
    }

    /// The content of an object, not yet compared with its id; how many records it took.
    pub fn content(
        &self,
        at: ObjectAt,
        cached: &mut dyn FnMut(ObjectAt) -> Option<Content>,
    ) -> Result<(Content, usize), Fault> {
        let mut records = Vec::new();
        let mut next = at;
        let mut packed = 0;
        let mut load_len = 0u64;
        let below = loop {
            if let Some(content) = cached(next) {
                break Some(content);
            }
            let place = self.place(next)?;
            if self.reader.is_packed(place.segment) {
                packed = 1;
                break Some(self.packed(place)?);
            }
            let (place, body) = self.body_at(place)?;
            let record =
                ObjectRecord::decode(&body).map_err(|error| self.corrupt(place, error.0))?;
            let rests_on = record.rests_on();
            // What is read and what is made of it are both bounded: a frame can hold much, and little.
            let len = delta::record_content_len(&record)
                .map_err(|error| self.corrupt(place, &error.to_string()))?;
            load_len = load_len.saturating_add(len.max(body.len() as u64 / 2));
            let alone = records.is_empty() && rests_on.is_none();
            records.push((place, body));
            if records.len() > MAX_FRAMES || (load_len > MAX_LOAD_LEN && !alone) {
                return Err(self.corrupt(place, "an object rests on too many others"));
            }
            match rests_on {
                None => break None,
                Some(reference) => next = self.earlier(next, reference, place)?,
            }
        };
        let count = records.len() + packed;
        if records.is_empty() {
            return below
                .map(|content| (content, count))
                .ok_or_else(|| doubt("an object without a record".to_owned()));
        }
        SCRATCH
            .with_borrow_mut(|scratch| self.decode_chain(&records, below, scratch))
            .map(|content| (content, count))
    }

    /// The content of the first of these records, each of which rests on the one behind it, and the last on `below`.
    fn decode_chain(
        &self,
        records: &[(RecordPlace, Body)],
        below: Option<Content>,
        scratch: &mut Scratch,
    ) -> Result<Content, Fault> {
        let (mut load_len, mut k) = (0u64, 0);
        // What the next record rests on is `below` for the first one decoded, from then on in `scratch.done`.
        let mut below = below;
        let mut first = true;
        for (place, body) in records.iter().rev() {
            let record =
                ObjectRecord::decode(body).map_err(|error| self.corrupt(*place, error.0))?;
            if let Some(content) = &below {
                load_len = content.load_len;
            }
            let prefix = match (&below, first) {
                (Some(content), _) => Some(content.bytes.as_slice()),
                (None, true) => None,
                (None, false) => Some(scratch.done.as_slice()),
            };
            k = record.k();
            match record {
                ObjectRecord::Stored(bytes) => {
                    scratch.next.clear();
                    scratch.next.extend_from_slice(bytes);
                }
                ObjectRecord::Frame(frame) | ObjectRecord::Delta { frame, .. } => {
                    delta::decompress_into(frame, prefix, MAX_OBJECT_LEN, &mut scratch.next)
                        .map_err(|error| self.corrupt(*place, &error.to_string()))?;
                }
                ObjectRecord::Lost => {
                    return Err(self.corrupt(*place, &delta::FrameError::Lost.to_string()));
                }
            }
            (below, first) = (None, false);
            load_len = load_len.saturating_add(scratch.next.len() as u64);
            std::mem::swap(&mut scratch.done, &mut scratch.next);
        }
        // A large one is not copied.
        let bytes = Arc::new(match scratch.done.len() > MAX_KEPT_SCRATCH {
            true => std::mem::take(&mut scratch.done),
            false => scratch.done.clone(),
        });
        scratch.trim();
        Ok(Content { bytes, k, load_len })
    }

    /// How long the content of an object is, as far as its record says.
    pub fn content_len(&self, at: ObjectAt) -> Result<u64, Fault> {
        let place = self.place(at)?;
        if self.reader.is_packed(place.segment) {
            return Ok(self.reader.packed_len(place.segment, spot(place)?)?);
        }
        let (place, body) = self.body_at(place)?;
        let record = ObjectRecord::decode(&body).map_err(|error| self.corrupt(place, error.0))?;
        delta::record_content_len(&record).map_err(|error| self.corrupt(place, &error.to_string()))
    }

    /// The content of the object with this id, checked against it whether it comes from the log or from `cache`.
    pub fn checked(
        &self,
        at: ObjectAt,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        let lock = || cache.map(|cache| cache.lock().unwrap_or_else(PoisonError::into_inner));
        let (content, records) = self.content(at, &mut |at| lock()?.get(at))?;
        if ObjectId::of(&content.bytes) == *id {
            let bytes = content.bytes.clone();
            if records > 0
                && let Some(mut cache) = lock()
            {
                cache.put(at, content);
            }
            return Ok(bytes);
        }
        // What is wrong in memory may be right on disk.
        self.reader.contents().clear();
        if let Some(mut cache) = lock() {
            cache.remove(at);
        }
        Err(self.fault_at(
            at,
            format!("the content of object {id} does not have its hash"),
        ))
    }

    /// The content of an object that a change names, checked: from where it belongs, else, where that is damaged, from
    /// any other place that has it. Who saves again what was lost brings it back.
    pub fn named(
        &self,
        located: &LocatedChange,
        seq: u64,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        let at = self.locate(located, seq, id);
        let tried = at.as_ref().ok().copied();
        let read = at.and_then(|at| self.checked(at, id, cache));
        let Err(Fault::Doubt(error)) = read else {
            return read;
        };
        match self.find_whole(id, tried, cache)? {
            Some(bytes) => Ok(bytes),
            None => Err(Fault::Doubt(error)),
        }
    }

    /// The content with this id from the first place where it is whole, but for one that was tried.
    pub fn find_whole(
        &self,
        id: &ObjectId,
        tried: Option<ObjectAt>,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Option<Arc<Vec<u8>>>, Fault> {
        let copies = match self.copies(id) {
            Err(Fault::Doubt(_)) => Vec::new(),
            copies => copies?,
        };
        for at in copies {
            if Some(at) == tried {
                continue;
            }
            match self.checked(at, id, cache) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Fault::Doubt(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        match self.find_orphan(id)? {
            Some(at) if Some(at) != tried => self.checked(at, id, cache).map(Some),
            _ => Ok(None),
        }
    }

    /// Is this object in the log, and whole?
    pub fn has_whole(
        &self,
        at: ObjectAt,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<bool, Fault> {
        match self.checked(at, id, cache) {
            Ok(_) => Ok(true),
            Err(Fault::Doubt(_)) => Ok(self.find_whole(id, Some(at), cache)?.is_some()),
            Err(fault) => Err(fault),
        }
    }

    /// Can the objects of a version be loaded? What a layout makes of them is not asked.
    pub fn loads(
        &self,
        newest: &Newest,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<bool, Fault> {
        let Some(content) = newest.change().content else {
            return Ok(true);
        };
        let source = match content.source {
            SourceForm::Object(id) => Some(id),
            _ => None,
        };
        for id in [Some(content.object), source].into_iter().flatten() {
            match self.named(&newest.located, newest.row.seq, &id, cache) {
                Ok(_) => {}
                Err(Fault::Doubt(_)) => return Ok(false),
                Err(fault) => return Err(fault),
            }
        }
        Ok(true)
    }

    /// The content with this id, wherever it is stored, checked.
    pub fn any(&self, id: &ObjectId, cache: &mut ContentCache) -> Result<Arc<Vec<u8>>, Fault> {
        let at = match self.find(id)? {
            Some(at) => Some(at),
            None => self.find_orphan(id)?,
        };
        let at = at.ok_or_else(|| gone(format!("no record of object {id}")))?;
        let read = self.content(at, &mut |at| cache.get(at));
        if let Ok((content, _)) = &read
            && ObjectId::of(&content.bytes) == *id
        {
            return Ok(content.bytes.clone());
        }
        if let Some(bytes) = self.find_whole(id, Some(at), None)? {
            return Ok(bytes);
        }
        read?;
        Err(self.fault_at(
            at,
            format!("the content of object {id} does not have its hash"),
        ))
    }

    /// The fault of an object's record.
    pub fn fault_at(&self, at: ObjectAt, message: String) -> Fault {
        match self.place(at) {
            Ok(place) => Fault::Doubt(Error::corrupt(
                segment_file(place.segment),
                Some(place.offset),
                message,
            )),
            Err(fault) => fault,
        }
    }

    /// The versions with this key, with the ids that their changes name: of the object, and of a source or a layout.
    pub fn versions_by_key(&self, key: i64) -> Result<Vec<(VersionRow, Vec<ObjectId>)>, Fault> {
        let rows = self.catalog.by_key(key, key)?.into_iter();
        Ok(rows
            .filter_map(|row| {
                let located = self.change(&row).ok()?;
                let stored = &located.stored;
                let object = stored.change.content.map(|content| content.object);
                Some((row, object.into_iter().chain(stored.second()).collect()))
            })
            .collect())
    }

    /// The anchor numbered `target` on the way from `at` to its keyframe.
    fn anchor(&self, at: ObjectAt, target: u64) -> Result<Option<ObjectAt>, Fault> {
        let mut at = at;
        for _ in 0..MAX_FRAMES {
            let place = self.place(at)?;
            if self.reader.is_packed(place.segment) {
                return Ok((target == 0).then_some(at));
            }
            let (place, body) = self.body_at(place)?;
            let Ok(record) = ObjectRecord::decode(&body) else {
                return Ok(None);
            };
            if record.k() == target {
                return Ok(Some(at));
            }
            match record {
                ObjectRecord::Delta { k, base, .. } if k > target => {
                    at = self.earlier(at, base, place)?
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Compresses a new object, with `before`, the object of the path's previous version, as what it may rest on.
    pub fn encode(
        &self,
        content: &[u8],
        before: Option<ObjectAt>,
        cached: &mut dyn FnMut(ObjectAt) -> Option<Content>,
    ) -> Result<Encoded, Fault> {
        match before.and_then(|at| self.base_for(at, content.len(), cached)) {
            Some((at, base, k)) => {
                let mut encoded = Encoded::over(content, &base, at)?;
                if encoded.k > 0 {
                    encoded.k = k;
                }
                Ok(encoded)
            }
            None => {
                let packed = delta::compress(content).map_err(|error| {
                    Fault::Error(Error::io(
                        "compress",
                        std::io::Error::other(error.to_string()),
                    ))
                })?;
                Ok(Encoded::alone(content, packed))
            }
        }
    }

    /// The document that the path's previous version has: what a new one may rest on.
    pub fn base_of_document(&self, before: Option<&Newest>) -> Option<ObjectAt> {
        let before = before?;
        let id = before.change().content?.object;
        self.locate(&before.located, before.row.seq, &id).ok()
    }

    /// What the object behind `at` in its chain rests on: the object itself, or an anchor. None where the chain is
    /// at its end, or cannot be read: then the new object stands alone.
    fn base_for(
        &self,
        at: ObjectAt,
        new_len: usize,
        cached: &mut dyn FnMut(ObjectAt) -> Option<Content>,
    ) -> Option<(ObjectAt, Content, u64)> {
        // What is too long to be reached is not decoded to find that out.
        if !delta::can_reach(LONG_BASE, new_len)
            && !delta::can_reach(usize::try_from(self.content_len(at).ok()?).ok()?, new_len)
        {
            return None;
        }
        let (before, _) = self.content(at, cached).ok()?;
        let k = before.k.saturating_add(1);
        if k >= KEYFRAME_EVERY {
            return None;
        }
        let every = delta::anchor_every(before.bytes.len());
        let Some(target) = delta::anchor_base(k, every) else {
            return Some((at, before, k));
        };
        let anchor = self.anchor(at, target).ok()??;
        let (content, _) = self.content(anchor, cached).ok()?;
        Some((anchor, content, k))
    }
}

/// Where the object with this id is, if this change's commit is what stored it.
fn stored_here(located: &LocatedChange, seq: u64, id: &ObjectId) -> Option<ObjectAt> {
    let stored = &located.stored;
    let content = stored.change.content?;
    if content.object == *id && stored.object_len > 0 {
        return Some(ObjectAt {
            seq,
            ordinal: located.first_object,
        });
    }
    if stored.second() == Some(*id) && stored.source_len > 0 {
        let ordinal = located.first_object + u64::from(stored.object_len > 0);
        return Some(ObjectAt { seq, ordinal });
    }
    None
}

/// Where an object of a packed segment stands, from its row.
fn spot(place: RecordPlace) -> Result<Spot, Fault> {
    let number = place.len.checked_sub(1).map(u32::try_from);
    match number {
        Some(Ok(number)) => Ok(Spot {
            block: place.offset,
            number,
        }),
        _ => Err(doubt(
            "the index has no place in a block for an object".to_owned(),
        )),
    }
}

/// The log does not hold what it should, as far as the index knows.
pub(crate) fn gone(message: String) -> Fault {
    Fault::Doubt(Error::corrupt(LOG_FOLDER, None, message))
}

pub(crate) fn doubt(message: String) -> Fault {
    Fault::Doubt(Error::corrupt(INDEX_FILE, None, message))
}
