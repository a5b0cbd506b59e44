//! Object blocks: objects whose bytes are compressed as one.

use super::numbers::{numbers, put_numbers};
use crate::log::format::*;
use crate::wire::{Bytes, Malformed, put_uvar};

/// Where an object of a packed segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// The offset of its block's record.
    pub block: u64,
    /// Its number in the block, from 0.
    pub number: u32,
}

/// What the body of an object block's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectBlock<'a> {
    /// The objects whose bytes, one behind the other, are the prefix of the frame; all of them in blocks in front.
    pub bases: Vec<Spot>,
    /// The length of each object.
    pub lengths: Vec<u64>,
    pub encoding: u8,
    /// The objects one behind the other, or a frame that holds them, without its magic number.
    pub payload: &'a [u8],
}

impl<'a> ObjectBlock<'a> {
    /// The body of the record of this block, which will stand at `offset`.
    pub fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 64);
        out.push(self.encoding);
        put_uvar(&mut out, self.bases.len() as u64);
        for base in &self.bases {
            put_uvar(&mut out, offset.saturating_sub(base.block));
            put_uvar(&mut out, base.number.into());
        }
        put_uvar(&mut out, self.lengths.len() as u64);
        put_numbers(&mut out, &self.lengths);
        out.extend_from_slice(self.payload);
        out
    }

    /// Reads the body of an object block's record, which stands at `offset`.
    pub fn decode(body: &'a [u8], offset: u64) -> Result<ObjectBlock<'a>, Malformed> {
        let mut input = Bytes::new(body);
        let encoding = input.u8()?;
        if encoding > ENCODING_ZSTD {
            return Err(Malformed("unknown object encoding"));
        }
        let count = input.uvar()?;
        if count > MAX_BASES as u64 || (count > 0 && encoding == ENCODING_STORED) {
            return Err(Malformed("a block rests on too many objects"));
        }
        let bases = (0..count)
            .map(|_| {
                let back = input.uvar()?;
                let block = offset.checked_sub(back).filter(|_| back > 0);
                Ok(Spot {
                    block: block
                        .ok_or(Malformed("a block rests on one that is not in front of it"))?,
                    number: u32::try_from(input.uvar()?)
                        .map_err(|_| Malformed("number too large"))?,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let count = usize::try_from(input.uvar()?)
            .ok()
            .filter(|count| (1..=MAX_OBJECTS_PER_BLOCK).contains(count))
            .ok_or(Malformed("a block with too few or too many objects"))?;
        let lengths = numbers(&mut input, count)?;
        if lengths.iter().any(|len| *len > MAX_OBJECT_LEN) {
            return Err(Malformed("an object is too long"));
        }
        Ok(ObjectBlock {
            bases,
            lengths,
            encoding,
            payload: input.rest(),
        })
    }

    /// How long all objects are together.
    pub fn content_len(&self) -> u64 {
        self.lengths
            .iter()
            .fold(0, |sum, len| sum.saturating_add(*len))
    }
}

/// Where the bytes of an object begin and end among those of all of its block, whose lengths these are.
pub(super) fn range(lengths: &[u64], number: u32) -> Option<std::ops::Range<usize>> {
    let number = usize::try_from(number).ok()?;
    let len = *lengths.get(number)?;
    let front = lengths.get(..number)?.iter();
    let start = front.fold(0u64, |sum, len| sum.saturating_add(*len));
    Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(len)?).ok()?)
}
