//! Loading one object of a packed segment: the blocks that it rests on, decoded from the first to its own.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::objects::{ObjectBlock, Spot};
use crate::error::{Error, Result};
use crate::log::delta;
use crate::log::format::*;
use crate::log::reader::{LogReader, segment_file};

/// Blocks that one load reads at most: a chain that needs more is not one that this crate writes.
const MAX_BLOCKS: usize = 2 * KEYFRAME_EVERY as usize;
/// Contents of blocks kept, in bytes.
const CACHE_LEN: usize = 32 << 20;
/// Of blocks that nothing rests on the last few are kept, up to this length: more than one of their objects may be
/// asked for.
const MAX_KEPT_GROUP: usize = 80 << 10;
/// How many these are.
const MAX_GROUPS: usize = 16;
/// A thread keeps so many buffers …
const MAX_BUFFERS: usize = 4;
/// … of at most this many bytes each.
const MAX_KEPT_BUFFER: usize = 4 << 20;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    buffer.clear();
    buffer
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
    pub bytes: Arc<Vec<u8>>,
    /// Bytes that loading it decodes.
    pub load_len: u64,
}

/// A block that was decoded.
#[derive(Debug)]
struct Decoded {
    content: Vec<u8>,
    lengths: Vec<u64>,
    load_len: u64,
}

impl Decoded {
    fn object(&self, number: u32) -> Option<&[u8]> {
        self.content
            .get(super::objects::range(&self.lengths, number)?)
    }
}

/// Contents of blocks, by segment and offset. Whoever loads an object compares it with its hash.
#[derive(Debug, Default)]
pub(crate) struct BlockCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    blocks: HashMap<(u64, u64), (Arc<Decoded>, u64)>,
    groups: VecDeque<((u64, u64), Arc<Decoded>)>,
    len: usize,
    clock: u64,
}

impl BlockCache {
    fn get(&self, segment: u64, offset: u64) -> Option<Arc<Decoded>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        if let Some((block, used)) = kept.blocks.get_mut(&(segment, offset)) {
            *used = clock;
            return Some(block.clone());
        }
        let mut groups = kept.groups.iter();
        let (_, group) = groups.find(|(at, _)| *at == (segment, offset))?;
        Some(group.clone())
    }

    /// Keeps a block that nothing rests on.
    fn put_group(&self, segment: u64, offset: u64, block: Arc<Decoded>) {
        let oldest = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.groups.push_back(((segment, offset), block));
            match kept.groups.len() > MAX_GROUPS {
                true => kept.groups.pop_front(),
                false => None,
            }
        };
        if let Some(Ok(block)) = oldest.map(|(_, block)| Arc::try_unwrap(block)) {
            give_back(block.content);
        }
    }

    fn put(&self, segment: u64, offset: u64, block: Arc<Decoded>) {
        if block.content.len() > CACHE_LEN / 8 {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        kept.len += block.content.len();
        let clock = kept.clock;
        if let Some((old, _)) = kept.blocks.insert((segment, offset), (block, clock)) {
            kept.len -= old.content.len();
        }
        if kept.len <= CACHE_LEN {
            return;
        }
        // Half of it at once, so that the sorting is rare.
        let mut by_use: Vec<_> = kept
            .blocks
            .iter()
            .map(|(at, (_, used))| (*used, *at))
            .collect();
        by_use.sort_unstable();
        for (_, at) in by_use {
            if kept.len <= CACHE_LEN / 2 {
                break;
            }
            if let Some((old, _)) = kept.blocks.remove(&at) {
                kept.len -= old.content.len();
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

/// A block that was read and not decoded yet.
struct Read {
    offset: u64,
    bytes: Vec<u8>,
    body: Range<usize>,
}

/// The blocks of one load.
#[derive(Default)]
struct Below {
    /// To be decoded.
    read: Vec<Read>,
    decoded: HashMap<u64, Arc<Decoded>>,
    /// How many blocks rest on each.
    uses: HashMap<u64, usize>,
}

impl LogReader {
    /// The content of an object of a packed segment, not yet compared with its id.
    pub fn packed_object(&self, segment: u64, spot: Spot) -> Result<PackedObject> {
        let block = match self.contents().get(segment, spot.block) {
            Some(block) => block,
            None => self.decode_block(segment, spot.block)?,
        };
        let load_len = block.load_len;
        let lacking = "a block lacks an object";
        let lacking = || Error::corrupt(segment_file(segment), Some(spot.block), lacking);
        let range = super::objects::range(&block.lengths, spot.number).ok_or_else(lacking)?;
        let bytes = match Arc::try_unwrap(block) {
            Ok(block) if range.len() == block.content.len() => block.content,
            Ok(block) => {
                let bytes = block.content.get(range).map(<[u8]>::to_vec);
                give_back(block.content);
                bytes.ok_or_else(lacking)?
            }
            Err(kept) => kept.content.get(range).ok_or_else(lacking)?.to_vec(),
        };
        let bytes = Arc::new(bytes);
        Ok(PackedObject { bytes, load_len })
    }

    /// Decodes a block and what it rests on.
    fn decode_block(&self, segment: u64, offset: u64) -> Result<Arc<Decoded>> {
        let mut below = self.blocks_below(segment, offset)?;
        let mut done = None;
        for Read {
            offset,
            bytes,
            body,
        } in std::mem::take(&mut below.read)
        {
            let fault = |reason: &str| Error::corrupt(segment_file(segment), Some(offset), reason);
            let block = ObjectBlock::decode(&bytes[body], offset).map_err(|e| fault(e.0))?;
            let mut bases = Vec::with_capacity(block.bases.len());
            for base in &block.bases {
                let found = below.decoded.get(&base.block).cloned();
                bases.push((
                    found.ok_or_else(|| fault("a block rests on one that is missing"))?,
                    base.number,
                ));
            }
            let uses = below.uses.get(&offset).copied().unwrap_or(0);
            // What is kept for long gets a buffer of its own size.
            let buffer = if uses > 0 { Vec::new() } else { take_buffer() };
            let decoded = decode(&block, &bases, buffer).map_err(|reason| fault(&reason))?;
            let decoded = Arc::new(decoded);
            if uses > 0 {
                self.contents().put(segment, offset, decoded.clone());
            } else if decoded.content.len() <= MAX_KEPT_GROUP {
                self.contents().put_group(segment, offset, decoded.clone());
            }
            for base in &block.bases {
                if let Some(uses) = below.uses.get_mut(&base.block) {
                    *uses = uses.saturating_sub(1);
                    if *uses == 0 {
                        below.decoded.remove(&base.block);
                    }
                }
            }
            if uses > 0 {
                below.decoded.insert(offset, decoded.clone());
            }
            done = Some(decoded);
        }
        done.ok_or_else(|| {
            Error::corrupt(segment_file(segment), Some(offset), "a block is missing")
        })
    }

    /// Reads the block at `offset` and all that it rests on and that is not kept, in the order of the segment: the one
    /// asked for is the last.
    fn blocks_below(&self, segment: u64, offset: u64) -> Result<Below> {
        let mut below = Below::default();
        let mut wanted = vec![offset];
        let mut load_len = 0u64;
        while let Some(offset) = wanted.pop() {
            let fault = |reason: &str| Error::corrupt(segment_file(segment), Some(offset), reason);
            let (bytes, body) = self.record_from(segment, offset, RECORD_OBJECT_BLOCK)?;
            let block =
                ObjectBlock::decode(&bytes[body.clone()], offset).map_err(|e| fault(e.0))?;
            load_len = load_len.saturating_add(block.content_len().max(bytes.len() as u64 / 2));
            let alone = below.read.is_empty() && block.bases.is_empty() && block.lengths.len() == 1;
            if (load_len > MAX_LOAD_LEN && !alone) || below.read.len() >= MAX_BLOCKS {
                return Err(fault("an object rests on too many others"));
            }
            for base in &block.bases {
                let uses = below.uses.entry(base.block).or_default();
                *uses += 1;
                if *uses > 1 {
                    continue;
                }
                match self.contents().get(segment, base.block) {
                    Some(kept) => {
                        below.decoded.insert(base.block, kept);
                    }
                    None => wanted.push(base.block),
                }
            }
            below.read.push(Read {
                offset,
                bytes,
                body,
            });
        }
        below.read.sort_unstable_by_key(|read| read.offset);
        Ok(below)
    }

    /// How long an object of a packed segment is, as far as its block says.
    pub fn packed_len(&self, segment: u64, spot: Spot) -> Result<u64> {
        let lacking =
            |reason: &str| Error::corrupt(segment_file(segment), Some(spot.block), reason);
        let range = match self.contents().get(segment, spot.block) {
            Some(block) => super::objects::range(&block.lengths, spot.number),
            None => {
                let (bytes, body) = self.record_from(segment, spot.block, RECORD_OBJECT_BLOCK)?;
                let block =
                    ObjectBlock::decode(&bytes[body], spot.block).map_err(|e| lacking(e.0))?;
                super::objects::range(&block.lengths, spot.number)
            }
        };
        let range = range.ok_or_else(|| lacking("a block lacks an object"))?;
        Ok(range.len() as u64)
    }
}

/// The content of a block, given what it rests on.
fn decode(
    block: &ObjectBlock<'_>,
    bases: &[(Arc<Decoded>, u32)],
    mut content: Vec<u8>,
) -> Result<Decoded, String> {
    let len = block.content_len();
    if block.encoding == ENCODING_STORED {
        content.extend_from_slice(block.payload);
    } else {
        let mut parts = Vec::with_capacity(bases.len());
        for (base, number) in bases {
            parts.push(
                base.object(*number)
                    .ok_or("a block rests on an object that is missing")?,
            );
        }
        let mut joined = Vec::new();
        let prefix = match parts.as_slice() {
            [] => None,
            [one] => Some(*one),
            more => {
                joined = take_buffer();
                more.iter().for_each(|part| joined.extend_from_slice(part));
                Some(&*joined)
            }
        };
        delta::decompress_into(block.payload, prefix, len, &mut content)
            .map_err(|error| error.to_string())?;
        give_back(joined);
    }
    if content.len() as u64 != len {
        return Err("the objects of a block have another length than it says".to_owned());
    }
    let below = bases
        .iter()
        .fold(0u64, |sum, (base, _)| sum.saturating_add(base.load_len));
    Ok(Decoded {
        content,
        lengths: block.lengths.clone(),
        load_len: below.saturating_add(len),
    })
}
