//! Taking over a segment of another copy whole: one that `compact` has packed, or one that says what is lost.
//!
//! The file is copied under a name that no segment has, put on disk, read back and given its name. It counts from the
//! moment that MANIFEST is replaced; what a crash leaves before that is removed by the next one, or by `compact`.

use std::io;
use std::sync::Arc;

use super::engine::{Engine, Fault};
use super::rebatch::{Refused, brought_ids};
use super::receive::Receiver;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::log::batch::Batch;
use crate::log::cursor::{Event, Head, read_sealed};
use crate::log::format::*;
use crate::log::manifest::{Manifest, Sealed, SegmentEntry};
use crate::log::reader::segment_file;
use crate::log::writer::{segment_header, unused_number};
use crate::storage::{Storage, StorageFile, read_exact_at, replace};

/// A segment is copied by pieces of this many bytes.
const COPY_LEN: usize = 1 << 20;
/// A copy of a segment on its way has this name.
const PART_FILE: &str = "log/incoming.part";
/// The rows of a segment up to this length are held in memory; for a longer one the index is built anew.
const MAX_ROWS_OF: u64 = 32 << 20;

/// A segment to be taken over whole.
pub(crate) struct WholeSegment {
    pub file: Arc<dyn StorageFile>,
    pub entry: SegmentEntry,
    /// How much of the file, and the commit it ends with.
    pub end: Sealed,
}

impl Receiver<'_> {
    /// Takes a segment, whose first commit must be the next one.
    pub fn adopt(&mut self, whole: &WholeSegment) -> Result<(), Refused> {
        self.flush().map_err(Fault::from)?;
        self.make_ready().map_err(Fault::from)?;
        let engine = self.engine;
        let (manifest, _) = engine.reader.manifest().map_err(Fault::from)?;
        let number = unused_number(&*engine.storage, &manifest).map_err(Fault::from)?;
        let entry = SegmentEntry {
            number,
            sealed: Some(whole.end.clone()),
            ..whole.entry.clone()
        };
        let taken = self.take_file(whole, &entry).and_then(|head| {
            self.list(&manifest, &entry, head).map_err(Fault::from)?;
            Ok(())
        });
        match taken {
            Ok(()) => {
                self.written += whole.end.len;
                Ok(())
            }
            Err(refused) => {
                // Failing is no harm: `compact` removes what no list names.
                let listed = engine.reader.manifest();
                let names = |list: &Manifest| list.segments.iter().any(|s| s.number == number);
                if listed.is_ok_and(|(list, _)| !names(&list)) {
                    engine.reader.forget_packed(number);
                    let _ = engine.storage.remove(&segment_file(number));
                }
                let _ = engine.storage.remove(PART_FILE);
                Err(refused)
            }
        }
    }

    /// Copies the file and reads the copy; the commit it ends with.
    fn take_file(&self, whole: &WholeSegment, entry: &SegmentEntry) -> Result<Head, Refused> {
        let engine = self.engine;
        let storage = &*engine.storage;
        let part = copy(whole, storage)?;
        engine.reader.lend(entry.number, part);
        if entry.packed {
            engine.reader.note_packed(entry.number);
        }
        let head = self.read_back(entry)?;
        let name = entry.file();
        let failed = |error| Fault::from(Error::io(format!("write {name}"), error));
        storage.rename(PART_FILE, &name).map_err(failed)?;
        storage.sync_dir(LOG_FOLDER).map_err(failed)?;
        Ok(head)
    }

    /// Reads the copy as any reader would: its commits must be the next ones, and each object of a packed segment must
    /// have its hash.
    fn read_back(&self, entry: &SegmentEntry) -> Result<Head, Refused> {
        let reader = &self.engine.reader;
        let mut head = self.head;
        let mut wrong = None;
        let read = read_sealed(
            reader,
            std::slice::from_ref(entry),
            self.head.commit,
            &mut |event| {
                match event {
                    Event::Batch { segment, placed } => {
                        let record = &placed.batch.record;
                        let object = check_objects(self.engine, segment, &placed.batch);
                        wrong = wrong.take().or(object?);
                        head = Head {
                            seq: record.seq,
                            commit: placed.batch.id,
                            recorded: record.recorded,
                            place: Some(placed.batch.place(segment, placed.offset)),
                            synced_before: 0,
                        };
                    }
                    Event::Damage { damage, .. } => {
                        wrong.get_or_insert(format!("{} at byte {}", damage.reason, damage.offset));
                    }
                    Event::Loss { loss, .. } => {
                        if let Some(lost) = loss.record.commits {
                            (head.seq, head.commit) = (lost.last, lost.id);
                        }
                    }
                }
                Ok(())
            },
        );
        read.map_err(Fault::from)?;
        let last = entry.sealed.as_ref().map(|sealed| sealed.last_commit);
        match wrong {
            Some(wrong) => Err(Refused::Incoming(wrong)),
            None if last != Some(head.commit) || head.seq < entry.first_seq => {
                let message = "a segment does not end with the commit that MANIFEST names";
                Err(Refused::Incoming(message.to_owned()))
            }
            None => Ok(head),
        }
    }

    /// Puts the segment, which ends with `head`, behind those that are there, and a new one behind it.
    fn list(&mut self, manifest: &Manifest, entry: &SegmentEntry, head: Head) -> Result<()> {
        let engine = self.engine;
        let storage = &*engine.storage;
        let mut segments = manifest.segments.clone();
        // One without commits would begin where this one does.
        let empty = segments.pop_if(|last| last.first_seq > self.head.seq);
        if let Some(last) = segments.last_mut().filter(|last| last.sealed.is_none()) {
            cut(storage, &last.file(), self.cursor.offset)?;
            last.sealed = Some(Sealed {
                len: self.cursor.offset,
                last_commit: self.head.commit,
            });
        }
        let number = entry.number + 1;
        let name = segment_file(number);
        let failed = |error| Error::io(format!("begin {name}"), error);
        let header = segment_header(engine.reader.identity(), engine.reader.keys());
        let file = storage.create(&name).map_err(failed)?;
        file.write_all_at(&header, 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        storage.sync_dir(LOG_FOLDER).map_err(failed)?;
        segments.push(entry.clone());
        segments.push(SegmentEntry {
            number,
            first_seq: head.seq + 1,
            sealed: None,
            packed: false,
            repaired: false,
        });
        let generation = manifest.generation + 1;
        let is_long = entry.sealed.as_ref().is_some_and(|s| s.len > MAX_ROWS_OF);
        let next = Manifest {
            generation,
            // Who reads on from the one that is no longer listed would pass this one by.
            repacked: match empty.is_some() || is_long {
                true => generation,
                false => manifest.repacked,
            },
            segments,
        };
        let bytes = next.encode(engine.reader.keys());
        let failed = |error| Error::io("name a new segment in log/MANIFEST", error);
        replace(storage, LOG_FOLDER, MANIFEST_FILE, &bytes).map_err(failed)?;
        if let Some(empty) = empty {
            let _ = storage.remove(&empty.file());
        }
        self.writer.forget();
        let (manifest, stamp) = engine.reader.manifest()?;
        (self.cursor.manifest, self.cursor.stamp) = (manifest, stamp);
        (self.cursor.segment, self.cursor.offset) = (number, header.len() as u64);
        (self.cursor.head, self.head) = (head, head);
        self.view_is_behind = true;
        Ok(())
    }
}

/// Puts a copy of the file on disk, under a name of its own.
fn copy(whole: &WholeSegment, storage: &dyn Storage) -> Result<Arc<dyn StorageFile>, Refused> {
    let failed = |error| Fault::from(Error::io(format!("write {PART_FILE}"), error));
    match storage.remove(PART_FILE) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error).into()),
        _ => {}
    }
    let part = storage.create(PART_FILE).map_err(failed)?;
    let mut buffer = vec![0; COPY_LEN];
    let mut at = 0;
    while at < whole.end.len {
        let count = usize::try_from(whole.end.len - at).map_or(COPY_LEN, |left| left.min(COPY_LEN));
        let piece = &mut buffer[..count];
        read_exact_at(&*whole.file, piece, at).map_err(|error| {
            Refused::Incoming(format!("a segment cannot be read at byte {at}: {error}"))
        })?;
        part.write_all_at(piece, at).map_err(failed)?;
        at += count as u64;
    }
    part.sync_data().map_err(failed)?;
    Ok(part)
}

/// Takes away zeros behind the last record: they are legal in the active segment only.
fn cut(storage: &dyn Storage, name: &str, end: u64) -> Result<()> {
    let failed = |error| Error::io(format!("seal {name}"), error);
    let file = storage.open(name, true).map_err(failed)?;
    if file.len().map_err(failed)? > end {
        file.set_len(end).map_err(failed)?;
        file.sync_data().map_err(failed)?;
    }
    Ok(())
}

/// Compares the objects that a packed commit brings with their ids; what is wrong.
fn check_objects(engine: &Engine, segment: u64, batch: &Batch) -> Result<Option<String>> {
    for (spot, id) in batch.spots.iter().flatten().zip(brought_ids(batch)) {
        match engine.reader.packed_object(segment, *spot) {
            Ok(object) if ObjectId::of(&object.bytes) == id => {}
            Ok(_) => {
                let message = format!("the content of object {id} does not have its hash");
                return Ok(Some(message));
            }
            Err(Error::Corrupt(at)) => return Ok(Some(at.message)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
