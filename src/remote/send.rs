//! Reading what another copy lacks, and handing it over.

use std::sync::Arc;

use super::compare::commit_at;
use super::{located, name_of};
use crate::archive::{
    Archive, ContentCache, Fault, Incoming, IncomingObject, ObjectAt, ObjectReader, Receiver,
    Refused, WholeSegment,
};
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::batch::Batch;
use crate::log::cursor::{Cursor, Event, Head, Progress};
use crate::log::format::{LOG_FOLDER, RECORD_OBJECT};
use crate::log::manifest::{Manifest, Sealed, SegmentEntry};
use crate::log::reader::{BatchPlace, segment_file};
use crate::log::record::{StoredChange, read_frame};
use crate::log::scan::PlacedBatch;
use crate::storage::read_exact_at;

/// Sending begins again where segments were packed meanwhile, but not more often than this.
const MAX_REPACKED: usize = 3;
/// Progress is told every so many commits.
const TELL_EVERY: u64 = 64;

/// What takes commits.
pub(super) trait Take {
    /// The newest commit that it has.
    fn head(&self) -> Head;
    /// What follows begins a segment where it comes from.
    fn begin_segment(&mut self) -> Result<()>;
    /// Takes the next commit.
    fn stage(&mut self, incoming: &Incoming) -> Result<(), Refused>;
    /// Are objects lost there that are whole where the commits come from, and is that noted?
    fn has_losses(&self) -> bool;
    /// Takes a segment whole, where it takes such.
    fn adopt(&mut self, whole: &WholeSegment) -> Result<bool, Refused>;
}

impl Take for Receiver<'_> {
    fn head(&self) -> Head {
        Receiver::head(self)
    }

    fn begin_segment(&mut self) -> Result<()> {
        Receiver::begin_segment(self)
    }

    fn stage(&mut self, incoming: &Incoming) -> Result<(), Refused> {
        Receiver::stage(self, incoming)
    }

    fn has_losses(&self) -> bool {
        Receiver::has_losses(self)
    }

    fn adopt(&mut self, whole: &WholeSegment) -> Result<bool, Refused> {
        Receiver::adopt(self, whole).map(|()| true)
    }
}

/// Hands over every commit of `source` behind the head of `to`, which is one of its commits, up to number `up_to`.
/// `here` is what to call that in messages.
pub(super) fn send(
    source: &Archive,
    up_to: u64,
    here: &str,
    to: &mut dyn Take,
    progress: Option<&dyn Fn(u64, u64)>,
) -> Result<()> {
    let there = name_of(source);
    let mut tries = 0;
    loop {
        let listed = source.engine.reader.manifest();
        let (manifest, _) = listed.map_err(|error| located(&there, error))?;
        let lossy = manifest.segments.iter().any(|entry| entry.repaired);
        let mut sender = Sender {
            source,
            there: &there,
            here,
            lossy,
            to: &mut *to,
            up_to,
            progress,
            cache: ContentCache::default(),
        };
        let sent = sender.run(&manifest);
        tries += 1;
        // Segments that were packed meanwhile are missing where they stood: that is no damage.
        let again = sent.is_err() && tries <= MAX_REPACKED;
        if !again || !source.engine.was_repacked_since(manifest.repacked) {
            return sent;
        }
        let refreshed = source.engine.refresh();
        refreshed.map_err(|error| located(&there, error))?;
    }
}

struct Sender<'a> {
    source: &'a Archive,
    there: &'a str,
    here: &'a str,
    /// `repair` has noted losses: there are objects that cannot be read, and that is known.
    lossy: bool,
    to: &'a mut dyn Take,
    /// No commit behind this one is sent.
    up_to: u64,
    progress: Option<&'a dyn Fn(u64, u64)>,
    cache: ContentCache,
}

impl Sender<'_> {
    fn run(&mut self, manifest: &Manifest) -> Result<()> {
        let next = self.to.head().seq + 1;
        let first = manifest
            .segments
            .iter()
            .rposition(|entry| entry.first_seq <= next)
            .unwrap_or(0);
        for at in first..manifest.segments.len() {
            if self.to.head().seq >= self.up_to {
                break;
            }
            let entry = &manifest.segments[at];
            let whole = entry.packed || entry.repaired;
            let begins_here = entry.first_seq == self.to.head().seq + 1;
            if whole && begins_here && self.send_whole(manifest, entry)? {
                continue;
            }
            self.send_commits(manifest, at)?;
        }
        Ok(())
    }

    fn of_source<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| located(self.there, error))
    }

    /// An error of what takes the commits, or of those in this place.
    fn refused(&self, refused: Refused, segment: u64, offset: u64) -> Error {
        match refused {
            Refused::Incoming(message) => {
                let file = segment_file(segment);
                located(self.there, Error::corrupt(file, Some(offset), message))
            }
            Refused::Here(fault) => located(self.here, fault.into_error()),
        }
    }

    fn tell(&self) {
        if let Some(progress) = self.progress {
            progress(self.to.head().seq, self.up_to);
        }
    }

    /// Sends a segment as it is; false where it is not taken so.
    fn send_whole(&mut self, manifest: &Manifest, entry: &SegmentEntry) -> Result<bool> {
        let reader = &self.source.engine.reader;
        let end = match &entry.sealed {
            Some(sealed) => sealed.clone(),
            None => {
                let mut cursor = self.cursor(manifest, entry, 0, self.to.head())?;
                let read = cursor.finish_segment(reader, &mut |event| match event {
                    Event::Damage {
                        segment, damage, ..
                    } => Err(damaged(segment, damage.offset, damage.reason)),
                    Event::Batch { .. } | Event::Loss { .. } => Ok(()),
                });
                self.of_source(read)?;
                if cursor.head.seq < entry.first_seq {
                    return Ok(true);
                }
                Sealed {
                    len: cursor.offset,
                    last_commit: cursor.head.commit,
                }
            }
        };
        let whole = WholeSegment {
            file: self.of_source(reader.segment(entry.number))?,
            entry: entry.clone(),
            end,
        };
        let taken = self.to.adopt(&whole);
        let taken = taken.map_err(|refused| self.refused(refused, entry.number, 0))?;
        self.tell();
        Ok(taken)
    }

    /// Sends those commits of a segment that are missing.
    fn send_commits(&mut self, manifest: &Manifest, at: usize) -> Result<()> {
        let entry = &manifest.segments[at];
        let reader = &self.source.engine.reader;
        let head = self.to.head();
        let begins_here = entry.first_seq == head.seq + 1;
        let mut cursor = match self.place_of(entry, head)? {
            _ if begins_here => self.cursor(manifest, entry, 0, head)?,
            Some(place) => {
                let end = place.offset + place.before + place.record_len;
                let head = Head {
                    place: Some(place),
                    ..head
                };
                self.cursor(manifest, entry, end, head)?
            }
            // Read from its start; what is there already is left out.
            None => {
                let before = at.checked_sub(1).and_then(|at| manifest.segments.get(at));
                let parent = match before.and_then(|entry| entry.sealed.as_ref()) {
                    Some(sealed) => sealed.last_commit,
                    None => crate::commit::identity_hash(reader.identity()),
                };
                let head = Head {
                    seq: entry.first_seq.saturating_sub(1),
                    commit: parent,
                    ..head
                };
                self.cursor(manifest, entry, 0, head)?
            }
        };
        let mut begun = !begins_here;
        let read = cursor.finish_segment(reader, &mut |event| match event {
            Event::Batch { segment, placed } => {
                let seq = placed.batch.record.seq;
                if seq <= self.to.head().seq || seq > self.up_to {
                    return Ok(());
                }
                if !std::mem::replace(&mut begun, true) {
                    let begun = self.to.begin_segment();
                    begun.map_err(|error| located(self.here, error))?;
                }
                self.send_commit(segment, placed)
            }
            Event::Damage {
                segment, damage, ..
            } => Err(located(
                self.there,
                damaged(segment, damage.offset, damage.reason),
            )),
            Event::Loss { segment, loss } => match loss.record.commits {
                Some(lost) if lost.last > self.to.head().seq => {
                    let message = format!(
                        "commits {} to {} are lost there, and the copy does not have them; make a new copy",
                        lost.first, lost.last
                    );
                    Err(located(self.there, damaged(segment, loss.offset, &message)))
                }
                _ => Ok(()),
            },
        })?;
        match read {
            Progress::Reached => Ok(()),
            Progress::Diverged | Progress::Repacked => Err(located(
                self.there,
                damaged(entry.number, cursor.offset, "it was cut while it was read"),
            )),
        }
    }

    /// Where the commit stands that is the newest of the copy, if that is in a plain segment, this one.
    fn place_of(&self, entry: &SegmentEntry, head: Head) -> Result<Option<BatchPlace>> {
        if entry.packed {
            return Ok(None);
        }
        let found = self.of_source(commit_at(self.source, head.seq))?;
        let place = found.and_then(|(place, _): (_, CommitId)| place);
        Ok(place.filter(|place| place.segment == entry.number))
    }

    fn cursor(
        &self,
        manifest: &Manifest,
        entry: &SegmentEntry,
        offset: u64,
        head: Head,
    ) -> Result<Cursor> {
        let mut cursor = self.of_source(Cursor::start(&self.source.engine.reader))?;
        cursor.manifest = manifest.clone();
        (cursor.segment, cursor.offset) = (entry.number, offset);
        // Places are those of the copy, unless it is known where the commit stands here.
        let place = head.place.filter(|_| offset > 0);
        cursor.head = Head { place, ..head };
        Ok(cursor)
    }

    fn send_commit(&mut self, segment: u64, placed: PlacedBatch) -> Result<()> {
        let offset = placed.offset;
        let objects = self.objects(segment, &placed);
        let objects = self.of_source(objects)?;
        let batch = placed.batch;
        let mut incoming = Incoming { batch, objects };
        let mut staged = self.to.stage(&incoming);
        if matches!(staged, Err(Refused::Here(Fault::Doubt(_)))) && self.to.has_losses() {
            // What its objects rest on is lost there.
            let contents = self.contents(&incoming.batch);
            incoming.objects = self.of_source(contents)?;
            staged = self.to.stage(&incoming);
        }
        staged.map_err(|refused| self.refused(refused, segment, offset))?;
        if incoming.batch.record.seq.is_multiple_of(TELL_EVERY) {
            self.tell();
        }
        Ok(())
    }

    /// What a commit brings: the records of its objects, or what is in them where it is packed.
    fn objects(&mut self, segment: u64, placed: &PlacedBatch) -> Result<Vec<IncomingObject>> {
        let reader = &self.source.engine.reader;
        if let Some(spots) = &placed.batch.spots {
            return spots
                .iter()
                .map(|spot| {
                    let object = reader.packed_object(segment, *spot)?;
                    Ok(IncomingObject::Content(object.bytes))
                })
                .collect();
        }
        let name = segment_file(segment);
        let failed = |error| Error::io(format!("read {name}"), error);
        let len = usize::try_from(placed.batch.record.before)
            .map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
        let mut bytes = vec![0; len];
        read_exact_at(&*reader.segment(segment)?, &mut bytes, placed.offset).map_err(failed)?;
        let Some(bodies) = bodies_of(&placed.batch, &bytes, reader.keys()) else {
            let reason = "an object is not where its commit says";
            return Err(damaged(segment, placed.offset, reason));
        };
        let seq = placed.batch.record.seq;
        (0..)
            .zip(bodies)
            .map(|(ordinal, body)| {
                let lost = self.lossy && self.load(ObjectAt { seq, ordinal })?.is_none();
                Ok(match lost {
                    true => IncomingObject::Gone(body),
                    false => IncomingObject::Record(body),
                })
            })
            .collect()
    }

    /// What is in the objects of a commit of a plain segment.
    fn contents(&mut self, batch: &Batch) -> Result<Vec<IncomingObject>> {
        let seq = batch.record.seq;
        let count = batch.changes.iter().map(StoredChange::objects).sum();
        (0..count)
            .map(|ordinal| match self.load(ObjectAt { seq, ordinal })? {
                Some(content) => Ok(IncomingObject::Content(content)),
                None => {
                    let reason = format!("object {ordinal} of commit {seq} cannot be read");
                    Err(Error::corrupt(LOG_FOLDER, None, reason))
                }
            })
            .collect()
    }

    /// The content of an object where it comes from; none where it cannot be read.
    fn load(&mut self, at: ObjectAt) -> Result<Option<Arc<Vec<u8>>>> {
        let engine = &self.source.engine;
        let view = engine.view();
        let catalog = engine.catalog(&view);
        let objects = ObjectReader::new(engine, &catalog);
        let cache = &mut self.cache;
        match objects.content(at, &mut |at| cache.get(at)) {
            Ok((content, _)) => {
                let bytes = content.bytes.clone();
                cache.put(at, content);
                Ok(Some(bytes))
            }
            Err(Fault::Doubt(_)) => Ok(None),
            Err(fault) => Err(fault.into_error()),
        }
    }
}

/// The bodies of a batch's object records, which stand at the front of these bytes.
pub(super) fn bodies_of(batch: &Batch, bytes: &[u8], keys: &ArchiveKeys) -> Option<Vec<Vec<u8>>> {
    let bodies = batch.objects(0).into_iter().map(|(at, _)| {
        let record = bytes.get(usize::try_from(at).ok()?..)?;
        let frame = read_frame(record, keys).ok()?;
        (frame.kind == RECORD_OBJECT).then(|| frame.body.to_vec())
    });
    bodies.collect()
}

fn damaged(segment: u64, offset: u64, reason: &str) -> Error {
    Error::corrupt(segment_file(segment), Some(offset), reason)
}
