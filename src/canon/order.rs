//! The order of member names, and the permutation of objects that are out of order.
//!
//! RFC 8785, section 3.2.3, sorts by the UTF-16 code units of the unescaped names. In UTF-8 that is the order of the
//! bytes, but for one thing: characters beyond U+FFFF (lead bytes F0 to F4) are surrogates in UTF-16 and sort before
//! U+E000 to U+FFFF (lead bytes EE and EF). Moving those two lead bytes above F4 makes both orders one; continuation
//! bytes are all below C0 and not concerned.
//!
//! An object out of order is not permuted when it closes: nested objects would then be moved once per level. It
//! is recorded as a [`Node`], whose members in sorted order are [`Piece`]s of the output, and all nodes are permuted
//! in one pass at the end, which copies every byte once. Nodes are recorded as their objects close, so the nodes
//! inside any span of the output lie next to each other, and the last of them is an outermost one. That gives them
//! from back to front, and so the permutation writes from back to front; the length does not change.

use std::cmp::Ordering;

use super::string::chars;

/// A member of an object that is still open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// The first eight bytes of the name, arranged so that a difference between two of them is the names' order.
    prefix: u64,
    /// The name in the input, without its quotes.
    name: usize,
    name_end: usize,
    escaped: bool,
    /// Where the member starts in the output.
    start: usize,
    /// Number of nodes recorded before the member.
    nodes: usize,
}

impl Member {
    /// `name..name_end` is the inside of an accepted string of the input; `start` and `nodes` see the fields.
    #[inline(always)]
    pub(super) fn new(
        input: &[u8],
        name: usize,
        name_end: usize,
        escaped: bool,
        start: usize,
        nodes: usize,
    ) -> Self {
        let prefix = if escaped {
            escaped_prefix(input, name, name_end)
        } else {
            plain_prefix(input, name, name_end)
        };
        Member {
            prefix,
            name,
            name_end,
            escaped,
            start,
            nodes,
        }
    }

    /// Position of the name's opening quote in the input.
    pub(super) fn offset(&self) -> usize {
        self.name - 1
    }

    /// The order of two names; equal names are duplicates.
    #[inline(always)]
    pub(super) fn compare(&self, other: &Member, input: &[u8]) -> Ordering {
        match self.prefix.cmp(&other.prefix) {
            Ordering::Equal => self.compare_names(other, input),
            different => different,
        }
    }

    fn compare_names(&self, other: &Member, input: &[u8]) -> Ordering {
        let (a, b) = (self.raw_name(input), other.raw_name(input));
        if self.escaped || other.escaped {
            return chars(a).map(utf16_rank).cmp(chars(b).map(utf16_rank));
        }
        match a.iter().zip(b).find(|(a, b)| a != b) {
            Some((&a, &b)) => utf16_byte(a).cmp(&utf16_byte(b)),
            None => a.len().cmp(&b.len()),
        }
    }

    /// The name as the input spells it.
    pub(super) fn raw_name<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        input.get(self.name..self.name_end).unwrap_or_default()
    }
}

#[inline(always)]
fn plain_prefix(input: &[u8], name: usize, name_end: usize) -> u64 {
    let length = name_end - name;
    let text = input.get(name..).unwrap_or_default();
    let word = match text.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes
                .iter_mut()
                .zip(text)
                .for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(bytes)
        }
    };
    // Zeros behind a short name sort it before all that continue it. (A raw name holds no zero byte.)
    let word = if length < 8 {
        word & !(u64::MAX >> (8 * length))
    } else {
        word
    };
    if word & 0x8080_8080_8080_8080 == 0 {
        word
    } else {
        utf16_prefix(word.to_be_bytes())
    }
}

fn escaped_prefix(input: &[u8], name: usize, name_end: usize) -> u64 {
    let mut bytes = [0; 8];
    let mut free = bytes.iter_mut();
    for c in chars(input.get(name..name_end).unwrap_or_default()) {
        for &b in c.encode_utf8(&mut [0; 4]).as_bytes() {
            match free.next() {
                Some(to) => *to = b,
                None => return utf16_prefix(bytes),
            }
        }
    }
    utf16_prefix(bytes)
}

fn utf16_prefix(bytes: [u8; 8]) -> u64 {
    u64::from_be_bytes(bytes.map(utf16_byte))
}

fn utf16_byte(b: u8) -> u8 {
    if b == 0xee || b == 0xef { b + 0x10 } else { b }
}

/// Orders characters as their UTF-16 code units do.
fn utf16_rank(c: char) -> u32 {
    if ('\u{e000}'..='\u{ffff}').contains(&c) {
        c as u32 + 0x11_0000
    } else {
        c as u32
    }
}

/// An object of the output that is out of order.
#[derive(Debug)]
struct Node {
    /// The object in the output, braces included.
    start: usize,
    end: usize,
    /// The first of the nodes inside the object; they end at this node.
    nodes: usize,
    /// Its members in sorted order.
    pieces: usize,
    pieces_end: usize,
}

/// A member of a [`Node`], or any other span of the output, with the nodes inside it.
#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    start: usize,
    end: usize,
    nodes: usize,
    nodes_end: usize,
}

/// One level of the walk over nested nodes.
#[derive(Debug)]
struct Level {
    node: usize,
    /// Pieces from here on are written.
    pieces_left: usize,
    /// What is left to write of the piece at hand.
    rest: Piece,
}

/// The objects of one document that are out of order, and the memory to permute them.
#[derive(Debug, Default)]
pub(super) struct Permutation {
    nodes: Vec<Node>,
    pieces: Vec<Piece>,
    /// Prefix and index of the members of the object that closes.
    sorted: Vec<(u64, usize)>,
    levels: Vec<Level>,
    before: Vec<u8>,
    /// Where `before` begins in the output.
    before_start: usize,
    /// Number of objects that were put in order and forgotten.
    done: usize,
    /// How many members are recorded before it is time to put objects in order, rather than at the end of the
    /// document.
    limit: usize,
}

/// The lowest [`Permutation::limit`].
const MANY_PIECES: usize = 1 << 16;

impl Permutation {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.pieces.clear();
        self.levels.clear();
        self.done = 0;
        self.limit = MANY_PIECES;
    }

    /// Number of objects recorded.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.done + self.nodes.len()
    }

    /// Are so many members recorded that what is complete should be put in order now?
    #[inline(always)]
    pub(super) fn is_long(&self) -> bool {
        self.pieces.len() >= self.limit
    }

    /// It is not the time yet.
    pub(super) fn postpone(&mut self) {
        self.limit = 2 * self.pieces.len();
    }

    /// Puts what is recorded in order before the document ends, so that the memory for it stays small. An object
    /// keeps its place and its length, so what is around it can be put in order later.
    pub(super) fn apply_early(&mut self, out: &mut [u8]) {
        self.apply(out);
        self.done += self.nodes.len();
        self.nodes.clear();
        self.pieces.clear();
    }

    /// Records the object `start..end` of the output, with `nodes` recorded before it opened.
    /// The error is the first member that repeats a name.
    pub(super) fn record(
        &mut self,
        input: &[u8],
        members: &[Member],
        start: usize,
        end: usize,
        nodes: usize,
    ) -> Result<(), Member> {
        let compare = |a: &(u64, usize), b: &(u64, usize)| match a.0.cmp(&b.0) {
            Ordering::Equal => members[a.1]
                .compare_names(&members[b.1], input)
                .then(a.1.cmp(&b.1)),
            different => different,
        };
        // Arrays of objects of one shape are common: the order of the last object is tried first.
        let ascends = |sorted: &[(u64, usize)]| {
            sorted
                .windows(2)
                .all(|pair| compare(&pair[0], &pair[1]).is_lt())
        };
        let mut known = self.sorted.len() == members.len();
        if known {
            for slot in &mut self.sorted {
                slot.0 = members[slot.1].prefix;
            }
            known = ascends(&self.sorted);
        }
        if !known {
            self.sorted.clear();
            self.sorted.extend(
                members
                    .iter()
                    .enumerate()
                    .map(|(index, member)| (member.prefix, index)),
            );
            self.sorted.sort_unstable_by(compare);
        }
        let repeated = self.sorted.windows(2).filter(|pair| {
            pair[0].0 == pair[1].0
                && members[pair[0].1]
                    .compare_names(&members[pair[1].1], input)
                    .is_eq()
        });
        if let Some(index) = repeated.map(|pair| pair[1].1).min() {
            return Err(members[index]);
        }
        let pieces = self.pieces.len();
        let recorded = self.nodes.len();
        // What was put in order early is like any other bytes by now.
        let done = self.done;
        self.pieces.extend(self.sorted.iter().map(|&(_, index)| {
            let member = &members[index];
            // A comma, or the closing brace, ends a member.
            let (end, nodes_end) = match members.get(index + 1) {
                Some(next) => (next.start - 1, next.nodes.saturating_sub(done)),
                None => (end - 1, recorded),
            };
            Piece {
                start: member.start,
                end,
                nodes: member.nodes.saturating_sub(done),
                nodes_end,
            }
        }));
        self.nodes.push(Node {
            start,
            end,
            nodes: nodes.saturating_sub(done),
            pieces,
            pieces_end: self.pieces.len(),
        });
        Ok(())
    }

    /// Puts the recorded objects of `out` in order; positions count from the start of `out`.
    ///
    /// Returns the number of bytes written, which is at most the length of `out`: the work is linear.
    pub(super) fn apply(&mut self, out: &mut [u8]) -> usize {
        let first = self.nodes.iter().map(|node| node.start).min();
        let last = self.nodes.iter().map(|node| node.end).max();
        let (Some(first), Some(last)) = (first, last) else {
            return 0;
        };
        self.before.clear();
        self.before_start = first;
        self.before
            .extend_from_slice(out.get(first..last).unwrap_or_default());
        let mut written = 0;
        let mut outermost = self.nodes.len();
        while let Some(node) = outermost
            .checked_sub(1)
            .and_then(|last| self.nodes.get(last))
        {
            let (start, end, next) = (node.start, node.end, node.nodes);
            if let Some(target) = out.get_mut(start..end) {
                written += self.write_node(outermost - 1, start, target);
            }
            outermost = next;
        }
        written
    }

    /// Writes one outermost node over `target`, from back to front.
    fn write_node(&mut self, node: usize, start: usize, target: &mut [u8]) -> usize {
        let mut target = Backwards {
            left: target.len(),
            target,
            written: 0,
            source: &self.before,
            source_start: self.before_start,
        };
        debug_assert_eq!(start + target.left, self.nodes[node].end);
        self.levels.clear();
        self.levels.push(Level {
            node,
            pieces_left: self.nodes[node].pieces_end,
            rest: Piece::default(),
        });
        target.push(b'}');
        while let Some(level) = self.levels.last_mut() {
            if level.rest.nodes_end > level.rest.nodes {
                let inner = level.rest.nodes_end - 1;
                let node = &self.nodes[inner];
                target.copy(node.end, level.rest.end);
                level.rest.end = node.start;
                level.rest.nodes_end = node.nodes;
                target.push(b'}');
                self.levels.push(Level {
                    node: inner,
                    pieces_left: node.pieces_end,
                    rest: Piece::default(),
                });
                continue;
            }
            target.copy(level.rest.start, level.rest.end);
            let node = &self.nodes[level.node];
            if level.pieces_left > node.pieces {
                if level.pieces_left < node.pieces_end {
                    target.push(b',');
                }
                level.pieces_left -= 1;
                level.rest = self.pieces[level.pieces_left];
            } else {
                target.push(b'{');
                self.levels.pop();
            }
        }
        target.written
    }
}

/// Fills a slice from its end.
struct Backwards<'a> {
    target: &'a mut [u8],
    /// Bytes of the target still to fill.
    left: usize,
    written: usize,
    source: &'a [u8],
    /// Where `source` begins in the output.
    source_start: usize,
}

impl Backwards<'_> {
    #[inline(always)]
    fn push(&mut self, b: u8) {
        self.written += 1;
        self.left = self.left.saturating_sub(1);
        if let Some(to) = self.target.get_mut(self.left) {
            *to = b;
        }
    }

    #[inline(always)]
    fn copy(&mut self, from: usize, to: usize) {
        const BLOCK: usize = 32;
        let (from, to) = (
            from.saturating_sub(self.source_start),
            to.saturating_sub(self.source_start),
        );
        let length = to.saturating_sub(from);
        self.written += length;
        let end = self.left;
        self.left = end.saturating_sub(length);
        if length <= BLOCK && end >= BLOCK && to >= BLOCK {
            // A copy of constant length is a few instructions. What it writes too much, in front, is written over.
            if let (Some(target), Some(source)) = (
                self.target.get_mut(end - BLOCK..end),
                self.source.get(to - BLOCK..to),
            ) {
                target.copy_from_slice(source);
            }
        } else if let (Some(target), Some(source)) = (
            self.target.get_mut(self.left..end),
            self.source.get(from..from + length),
        ) && target.len() == source.len()
        {
            target.copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(input: &str, escaped: bool) -> Member {
        Member::new(input.as_bytes(), 0, input.len(), escaped, 0, 0)
    }

    /// Every pair of names compares as their UTF-16 code units do, whichever way they are spelled.
    #[test]
    fn names_are_ordered_by_utf16_code_units() {
        let parts = [
            "",
            "a",
            "b",
            "abcdefg",
            "abcdefgh",
            "\u{7f}",
            "é",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "😀",
            "\u{10ffff}",
            "\0",
            "\n",
            "\"",
            "\\",
            "/",
        ];
        let mut names = Vec::new();
        for a in parts {
            for b in parts {
                names.push(format!("{a}{b}"));
                names.push(format!("seven77{a}{b}"));
            }
        }
        let escape = |name: &str| {
            name.encode_utf16()
                .map(|unit| format!("\\u{unit:04X}"))
                .collect::<String>()
        };
        let needs_escape = |name: &str| name.contains(|c: char| c < ' ' || c == '"' || c == '\\');
        for a in &names {
            for b in &names {
                let expected = a.encode_utf16().cmp(b.encode_utf16());
                for (a_escaped, b_escaped) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    if (!a_escaped && needs_escape(a)) || (!b_escaped && needs_escape(b)) {
                        continue;
                    }
                    let left = if a_escaped { escape(a) } else { a.clone() };
                    let right = if b_escaped { escape(b) } else { b.clone() };
                    // Both names have to lie in one input.
                    let input = format!("{left}{right}");
                    let first = Member::new(input.as_bytes(), 0, left.len(), a_escaped, 0, 0);
                    let second =
                        Member::new(input.as_bytes(), left.len(), input.len(), b_escaped, 0, 0);
                    assert_eq!(
                        first.compare(&second, input.as_bytes()),
                        expected,
                        "{a:?} and {b:?}"
                    );
                }
            }
        }
        assert_eq!(
            member("\u{e000}", false).prefix,
            member("\\ue000", true).prefix
        );
    }
}
