//! Changes and objects: finding them by the rows of the catalog.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contents::{Content, ObjectAt};
use super::engine::{Engine, Fault};
use super::lookups::Lookups;
use super::sources::LayoutCache;
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId};
use crate::index::{Catalog, VersionRow};
use crate::log::format::*;
use crate::log::reader::{LocatedChange, LogReader, RecordPlace, segment_file};
use crate::log::record::StoredChange;

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

/// At most so many places of one object are looked into for one that is whole.
const MAX_COPIES: usize = 16;
/// Changes kept; when there are more, all are forgotten.
const MAX_CHANGES: usize = 8192;

/// Changes that were read, by the numbers of their commit and of the change in it. Each was checked when it was read.
#[derive(Debug, Default)]
pub(crate) struct ChangeCache {
    changes: Mutex<HashMap<(u64, u64), LocatedChange>>,
    /// Those of commits that this handle has made.
    made: Mutex<MadeChanges>,
    /// What was found of objects that are not where they should be.
    lookups: Lookups,
}

/// The changes of commits by their number, and how many they are.
#[derive(Debug, Default)]
struct MadeChanges {
    commits: HashMap<u64, (u64, Arc<Vec<StoredChange>>)>,
    len: usize,
}

impl ChangeCache {
    fn made(&self) -> MutexGuard<'_, MadeChanges> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the changes of commits that have come to be on disk in this segment.
    pub fn keep(&self, segment: u64, commits: HashMap<u64, Arc<Vec<StoredChange>>>) {
        let mut made = self.made();
        for (seq, changes) in commits {
            if changes.len() > MAX_CHANGES / 4 {
                continue;
            }
            if made.len + changes.len() > MAX_CHANGES {
                *made = MadeChanges::default();
            }
            made.len += changes.len();
            made.commits.insert(seq, (segment, changes));
        }
    }

    /// A change of a commit that this handle has made.
    fn made_here(&self, seq: u64, number: u64) -> Option<LocatedChange> {
        let made = self.made();
        let (segment, changes) = made.commits.get(&seq)?;
        located_in(changes, number, *segment)
    }

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
        let mut made = self.made();
        made.commits.retain(|at, _| *at < seq);
        made.len = made
            .commits
            .values()
            .map(|(_, changes)| changes.len())
            .sum();
        drop(made);
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
            return located_in(changes, number, unwritten.segment)
                .ok_or_else(|| doubt(format!("commit {seq} lacks a change")));
        }
        if let Some(made) = self.changes.made_here(seq, number) {
            return Ok(made);
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
    pub(super) fn copies(&self, id: &ObjectId) -> Result<Vec<ObjectAt>, Fault> {
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

    /// How many changes a commit has.
    fn change_count(&self, seq: u64) -> Result<u64, Fault> {
        let unwritten = self
            .unwritten
            .and_then(|unwritten| unwritten.changes.get(&seq));
        if let Some(changes) = unwritten {
            return Ok(changes.len() as u64);
        }
        match self.catalog.commit(seq)?.filter(|row| row.record_len > 0) {
            Some(row) => Ok(self.reader.commit(row.place())?.change_count),
            None => Err(gone(format!("the record of commit {seq} is lost"))),
        }
    }

    /// The id that a change names for an object.
    fn id_of(&self, at: ObjectAt) -> Result<ObjectId, Fault> {
        // Objects are numbered in the order of the changes that brought them.
        let (mut low, mut high) = (0, self.change_count(at.seq)?);
        while low < high {
            let middle = low + (high - low) / 2;
            let located = self.stored_change(at.seq, middle)?;
            let behind = located.first_object + located.stored.objects();
            match at.ordinal {
                ordinal if ordinal < located.first_object => high = middle,
                ordinal if ordinal >= behind => low = middle + 1,
                _ => {
                    let document = located.stored.change.content.map(|content| content.object);
                    let mut named = document.into_iter().chain(located.stored.second());
                    return named
                        .find(|id| stored_here(&located, at.seq, id) == Some(at))
                        .ok_or_else(|| gone(format!("commit {} names no such object", at.seq)));
                }
            }
        }
        Err(gone(format!("commit {} has fewer objects", at.seq)))
    }

    /// The content of an object on which another one is to rest: what was not at hand is compared with its id, for
    /// the index may be wrong.
    pub fn checked_content(
        &self,
        at: ObjectAt,
        cached: &mut dyn FnMut(ObjectAt) -> Option<Content>,
    ) -> Result<Content, Fault> {
        let (content, records) = self.content(at, cached)?;
        if records > 0 && self.id_of(at)? != ObjectId::of(&content.bytes) {
            return Err(self.fault_at(at, "the content of an object has another id".to_owned()));
        }
        Ok(content)
    }

    pub(super) fn place(&self, at: ObjectAt) -> Result<RecordPlace, Fault> {
        let row = self.catalog.object(at.seq, at.ordinal)?;
        row.ok_or_else(|| {
            gone(format!(
                "no record of object {} of commit {}",
                at.ordinal, at.seq
            ))
        })
    }

    /// The fault of a record.
    pub fn corrupt(&self, place: RecordPlace, message: &str) -> Fault {
        Fault::Doubt(Error::corrupt(
            segment_file(place.segment),
            Some(place.offset),
            message,
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
}

/// One of these changes of a commit, by its number.
fn located_in(changes: &[StoredChange], number: u64, segment: u64) -> Option<LocatedChange> {
    let index = usize::try_from(number).ok()?;
    let stored = changes.get(index)?.clone();
    Some(LocatedChange {
        stored,
        first_object: changes[..index].iter().map(StoredChange::objects).sum(),
        segment,
    })
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

/// The log does not hold what it should, as far as the index knows.
pub(crate) fn gone(message: String) -> Fault {
    Fault::Doubt(Error::corrupt(LOG_FOLDER, None, message))
}

pub(crate) fn doubt(message: String) -> Fault {
    Fault::Doubt(Error::corrupt(INDEX_FILE, None, message))
}
