//! A tree over canonical bytes that knows, for each value, the bytes it came from.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::RandomState;

use super::parse::Parser;

/// Most containers that may be open at once, the limit of the canonical form.
pub const MAX_DEPTH: usize = 1024;

/// One JSON value, borrowed from the canonical bytes it was read from.
///
/// Two values are equal when their canonical bytes are. A keyed hash of them, taken while parsing,
/// makes the answer cheap where they are not.
#[derive(Debug)]
pub struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) hash: u64,
    pub(super) kind: Kind<'a>,
}

/// What a [`Value`] is, and what it holds.
#[derive(Debug)]
pub enum Kind<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is spelled: any number of digits, any exponent.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object: names unescaped, in canonical order, each once.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// The bytes are not a JSON document in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotCanonical {
    /// Where the first problem is: byte offset from 0.
    pub offset: usize,
    pub(super) reason: &'static str,
}

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not canonical JSON at byte {}: {}; canonicalize the document first",
            self.offset, self.reason
        )
    }
}

impl std::error::Error for NotCanonical {}

impl<'a> Value<'a> {
    /// Reads one document.
    ///
    /// Checked: UTF-8, the grammar of RFC 8259, no white space, the string escapes of RFC 8785, the
    /// order and uniqueness of member names, nesting up to [`MAX_DEPTH`]. Not checked: that a
    /// number has its shortest spelling. Does not recurse; memory is at most about 60 times the
    /// length of the bytes, for arrays of one-digit numbers.
    ///
    /// # Errors
    /// [`NotCanonical`] with the byte offset of the first problem.
    pub fn parse(canonical: &'a [u8]) -> Result<Value<'a>, NotCanonical> {
        Value::parse_keyed(canonical, &RandomState::new())
    }

    /// Reads one document with a hash key that other documents share, so that their values can be
    /// compared by hash.
    pub(super) fn parse_keyed(
        canonical: &'a [u8],
        key: &RandomState,
    ) -> Result<Value<'a>, NotCanonical> {
        let text = std::str::from_utf8(canonical).map_err(|error| NotCanonical {
            offset: error.valid_up_to(),
            reason: "invalid UTF-8",
        })?;
        Parser { text, at: 0, key }.document()
    }

    /// What the value is.
    pub fn kind(&self) -> &Kind<'a> {
        &self.kind
    }

    /// The canonical bytes of the value.
    pub fn raw(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The canonical text of the value.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Hash of the canonical bytes; comparable only between values parsed with one key.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Byte equality, decided by the hash where it differs. Only for values parsed with one key.
    pub(super) fn same(&self, other: &Value<'_>) -> bool {
        self.hash == other.hash && self.text == other.text
    }

    /// Whether the value is an array or an object.
    pub fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Array(_) | Kind::Object(_))
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Value<'_>) -> bool {
        self.text == other.text
    }
}

impl Eq for Value<'_> {}

/// The order of member names: by UTF-16 code units (RFC 8785, section 3.2.3).
///
/// That is the order of the UTF-8 bytes, except that characters outside the Basic Multilingual
/// Plane (first byte F0 and up) stand before U+E000 to U+FFFF (first byte EE and EF).
pub(crate) fn compare_names(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((0xf0.., 0xee | 0xef)) => Ordering::Less,
        Some((0xee | 0xef, 0xf0..)) => Ordering::Greater,
        Some((x, y)) => x.cmp(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(text: &str) -> usize {
        Value::parse(text.as_bytes()).unwrap_err().offset
    }

    #[test]
    fn every_value_knows_its_bytes() {
        let doc = br#"{"a":[1e+400,"x\n\u001b",{}],"b":{"c":null,"d":false}}"#;
        let value = Value::parse(doc).unwrap();
        assert_eq!(value.raw(), doc);
        let Kind::Object(members) = value.kind() else {
            panic!("an object")
        };
        assert_eq!(members[0].1.text(), r#"[1e+400,"x\n\u001b",{}]"#);
        assert_eq!(members[1].1.text(), r#"{"c":null,"d":false}"#);
        let Kind::Array(items) = members[0].1.kind() else {
            panic!("an array")
        };
        assert!(matches!(items[0].kind(), Kind::Number("1e+400")));
        assert!(matches!(items[1].kind(), Kind::String(text) if text == "x\n\u{1b}"));
        assert!(matches!(items[2].kind(), Kind::Object(members) if members.is_empty()));
    }

    #[test]
    fn names_sort_by_utf16() {
        // The order of RFC 8785, section 3.2.3.
        let names = ["\r", "1", "\u{80}", "ö", "€", "😀", "\u{fb33}"];
        let mut sorted = names;
        sorted.reverse();
        sorted.sort_by(|a, b| compare_names(a, b));
        assert_eq!(sorted, names);
        for a in names {
            for b in names {
                let utf16 = a.encode_utf16().cmp(b.encode_utf16());
                assert_eq!(compare_names(a, b), utf16);
            }
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused_with_its_offset() {
        for (text, expected) in [
            ("", 0),
            (" 1", 0),
            ("1 ", 1),
            ("[1, 2]", 3),
            ("[1,]", 3),
            ("[1", 2),
            ("[1}", 2),
            (r#"{"b":1,"a":2}"#, 7),
            (r#"{"a":1,"a":2}"#, 7),
            (r#"{"a"}"#, 4),
            ("{1:2}", 1),
            (r#""\/""#, 1),
            (r#""\u0041""#, 1),
            (r#""\u000a""#, 1),
            (r#""\u001B""#, 1),
            (r#""\u00"#, 1),
            ("\"a\u{1}\"", 2),
            ("\"a", 1),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("nul", 0),
            ("NaN", 0),
            ("1 1", 1),
        ] {
            assert_eq!(offset(text), expected, "{text}");
        }
        assert_eq!(Value::parse(b"\"\xff\"").unwrap_err().offset, 1);
        assert_eq!(
            Value::parse(b"[1, 2]").unwrap_err().to_string(),
            "not canonical JSON at byte 3: expected a value; canonicalize the document first"
        );
    }

    #[test]
    fn depth_is_bounded_and_safe_on_a_small_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        std::thread::Builder::new()
            .stack_size(512 * 1024)
            .spawn(move || {
                let deepest = nested(MAX_DEPTH);
                drop(Value::parse(deepest.as_bytes()).unwrap());
                assert_eq!(offset(&nested(MAX_DEPTH + 1)), MAX_DEPTH);
                let objects = "{\"a\":".repeat(MAX_DEPTH) + "1" + &"}".repeat(MAX_DEPTH);
                drop(Value::parse(objects.as_bytes()).unwrap());
                assert_eq!(offset(&"[".repeat(10_000_000)), MAX_DEPTH);
            })
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn equal_bytes_have_equal_hashes() {
        let key = RandomState::new();
        let parse = |text: &'static str| Value::parse_keyed(text.as_bytes(), &key).unwrap();
        assert!(parse("[1,[2]]").same(&parse("[1,[2]]")));
        assert!(!parse("[1,[2]]").same(&parse("[[1],2]")));
        assert!(!parse("[]").same(&parse("{}")));
    }
}
