//! The sets of member names of a document, each looked up and arranged once.

use super::ready::{Ready, Rules};
use super::short::equal;
use super::spec::Spec;
use super::tape::Token;

/// A shape at which no object of the document is.
pub(super) const NO_SHAPE: u32 = u32::MAX;

/// Slots looked at for a set of names before it is arranged anew; only made-up hashes come that far.
const MAX_PROBES: usize = 16;

/// Names of sets that are remembered; when there are more, all are forgotten.
const MAX_NAMES: usize = 1 << 16;

/// Slots for sets of names that a document starts with.
const FEW_SLOTS: usize = 64;

/// A member to write: the token of its name, and what its name says.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    pub(super) name: u32,
    pub(super) rules: Rules,
}

/// A set of names and what becomes of it.
pub(super) struct Shape {
    hash: u64,
    /// Its names, in [`Shapes::names`].
    names: usize,
    pub(super) count: usize,
    /// Its members as positions, in [`Shapes::members`].
    pub(super) members: usize,
    /// They come as the canonical form has them, and no rule applies to one.
    pub(super) plain: bool,
}

/// The sets of names met so far in the document.
#[derive(Default)]
pub(super) struct Shapes {
    pub(super) shapes: Vec<Shape>,
    /// Spans of the text.
    names: Vec<(u32, u32)>,
    pub(super) members: Vec<Planned>,
    /// Index of a shape and 1, or 0, by hash; the length is a power of two.
    slots: Vec<u32>,
    hashes: Vec<u64>,
    known: Vec<Option<u32>>,
    order: Vec<u32>,
    keys: Vec<u64>,
}

impl Shapes {
    pub(super) fn clear(&mut self) {
        self.shapes.clear();
        self.names.clear();
        self.members.clear();
        // Few documents have many sets of names; those that do should not make the next ones slow.
        if self.slots.len() > FEW_SLOTS {
            self.slots = Vec::new();
        }
        self.slots.fill(0);
    }

    /// Is what is remembered, or is room for, little?
    pub(super) fn is_small(&self) -> bool {
        self.names.capacity().max(self.order.capacity()) <= 2 * MAX_NAMES
    }

    /// Index of the shape of the object with these members, whose names are in canonical order.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        spec: &Spec,
        ready: &Ready,
        text: &[u8],
        tape: &[Token],
        members: &[u32],
        hint: u32,
    ) -> u32 {
        if self.holds(hint, text, tape, members) {
            return hint;
        }
        self.look_up(spec, ready, text, tape, members)
    }

    #[inline(always)]
    fn holds(&self, shape: u32, text: &[u8], tape: &[Token], members: &[u32]) -> bool {
        let Some(shape) = self.shapes.get(shape as usize) else {
            return false;
        };
        let names = self.names.get(shape.names..shape.names + shape.count);
        shape.count == members.len()
            && names
                .unwrap_or_default()
                .iter()
                .zip(members)
                .all(|(&(start, end), &member)| {
                    let name = text.get(start as usize..end as usize).unwrap_or_default();
                    let other = tape.get(member as usize).map_or(&[][..], |t| t.text(text));
                    equal(name, other)
                })
    }

    fn look_up(
        &mut self,
        spec: &Spec,
        ready: &Ready,
        text: &[u8],
        tape: &[Token],
        members: &[u32],
    ) -> u32 {
        if self.names.len() > MAX_NAMES {
            self.clear();
        }
        if (self.shapes.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.hashes.clear();
        let mut hash = 0u64;
        for &member in members {
            let token = tape.get(member as usize);
            let name = ready.hash(token.map_or(&[], |token| token.inside(text)));
            self.hashes.push(name);
            hash = (hash.rotate_left(5) ^ name).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        hash ^= hash >> 32;
        let mask = self.slots.len() - 1;
        let mut free = None;
        for probe in 0..MAX_PROBES {
            let at = (hash as usize).wrapping_add(probe) & mask;
            match self.slots.get(at).copied().unwrap_or(0) {
                0 => {
                    free = Some(at);
                    break;
                }
                slot => {
                    let known = self.shapes.get(slot as usize - 1);
                    if known.is_some_and(|shape| shape.hash == hash)
                        && self.holds(slot - 1, text, tape, members)
                    {
                        return slot - 1;
                    }
                }
            }
        }
        let index = self.shapes.len() as u32;
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = index + 1;
        }
        self.add(spec, ready, text, tape, members, hash);
        index
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 4).max(FEW_SLOTS);
        self.slots.clear();
        self.slots.resize(length, 0);
        for (index, shape) in self.shapes.iter().enumerate() {
            let free = (0..MAX_PROBES)
                .map(|probe| (shape.hash as usize).wrapping_add(probe) & (length - 1))
                .find(|&at| self.slots.get(at) == Some(&0));
            if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
                *slot = index as u32 + 1;
            }
        }
    }

    fn add(
        &mut self,
        spec: &Spec,
        ready: &Ready,
        text: &[u8],
        tape: &[Token],
        members: &[u32],
        hash: u64,
    ) {
        let names = self.names.len();
        self.known.clear();
        for (&member, &hash) in members.iter().zip(&self.hashes) {
            let Some(token) = tape.get(member as usize) else {
                continue;
            };
            self.names.push((token.start, token.end));
            self.known.push(ready.find(token.inside(text), hash));
        }
        let name = |position: u32| {
            let member = members.get(position as usize);
            let token = member.and_then(|&member| tape.get(member as usize));
            token.map_or(&[][..], |token| token.inside(text))
        };
        ready.arrange(spec, &self.known, name, &mut self.order, &mut self.keys);
        let start = self.members.len();
        let mut plain = true;
        for (index, &position) in self.order.iter().enumerate() {
            let rules = ready.rules(self.known.get(position as usize).copied().flatten());
            plain &= index as u32 == position && rules == Rules::default();
            self.members.push(Planned {
                name: position,
                rules,
            });
        }
        self.shapes.push(Shape {
            hash,
            names,
            count: members.len(),
            members: start,
            plain,
        });
    }
}
