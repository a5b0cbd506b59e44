//! Chains of deltas: following one down to what stands alone, and what a new object may rest on.

use std::cell::RefCell;
use std::sync::Arc;

use super::contents::{Content, Encoded, ObjectAt};
use super::engine::Fault;
use super::objects::{ObjectReader, doubt};
use super::transaction::Newest;
use crate::error::Result;
use crate::log::delta;
use crate::log::format::*;
use crate::log::packed::Spot;
use crate::log::reader::RecordPlace;
use crate::log::record::{ObjectRecord, Reference};

/// A chain that needs more frames than this for one load is not one that this crate writes.
const MAX_FRAMES: usize = 2 * KEYFRAME_EVERY as usize;
/// A base longer than this may be out of reach of a new object.
const LONG_BASE: usize = 100 << 20;
/// A thread keeps buffers for chains up to this many bytes each.
const MAX_KEPT_SCRATCH: usize = 4 << 20;

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

impl ObjectReader<'_> {
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

    /// What an object rests on, and its number in its chain.
    pub fn base_of(&self, at: ObjectAt) -> Result<(Option<ObjectAt>, u64), Fault> {
        let place = self.place(at)?;
        if self.reader.is_packed(place.segment) {
            return Ok((None, 0));
        }
        let (place, body) = self.body_at(place)?;
        let record = ObjectRecord::decode(&body).map_err(|error| self.corrupt(place, error.0))?;
        let base = record.rests_on();
        let base = base.map(|to| self.earlier(at, to, place)).transpose()?;
        Ok((base, record.k()))
    }

    /// The anchor numbered `target` on the way from `at` to its keyframe.
    pub fn anchor(&self, at: ObjectAt, target: u64) -> Result<Option<ObjectAt>, Fault> {
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
            None => Encoded::whole(content),
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
        let before = self.checked_content(at, cached).ok()?;
        let k = before.k.saturating_add(1);
        if k >= KEYFRAME_EVERY {
            return None;
        }
        let every = delta::anchor_every(before.bytes.len());
        let Some(target) = delta::anchor_base(k, every) else {
            return Some((at, before, k));
        };
        let anchor = self.anchor(at, target).ok()??;
        if target == 0 && self.base_of(anchor).ok()?.0.is_some() {
            // A path that has come so far stands on its own.
            return None;
        }
        let content = self.checked_content(anchor, cached).ok()?;
        Some((anchor, content, k))
    }
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
