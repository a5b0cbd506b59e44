//! Objects into blocks: which of them share a frame, and what the frame rests on.
//!
//! Of large objects every few are a *key*: it stands in a block of its own and rests on the key before it or on an
//! anchor, as the objects of plain segments do. Those between two keys share a frame that rests on both: what changes
//! from one key to the next need not be said again, only when. Measured on 2,575 versions of a document of 108 KB: 340
//! bytes a version with 8 to a group, 392 where groups rest on the last object of the group before, 459 one by one.
//!
//! Small objects have one key, on which all groups of the chain rest: a load decodes the key and one group. Measured
//! on 100 versions each of 1,000 documents of 2 KB: with groups of 24 a log of 22.2 MB, of 28 and of 32 one of 21.8,
//! and loads that take the same time in the middle.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::log::delta;
use crate::log::format::*;
use crate::log::packed::{ObjectBlock, PackedWriter, Spot};

/// Up to this many bytes an object is small, where a chain begins with it.
pub(super) const SMALL: usize = 8 << 10;
/// A group of small objects has at most so many …
const SMALL_GROUP: usize = 28;
/// … or this many bytes: a load decodes all of it.
const SMALL_GROUP_LEN: usize = 64 << 10;
/// A group and its key have so many large objects …
const LARGE_GROUP: usize = 8;
/// … or this many bytes.
const LARGE_GROUP_LEN: usize = 4 << 20;
/// Every so many keys one is an anchor.
const ANCHORS: u64 = 8;
/// After so many groups a chain starts again: damage to its key takes all of it.
const MAX_GROUPS: u64 = 512;
/// The same of small objects, whose key costs less and grows unlike them, and of objects of many paths.
const MAX_SHARED_GROUPS: u64 = 16;
/// A key's load decodes at most this many bytes: three of them and a group are within [`MAX_LOAD_LEN`].
const MAX_KEY_LOAD: u64 = MAX_LOAD_LEN / 4;

/// An object that others may rest on.
struct Key {
    /// Its number among the keys of the chain.
    number: u64,
    spot: Spot,
    bytes: Arc<Vec<u8>>,
    load_len: u64,
}

/// An object, and its number among all of the segment.
type Numbered = (usize, Arc<Vec<u8>>);

/// Packs one chain after the other.
pub(super) struct ChainPacker<'a, 'w> {
    writer: &'a mut PackedWriter<'w>,
    /// Where each object stands.
    spots: &'a mut [Spot],
    /// The newest key and the anchors that later ones will rest on.
    keys: Vec<Key>,
    /// How many groups the chain has.
    groups: u64,
    small: bool,
    /// The chain is one of many paths.
    of_many_paths: bool,
    group: Vec<Numbered>,
    group_len: usize,
}

impl<'a, 'w> ChainPacker<'a, 'w> {
    pub fn new(writer: &'a mut PackedWriter<'w>, spots: &'a mut [Spot]) -> ChainPacker<'a, 'w> {
        ChainPacker {
            writer,
            spots,
            keys: Vec::new(),
            groups: 0,
            small: false,
            of_many_paths: false,
            group: Vec::new(),
            group_len: 0,
        }
    }

    /// Do the chains that follow have objects of many paths?
    pub fn of_many_paths(&mut self, yes: bool) {
        self.of_many_paths = yes;
    }

    /// Adds the next object of the chain.
    pub fn add(&mut self, object: usize, bytes: Arc<Vec<u8>>) -> Result<()> {
        if self.keys.is_empty() {
            self.small = bytes.len() <= SMALL;
            return self.key((object, bytes), 0);
        }
        self.group_len += bytes.len();
        self.group.push((object, bytes));
        let (most, len) = match self.small {
            true => (SMALL_GROUP, SMALL_GROUP_LEN),
            false => (LARGE_GROUP, LARGE_GROUP_LEN),
        };
        if self.group.len() >= most || self.group_len >= len {
            self.close_group()?;
        }
        Ok(())
    }

    /// Ends the chain.
    pub fn finish_chain(&mut self) -> Result<()> {
        self.close_group()?;
        self.start_again();
        Ok(())
    }

    fn start_again(&mut self) {
        self.keys.clear();
        self.groups = 0;
    }

    fn close_group(&mut self) -> Result<()> {
        let mut group = std::mem::take(&mut self.group);
        self.group_len = 0;
        let newest = self.keys.last().map_or(0, |key| key.number);
        if !self.small
            && let Some(last) = group.pop()
        {
            self.key(last, newest + 1)?;
        }
        if !group.is_empty() {
            let bases = self
                .keys
                .iter()
                .filter(|key| self.small || key.number >= newest);
            let bases: Vec<&Key> = bases.collect();
            let block = write_block(self.writer, &group, &bases)?;
            for (number, (object, _)) in (0..).zip(&group) {
                self.spots[*object] = Spot { block, number };
            }
        }
        self.groups += 1;
        let most = match self.small || self.of_many_paths {
            true => MAX_SHARED_GROUPS,
            false => MAX_GROUPS,
        };
        match self.groups >= most {
            true => self.start_again(),
            false => self.drop_keys(),
        }
        Ok(())
    }

    /// Writes the key of this number in a block of its own.
    fn key(&mut self, (object, bytes): Numbered, number: u64) -> Result<()> {
        let base = base_of(number);
        let base = self.keys.iter().find(|key| Some(key.number) == base);
        let base = base.filter(|base| base.load_len + bytes.len() as u64 <= MAX_KEY_LOAD);
        let bases: Vec<&Key> = base.into_iter().collect();
        let below = bases.iter().map(|base| base.load_len).sum::<u64>();
        let one = [(object, bytes)];
        let block = write_block(self.writer, &one, &bases)?;
        let [(object, bytes)] = one;
        let spot = Spot { block, number: 0 };
        self.spots[object] = spot;
        self.keys.push(Key {
            number,
            spot,
            load_len: below + bytes.len() as u64,
            bytes,
        });
        Ok(())
    }

    /// Keeps the newest key and those anchors that an anchor behind it may rest on.
    fn drop_keys(&mut self) {
        let newest = self.keys.last().map_or(0, |key| key.number);
        self.keys
            .retain(|key| key.number == newest || is_kept(key.number, newest));
    }
}

/// The key that the key of this number rests on.
fn base_of(number: u64) -> Option<u64> {
    let anchor = number / ANCHORS;
    match number {
        0 => None,
        _ if number.is_multiple_of(ANCHORS) => Some((anchor & (anchor - 1)) * ANCHORS),
        _ => Some(number - 1),
    }
}

/// Is this key the anchor in front of the newest key, or one that this rests on?
fn is_kept(number: u64, newest: u64) -> bool {
    if !number.is_multiple_of(ANCHORS) {
        return false;
    }
    let mut anchor = newest / ANCHORS;
    loop {
        if anchor * ANCHORS == number {
            return true;
        }
        if anchor == 0 {
            return false;
        }
        anchor &= anchor - 1;
    }
}

/// Writes objects as one block; where it stands.
fn write_block(writer: &mut PackedWriter<'_>, objects: &[Numbered], bases: &[&Key]) -> Result<u64> {
    let failed =
        |error: delta::FrameError| Error::io("compress", std::io::Error::other(error.to_string()));
    let joined: Vec<u8>;
    let content: &[u8] = match objects {
        [(_, one)] => one,
        more => {
            joined = more
                .iter()
                .flat_map(|(_, bytes)| bytes.iter().copied())
                .collect();
            &joined
        }
    };
    let mut bases: Vec<&Key> = bases.to_vec();
    let prefix: Vec<u8> = bases
        .iter()
        .flat_map(|base| base.bytes.iter().copied())
        .collect();
    if !delta::can_reach(prefix.len(), content.len()) {
        bases.clear();
    }
    let mut frame =
        delta::pack(content, (!bases.is_empty()).then_some(&*prefix)).map_err(failed)?;
    // Only what is not small must be compared with what it takes alone.
    if !bases.is_empty() && frame.len() > content.len() / 8 {
        let alone = delta::pack(content, None).map_err(failed)?;
        if alone.len() <= frame.len() {
            bases.clear();
            frame = alone;
        }
    }
    let stored = frame.len() >= content.len();
    if stored {
        bases.clear();
    }
    let block = ObjectBlock {
        bases: bases.iter().map(|base| base.spot).collect(),
        lengths: objects
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .collect(),
        encoding: if stored {
            ENCODING_STORED
        } else {
            ENCODING_ZSTD
        },
        payload: if stored { content } else { &frame },
    };
    let body = block.encode(writer.offset());
    writer.record(RECORD_OBJECT_BLOCK, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_later_ones_rest_on_are_kept() {
        let mut kept: Vec<u64> = vec![0];
        for number in 1..MAX_GROUPS {
            assert!(kept.contains(&(number - 1)), "{number}");
            let base = base_of(number).unwrap();
            assert!(kept.contains(&base), "{number} rests on {base}");
            kept.push(number);
            kept.retain(|key| *key == number || is_kept(*key, number));
            assert!(kept.len() < 16);
        }
    }
}
