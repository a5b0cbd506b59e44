//! The tokens of a text in a row, each with its span and with where its subtree ends.
//!
//! Values and member names are tokens, brackets and separators are not: a token's index counts values and names in
//! document order, which is how exceptions are addressed. The text has been parsed before; what is not JSON ends in
//! an error or in a tape of no use, never in a panic.
//!
//! The tape of a large document would be larger than the document. Where indexes are not needed, the inside of large
//! containers is left out, to be put on the tape when it is its turn, a part at a time ([`values`]).

use crate::canon::{MAX_DEPTH, digits_end};

/// The objects that stand for literals RFC 8259 does not have.
const TAGS: [(&[u8], &[u8]); 3] = [
    (br#"{"$number":"NaN"}"#, b"NaN"),
    (br#"{"$number":"Infinity"}"#, b"Infinity"),
    (br#"{"$number":"-Infinity"}"#, b"-Infinity"),
];
const TAG_START: &[u8] = br#"{"$number":""#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    /// A string or a member name.
    String,
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// A literal that RFC 8259 does not have, or the object that stands for it.
    Tag,
}

/// A container holds something other than numbers.
pub(super) const HOLDS_OTHERS: u8 = 1;
/// A container holds an array or an object.
pub(super) const HOLDS_CONTAINERS: u8 = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) start: u32,
    /// Behind the token, its closing bracket included.
    pub(super) end: u32,
    /// Index of the first token that is not inside this one.
    pub(super) next: u32,
    pub(super) kind: Kind,
    pub(super) holds: u8,
    /// Bit k is set if there is an exception of kind k.
    pub(super) marks: u8,
    /// The container's inside is not on the tape.
    pub(super) left_out: bool,
}

impl Token {
    pub(super) fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// The inside of a string.
    pub(super) fn inside<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize + 1..self.end as usize - 1)
            .unwrap_or_default()
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Object | Kind::Array)
    }

    /// A container that is not empty, at this index.
    #[inline(always)]
    pub(super) fn holds_tokens(&self, at: u32) -> bool {
        self.is_container() && (self.next > at + 1 || self.left_out)
    }
}

/// Where the number ends whose first character was in front of `at`.
#[inline(always)]
fn number_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = digits_end(text, at);
        if !matches!(byte(text, at), b'.' | b'e' | b'E' | b'+' | b'-') {
            return at;
        }
        at += 1;
    }
}

/// The literal of a [`Kind::Tag`] token, given in either form.
pub(super) fn tag_literal(text: &[u8]) -> &'static [u8] {
    match text.get(TAG_START.len()).or(text.first()) {
        Some(b'N') => TAGS[0].1,
        Some(b'I') => TAGS[1].1,
        _ => TAGS[2].1,
    }
}

/// Not a JSON text, or one of 4 GiB or more.
#[derive(Debug)]
pub(super) struct NotJson;

/// A container that is open.
pub(super) struct Open {
    token: usize,
    object: bool,
    holds: u8,
    /// The container around it is shortened when it has more tokens than this.
    limit: usize,
}

/// How much of a large text is on the tape at a time.
#[derive(Clone, Copy)]
pub(super) struct Portion {
    /// The inside of a container with more tokens than this is left out.
    pub(super) tokens: usize,
    /// The tape is never longer than this.
    pub(super) most: usize,
}

/// Insides are left out only where there are no more containers than this around them: each of these levels is read
/// once more.
const LEFT_OUT_DEPTH: usize = 8;

/// Values of a text, parted by commas.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Where the first begins, and where the last ends.
    pub(super) at: usize,
    pub(super) end: usize,
    /// How many containers are around them.
    pub(super) depth: usize,
}

/// The tokens of a canonical form; with `nan`, tags are single tokens. Former contents of `tape` are lost.
pub(super) fn canonical(
    text: &[u8],
    nan: bool,
    tape: &mut Vec<Token>,
    open: &mut Vec<Open>,
) -> Result<(), NotJson> {
    tape.clear();
    scan::<false, false>(text, whole(text), nan, WHOLE, tape, open).map(drop)
}

/// The tokens of any JSON text; bare `NaN` and infinities are tags.
pub(super) fn source(text: &[u8]) -> Result<Vec<Token>, NotJson> {
    let mut tape = Vec::new();
    scan::<true, false>(text, whole(text), false, WHOLE, &mut tape, &mut Vec::new())?;
    Ok(tape)
}

/// Adds tokens of a canonical form to the tape: of as many values as make a portion. Gives back where the next one
/// begins, or the end of the span.
pub(super) fn values(
    text: &[u8],
    span: Span,
    nan: bool,
    portion: Portion,
    tape: &mut Vec<Token>,
    open: &mut Vec<Open>,
) -> Result<usize, NotJson> {
    scan::<false, true>(text, span, nan, portion, tape, open)
}

/// The token of a canonical form that is an array, its inside left out and not looked at.
pub(super) fn left_out(text: &[u8], tape: &mut Vec<Token>) -> Result<(), NotJson> {
    let end = u32::try_from(text.len()).map_err(|_| NotJson)?;
    tape.clear();
    tape.push(Token {
        start: 0,
        end,
        next: 1,
        kind: Kind::Array,
        holds: HOLDS_OTHERS | HOLDS_CONTAINERS,
        marks: 0,
        left_out: true,
    });
    Ok(())
}

/// Is what was put on the tape up to `end` one value, and all of the text?
pub(super) fn check_root(text: &[u8], end: usize, tape: &[Token]) -> Result<(), NotJson> {
    let one = tape
        .first()
        .is_some_and(|root| root.next as usize == tape.len());
    match one && end == text.len() {
        true => Ok(()),
        false => Err(NotJson),
    }
}

/// All at once.
pub(super) const WHOLE: Portion = Portion {
    tokens: usize::MAX,
    most: usize::MAX,
};

pub(super) fn whole(text: &[u8]) -> Span {
    Span {
        at: 0,
        end: text.len(),
        depth: 0,
    }
}

fn scan<const SPACED: bool, const PORTIONS: bool>(
    text: &[u8],
    span: Span,
    nan: bool,
    portion: Portion,
    tape: &mut Vec<Token>,
    open: &mut Vec<Open>,
) -> Result<usize, NotJson> {
    // Positions and indexes are u32; no token is longer than the text, so indexes fit where positions do.
    if u32::try_from(text.len()).is_err() {
        return Err(NotJson);
    }
    let first = tape.len();
    open.clear();
    let mut at = skip::<SPACED>(text, span.at);
    let mut in_object = false;
    let mut holds = 0u8;
    'value: loop {
        let start = at;
        let kind = match byte(text, at) {
            b'"' => {
                at = string_end(text, at + 1)?;
                Kind::String
            }
            b'-' | b'0'..=b'9' => {
                at = number_end(text, at + 1);
                if byte(text, at) == b'I' {
                    at = literal(text, start, b"-Infinity")?;
                    Kind::Tag
                } else {
                    Kind::Number
                }
            }
            b'{' if !SPACED && nan && tag_end(text, at).is_some() => {
                at = tag_end(text, at).unwrap_or(at + 1);
                Kind::Tag
            }
            bracket @ (b'{' | b'[') => {
                if open.len() + span.depth >= MAX_DEPTH {
                    return Err(NotJson);
                }
                let object = bracket == b'{';
                open.push(Open {
                    token: tape.len(),
                    object: in_object,
                    holds: holds | HOLDS_OTHERS | HOLDS_CONTAINERS,
                    limit: portion.tokens,
                });
                tape.push(Token {
                    start: start as u32,
                    end: 0,
                    next: 0,
                    kind: if object { Kind::Object } else { Kind::Array },
                    holds: 0,
                    marks: 0,
                    left_out: false,
                });
                in_object = object;
                holds = 0;
                at = skip::<SPACED>(text, at + 1);
                // In ASCII the closing bracket comes two behind the opening one.
                if byte(text, at) != bracket + 2 {
                    if object {
                        at = name::<SPACED>(text, at, tape)?;
                    }
                    continue 'value;
                }
                at += 1;
                close(tape, open, &mut in_object, &mut holds, at);
                Kind::Object
            }
            b't' => {
                at = literal(text, at, b"true")?;
                Kind::Word
            }
            b'f' => {
                at = literal(text, at, b"false")?;
                Kind::Word
            }
            b'n' => {
                at = literal(text, at, b"null")?;
                Kind::Word
            }
            b'N' => {
                at = literal(text, at, b"NaN")?;
                Kind::Tag
            }
            b'I' => {
                at = literal(text, at, b"Infinity")?;
                Kind::Tag
            }
            _ => return Err(NotJson),
        };
        if !matches!(kind, Kind::Object) {
            if kind != Kind::Number {
                holds |= HOLDS_OTHERS;
            }
            scalar(tape, start, at, kind);
        }
        loop {
            at = skip::<SPACED>(text, at);
            if open.is_empty() {
                if at == span.end {
                    return Ok(at);
                }
                if !PORTIONS || byte(text, at) != b',' {
                    return Err(NotJson);
                }
                at += 1;
                if at >= span.end {
                    return Err(NotJson);
                }
                if tape.len() - first >= portion.tokens {
                    return Ok(at);
                }
                if tape.len() > portion.most {
                    return Err(NotJson);
                }
                continue 'value;
            }
            match byte(text, at) {
                b',' => {
                    if PORTIONS {
                        if open.len() + span.depth <= LEFT_OUT_DEPTH {
                            shorten(tape, open, in_object);
                        }
                        if tape.len() > portion.most {
                            return Err(NotJson);
                        }
                    }
                    at = skip::<SPACED>(text, at + 1);
                    if in_object {
                        at = name::<SPACED>(text, at, tape)?;
                    }
                    continue 'value;
                }
                b'}' if in_object => {}
                b']' if !in_object => {}
                _ => return Err(NotJson),
            }
            at += 1;
            close(tape, open, &mut in_object, &mut holds, at);
        }
    }
}

#[inline(always)]
fn scalar(tape: &mut Vec<Token>, start: usize, end: usize, kind: Kind) {
    tape.push(Token {
        start: start as u32,
        end: end as u32,
        next: tape.len() as u32 + 1,
        kind,
        holds: 0,
        marks: 0,
        left_out: false,
    });
}

/// Leaves out what is inside of the innermost container, where that is much: of an array the elements so far, of an
/// object the insides of its members.
fn shorten(tape: &mut Vec<Token>, open: &mut [Open], in_object: bool) {
    let Some(inner) = open.last_mut() else { return };
    let container = inner.token;
    if tape.len() - container <= inner.limit {
        return;
    }
    if !in_object {
        tape.truncate(container + 1);
        if let Some(token) = tape.last_mut() {
            token.left_out = true;
        }
        return;
    }
    let (mut from, mut to) = (container + 1, container + 1);
    while let Some(&[mut name, mut value]) = tape.get(from..from + 2) {
        value.left_out |= value.is_container() && value.next as usize > from + 2;
        from = (value.next as usize).max(from + 2);
        name.next = to as u32 + 1;
        value.next = to as u32 + 2;
        if let Some(there) = tape.get_mut(to..to + 2) {
            there.copy_from_slice(&[name, value]);
        }
        to += 2;
    }
    tape.truncate(to);
    // Its names stay: the next time it has to have twice as many.
    inner.limit = inner.limit.saturating_add(2 * (to - container));
}

#[inline(always)]
fn close(
    tape: &mut Vec<Token>,
    open: &mut Vec<Open>,
    in_object: &mut bool,
    holds: &mut u8,
    end: usize,
) {
    if let Some(outer) = open.pop() {
        if tape.get(outer.token).is_some_and(|token| token.left_out) {
            tape.truncate(outer.token + 1);
        }
        let next = tape.len() as u32;
        if let Some(token) = tape.get_mut(outer.token) {
            token.end = end as u32;
            token.next = next;
            token.holds = *holds;
        }
        *in_object = outer.object;
        *holds = outer.holds;
    }
}

/// Reads a member name and its colon; returns where the value starts.
#[inline(always)]
fn name<const SPACED: bool>(
    text: &[u8],
    at: usize,
    tape: &mut Vec<Token>,
) -> Result<usize, NotJson> {
    if byte(text, at) != b'"' {
        return Err(NotJson);
    }
    let end = string_end(text, at + 1)?;
    scalar(tape, at, end, Kind::String);
    let colon = skip::<SPACED>(text, end);
    if byte(text, colon) != b':' {
        return Err(NotJson);
    }
    Ok(skip::<SPACED>(text, colon + 1))
}

fn tag_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if !rest.starts_with(TAG_START) {
        return None;
    }
    let (tag, _) = TAGS.iter().find(|(tag, _)| rest.starts_with(tag))?;
    Some(at + tag.len())
}

fn literal(text: &[u8], at: usize, literal: &[u8]) -> Result<usize, NotJson> {
    match text.get(at..) {
        Some(rest) if rest.starts_with(literal) => Ok(at + literal.len()),
        _ => Err(NotJson),
    }
}

#[inline(always)]
fn skip<const SPACED: bool>(text: &[u8], mut at: usize) -> usize {
    if SPACED {
        while matches!(byte(text, at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
    }
    at
}

/// The byte at `at`, or 0 behind the end.
#[inline(always)]
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// Position behind the string whose inside starts at `at`.
#[inline(always)]
fn string_end(text: &[u8], mut at: usize) -> Result<usize, NotJson> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    loop {
        // Eight bytes at a time, as in `canon::scan`: borrows can set bits falsely, but only above a true match.
        while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            let quote = word ^ (ONES * b'"' as u64);
            let backslash = word ^ (ONES * b'\\' as u64);
            let found = ((quote.wrapping_sub(ONES) & !quote)
                | (backslash.wrapping_sub(ONES) & !backslash))
                & (ONES * 0x80);
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match byte(text, at) {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ if at >= text.len() => return Err(NotJson),
            _ => at += 1,
        }
    }
}
