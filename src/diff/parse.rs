//! Canonical bytes to a tree: strict, and without recursion.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use memchr::memchr2;

use super::value::{Kind, MAX_DEPTH, NotCanonical, Value, compare_names};

/// A container whose end has not been read yet.
enum Open<'a> {
    Array {
        start: usize,
        items: Vec<Value<'a>>,
    },
    Object {
        start: usize,
        members: Vec<(Cow<'a, str>, Value<'a>)>,
        name: Cow<'a, str>,
    },
}

pub(super) struct Parser<'a, 'k> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) key: &'k RandomState,
}

impl<'a> Parser<'a, '_> {
    pub(super) fn document(mut self) -> Result<Value<'a>, NotCanonical> {
        let mut open: Vec<Open<'a>> = Vec::new();
        loop {
            let Some(mut value) = self.begin(&mut open)? else {
                continue;
            };
            // A finished value goes into the container around it, which may be finished by it.
            loop {
                match open.last_mut() {
                    None if self.at == self.text.len() => return Ok(value),
                    None => return Err(self.error("text after the document")),
                    Some(Open::Array { items, .. }) => {
                        items.push(value);
                        match self.peek() {
                            Some(b',') => {
                                self.at += 1;
                                break;
                            }
                            Some(b']') => self.at += 1,
                            _ => return Err(self.error("expected `,` or `]`")),
                        }
                    }
                    Some(Open::Object { members, name, .. }) => {
                        members.push((std::mem::take(name), value));
                        match self.peek() {
                            Some(b',') => {
                                self.at += 1;
                                let start = self.at;
                                let next = self.name()?;
                                let last = members.last().map_or("", |(last, _)| last);
                                if compare_names(last, &next) != Ordering::Less {
                                    self.at = start;
                                    return Err(
                                        self.error("member names out of order or duplicate")
                                    );
                                }
                                *name = next;
                                break;
                            }
                            Some(b'}') => self.at += 1,
                            _ => return Err(self.error("expected `,` or `}`")),
                        }
                    }
                }
                match open.pop() {
                    Some(Open::Array { start, items }) => value = self.array(start, items),
                    Some(Open::Object { start, members, .. }) => {
                        value = self.object(start, members);
                    }
                    None => return Err(self.error("unbalanced brackets")),
                }
            }
        }
    }

    /// Reads a whole scalar or empty container; opens a container and gives `None` otherwise.
    fn begin(&mut self, open: &mut Vec<Open<'a>>) -> Result<Option<Value<'a>>, NotCanonical> {
        let start = self.at;
        let Some(first) = self.peek() else {
            return Err(self.error("the document ends too early"));
        };
        if matches!(first, b'[' | b'{') && open.len() >= MAX_DEPTH {
            return Err(self.error("nested deeper than 1024 levels"));
        }
        match first {
            b'[' => {
                self.at += 1;
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(Some(self.array(start, Vec::new())));
                }
                let items = Vec::new();
                open.push(Open::Array { start, items });
                Ok(None)
            }
            b'{' => {
                self.at += 1;
                if self.peek() == Some(b'}') {
                    self.at += 1;
                    return Ok(Some(self.object(start, Vec::new())));
                }
                let name = self.name()?;
                let members = Vec::new();
                open.push(Open::Object {
                    start,
                    members,
                    name,
                });
                Ok(None)
            }
            b'"' => {
                let string = self.string()?;
                Ok(Some(self.scalar(start, Kind::String(string))))
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                let text = &self.text[start..self.at];
                Ok(Some(self.scalar(start, Kind::Number(text))))
            }
            b'n' => self.literal("null", Kind::Null).map(Some),
            b't' => self.literal("true", Kind::Bool(true)).map(Some),
            b'f' => self.literal("false", Kind::Bool(false)).map(Some),
            _ => Err(self.error("expected a value")),
        }
    }

    fn literal(&mut self, word: &str, kind: Kind<'a>) -> Result<Value<'a>, NotCanonical> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(self.scalar(start, kind))
    }

    /// Reads a member name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a member name"));
        }
        let name = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("expected `:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Reads a string; the opening quote is at the current offset.
    fn string(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        let text = self.text;
        let bytes = text.as_bytes();
        self.at += 1;
        let mut from = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let Some(length) = memchr2(b'"', b'\\', &bytes[from..]) else {
                return Err(self.error("a string without an end"));
            };
            let stop = from + length;
            if let Some(control) = bytes[from..stop].iter().position(|&byte| byte < 0x20) {
                self.at = from + control;
                return Err(self.error("a control character in a string"));
            }
            let plain = &text[from..stop];
            if bytes[stop] == b'"' {
                self.at = stop + 1;
                return Ok(match unescaped {
                    None => Cow::Borrowed(plain),
                    Some(mut so_far) => {
                        so_far.push_str(plain);
                        Cow::Owned(so_far)
                    }
                });
            }
            let Some((c, length)) = escape(&bytes[stop + 1..]) else {
                self.at = stop;
                return Err(self.error("an escape that the canonical form does not use"));
            };
            let so_far = unescaped.get_or_insert_default();
            so_far.push_str(plain);
            so_far.push(c);
            from = stop + 1 + length;
        }
    }

    /// Reads a number (RFC 8259, section 6).
    fn number(&mut self) -> Result<(), NotCanonical> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotCanonical> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.error("expected a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn scalar(&self, start: usize, kind: Kind<'a>) -> Value<'a> {
        let text = &self.text[start..self.at];
        let hash = self.key.hash_one(text.as_bytes());
        Value { text, hash, kind }
    }

    // Containers hash the hashes of what they hold, so that each byte is hashed once at any depth.
    fn array(&self, start: usize, mut items: Vec<Value<'a>>) -> Value<'a> {
        items.shrink_to_fit();
        let mut hasher = self.key.build_hasher();
        hasher.write_u8(b'[');
        for item in &items {
            hasher.write_u64(item.hash);
        }
        Value {
            text: &self.text[start..self.at],
            hash: hasher.finish(),
            kind: Kind::Array(items),
        }
    }

    fn object(&self, start: usize, mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Value<'a> {
        members.shrink_to_fit();
        let mut hasher = self.key.build_hasher();
        hasher.write_u8(b'{');
        for (name, value) in &members {
            hasher.write(name.as_bytes());
            hasher.write_u64(value.hash);
        }
        Value {
            text: &self.text[start..self.at],
            hash: hasher.finish(),
            kind: Kind::Object(members),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, reason: &'static str) -> NotCanonical {
        NotCanonical {
            offset: self.at,
            reason,
        }
    }
}

/// The character of an escape, and the length of the escape after its backslash.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let short = |c| Some((c, 1));
    match *rest.first()? {
        b'"' => short('"'),
        b'\\' => short('\\'),
        b'b' => short('\u{8}'),
        b'f' => short('\u{c}'),
        b'n' => short('\n'),
        b'r' => short('\r'),
        b't' => short('\t'),
        b'u' => {
            let digit = |byte: u8| match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            };
            let [b'0', b'0', high @ (b'0' | b'1'), low] = *rest.get(1..5)? else {
                return None;
            };
            let byte = digit(high)? << 4 | digit(low)?;
            // These have a short escape.
            if matches!(byte, 0x08 | 0x09 | 0x0a | 0x0c | 0x0d) {
                return None;
            }
            Some((char::from(byte), 5))
        }
        _ => None,
    }
}
