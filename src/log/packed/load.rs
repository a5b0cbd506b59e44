//! Loading one object of a packed segment: the blocks that it rests on, decoded from the first to its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use super::objects::{ObjectBlock, Spot};
use crate::error::{Error, Result};
use crate::log::delta;
use crate::log::format::*;
use crate::log::reader::{LogReader, segment_file};

/// Blocks that one load reads at most: a chain that needs more is not one that this crate writes.
const MAX_BLOCKS: usize = 2 * KEYFRAME_EVERY as usize;
/// A thread keeps so many buffers …
const MAX_BUFFERS: usize = 8;
/// … of at most this many bytes each.
const MAX_KEPT_BUFFER: usize = 4 << 20;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(buffer: Vec<u8>) {
    if (1..=MAX_KEPT_BUFFER).contains(&buffer.capacity()) {
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() < MAX_BUFFERS {
                buffers.push(buffer);
            }
        });
    }
}

/// An object that was loaded.
#[derive(Debug)]
pub(crate) struct PackedObject {
    pub bytes: std::sync::Arc<[u8]>,
    /// Bytes that loading it decoded.
    pub load_len: u64,
}

/// A block on the way to an object.
struct Held {
    offset: u64,
    bytes: Vec<u8>,
    body: Range<usize>,
    content: Vec<u8>,
    /// How many blocks rest on it that are not decoded yet.
    uses: usize,
}

impl LogReader {
    /// The content of an object of a packed segment, not yet compared with its id.
    pub fn packed_object(&self, segment: u64, spot: Spot) -> Result<PackedObject> {
        let corrupt =
            |offset, reason: &str| Error::corrupt(segment_file(segment), Some(offset), reason);
        let mut blocks = self.blocks_below(segment, spot.block)?;
        let mut load_len = 0;
        for at in 0..blocks.len() {
            let (front, here) = blocks.split_at_mut(at);
            let [held, ..] = here else { break };
            let fault = |reason: &str| corrupt(held.offset, reason);
            let block = ObjectBlock::decode(&held.bytes[held.body.clone()], held.offset)
                .map_err(|error| fault(error.0))?;
            let mut content = take_buffer();
            content.clear();
            if block.encoding == ENCODING_STORED {
                content.extend_from_slice(block.payload);
            } else {
                let mut parts = Vec::with_capacity(block.bases.len());
                for base in &block.bases {
                    parts.push(content_of(front, *base).ok_or_else(|| {
                        corrupt(
                            base.block,
                            "a block lacks an object that another one rests on",
                        )
                    })?);
                }
                let mut joined = Vec::new();
                let prefix = match parts.as_slice() {
                    [] => None,
                    [one] => Some(*one),
                    more => {
                        joined = take_buffer();
                        joined.clear();
                        more.iter().for_each(|part| joined.extend_from_slice(part));
                        Some(&*joined)
                    }
                };
                delta::decompress_into(block.payload, prefix, block.content_len(), &mut content)
                    .map_err(|error| fault(&error.to_string()))?;
                give_back(joined);
            }
            if content.len() as u64 != block.content_len() {
                return Err(fault(
                    "the objects of a block have another length than it says",
                ));
            }
            load_len += block.content_len();
            for base in block.bases {
                if let Ok(found) = front.binary_search_by_key(&base.block, |held| held.offset) {
                    front[found].uses -= 1;
                    if front[found].uses == 0 {
                        give_back(std::mem::take(&mut front[found].content));
                    }
                }
            }
            held.content = content;
        }
        let found = content_of(&blocks, spot).map(std::sync::Arc::from);
        blocks.into_iter().for_each(|held| give_back(held.content));
        let bytes = found.ok_or_else(|| corrupt(spot.block, "a block lacks an object"))?;
        Ok(PackedObject { bytes, load_len })
    }

    /// The block at `offset` and all that it rests on, in the order of the segment.
    fn blocks_below(&self, segment: u64, offset: u64) -> Result<Vec<Held>> {
        let corrupt =
            |offset, reason: &str| Error::corrupt(segment_file(segment), Some(offset), reason);
        let mut blocks: Vec<Held> = Vec::new();
        let mut uses: HashMap<u64, usize> = HashMap::new();
        let mut wanted = vec![offset];
        let mut load_len = 0u64;
        while let Some(offset) = wanted.pop() {
            let (bytes, body) = self.record_from(segment, offset, RECORD_OBJECT_BLOCK)?;
            let block = ObjectBlock::decode(&bytes[body.clone()], offset)
                .map_err(|error| corrupt(offset, error.0))?;
            load_len = load_len.saturating_add(block.content_len());
            let alone = blocks.is_empty() && block.bases.is_empty() && block.lengths.len() == 1;
            if (load_len > MAX_LOAD_LEN && !alone) || blocks.len() >= MAX_BLOCKS {
                return Err(corrupt(offset, "an object rests on too many others"));
            }
            for base in &block.bases {
                let uses = uses.entry(base.block).or_default();
                *uses += 1;
                if *uses == 1 {
                    wanted.push(base.block);
                }
            }
            blocks.push(Held {
                offset,
                bytes,
                body,
                content: Vec::new(),
                uses: 0,
            });
        }
        blocks.sort_unstable_by_key(|held| held.offset);
        for held in &mut blocks {
            held.uses = uses.get(&held.offset).copied().unwrap_or(0);
        }
        Ok(blocks)
    }

    /// How long an object of a packed segment is, as far as its block says.
    pub fn packed_len(&self, segment: u64, spot: Spot) -> Result<u64> {
        let (bytes, body) = self.record_from(segment, spot.block, RECORD_OBJECT_BLOCK)?;
        let corrupt =
            |reason: &str| Error::corrupt(segment_file(segment), Some(spot.block), reason);
        let block = ObjectBlock::decode(&bytes[body], spot.block).map_err(|e| corrupt(e.0))?;
        let range = block
            .range(spot.number)
            .ok_or_else(|| corrupt("a block lacks an object"))?;
        Ok(range.len() as u64)
    }
}

/// The content of an object of one of these blocks.
fn content_of(blocks: &[Held], spot: Spot) -> Option<&[u8]> {
    let at = blocks
        .binary_search_by_key(&spot.block, |held| held.offset)
        .ok()?;
    let held = &blocks[at];
    let block = ObjectBlock::decode(&held.bytes[held.body.clone()], held.offset).ok()?;
    held.content.get(block.range(spot.number)?)
}
