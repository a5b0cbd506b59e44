//! Reading every object, and writing every source that a layout makes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{Checker, Finding, FindingKind};
use crate::archive::{Archive, ContentCache, Fault, ObjectAt, ObjectReader, gone};
use crate::commit::{LayoutAt, SourceForm};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::log::delta::FrameError;
use crate::log::reader::{BatchPlace, segment_file};

/// A record that is at fault.
#[derive(Default)]
struct Damaged {
    message: String,
    /// The objects that cannot be read for it.
    objects: Vec<ObjectId>,
    /// Versions whose source cannot be made for it.
    versions: BTreeSet<(String, u64)>,
}

/// By segment and offset.
type Faults = BTreeMap<(String, u64), Damaged>;

/// What a change needs.
struct Needs {
    /// The batch of the change.
    place: BatchPlace,
    number: u64,
    version: u64,
    nan: bool,
    document: Needed,
    /// Its source, or the layout that it brings.
    second: Option<Needed>,
    laid_out: Option<([u8; 8], LayoutAt)>,
}

/// An object that a change needs.
struct Needed {
    /// Where the change's own commit stored it, if it did.
    at: Option<ObjectAt>,
    id: ObjectId,
}

impl Checker<'_> {
    /// Decodes every object once, in the order of the log, and compares it with its id; writes every source by its
    /// layout and compares it with its check.
    pub(super) fn read_objects(&mut self) -> Result<()> {
        let mut cache = ContentCache::default();
        let mut faults = Faults::new();
        let mut known: HashSet<ObjectId> = HashSet::new();
        // Who was first to need a layout that cannot be had.
        let mut lacking: HashMap<LayoutAt, BatchPlace> = HashMap::new();
        let last = self.cursor.head.seq;
        let mut at = 0;
        // Numbers may be missing, any number of them.
        while let Some(seq) = self
            .ask(|objects| Ok(objects.catalog.commit_after(at)?))
            .map_err(Fault::into_error)?
        {
            at = seq;
            if let Some(progress) = self.options.progress
                && seq % 64 == 0
            {
                progress(seq, last);
            }
            for needs in self
                .ask(|objects| needs_of(objects, self.archive, seq))
                .map_err(Fault::into_error)?
            {
                let document = self.read(
                    &needs.document,
                    needs.place,
                    &mut known,
                    &mut cache,
                    &mut faults,
                )?;
                if let Some(second) = &needs.second {
                    self.read(second, needs.place, &mut known, &mut cache, &mut faults)?;
                }
                if let Some((check, layout)) = needs.laid_out
                    && let Some(fault) =
                        self.write(seq, &needs, (check, layout), document, &mut cache)
                {
                    let place = *lacking.entry(layout).or_insert(needs.place);
                    let path = self.path_of(seq, needs.number)?;
                    let damaged = damaged_by(&mut faults, fault, place)?;
                    damaged.versions.insert((path, needs.version));
                }
            }
        }
        self.name_versions(&mut faults)?;
        for ((segment, offset), damaged) in faults {
            // Of what a repair has taken note of nothing is new.
            if damaged.versions.is_empty() && self.is_noted(&damaged.message) {
                continue;
            }
            self.findings.push(Finding {
                kind: FindingKind::DamagedObject,
                segment: Some(segment),
                offset: Some(offset),
                message: damaged.message,
                affects: damaged.versions.into_iter().collect(),
            });
        }
        Ok(())
    }

    /// Adds to each fault the versions that name its objects. The index is asked once for each key, for ids can be
    /// made that all have the same.
    fn name_versions(&self, faults: &mut Faults) -> Result<()> {
        let mut by_key: BTreeMap<i64, HashMap<ObjectId, Vec<(String, u64)>>> = BTreeMap::new();
        for (place, damaged) in faults.iter() {
            for id in &damaged.objects {
                // Stored again since, by who saved the same content.
                let again = self.ask(|objects| objects.find_whole(id, None, None));
                if again.map_err(Fault::into_error)?.is_some() {
                    continue;
                }
                let ids = by_key.entry(id.key()).or_default();
                ids.entry(*id).or_default().push(place.clone());
            }
        }
        for (key, ids) in by_key {
            let versions = self.ask(|objects| objects.versions_by_key(key));
            for (row, named) in versions.map_err(Fault::into_error)? {
                for place in named.iter().filter_map(|id| ids.get(id)).flatten() {
                    if let Some(damaged) = faults.get_mut(place) {
                        damaged.versions.insert((row.path.clone(), row.version));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads an object, where this is the change that stored it or the first that lacks it. The content, where it was
    /// read and has its hash.
    fn read(
        &mut self,
        needed: &Needed,
        place: BatchPlace,
        known: &mut HashSet<ObjectId>,
        cache: &mut ContentCache,
        faults: &mut Faults,
    ) -> Result<Option<Arc<Vec<u8>>>> {
        let id = needed.id;
        let first = known.insert(id);
        if needed.at.is_none() {
            if !first {
                return Ok(None);
            }
            let orphan = self.ask(|objects| objects.find_orphan(&id));
            if orphan.map_err(Fault::into_error)?.is_some() {
                return Ok(None);
            }
        }
        let read = self.ask(|objects| {
            let Some(at) = needed.at else {
                return Err(gone(format!("no record of object {id}")));
            };
            let (content, _) = objects.content(at, &mut |at| cache.get(at))?;
            if ObjectId::of(&content.bytes) == id {
                return Ok((at, content));
            }
            Err(objects.fault_at(
                at,
                format!("the content of object {id} does not have its hash"),
            ))
        });
        match read {
            Ok((at, content)) => {
                self.objects += 1;
                let bytes = content.bytes.clone();
                cache.put(at, content);
                Ok(Some(bytes))
            }
            Err(fault) => {
                let damaged = damaged_by(faults, fault, place)?;
                damaged.objects.push(id);
                Ok(None)
            }
        }
    }

    /// Makes the source of a change by its layout; what stands against it.
    fn write(
        &self,
        seq: u64,
        needs: &Needs,
        laid_out: ([u8; 8], LayoutAt),
        document: Option<Arc<Vec<u8>>>,
        cache: &mut ContentCache,
    ) -> Option<Fault> {
        let canonical = match document {
            Some(bytes) => bytes,
            // Stored by another commit, or not to be read: that is said where it should be stored.
            None => self
                .ask(|objects| objects.any(&needs.document.id, cache))
                .ok()?,
        };
        let path = self.path_of(seq, needs.number).ok()?;
        self.ask(|objects| objects.laid_out(&canonical, needs.nan, laid_out, (seq, &path)))
            .err()
    }

    /// Is this the fault of what has a mark of loss in its place, or is in no place where a repair has noted losses?
    fn is_noted(&self, message: &str) -> bool {
        message == FrameError::Lost.to_string()
            || (!self.losses.is_empty() && message.starts_with("no record of object"))
    }

    fn path_of(&self, seq: u64, number: u64) -> Result<String> {
        let located = self.ask(|objects| objects.change_at(seq, number));
        Ok(located.map_err(Fault::into_error)?.stored.change.path)
    }
}

/// The record that a fault is laid to.
fn damaged_by(faults: &mut Faults, fault: Fault, place: BatchPlace) -> Result<&mut Damaged> {
    let corruption = match fault.into_error() {
        Error::Corrupt(corruption) => corruption,
        _ => {
            return Err(Error::io(
                "verify the log",
                std::io::Error::other("an object cannot be read"),
            ));
        }
    };
    // What is nowhere in the log has no place but that of who was the first to need it.
    let at = match corruption.offset {
        Some(offset) => (corruption.file, offset),
        None => {
            let known = faults
                .iter()
                .find(|(_, damaged)| damaged.message == corruption.message);
            match known {
                Some((at, _)) => at.clone(),
                None => (segment_file(place.segment), place.offset),
            }
        }
    };
    Ok(faults.entry(at).or_insert_with(|| Damaged {
        message: corruption.message,
        ..Damaged::default()
    }))
}

/// What the changes of a commit need.
fn needs_of(objects: &ObjectReader<'_>, archive: &Archive, seq: u64) -> Result<Vec<Needs>, Fault> {
    let place = match objects.catalog.commit(seq)? {
        Some(row) if row.record_len > 0 => row.place(),
        _ => return Ok(Vec::new()),
    };
    let record = archive.engine.reader.commit(place)?;
    let changes = archive.engine.reader.changes(place, &record)?;
    let mut found = Vec::new();
    let mut ordinal = 0;
    let mut needed = |id, len| {
        let at = (len > 0).then_some(ObjectAt { seq, ordinal });
        ordinal += u64::from(len > 0);
        Needed { at, id }
    };
    for (number, stored) in (0..).zip(&changes) {
        let Some(content) = stored.change.content else {
            continue;
        };
        found.push(Needs {
            place,
            number,
            version: stored.change.version,
            nan: content.nan,
            document: needed(content.object, stored.object_len),
            second: stored.second().map(|id| needed(id, stored.source_len)),
            laid_out: match content.source {
                SourceForm::LaidOut { check, layout } => Some((check, layout)),
                _ => None,
            },
        });
    }
    Ok(found)
}
