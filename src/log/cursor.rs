//! Following the log: from a place in it to its end, batch by batch, over damage and from segment to segment.

use std::io;

use super::batch::Batch;
use super::loss::PlacedLoss;
use super::manifest::{Manifest, Sealed, SegmentEntry};
use super::packed::walk;
use super::reader::{BatchPlace, LogReader, ManifestStamp, segment_file};
use super::scan::{Damage, End, Found, PlacedBatch, scan};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::storage::StorageFile;
use std::sync::Arc;

/// The newest commit that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub seq: u64,
    pub commit: CommitId,
    pub recorded: i64,
    /// `None` before the first commit.
    pub place: Option<BatchPlace>,
    /// The offset, in the segment of the newest commit, that its writer knew to be on disk.
    pub synced_before: u64,
}

/// What following the log came upon.
pub(crate) enum Event {
    Batch {
        segment: u64,
        placed: PlacedBatch,
    },
    /// `first_seq` is the first sequence number that is missing, where any is.
    Damage {
        segment: u64,
        damage: Damage,
        missing: Option<(u64, u64)>,
    },
    /// What an earlier repair has noted as gone.
    Loss {
        segment: u64,
        loss: PlacedLoss,
    },
}

/// How far following the log got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To the end of the whole commits.
    Reached,
    /// The log no longer holds what was read before: begin again.
    Diverged,
    /// It does, but in other segments: what is known of where commits stand is old.
    Repacked,
}

/// A place in the log from which to read on.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub manifest: Manifest,
    pub stamp: ManifestStamp,
    pub segment: u64,
    pub offset: u64,
    pub head: Head,
    /// Behind `offset` stands something that no commit vouches for.
    pub torn: bool,
}

impl Cursor {
    /// The start of the log.
    pub fn start(reader: &LogReader) -> Result<Cursor> {
        let (manifest, stamp) = reader.manifest()?;
        let segment = manifest
            .segments
            .first()
            .map_or(1, |segment| segment.number);
        let head = Head {
            seq: 0,
            commit: crate::commit::identity_hash(reader.identity()),
            recorded: i64::MIN,
            place: None,
            synced_before: 0,
        };
        Ok(Cursor {
            manifest,
            stamp,
            segment,
            offset: 0,
            head,
            torn: false,
        })
    }

    /// Could anything have been appended since? Two system calls.
    pub fn is_stale(&self, reader: &LogReader) -> Result<bool> {
        let stamp = reader
            .manifest_stamp()
            .map_err(|e| Error::io("read log/MANIFEST", e))?;
        if stamp != self.stamp.identity || self.torn {
            return Ok(true);
        }
        let file = match reader.segment(self.segment) {
            Ok(file) => file,
            // Lost: what other segments hold can still be read.
            Err(Error::Corrupt(_)) => return Ok(self.offset != 0),
            Err(error) => return Err(error),
        };
        let io = |e| Error::io(format!("read {}", segment_file(self.segment)), e);
        Ok(file.len().map_err(io)? != self.offset)
    }

    /// Reads on to the end of the log and hands over what it finds.
    pub fn advance(
        &mut self,
        reader: &LogReader,
        sink: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Progress> {
        let named = reader.manifest_stamp();
        if !named.is_ok_and(|identity| self.stamp.is_still(identity)) {
            let (manifest, stamp) = reader.manifest()?;
            // The names may stand for other files now, and the log may be another one.
            reader.forget_files();
            if self.manifest.repacked < manifest.repacked {
                // Who begins again may fail, and must then find this again.
                return Ok(Progress::Repacked);
            }
            (self.manifest, self.stamp) = (manifest, stamp);
            if !self.head_stands(reader) {
                return Ok(Progress::Diverged);
            }
        }
        loop {
            let Some(at) = self
                .manifest
                .segments
                .iter()
                .position(|s| s.number == self.segment)
            else {
                return Ok(Progress::Diverged);
            };
            let entry = self.manifest.segments[at].clone();
            let next_seq = self
                .manifest
                .segments
                .get(at + 1)
                .map(|next| next.first_seq);
            match self.read_segment(reader, &entry, next_seq, sink)? {
                Progress::Reached => {}
                other => return Ok(other),
            }
            match self.manifest.segments.get(at + 1) {
                Some(next) => (self.segment, self.offset) = (next.number, 0),
                None => return Ok(Progress::Reached),
            }
        }
    }

    /// Reads on to the end of the segment that the cursor is in, and no further.
    pub fn finish_segment(
        &mut self,
        reader: &LogReader,
        sink: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Progress> {
        let segments = &self.manifest.segments;
        let Some(at) = segments.iter().position(|s| s.number == self.segment) else {
            return Ok(Progress::Diverged);
        };
        let entry = segments[at].clone();
        let next_seq = segments.get(at + 1).map(|next| next.first_seq);
        self.read_segment(reader, &entry, next_seq, sink)
    }

    fn read_segment(
        &mut self,
        reader: &LogReader,
        entry: &SegmentEntry,
        next_seq: Option<u64>,
        sink: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Progress> {
        let name = entry.file();
        let io = |error| Error::io(format!("read {name}"), error);
        let file = match reader.segment(entry.number) {
            Ok(file) => Some(file),
            // A lost segment loses its own commits, not those in front and behind.
            Err(Error::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        let len = match &file {
            Some(file) => file.len().map_err(io)?,
            None => 0,
        };
        if len < self.offset {
            return Ok(Progress::Diverged);
        }
        let sealed = entry.sealed.as_ref();
        let offset = self.offset;
        let mut intake = Intake {
            begun: offset != 0,
            cursor: self,
            reader,
            segment: entry.number,
            next_seq,
            sink,
            pending: Vec::new(),
            damaged: false,
            stands: false,
        };
        let mut take = |found| intake.take(found);
        let ended = match &file {
            Some(file) if entry.packed => walk(file, offset, len, reader.keys(), &mut take),
            Some(file) => match read_to_end(file, offset, len) {
                Ok(bytes) => scan(&bytes, offset, sealed.is_some(), reader.keys(), &mut take),
                Err(error) => Err(Stop::Io(error)),
            },
            None => Ok(End {
                end: offset,
                torn: false,
            }),
        };
        let ended = ended.and_then(|end| {
            intake.end(&end, file.is_some() || sealed.is_none(), file.is_some())?;
            Ok((end, intake.pending))
        });
        let (End { end, torn }, pending) = match ended {
            Ok(ended) => ended,
            Err(Stop::Diverged) => return Ok(Progress::Diverged),
            Err(Stop::Io(error)) => return Err(io(error)),
            Err(Stop::Error(error)) => return Err(error),
        };
        let mut missing = next_seq
            .filter(|next| *next > self.head.seq + 1)
            .map(|next| (self.head.seq + 1, next - 1));
        let seal = sealed.and_then(|sealed| self.check_seal(sealed, end, len, file.is_some()));
        if let (Some((_, last)), Some(sealed)) = (missing, sealed) {
            // MANIFEST knows how the segment ended: the history goes on from there, and no number is used twice.
            self.head = Head {
                seq: last,
                commit: sealed.last_commit,
                place: Some(BatchPlace {
                    segment: entry.number,
                    offset: end,
                    before: 0,
                    record_len: 0,
                }),
                ..self.head
            };
        }
        for damage in pending.into_iter().chain(seal) {
            sink(Event::Damage {
                segment: entry.number,
                damage,
                missing: missing.take(),
            })?;
        }
        self.offset = end;
        self.torn = torn;
        Ok(Progress::Reached)
    }

    /// Does a sealed segment end as MANIFEST says? `end` is where its batches end, `len` where its bytes do.
    fn check_seal(&self, sealed: &Sealed, end: u64, len: u64, stands: bool) -> Option<Damage> {
        let reason = if !stands {
            "the segment is missing"
        } else if end != sealed.len || len != sealed.len {
            "the segment does not end where MANIFEST says"
        } else if self.head.commit != sealed.last_commit {
            "the segment does not end with the commit that MANIFEST names"
        } else {
            return None;
        };
        Some(Damage::plain(end.min(sealed.len), sealed.len, reason))
    }

    /// Is the newest commit that was read still where it was?
    pub fn head_stands(&self, reader: &LogReader) -> bool {
        match self.head.place {
            None => true,
            Some(place) if place.record_len == 0 => true,
            Some(place) => reader
                .commit(place)
                .is_ok_and(|record| record.id() == self.head.commit),
        }
    }
}

/// Why the reading of a segment ends in front of its end.
enum Stop {
    /// What was read before is gone.
    Diverged,
    Io(io::Error),
    Error(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

/// Takes what a segment holds, in order, and tells what it means for the history.
struct Intake<'a> {
    cursor: &'a mut Cursor,
    reader: &'a LogReader,
    segment: u64,
    /// The number at which the next segment begins.
    next_seq: Option<u64>,
    sink: &'a mut dyn FnMut(Event) -> Result<()>,
    /// Damage behind the newest batch: what it costs shows with the next one.
    pending: Vec<Damage>,
    /// A header was met, or found missing.
    begun: bool,
    /// The segment is, at least in part, one of another archive.
    damaged: bool,
    /// What was read before was looked for, and is there.
    stands: bool,
}

impl Intake<'_> {
    fn tell(&mut self, damage: Damage, missing: Option<(u64, u64)>) -> Result<(), Stop> {
        let segment = self.segment;
        (self.sink)(Event::Damage {
            segment,
            damage,
            missing,
        })
        .map_err(Stop::Error)
    }

    /// Is what was read before still there? Looked for once: the rest of the segment was read before, or at once.
    fn check_head(&mut self) -> Result<(), Stop> {
        if !self.stands && !self.cursor.head_stands(self.reader) {
            return Err(Stop::Diverged);
        }
        self.stands = true;
        Ok(())
    }

    fn take(&mut self, found: Found) -> Result<(), Stop> {
        let at_start = match &found {
            Found::Identity(offset, _) => *offset == 0,
            Found::Damage(damage) => damage.offset == 0,
            Found::Batch(_) | Found::Loss(_) => false,
        };
        if !std::mem::replace(&mut self.begun, true) && !at_start {
            let reason = "the segment does not start with its header";
            self.tell(Damage::plain(0, 0, reason), None)?;
        }
        match found {
            Found::Identity(offset, identity) => {
                if identity == self.reader.identity() {
                    return Ok(());
                }
                self.damaged = true;
                let reason = "the segment belongs to another archive";
                self.tell(Damage::plain(offset, offset, reason), None)
            }
            Found::Damage(damage) => {
                self.check_head()?;
                self.pending.push(damage);
                Ok(())
            }
            Found::Batch(placed) => self.take_batch(placed),
            Found::Loss(loss) => self.take_loss(loss),
        }
    }

    /// Goes on behind commits that are known to be gone.
    fn take_loss(&mut self, loss: PlacedLoss) -> Result<(), Stop> {
        let head = self.cursor.head;
        let lost = loss.record.commits;
        let mut before = std::mem::take(&mut self.pending);
        let beyond = |last| self.next_seq.is_some_and(|next| last >= next);
        let out_of_place = lost.is_some_and(|lost| lost.first <= head.seq || beyond(lost.last));
        let mut missing = None;
        if out_of_place {
            self.check_head()?;
            let reason = "a note of lost commits that is out of its place";
            before.push(Damage::plain(loss.offset, loss.end, reason));
        } else if let Some(lost) = lost.filter(|lost| lost.first > head.seq + 1) {
            self.check_head()?;
            missing = Some((head.seq + 1, lost.first - 1));
            if before.is_empty() {
                let reason = "commits are missing in front of this place";
                before.push(Damage::plain(loss.offset, loss.offset, reason));
            }
        }
        for damage in before {
            self.tell(damage, missing.take())?;
        }
        if out_of_place {
            return Ok(());
        }
        if let Some(lost) = lost {
            self.cursor.head = Head {
                seq: lost.last,
                commit: lost.id,
                place: Some(BatchPlace {
                    segment: self.segment,
                    offset: loss.end,
                    before: 0,
                    record_len: 0,
                }),
                // It was synced before MANIFEST named its segment.
                synced_before: loss.end,
                ..head
            };
        }
        let segment = self.segment;
        (self.sink)(Event::Loss { segment, loss }).map_err(Stop::Error)
    }

    fn take_batch(&mut self, placed: PlacedBatch) -> Result<(), Stop> {
        let record = &placed.batch.record;
        let head = self.cursor.head;
        let follows = record.seq == head.seq + 1 && record.parents[0] == head.commit;
        // Not damage where what was read before is gone, and other commits stand in its place.
        if !follows {
            self.check_head()?;
        }
        let mut before = std::mem::take(&mut self.pending);
        if record.seq <= head.seq || self.next_seq.is_some_and(|next| record.seq >= next) {
            // A commit that stands in the log twice, or out of its place: what came first counts.
            let reason = "a commit that is in the log already, or out of its place";
            let end = placed.offset + placed.batch.len;
            before.push(Damage::plain(placed.offset, end, reason));
            for damage in before {
                self.tell(damage, None)?;
            }
            return Ok(());
        }
        let mut missing = (record.seq > head.seq + 1).then_some((head.seq + 1, record.seq - 1));
        if !follows && before.is_empty() && !self.damaged {
            let reason = if missing.is_some() {
                "commits are missing in front of this place"
            } else {
                "the commit does not follow the one before it"
            };
            before.push(Damage::plain(placed.offset, placed.offset, reason));
        }
        for damage in before {
            self.tell(damage, missing.take())?;
        }
        self.cursor.head = Head {
            seq: record.seq,
            commit: placed.batch.id,
            recorded: record.recorded,
            place: Some(placed.batch.place(self.segment, placed.offset)),
            synced_before: placed.offset.saturating_sub(record.unsynced),
        };
        let segment = self.segment;
        (self.sink)(Event::Batch { segment, placed }).map_err(Stop::Error)
    }

    /// The segment was read to its end. `wanted`: a header is missed where there is none.
    fn end(&mut self, end: &End, wanted: bool, stands: bool) -> Result<(), Stop> {
        if end.torn {
            return self.check_head();
        }
        if !self.begun && wanted {
            let reason = match stands {
                true => "the segment does not start with its header",
                false => "the segment is missing",
            };
            self.tell(Damage::plain(0, 0, reason), None)?;
        }
        Ok(())
    }
}

/// The bytes of a segment from an offset on.
fn read_to_end(file: &Arc<dyn StorageFile>, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = usize::try_from(len - offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes
        .try_reserve_exact(size)
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(size, 0);
    let count = file.read_at(&mut bytes, offset)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Reads sealed segments that follow each other in the log, and nothing else. `parent` is the commit in front.
pub(crate) fn read_sealed(
    reader: &LogReader,
    entries: &[SegmentEntry],
    parent: CommitId,
    sink: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<()> {
    let mut cursor = Cursor::start(reader)?;
    for (at, entry) in entries.iter().enumerate() {
        if at == 0 {
            cursor.head.seq = entry.first_seq.saturating_sub(1);
            cursor.head.commit = parent;
        }
        (cursor.segment, cursor.offset) = (entry.number, 0);
        let next_seq = entries.get(at + 1).map(|next| next.first_seq);
        cursor.read_segment(reader, entry, next_seq, sink)?;
    }
    Ok(())
}

impl Damage {
    fn plain(offset: u64, end: u64, reason: &'static str) -> Damage {
        Damage {
            offset,
            end,
            reason,
            orphans: Vec::new(),
            commit_whole: false,
        }
    }
}

impl Batch {
    /// Where the batch is, given where it starts.
    pub fn place(&self, segment: u64, offset: u64) -> BatchPlace {
        BatchPlace {
            segment,
            offset,
            before: self.record.before,
            record_len: self.record_len(),
        }
    }
}
