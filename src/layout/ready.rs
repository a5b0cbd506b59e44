//! A layout prepared for look-ups.
//!
//! Names are found through a hash table with a seed of its own, so that no document can be made to collide; what it
//! finds is compared, so that no seed can change a result.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::collate::Collation;
use super::escape;
use super::short::equal;
use super::spec::{Exception, Gap, Spec, Style};

/// Levels of indentation that are prebuilt behind each separator.
const PREBUILT: usize = 24;

/// Rank of a name that is not in the precedence list.
const UNRANKED: u32 = u32::MAX;

/// A separator: bytes that are always there, then one unit per level.
#[derive(Clone)]
pub(super) struct Line {
    bytes: Vec<u8>,
    fixed: usize,
    unit: usize,
}

impl Line {
    fn new(prefix: &[&[u8]], gap: &Gap, unit: &[u8]) -> Line {
        let mut bytes = prefix.concat();
        bytes.extend_from_slice(&gap.text);
        let fixed = bytes.len();
        let unit = if gap.indented { unit } else { &[] };
        for _ in 0..PREBUILT {
            bytes.extend_from_slice(unit);
        }
        Line {
            bytes,
            fixed,
            unit: unit.len(),
        }
    }

    /// The separator at `level`, and how often `unit` has to follow.
    #[inline(always)]
    pub(super) fn at(&self, level: usize) -> (&[u8], usize) {
        if level > PREBUILT && self.unit > 0 {
            return (&self.bytes, level - PREBUILT);
        }
        let end = self.fixed + self.unit * level;
        (self.bytes.get(..end).unwrap_or(&self.bytes), 0)
    }
}

/// The separators of a [`Style`].
#[derive(Clone)]
pub(super) struct Lines {
    /// The bracket and what follows.
    pub(super) open: Line,
    /// All from the value before to the value behind.
    pub(super) comma: Line,
    /// The two halves of `comma` if the first is indented, and for exceptions.
    pub(super) before_comma: Line,
    pub(super) after_comma: Line,
    pub(super) split: bool,
    /// Without the bracket.
    pub(super) close: Line,
    pub(super) indents: bool,
}

impl Lines {
    fn new(style: &Style, bracket: u8, unit: &[u8]) -> Lines {
        Lines {
            open: Line::new(&[&[bracket]], &style.open, unit),
            comma: Line::new(&[&style.before_comma.text, b","], &style.after_comma, unit),
            before_comma: Line::new(&[], &style.before_comma, unit),
            after_comma: Line::new(&[], &style.after_comma, unit),
            split: style.before_comma.indented,
            close: Line::new(&[], &style.close, unit),
            indents: style.indents(),
        }
    }
}

/// What the rules say of the values of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) decimals: u8,
    pub(super) flip: bool,
}

/// A name; all that is needed of it lies close together, because a layout is seldom still in a processor's cache.
#[derive(Clone)]
struct Entry {
    /// Where its text is.
    start: u32,
    end: u32,
    rank: u32,
    rules: Rules,
}

#[derive(Clone)]
pub(super) struct Ready {
    /// As [`Spec::styles`].
    pub(super) lines: [[Lines; 2]; 2],
    /// Inside empty containers.
    pub(super) empty: [Line; 2],
    pub(super) colon: Vec<u8>,
    pub(super) table: escape::Table,
    seed: u64,
    /// Index of a name and 1, or 0, by hash; the length is a power of two.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// The names.
    text: Vec<u8>,
    /// Index in [`Spec::orders`], by its names ascending.
    orders: HashMap<Vec<u32>, u32>,
}

impl Ready {
    pub(super) fn new(spec: &Spec) -> Ready {
        let unit = &spec.unit;
        let lines = |kind: usize, bracket| {
            [0, 1].map(|flat: usize| Lines::new(&spec.styles[kind][flat], bracket, unit))
        };
        let mut text = Vec::new();
        let mut entries = Vec::with_capacity(spec.names.len());
        for name in &spec.names {
            let start = text.len() as u32;
            text.extend_from_slice(name);
            entries.push(Entry {
                start,
                end: text.len() as u32,
                rank: UNRANKED,
                rules: Rules::default(),
            });
        }
        for (rank, &name) in spec.precedence.iter().enumerate() {
            if let Some(entry) = entries.get_mut(name as usize) {
                entry.rank = rank as u32;
            }
        }
        for &(name, decimals) in &spec.decimals {
            if let Some(entry) = entries.get_mut(name as usize) {
                entry.rules.decimals = decimals;
            }
        }
        for &name in &spec.flips {
            if let Some(entry) = entries.get_mut(name as usize) {
                entry.rules.flip = true;
            }
        }
        let mut orders = HashMap::with_capacity(spec.orders.len());
        for (index, order) in spec.orders.iter().enumerate() {
            let mut set = order.clone();
            set.sort_unstable();
            orders.insert(set, index as u32);
        }
        let mut ready = Ready {
            lines: [lines(0, b'{'), lines(1, b'[')],
            empty: [0, 1]
                .map(|kind: usize| Line::new(&[[&b"{"[..], b"["][kind]], &spec.empty[kind], unit)),
            colon: [&spec.colon[0][..], b":", &spec.colon[1]].concat(),
            table: escape::Table::new(&spec.escapes),
            seed: RandomState::new().hash_one(0u8),
            slots: vec![0; (spec.names.len() * 2).next_power_of_two()],
            entries,
            text,
            orders,
        };
        for (index, name) in spec.names.iter().enumerate() {
            let mut at = ready.slot(ready.hash(name));
            while ready.slots.get(at).is_some_and(|&slot| slot != 0) {
                at = ready.slot(at as u64 + 1);
            }
            if let Some(slot) = ready.slots.get_mut(at) {
                *slot = index as u32 + 1;
            }
        }
        ready
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// The hash of a name, or of anything else.
    #[inline(always)]
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        let mut state = self.seed ^ text.len() as u64;
        let mut rest = text;
        while let Some((word, behind)) = rest.split_first_chunk() {
            state = fold(state ^ u64::from_le_bytes(*word));
            rest = behind;
        }
        if let Some((half, behind)) = rest.split_first_chunk() {
            state = fold(state ^ u64::from(u32::from_le_bytes(*half)));
            rest = behind;
        }
        let tail = rest.iter().fold(1u64, |tail, &b| tail << 8 | u64::from(b));
        fold(state ^ tail)
    }

    /// Index of a name whose hash is known.
    pub(super) fn find(&self, name: &[u8], hash: u64) -> Option<u32> {
        let mut at = self.slot(hash);
        loop {
            let index = self.slots.get(at)?.checked_sub(1)?;
            let entry = self.entries.get(index as usize)?;
            let text = self.text.get(entry.start as usize..entry.end as usize);
            if equal(text.unwrap_or_default(), name) {
                return Some(index);
            }
            at = self.slot(at as u64 + 1);
        }
    }

    pub(super) fn rules(&self, name: Option<u32>) -> Rules {
        name.and_then(|name| self.entries.get(name as usize))
            .map_or(Rules::default(), |entry| entry.rules)
    }

    /// The order in which an object writes its members, as positions; `names` are in canonical order, `None` for a
    /// name that the layout does not know; `text` gives the name at a position, `keys` is working memory.
    ///
    /// The set's own order if the layout has one; otherwise by precedence, unranked names last, by collation.
    pub(super) fn arrange<'a>(
        &self,
        spec: &Spec,
        names: &[Option<u32>],
        text: impl Fn(u32) -> &'a [u8],
        order: &mut Vec<u32>,
        keys: &mut Vec<u64>,
    ) {
        order.clear();
        order.extend(0..names.len() as u32);
        if !self.orders.is_empty()
            && let Some(explicit) = self.explicit(spec, names)
        {
            let mut positions: HashMap<u32, u32> = HashMap::with_capacity(names.len());
            for (position, name) in names.iter().enumerate() {
                if let Some(name) = name {
                    positions.insert(*name, position as u32);
                }
            }
            for (slot, name) in order.iter_mut().zip(explicit) {
                *slot = positions.get(name).copied().unwrap_or(*slot);
            }
            return;
        }
        let rank = |position: &u32| {
            names
                .get(*position as usize)
                .copied()
                .flatten()
                .and_then(|name| self.entries.get(name as usize))
                .map_or(UNRANKED, |entry| entry.rank)
        };
        if spec.collation == Collation::Canonical {
            // Rank and position in one number: no look-ups while sorting, and stable without being so.
            keys.clear();
            keys.extend(
                order
                    .iter()
                    .map(|p| u64::from(rank(p)) << 32 | u64::from(*p)),
            );
            keys.sort_unstable();
            for (slot, key) in order.iter_mut().zip(keys) {
                *slot = *key as u32;
            }
            return;
        }
        order.sort_by(|a, b| {
            let ranks = (rank(a), rank(b));
            if ranks == (UNRANKED, UNRANKED) {
                spec.collation.compare(text(*a), text(*b))
            } else {
                ranks.0.cmp(&ranks.1)
            }
        });
    }

    fn explicit<'a>(&self, spec: &'a Spec, names: &[Option<u32>]) -> Option<&'a [u32]> {
        let mut set: Vec<u32> = names.iter().copied().collect::<Option<_>>()?;
        set.sort_unstable();
        let index = self.orders.get(&set)?;
        spec.orders.get(*index as usize).map(Vec::as_slice)
    }
}

#[inline(always)]
fn fold(x: u64) -> u64 {
    let product = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    (product >> 64) as u64 ^ product as u64
}

/// The exception of kind `kind` at `token`.
pub(super) fn exception(exceptions: &[Exception], token: u32, kind: u8) -> Option<&Exception> {
    exceptions
        .binary_search_by(|e| e.token.cmp(&token).then(e.what.kind().cmp(&kind)))
        .ok()
        .and_then(|index| exceptions.get(index))
}
