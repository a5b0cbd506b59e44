//! The pass: RFC 8259 text in, canonical bytes out.
//!
//! The output is written in spans: as long as the input is canonical, nothing is copied, and where it is not (white
//! space, a number or an escape in another spelling) the span up to there is copied in one go. Nesting is kept on an
//! explicit stack, so deep input cannot overflow the thread's.

use super::error::{CanonErrorKind, Fault};
use super::order::{Member, Permutation};
use super::scan::{byte, plain_text_end, space_end};
use super::string::{self, write_char};
use super::{MAX_DEPTH, NanMode, Outcome, number};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The forms of [`NanMode::Tag`]: literal and what stands for it.
pub(super) const TAGS: [(&str, &str); 3] = [
    ("NaN", r#"{"$number":"NaN"}"#),
    ("Infinity", r#"{"$number":"Infinity"}"#),
    ("-Infinity", r#"{"$number":"-Infinity"}"#),
];

/// The name of the one member of a tag, as the canonical form spells it.
const TAG_NAME: &[u8] = b"$number";

/// Spans up to this length are copied as a block of constant length.
const BLOCK: usize = 32;

/// Objects are put in order before the document ends if at most so many are open around them.
const MAX_AROUND: usize = 4;

/// An array or object that is still open.
#[derive(Debug, Clone, Copy)]
struct Open {
    object: bool,
    /// The members so far are in strictly ascending order.
    ascending: bool,
    /// Number of members on the stack when it opened.
    members: usize,
    /// Number of objects out of order recorded when it opened.
    nodes: usize,
    /// Where it starts in the input and in the output.
    offset: usize,
    start: usize,
}

/// Working memory, reused from document to document.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    open: Vec<Open>,
    members: Vec<Member>,
    permutation: Permutation,
}

type Step<T> = Result<T, Box<Fault>>;

/// Appends the canonical form of `input` to `out`; on error `out` holds more than before.
pub(super) fn document(
    scratch: &mut Scratch,
    input: &[u8],
    nan: NanMode,
    out: &mut Vec<u8>,
) -> Step<Outcome> {
    if simdutf8::basic::from_utf8(input).is_err() {
        let valid = simdutf8::compat::from_utf8(input)
            .err()
            .map_or(0, |error| error.valid_up_to());
        return fault(CanonErrorKind::InvalidUtf8, valid);
    }
    if input.starts_with(BYTE_ORDER_MARK) {
        return fault(CanonErrorKind::ByteOrderMark, 0);
    }
    scratch.open.clear();
    scratch.members.clear();
    scratch.permutation.clear();
    // Room for the block copies too.
    out.reserve(input.len() + BLOCK);
    let base = out.len();
    let mut pass = Pass {
        input,
        out,
        base,
        from: 0,
        scratch,
        nan,
        tagged: false,
        genuine_tag: None,
    };
    pass.run()?;
    if let (true, Some(offset)) = (pass.tagged, pass.genuine_tag) {
        return fault(CanonErrorKind::AmbiguousTag, offset);
    }
    let tagged = pass.tagged;
    if scratch.permutation.len() > 0 {
        scratch
            .permutation
            .apply(out.get_mut(base..).unwrap_or_default());
    }
    Ok(Outcome { tagged })
}

#[cold]
fn fault<T>(kind: CanonErrorKind, offset: usize) -> Step<T> {
    Err(Box::new(Fault { kind, offset }))
}

struct Pass<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Length of `out` before the document.
    base: usize,
    /// What comes before this position of the input is in the output.
    from: usize,
    scratch: &'a mut Scratch,
    nan: NanMode,
    tagged: bool,
    /// Offset of the first object that looks like a tag but stands in the input.
    genuine_tag: Option<usize>,
}

impl Pass<'_> {
    fn run(&mut self) -> Step<()> {
        let mut at = self.space(0);
        if at == self.input.len() {
            return fault(CanonErrorKind::Empty, at);
        }
        let mut in_object = false;
        'value: loop {
            match byte(self.input, at) {
                b'"' => at = self.string(at)?.0,
                b'{' => {
                    self.open(at, true)?;
                    at = self.space(at + 1);
                    if byte(self.input, at) != b'}' {
                        in_object = true;
                        at = self.name(at, r#"a member name in double quotes, or "}""#)?;
                        continue 'value;
                    }
                    self.scratch.open.pop();
                    at += 1;
                }
                b'[' => {
                    self.open(at, false)?;
                    at = self.space(at + 1);
                    if byte(self.input, at) != b']' {
                        in_object = false;
                        continue 'value;
                    }
                    self.scratch.open.pop();
                    at += 1;
                }
                b'-' | b'0'..=b'9' => at = self.number(at)?,
                b't' => at = self.literal(at, "true")?,
                b'f' => at = self.literal(at, "false")?,
                b'n' => at = self.literal(at, "null")?,
                _ => at = self.other_value(at)?,
            }
            // A value has ended: close what ends with it, up to the next comma.
            loop {
                at = self.space(at);
                match byte(self.input, at) {
                    b',' if !self.scratch.open.is_empty() => {
                        at = self.space(at + 1);
                        if in_object {
                            at = self.name(at, "a member name in double quotes")?;
                        }
                        continue 'value;
                    }
                    b'}' if in_object => self.close_object(at)?,
                    b']' if !in_object && !self.scratch.open.is_empty() => {
                        self.scratch.open.pop();
                    }
                    _ => return self.end(at, in_object),
                }
                at += 1;
                in_object = self.scratch.open.last().is_some_and(|open| open.object);
            }
        }
    }

    /// The end of the document, or the error if `at` is not its end.
    #[cold]
    fn end(&mut self, at: usize, in_object: bool) -> Step<()> {
        if self.scratch.open.is_empty() {
            if at < self.input.len() {
                return fault(CanonErrorKind::TrailingText, at);
            }
            self.copy_up_to(at);
            return Ok(());
        }
        self.unexpected(
            at,
            if in_object {
                r#""," or "}""#
            } else {
                r#""," or "]""#
            },
        )
    }

    /// Copies the input that is not yet in the output, up to `to`.
    #[inline(always)]
    fn copy_up_to(&mut self, to: usize) {
        let length = to.wrapping_sub(self.from);
        match self
            .input
            .get(self.from..)
            .and_then(|rest| rest.first_chunk::<BLOCK>())
        {
            // A copy of constant length is a few instructions, a call to copy a few bytes is many.
            Some(block) if length <= BLOCK => {
                let end = self.out.len() + length;
                self.out.extend_from_slice(block);
                self.out.truncate(end);
            }
            _ => self
                .out
                .extend_from_slice(self.input.get(self.from..to).unwrap_or_default()),
        }
        self.from = to;
    }

    /// Where the byte at `at`, not yet copied, will be in the output, counted from the document's start.
    #[inline(always)]
    fn output_position(&self, at: usize) -> usize {
        self.out.len() - self.base + (at - self.from)
    }

    /// Leaves out the white space at `at`; returns the position behind it.
    #[inline(always)]
    fn space(&mut self, at: usize) -> usize {
        if byte(self.input, at) > b' ' {
            return at;
        }
        let end = space_end(self.input, at);
        if end > at {
            self.copy_up_to(at);
            self.from = end;
        }
        end
    }

    #[inline(always)]
    fn open(&mut self, at: usize, object: bool) -> Step<()> {
        if self.scratch.open.len() >= MAX_DEPTH {
            return fault(CanonErrorKind::TooDeep, at);
        }
        let start = self.output_position(at);
        self.scratch.open.push(Open {
            object,
            ascending: true,
            members: self.scratch.members.len(),
            nodes: self.scratch.permutation.len(),
            offset: at,
            start,
        });
        Ok(())
    }

    /// Reads the name at `at` and the colon behind it; returns the position of the member's value.
    #[inline(always)]
    fn name(&mut self, at: usize, expected: &'static str) -> Step<usize> {
        if byte(self.input, at) != b'"' {
            return self.unexpected(at, expected);
        }
        let start = self.output_position(at);
        let (end, escaped) = self.string(at)?;
        let scratch = &mut *self.scratch;
        let member = Member::new(
            self.input,
            at + 1,
            end - 1,
            escaped,
            start,
            scratch.permutation.len(),
        );
        if let Some(open) = scratch.open.last_mut()
            && let Some(former) = scratch
                .members
                .get(open.members..)
                .and_then(|members| members.last())
            && open.ascending
        {
            match former.compare(&member, self.input) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Greater => open.ascending = false,
                std::cmp::Ordering::Equal => return repeated(self.input, &member),
            }
        }
        scratch.members.push(member);
        let colon = self.space(end);
        if byte(self.input, colon) != b':' {
            return self.unexpected(colon, r#"":""#);
        }
        Ok(self.space(colon + 1))
    }

    /// Ends the innermost object, whose brace is at `at`.
    #[inline(always)]
    fn close_object(&mut self, at: usize) -> Step<()> {
        let end = self.output_position(at) + 1;
        let Some(open) = self.scratch.open.pop() else {
            return Ok(());
        };
        let members = self.scratch.members.get(open.members..).unwrap_or_default();
        if !open.ascending {
            if let Err(member) = self
                .scratch
                .permutation
                .record(self.input, members, open.start, end, open.nodes)
            {
                return repeated(self.input, &member);
            }
            if self.scratch.permutation.is_long() {
                self.order_early(at + 1);
            }
        } else if self.nan == NanMode::Tag && members.len() == 1 {
            self.note_genuine_tag(at + 1, open);
        }
        self.scratch.members.truncate(open.members);
        Ok(())
    }

    /// Puts the objects that ended before `at` in order now, unless they lie so deep that their bytes might have to be
    /// moved again for many objects around them.
    #[cold]
    fn order_early(&mut self, at: usize) {
        let around = self.scratch.open.iter().filter(|open| open.object).count();
        if around > MAX_AROUND {
            self.scratch.permutation.postpone();
            return;
        }
        self.copy_up_to(at);
        let out = self.out.get_mut(self.base..).unwrap_or_default();
        self.scratch.permutation.apply_early(out);
    }

    /// Remembers the object of one member that ends before `end` if it looks like a tag.
    fn note_genuine_tag(&mut self, end: usize, open: Open) {
        if self.genuine_tag.is_some() {
            return;
        }
        self.copy_up_to(end);
        let object = self.out.get(self.base + open.start..).unwrap_or_default();
        if object.get(2..2 + TAG_NAME.len()) == Some(TAG_NAME)
            && TAGS.iter().any(|(_, tag)| tag.as_bytes() == object)
        {
            self.genuine_tag = Some(open.offset);
        }
    }

    /// Reads the string whose opening quote is at `at`. Returns the position behind it, and whether it holds escapes.
    #[inline(always)]
    fn string(&mut self, at: usize) -> Step<(usize, bool)> {
        let end = plain_text_end(self.input, at + 1);
        if byte(self.input, end) == b'"' {
            Ok((end + 1, false))
        } else {
            self.string_with_escapes(end)
        }
    }

    fn string_with_escapes(&mut self, mut at: usize) -> Step<(usize, bool)> {
        loop {
            match byte(self.input, at) {
                b'"' => return Ok((at + 1, true)),
                b'\\' => at = self.escape(at)?,
                _ if at >= self.input.len() => return fault(CanonErrorKind::UnexpectedEnd, at),
                _ => return fault(CanonErrorKind::ControlCharacter, at),
            }
            at = plain_text_end(self.input, at);
        }
    }

    #[inline(always)]
    fn escape(&mut self, at: usize) -> Step<usize> {
        if matches!(
            byte(self.input, at + 1),
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't'
        ) {
            return Ok(at + 2);
        }
        match string::escape(self.input, at) {
            Ok(escape) => {
                self.copy_up_to(at);
                write_char(escape.value, self.out);
                self.from = escape.end;
                Ok(escape.end)
            }
            Err((kind, offset)) => fault(kind, offset),
        }
    }

    #[inline(always)]
    fn number(&mut self, at: usize) -> Step<usize> {
        match number::token(self.input, at) {
            Ok(token) if token.canonical => Ok(token.end),
            Ok(token) => self.rewrite_number(at, token.end),
            Err((kind, offset)) => self.broken_number(at, kind, offset),
        }
    }

    fn rewrite_number(&mut self, at: usize, end: usize) -> Step<usize> {
        self.copy_up_to(at);
        let token = self.input.get(at..end).unwrap_or_default();
        if number::write(token, self.out).is_err() {
            return fault(CanonErrorKind::NumberTooLarge, at);
        }
        self.from = end;
        Ok(end)
    }

    #[cold]
    fn broken_number(&mut self, at: usize, kind: CanonErrorKind, offset: usize) -> Step<usize> {
        if byte(self.input, at + 1) == b'I' {
            self.other_value(at)
        } else {
            fault(kind, offset)
        }
    }

    #[inline(always)]
    fn literal(&mut self, at: usize, literal: &'static str) -> Step<usize> {
        let rest = self.input.get(at..).unwrap_or_default();
        if rest.starts_with(literal.as_bytes()) {
            Ok(at + literal.len())
        } else {
            self.misspelled(at, literal)
        }
    }

    #[cold]
    fn misspelled(&mut self, at: usize, literal: &'static str) -> Step<usize> {
        if literal
            .as_bytes()
            .starts_with(self.input.get(at..).unwrap_or_default())
        {
            return fault(CanonErrorKind::UnexpectedEnd, self.input.len());
        }
        self.unexpected(at, "a value")
    }

    /// What JSON does not have as a value: `NaN` and the infinities, or an error.
    #[cold]
    fn other_value(&mut self, at: usize) -> Step<usize> {
        let rest = self.input.get(at..).unwrap_or_default();
        for (literal, tag) in TAGS {
            if !rest.starts_with(literal.as_bytes()) {
                continue;
            }
            if self.nan == NanMode::Reject {
                return fault(CanonErrorKind::NonFinite(literal), at);
            }
            self.copy_up_to(at);
            self.out.extend_from_slice(tag.as_bytes());
            self.from = at + literal.len();
            self.tagged = true;
            return Ok(self.from);
        }
        match rest.first() {
            Some(b'-' | b'+' | b'.') => fault(CanonErrorKind::BadNumber, at),
            _ => self.unexpected(at, "a value"),
        }
    }

    #[cold]
    fn unexpected<T>(&self, at: usize, expected: &'static str) -> Step<T> {
        let rest =
            std::str::from_utf8(self.input.get(at..).unwrap_or_default()).unwrap_or_default();
        match rest.chars().next() {
            Some(found) => fault(CanonErrorKind::UnexpectedCharacter { found, expected }, at),
            None => fault(CanonErrorKind::UnexpectedEnd, self.input.len()),
        }
    }
}

#[cold]
fn repeated<T>(input: &[u8], member: &Member) -> Step<T> {
    let name = string::chars(member.raw_name(input)).collect();
    fault(CanonErrorKind::DuplicateName(name), member.offset())
}

#[cfg(test)]
mod tests;
