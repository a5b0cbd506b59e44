//! Reading a packed segment from front to back.

use std::io;
use std::sync::Arc;

use super::commits::{CommitBlock, JoinChanges, PackedChangeBlock};
use super::objects::ObjectBlock;
use crate::commit::ArchiveKeys;
use crate::log::format::*;
use crate::log::record::{Frame, NoRecord, claimed_len, read_frame};
use crate::log::scan::{Damage, Effort, End, Found, Sink};
use crate::storage::StorageFile;

/// So many bytes are read at a time, more where a record is longer.
const WINDOW: usize = 1 << 20;
/// What is read first of a record that stands elsewhere.
const ASIDE: u64 = 512;
/// Type, marker and length of a record take at most this many bytes.
const MAX_HEAD: usize = 1 + MARKER_LEN + 10;

/// Reads a packed segment from `offset` on, where a record begins, one commit after the other. Nothing in it can be
/// torn. Takes time linear in its bytes, whatever they say.
pub(crate) fn walk<E: From<io::Error>>(
    file: &Arc<dyn StorageFile>,
    offset: u64,
    len: u64,
    keys: &ArchiveKeys,
    sink: &mut Sink<'_, E>,
) -> Result<End, E> {
    let mut window = Window {
        file,
        len,
        start: 0,
        bytes: Vec::new(),
        aside: Vec::new(),
        effort: Effort::of(len.saturating_sub(offset)),
    };
    let mut at = offset;
    while at < len {
        let (reason, claimed) = match window.record(at, keys)? {
            Ok(frame) => {
                let next = at + frame.len as u64;
                let block = match read_record(&frame, at) {
                    Ok(Read::Identity(identity)) => {
                        sink(Found::Identity(at, identity))?;
                        None
                    }
                    Ok(Read::Commits(block)) => Some(block),
                    Ok(Read::Other) => None,
                    Err(reason) => {
                        sink(Found::Damage(damage(at, next, reason)))?;
                        None
                    }
                };
                if let Some(block) = block {
                    commits(&mut window, &block, at, next - at, keys, sink)?;
                }
                at = next;
                continue;
            }
            Err(broken) => broken,
        };
        // Where only the body is hit the length still says where the next record begins.
        let next = match claimed.and_then(|len| at.checked_add(len)) {
            Some(next)
                if next == len || (next < len && window.try_record(next, keys)?.is_some()) =>
            {
                next
            }
            _ => window.next_record(at + 1, keys)?.unwrap_or(len),
        };
        sink(Found::Damage(damage(at, next, reason)))?;
        at = next;
    }
    Ok(End {
        end: at,
        torn: false,
    })
}

fn damage(offset: u64, end: u64, reason: &'static str) -> Damage {
    Damage {
        offset,
        end,
        reason,
        orphans: Vec::new(),
        commit_whole: false,
    }
}

/// What a record holds for who reads from front to back.
enum Read {
    Identity(Vec<u8>),
    Commits(CommitBlock),
    /// Objects; or changes, which are read when the commit is that they belong to.
    Other,
}

fn read_record(frame: &Frame<'_>, at: u64) -> Result<Read, &'static str> {
    match frame.kind {
        RECORD_HEADER => Ok(Read::Identity(frame.body.to_vec())),
        RECORD_OBJECT_BLOCK => match ObjectBlock::decode(frame.body, at) {
            Ok(_) => Ok(Read::Other),
            Err(error) => Err(error.0),
        },
        RECORD_CHANGE_BLOCK => Ok(Read::Other),
        RECORD_COMMIT_BLOCK => CommitBlock::decode(frame.body, at)
            .map(Read::Commits)
            .map_err(|error| error.0),
        _ => Err("a record that no packed segment has"),
    }
}

/// Hands over the commits of a block; the first that cannot be read says why.
fn commits<E: From<io::Error>>(
    window: &mut Window<'_>,
    block: &CommitBlock,
    at: u64,
    len: u64,
    keys: &ArchiveKeys,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    let mut failed = None;
    let mut told = false;
    for number in 0..block.len() {
        let batch = block.batch(number, at, len, &mut |offsets, root, count, seq| {
            let mut join = JoinChanges::new(seq);
            for offset in offsets {
                match window.record_aside(*offset, keys) {
                    Ok(Some(frame)) if frame.kind == RECORD_CHANGE_BLOCK => {
                        let block = PackedChangeBlock::decode(frame.body, *offset);
                        join.push(block.map_err(|error| error.0)?)?;
                    }
                    Ok(_) => return Err("the changes of a commit are not where it says"),
                    Err(error) => {
                        failed = Some(error);
                        return Err("the changes of a commit cannot be read");
                    }
                }
            }
            join.finish(count, root)
        });
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
        match batch {
            Ok(batch) => sink(Found::Batch(batch))?,
            Err(reason) if !told => {
                told = true;
                sink(Found::Damage(damage(at, at + len, reason)))?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// A part of the segment in memory.
struct Window<'a> {
    file: &'a Arc<dyn StorageFile>,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
    /// A record that stands elsewhere.
    aside: Vec<u8>,
    /// For records that are read a second time, and for what may be none.
    effort: Effort,
}

impl Window<'_> {
    /// The bytes at `at`: as many as asked for, fewer only at the end of the segment.
    fn get(&mut self, at: u64, wanted: usize) -> io::Result<&[u8]> {
        let there = self.len.saturating_sub(at).min(wanted as u64);
        let inside = at >= self.start && at + there <= self.start + self.bytes.len() as u64;
        if !inside {
            let count = self.len.saturating_sub(at).min(wanted.max(WINDOW) as u64) as usize;
            self.bytes.clear();
            self.bytes
                .try_reserve_exact(count)
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
            self.bytes.resize(count, 0);
            let read = self.file.read_at(&mut self.bytes, at)?;
            self.bytes.truncate(read);
            self.start = at;
        }
        let from = (at - self.start) as usize;
        let bytes = self.bytes.get(from..).unwrap_or(&[]);
        Ok(&bytes[..bytes.len().min(wanted)])
    }

    /// The record at `at`; where it is none, why, and how long it claims to be.
    fn record(
        &mut self,
        at: u64,
        keys: &ArchiveKeys,
    ) -> io::Result<Result<Frame<'_>, (&'static str, Option<u64>)>> {
        let len = self.len;
        let head = self.get(at, MAX_HEAD)?;
        let Some(total) = claimed_len(head) else {
            return Ok(Err(("not a record", None)));
        };
        let Some(size) = usize::try_from(total)
            .ok()
            .filter(|_| total <= len.saturating_sub(at))
        else {
            return Ok(Err(("a record goes beyond the end of its segment", None)));
        };
        Ok(match read_frame(self.get(at, size)?, keys) {
            Ok(frame) => Ok(frame),
            Err(NoRecord::Incomplete) => Err(("a record is cut off", Some(total))),
            Err(NoRecord::Broken(reason)) => Err((reason, Some(total))),
        })
    }

    /// The same of a record that may stand far away, without moving the window: a commit block can name a thousand
    /// places, and must not have as many windows read.
    fn record_aside(&mut self, at: u64, keys: &ArchiveKeys) -> io::Result<Option<Frame<'_>>> {
        let left = self.len.saturating_sub(at);
        self.read_aside(at, left.min(ASIDE))?;
        let claimed = claimed_len(&self.aside).filter(|claimed| *claimed <= left);
        let Some(claimed) = claimed.filter(|claimed| self.effort.spend((*claimed).max(ASIDE)))
        else {
            return Ok(None);
        };
        if claimed > self.aside.len() as u64 {
            self.read_aside(at, claimed)?;
        }
        Ok(read_frame(&self.aside, keys).ok())
    }

    fn read_aside(&mut self, at: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.aside.clear();
        self.aside
            .try_reserve_exact(len)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.aside.resize(len, 0);
        let read = self.file.read_at(&mut self.aside, at)?;
        self.aside.truncate(read);
        Ok(())
    }

    /// The whole record at `at`, where there is one and the effort for it is left.
    fn try_record(&mut self, at: u64, keys: &ArchiveKeys) -> io::Result<Option<Frame<'_>>> {
        let claimed = claimed_len(self.get(at, MAX_HEAD)?);
        let claimed = claimed.filter(|claimed| *claimed <= self.len.saturating_sub(at));
        match claimed {
            Some(claimed) if self.effort.spend(claimed) => Ok(self.record(at, keys)?.ok()),
            _ => Ok(None),
        }
    }

    /// Where the next whole record begins, from `from` on.
    fn next_record(&mut self, from: u64, keys: &ArchiveKeys) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < self.len {
            let bytes = self.get(at, WINDOW)?;
            let count = bytes.len() as u64;
            let candidates: Vec<u64> = memchr::memmem::find_iter(bytes, &keys.marker)
                .filter_map(|found| Some(at + found.checked_sub(1)? as u64))
                .collect();
            for candidate in candidates {
                if self.try_record(candidate, keys)?.is_some() {
                    return Ok(Some(candidate));
                }
            }
            if at + count >= self.len || count <= MAX_HEAD as u64 {
                break;
            }
            // A marker may lie across the end of the window.
            at += count - MAX_HEAD as u64;
        }
        Ok(None)
    }
}
