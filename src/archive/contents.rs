//! Contents of objects: those at hand, and those about to be written.

use std::collections::HashMap;
use std::sync::Arc;

use crate::log::delta::{self, Packed};
use crate::log::format::{ANCHOR_EVERY_SHORT, MAX_LOAD_LEN};
use crate::log::record::{ObjectRecord, Reference};

/// Contents kept for the next delta and the next load, in bytes.
const CACHE_LEN: usize = 64 << 20;

/// Which object: the number of its commit, and its number in the commit's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectAt {
    pub seq: u64,
    pub ordinal: u64,
}

/// Where in a chain an object is: what a load of it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainPlace {
    /// Objects since the first of the chain.
    pub k: u64,
    /// Bytes that loading it decodes.
    pub load_len: u64,
}

/// The content of an object, and where its chain stands.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub bytes: Arc<Vec<u8>>,
    /// Objects since the first of the chain.
    pub k: u64,
    /// Bytes that loading it decodes.
    pub load_len: u64,
}

/// An object about to be written.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub packing: Packing,
    pub k: u64,
    pub load_len: u64,
}

/// How an object about to be written is packed.
#[derive(Clone, Debug)]
pub(crate) enum Packing {
    Alone(Packed),
    Delta { base: ObjectAt, frame: Vec<u8> },
}

impl ObjectAt {
    /// In front of every commit.
    pub const NOWHERE: ObjectAt = ObjectAt { seq: 0, ordinal: 0 };
}

impl Content {
    pub fn place(&self) -> ChainPlace {
        ChainPlace {
            k: self.k,
            load_len: self.load_len,
        }
    }

    /// Is it made of its own record alone?
    pub fn stands_alone(&self) -> bool {
        self.k == 0 && self.load_len == self.bytes.len() as u64
    }

    /// May the first object of another chain rest on it? A short one must stand alone, for its load costs by the
    /// frame; of longer ones each may rest on the one before it, up to as many as there are to an anchor.
    pub fn can_carry_first(&self) -> bool {
        let len = self.bytes.len() as u64;
        let frames = match delta::anchor_every(self.bytes.len()) {
            ANCHOR_EVERY_SHORT => 1,
            every => every - 1,
        };
        self.k == 0 && self.load_len <= len.saturating_mul(frames)
    }

    /// May an object rest on this one?
    pub fn can_carry(&self, content: &[u8]) -> bool {
        delta::can_reach(self.bytes.len(), content.len())
            && self.load_len.saturating_add(content.len() as u64) <= MAX_LOAD_LEN
    }
}

impl Encoded {
    pub fn place(&self) -> ChainPlace {
        ChainPlace {
            k: self.k,
            load_len: self.load_len,
        }
    }

    pub fn alone(content: &[u8], packed: Packed) -> Encoded {
        Encoded {
            packing: Packing::Alone(packed),
            k: 0,
            load_len: content.len() as u64,
        }
    }

    /// The object behind `base` in its chain.
    pub fn delta(content: &[u8], base: &Content, at: ObjectAt, frame: Vec<u8>) -> Encoded {
        Encoded {
            packing: Packing::Delta { base: at, frame },
            k: base.k.saturating_add(1),
            load_len: base.load_len.saturating_add(content.len() as u64),
        }
    }

    /// What it rests on.
    pub fn base(&self) -> Option<ObjectAt> {
        match &self.packing {
            Packing::Delta { base, .. } => Some(*base),
            Packing::Alone(_) => None,
        }
    }

    /// How many bytes it takes in its record.
    pub fn packed_len(&self) -> usize {
        match &self.packing {
            Packing::Alone(packed) => packed.len(),
            Packing::Delta { frame, .. } => frame.len(),
        }
    }

    /// The same frame over the same content, which stands here.
    pub fn based_on(mut self, at: ObjectAt) -> Encoded {
        if let Packing::Delta { base, .. } = &mut self.packing {
            *base = at;
        }
        self
    }

    /// The record of this object in commit `seq`.
    pub fn record(&self, seq: u64) -> ObjectRecord<'_> {
        match &self.packing {
            Packing::Alone(packed) => packed.record(),
            Packing::Delta { base, frame } => ObjectRecord::Delta {
                k: self.k,
                base: Reference {
                    seq_back: seq - base.seq,
                    ordinal: base.ordinal,
                },
                frame,
            },
        }
    }
}

/// Contents that the next deltas are likely to rest on; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct ContentCache {
    contents: HashMap<ObjectAt, (Content, u64)>,
    len: usize,
    clock: u64,
}

impl ContentCache {
    pub fn get(&mut self, at: ObjectAt) -> Option<Content> {
        self.clock += 1;
        let (content, used) = self.contents.get_mut(&at)?;
        *used = self.clock;
        Some(content.clone())
    }

    pub fn put(&mut self, at: ObjectAt, content: Content) {
        if content.bytes.len() > CACHE_LEN / 2 {
            return;
        }
        self.clock += 1;
        self.len += content.bytes.len();
        if let Some((old, _)) = self.contents.insert(at, (content, self.clock)) {
            self.len -= old.bytes.len();
        }
        if self.len > CACHE_LEN {
            // Half of it at once, so that the sorting is rare.
            let mut by_use: Vec<(u64, ObjectAt)> = self
                .contents
                .iter()
                .map(|(at, (_, used))| (*used, *at))
                .collect();
            by_use.sort_unstable();
            for (_, at) in by_use {
                if self.len <= CACHE_LEN / 2 {
                    break;
                }
                self.remove(at);
            }
        }
    }

    /// Forgets the objects of commits from this number on.
    pub fn forget_from(&mut self, seq: u64) {
        self.contents.retain(|at, _| at.seq < seq);
        self.len = self
            .contents
            .values()
            .map(|(content, _)| content.bytes.len())
            .sum();
    }

    pub fn remove(&mut self, at: ObjectAt) {
        if let Some((old, _)) = self.contents.remove(&at) {
            self.len -= old.bytes.len();
        }
    }
}
