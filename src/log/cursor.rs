//! Following the log: from a place in it to its end, batch by batch, over damage and from segment to segment.

use std::io;

use super::batch::Batch;
use super::loss::PlacedLoss;
use super::manifest::{Manifest, Sealed, SegmentEntry};
use super::packed::walk;
use super::reader::{BatchPlace, LogReader, ManifestStamp, segment_file};
use super::scan::{Damage, PlacedBatch, Scan, scan};
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
            let known = std::mem::replace(&mut self.manifest, manifest).repacked;
            self.stamp = stamp;
            // The names may stand for other files now, and the log may be another one.
            reader.forget_files();
            if known < self.manifest.repacked {
                return Ok(Progress::Repacked);
            }
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

    fn read_segment(
        &mut self,
        reader: &LogReader,
        entry: &SegmentEntry,
        next_seq: Option<u64>,
        sink: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Progress> {
        let name = entry.file();
        let io = |error| Error::io(format!("read {name}"), error);
        let mut damaged = false;
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
        let from_start = self.offset == 0;
        let found = match &file {
            Some(file) if entry.packed => walk(file, self.offset, len, reader.keys()),
            file => self.scan(file.as_ref(), len, sealed.is_some(), reader),
        };
        let found = found.map_err(io)?;
        if (found.torn || !found.damage.is_empty()) && !self.head_stands(reader) {
            return Ok(Progress::Diverged);
        }
        let mut damage = found.damage.into_iter().peekable();
        for (offset, identity) in &found.identities {
            if identity != reader.identity() {
                damaged = true;
                let damage =
                    Damage::plain(*offset, *offset, "the segment belongs to another archive");
                sink(Event::Damage {
                    segment: entry.number,
                    damage,
                    missing: None,
                })?;
            }
        }
        if from_start
            && found
                .identities
                .first()
                .is_none_or(|(offset, _)| *offset != 0)
            && !found.torn
        {
            let known = damage.peek().is_some_and(|damage| damage.offset == 0);
            let reason = match file {
                Some(_) => "the segment does not start with its header",
                None => "the segment is missing",
            };
            if !known && (file.is_some() || sealed.is_none()) {
                let damage = Damage::plain(0, 0, reason);
                sink(Event::Damage {
                    segment: entry.number,
                    damage,
                    missing: None,
                })?;
            }
        }
        let mut losses = found.losses.into_iter().peekable();
        for placed in found.batches {
            while let Some(loss) = losses.next_if(|loss| loss.offset < placed.offset) {
                self.pass_loss(entry.number, loss, &mut damage, sink)?;
            }
            let record = &placed.batch.record;
            let mut before: Vec<Damage> = Vec::new();
            while let Some(next) = damage.next_if(|d| d.offset < placed.offset + placed.batch.len) {
                before.push(next);
            }
            let follows = record.seq == self.head.seq + 1 && record.parents[0] == self.head.commit;
            // Not damage where what was read before is gone, and other commits stand in its place.
            if !follows && !self.head_stands(reader) {
                return Ok(Progress::Diverged);
            }
            if record.seq <= self.head.seq || next_seq.is_some_and(|next| record.seq >= next) {
                // A commit that stands in the log twice, or out of its place: what came first counts.
                let reason = "a commit that is in the log already, or out of its place";
                before.push(Damage::plain(
                    placed.offset,
                    placed.offset + placed.batch.len,
                    reason,
                ));
                for damage in before {
                    sink(Event::Damage {
                        segment: entry.number,
                        damage,
                        missing: None,
                    })?;
                }
                continue;
            }
            let mut missing =
                (record.seq > self.head.seq + 1).then_some((self.head.seq + 1, record.seq - 1));
            if !follows && before.is_empty() && !damaged {
                let reason = if missing.is_some() {
                    "commits are missing in front of this place"
                } else {
                    "the commit does not follow the one before it"
                };
                before.push(Damage::plain(placed.offset, placed.offset, reason));
            }
            for damage in before {
                sink(Event::Damage {
                    segment: entry.number,
                    damage,
                    missing: missing.take(),
                })?;
            }
            self.head = Head {
                seq: record.seq,
                commit: placed.batch.id,
                recorded: record.recorded,
                place: Some(placed.batch.place(entry.number, placed.offset)),
                synced_before: placed.offset.saturating_sub(record.unsynced),
            };
            sink(Event::Batch {
                segment: entry.number,
                placed,
            })?;
        }
        for loss in losses {
            self.pass_loss(entry.number, loss, &mut damage, sink)?;
        }
        let mut missing = next_seq
            .filter(|next| *next > self.head.seq + 1)
            .map(|next| (self.head.seq + 1, next - 1));
        let seal =
            sealed.and_then(|sealed| self.check_seal(sealed, found.end, len, file.is_some()));
        if let (Some((_, last)), Some(sealed)) = (missing, sealed) {
            // MANIFEST knows how the segment ended: the history goes on from there, and no number is used twice.
            self.head = Head {
                seq: last,
                commit: sealed.last_commit,
                place: Some(BatchPlace {
                    segment: entry.number,
                    offset: found.end,
                    before: 0,
                    record_len: 0,
                }),
                ..self.head
            };
        }
        for damage in damage.chain(seal) {
            sink(Event::Damage {
                segment: entry.number,
                damage,
                missing: missing.take(),
            })?;
        }
        self.offset = found.end;
        self.torn = found.torn;
        Ok(Progress::Reached)
    }

    /// Goes on behind commits that are known to be gone.
    fn pass_loss(
        &mut self,
        segment: u64,
        loss: PlacedLoss,
        damage: &mut std::iter::Peekable<impl Iterator<Item = Damage>>,
        sink: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let next = self.head.seq + 1;
        let lost = loss.record.commits;
        let mut before: Vec<Damage> = Vec::new();
        while let Some(found) = damage.next_if(|damage| damage.offset < loss.end) {
            before.push(found);
        }
        let mut missing = lost
            .filter(|lost| lost.first > next)
            .map(|lost| (next, lost.first - 1));
        let out_of_place = lost.is_some_and(|lost| lost.first < next);
        if out_of_place {
            let reason = "a note of lost commits that are in the log";
            before.push(Damage::plain(loss.offset, loss.end, reason));
        } else if missing.is_some() && before.is_empty() {
            let reason = "commits are missing in front of this place";
            before.push(Damage::plain(loss.offset, loss.offset, reason));
        }
        for damage in before {
            sink(Event::Damage {
                segment,
                damage,
                missing: missing.take(),
            })?;
        }
        if out_of_place {
            return Ok(());
        }
        if let Some(lost) = lost {
            self.head = Head {
                seq: lost.last,
                commit: lost.id,
                place: Some(BatchPlace {
                    segment,
                    offset: loss.end,
                    before: 0,
                    record_len: 0,
                }),
                // It was synced before MANIFEST named its segment.
                synced_before: loss.end,
                ..self.head
            };
        }
        sink(Event::Loss { segment, loss })
    }

    fn scan(
        &self,
        file: Option<&Arc<dyn StorageFile>>,
        len: u64,
        sealed: bool,
        reader: &LogReader,
    ) -> io::Result<Scan> {
        let mut bytes = Vec::new();
        let size = usize::try_from(len - self.offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes
            .try_reserve_exact(size)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.resize(size, 0);
        if let Some(file) = file {
            let count = file.read_at(&mut bytes, self.offset)?;
            bytes.truncate(count);
        }
        Ok(scan(&bytes, self.offset, sealed, reader.keys()))
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
