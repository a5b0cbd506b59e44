//! What is wrong with a document, where, and what to do about it.

use std::fmt::{self, Write as _};

use super::locate::{line_and_column, pointer};

/// Why a document has no canonical form, and where.
///
/// `Display` is one line: `line 3, column 5, at /runs/0: duplicate member name "x"`. The pointer is left out
/// when it is the root's; control characters are escaped, and long names and pointers cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}{}: {kind}", Place(.pointer))]
pub struct CanonError {
    /// What is wrong.
    pub kind: CanonErrorKind,
    /// Where, in bytes from the start of the input.
    pub offset: usize,
    /// Where: the line, from 1. Lines end with LF or CR LF.
    pub line: usize,
    /// Where: the column, from 1, in characters (Unicode scalar values).
    pub column: usize,
    /// Where: the JSON Pointer (RFC 6901) of the value with the error. For an error in the name of a member, a
    /// duplicate one included, it is that of the object. Empty is the root.
    pub pointer: String,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CanonErrorKind {
    /// No value at all: no bytes, or only white space.
    Empty,
    /// The input starts with U+FEFF (RFC 8259, section 8.1).
    ByteOrderMark,
    /// The input is not UTF-8.
    InvalidUtf8,
    /// The input ends inside the document.
    UnexpectedEnd,
    /// A character that cannot stand there.
    UnexpectedCharacter {
        /// The character.
        found: char,
        /// What could stand there, in words.
        expected: &'static str,
    },
    /// An object has two members of this (unescaped) name. The place is that of the second.
    DuplicateName(String),
    /// A `\u` escape is one half of a surrogate pair, without the other.
    LoneSurrogate,
    /// A backslash is followed by something that is no escape.
    BadEscape,
    /// A character below U+0020 stands raw in a string.
    ControlCharacter,
    /// A number is not spelled as JSON wants it (RFC 8259, section 6): `01`, `1.`, `.5`, `+1`.
    BadNumber,
    /// The decimal exponent of a number, in scientific notation, is beyond 10^15 in either direction.
    NumberTooLarge,
    /// `NaN`, `Infinity` or `-Infinity`, and [`NanMode::Reject`](super::NanMode::Reject) holds.
    NonFinite(&'static str),
    /// An object looks like what stands for a `NaN` or an infinity, in a document that holds one too.
    AmbiguousTag,
    /// Something follows the value.
    TrailingText,
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
}

impl CanonError {
    /// What to do next: one sentence for people.
    pub fn remedy(&self) -> &'static str {
        use CanonErrorKind as Kind;
        match &self.kind {
            Kind::Empty => {
                "Check that the file was written completely; the shortest JSON document is one value, such as null."
            }
            Kind::ByteOrderMark => "Save the file as UTF-8 without a byte order mark.",
            Kind::InvalidUtf8 => {
                "Save the file as UTF-8; it may be in another encoding, such as Latin-1 or UTF-16."
            }
            Kind::UnexpectedEnd => {
                "Check that the file was written completely and that every bracket and quote is closed."
            }
            Kind::UnexpectedCharacter { found: '\'', .. } => {
                "Write strings and names in double quotes."
            }
            Kind::UnexpectedCharacter {
                found: '/' | '#', ..
            } => "Remove the comment; JSON has none.",
            Kind::UnexpectedCharacter {
                found: '}' | ']', ..
            } => "Remove the comma before the closing bracket, or add what is missing.",
            Kind::UnexpectedCharacter {
                found: 'T' | 'F' | 'N' | 'u',
                ..
            } => "Write true, false or null; JSON has no other words.",
            Kind::UnexpectedCharacter { .. } => {
                "Correct the text at this place so that it is JSON (RFC 8259)."
            }
            Kind::DuplicateName(_) => {
                "Rename or remove one of the two members; which one counts would depend on the reader."
            }
            Kind::LoneSurrogate => "Write the whole surrogate pair, or the character itself.",
            Kind::BadEscape => {
                r#"Use one of \" \\ \/ \b \f \n \r \t \uXXXX, or double the backslash if one is meant."#
            }
            Kind::ControlCharacter => {
                r"Write the character as an escape, such as \n for a line end or \t for a tab."
            }
            Kind::BadNumber => {
                "Write the number as JSON does: no plus sign, no leading zero, and digits on both sides of the point."
            }
            Kind::NumberTooLarge => "Correct the exponent, or store the number as a string.",
            Kind::NonFinite(_) => {
                "Save with `--nan tag` to keep NaN and infinities, or replace the value, by null for example."
            }
            Kind::AmbiguousTag => {
                "Rename the member \"$number\" of this object, or replace the NaN or Infinity elsewhere in the document."
            }
            Kind::TrailingText => {
                "Keep one value per file; a file of one document a line has to be split."
            }
            Kind::TooDeep => {
                "Flatten the document; more than 1024 levels of nesting are not accepted."
            }
        }
    }
}

impl fmt::Display for CanonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no JSON value, the input is empty"),
            Self::ByteOrderMark => f.write_str("the input starts with a byte order mark"),
            Self::InvalidUtf8 => f.write_str("invalid UTF-8"),
            Self::UnexpectedEnd => f.write_str("the input ends inside the document"),
            Self::UnexpectedCharacter { found, expected } => {
                write!(f, "expected {expected}, found \"")?;
                write_visible(f, *found)?;
                f.write_char('"')
            }
            Self::DuplicateName(name) => {
                f.write_str("duplicate member name \"")?;
                write_cut(f, name, 60, 0)?;
                f.write_char('"')
            }
            Self::LoneSurrogate => f.write_str("lone surrogate in a string"),
            Self::BadEscape => f.write_str("unknown escape in a string"),
            Self::ControlCharacter => f.write_str("raw control character in a string"),
            Self::BadNumber => f.write_str("malformed number"),
            Self::NumberTooLarge => f.write_str("the exponent of the number is out of range"),
            Self::NonFinite(literal) => write!(f, "{literal} is not JSON"),
            Self::AmbiguousTag => {
                f.write_str("this object cannot be told from a tagged NaN or Infinity, and the document holds one")
            }
            Self::TrailingText => f.write_str("text after the end of the document"),
            Self::TooDeep => write!(f, "nested deeper than {} levels", super::MAX_DEPTH),
        }
    }
}

/// `, at POINTER`, or nothing for the root.
struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str(", at ")?;
        write_cut(f, self.0, 60, 60)
    }
}

/// Writes at most the first `head` and the last `tail` characters of `text`, with `…` for what is left out.
fn write_cut(f: &mut fmt::Formatter<'_>, text: &str, head: usize, tail: usize) -> fmt::Result {
    let count = text.chars().count();
    for (index, c) in text.chars().enumerate() {
        if count <= head + tail || index < head || index >= count - tail {
            write_visible(f, c)?;
        } else if index == head {
            f.write_char('…')?;
        }
    }
    Ok(())
}

/// Writes `c`, or its escape if it would break the line, be invisible, or turn the direction of the text.
fn write_visible(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {
            write!(f, "{}", c.escape_unicode())
        }
        c if c.is_control() => write!(f, "{}", c.escape_default()),
        c => f.write_char(c),
    }
}

/// An error as the pass reports it; line, column and pointer are computed only when it is handed out.
pub(super) struct Fault {
    pub(super) kind: CanonErrorKind,
    pub(super) offset: usize,
}

impl Fault {
    pub(super) fn locate(self, input: &[u8]) -> CanonError {
        let (line, column) = line_and_column(input, self.offset);
        let pointer = match self.kind {
            CanonErrorKind::TrailingText => String::new(),
            _ => pointer(input, self.offset),
        };
        CanonError {
            kind: self.kind,
            offset: self.offset,
            line,
            column,
            pointer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon::{MAX_DEPTH, NanMode, canonicalize, canonicalize_with};
    use CanonErrorKind as Kind;

    fn error(input: &[u8]) -> CanonError {
        canonicalize(input).expect_err(&String::from_utf8_lossy(input))
    }

    fn unexpected(found: char, expected: &'static str) -> Kind {
        Kind::UnexpectedCharacter { found, expected }
    }

    /// Input, kind, line, column, pointer.
    #[test]
    fn every_kind_with_its_place() {
        let name = "a member name in double quotes";
        let cases: Vec<(&[u8], Kind, usize, usize, &str)> = vec![
            (b"", Kind::Empty, 1, 1, ""),
            (b" \r\n\t ", Kind::Empty, 2, 3, ""),
            (b"\xef\xbb\xbf1", Kind::ByteOrderMark, 1, 1, ""),
            (
                b"{\"a\":\n [1,\"\xc3\xa9\xff\"]}",
                Kind::InvalidUtf8,
                2,
                7,
                "/a/1",
            ),
            (b"{\"a\":[1,", Kind::UnexpectedEnd, 1, 9, "/a/1"),
            (b"[\"ab", Kind::UnexpectedEnd, 1, 5, "/0"),
            (b"[\"ab\\", Kind::UnexpectedEnd, 1, 6, "/0"),
            (b"[\"ab\\u12", Kind::UnexpectedEnd, 1, 9, "/0"),
            (b"[0,tru", Kind::UnexpectedEnd, 1, 7, "/1"),
            (b"{", Kind::UnexpectedEnd, 1, 2, ""),
            (b"{\"a\"", Kind::UnexpectedEnd, 1, 5, "/a"),
            (b"-", Kind::UnexpectedEnd, 1, 2, ""),
            (b"[1,]", unexpected(']', "a value"), 1, 4, "/1"),
            (b"[1 2]", unexpected('2', r#""," or "]""#), 1, 4, "/0"),
            (
                b"{\"a\":1 \"b\":2}",
                unexpected('"', r#""," or "}""#),
                1,
                8,
                "/a",
            ),
            (b"{\"a\":1,}", unexpected('}', name), 1, 8, ""),
            (
                b"{\"x\":{,}}",
                unexpected(',', r#"a member name in double quotes, or "}""#),
                1,
                7,
                "/x",
            ),
            (
                b"{\"x\":{a:1}}",
                unexpected('a', r#"a member name in double quotes, or "}""#),
                1,
                7,
                "/x",
            ),
            (b"{\"a\" 1}", unexpected('1', r#"":""#), 1, 6, "/a"),
            (b"{\"a\":tru3}", unexpected('t', "a value"), 1, 6, "/a"),
            (b"[}", unexpected('}', "a value"), 1, 2, "/0"),
            (b"[1}", unexpected('}', r#""," or "]""#), 1, 3, "/0"),
            (b"[\0]", unexpected('\0', "a value"), 1, 2, "/0"),
            (
                "[\"é😀\", é]".as_bytes(),
                unexpected('é', "a value"),
                1,
                8,
                "/1",
            ),
            (b"nan", unexpected('n', "a value"), 1, 1, ""),
            (
                br#"{"r":[{},{"n":{"x":1,"y":2,"x":3}}]}"#,
                Kind::DuplicateName("x".into()),
                1,
                28,
                "/r/1/n",
            ),
            (
                br#"{"x":1, "\u0078":3}"#,
                Kind::DuplicateName("x".into()),
                1,
                9,
                "",
            ),
            (
                br#"{"c":0,"b":1,"a":2,"\u0062":3,"a":4}"#,
                Kind::DuplicateName("b".into()),
                1,
                20,
                "",
            ),
            (br#"{"":0,"":1}"#, Kind::DuplicateName("".into()), 1, 7, ""),
            (br#"["\uD800"]"#, Kind::LoneSurrogate, 1, 3, "/0"),
            (br#"["a\uDC00\uD800"]"#, Kind::LoneSurrogate, 1, 4, "/0"),
            (br#"["\uDC00\uD8"]"#, Kind::LoneSurrogate, 1, 3, "/0"),
            (
                br#"["\uD83D\uD83D\uDE00"]"#,
                Kind::LoneSurrogate,
                1,
                3,
                "/0",
            ),
            (br#"{"\uD83Dx":1}"#, Kind::LoneSurrogate, 1, 3, ""),
            (br#"["\x"]"#, Kind::BadEscape, 1, 3, "/0"),
            (br#"["\u00g0"]"#, Kind::BadEscape, 1, 3, "/0"),
            (br#"["\uD83D\u00"]"#, Kind::BadEscape, 1, 9, "/0"),
            (
                b"{\"a\": {\"b/~c\": \"\n\"}}",
                Kind::ControlCharacter,
                1,
                17,
                "/a/b~1~0c",
            ),
            (b"[\n01]", Kind::BadNumber, 2, 1, "/0"),
            (b"[+1]", Kind::BadNumber, 1, 2, "/0"),
            (b"[.5]", Kind::BadNumber, 1, 2, "/0"),
            (b"[-Inf]", Kind::BadNumber, 1, 2, "/0"),
            (b"[1.]", Kind::BadNumber, 1, 4, "/0"),
            (b"[1e1000000000000001]", Kind::NumberTooLarge, 1, 2, "/0"),
            (b"[0, NaN]", Kind::NonFinite("NaN"), 1, 5, "/1"),
            (b"Infinity", Kind::NonFinite("Infinity"), 1, 1, ""),
            (
                b"{\"a\":-Infinity}",
                Kind::NonFinite("-Infinity"),
                1,
                6,
                "/a",
            ),
            (b"1 2", Kind::TrailingText, 1, 3, ""),
            (b"{\"a\":1}}", Kind::TrailingText, 1, 8, ""),
            (b"{\"a\":1},", Kind::TrailingText, 1, 8, ""),
            (b"[]]", Kind::TrailingText, 1, 3, ""),
        ];
        for (input, kind, line, column, pointer) in cases {
            let text = String::from_utf8_lossy(input);
            let error = error(input);
            assert_eq!(error.kind, kind, "{text}");
            assert_eq!(
                (error.line, error.column, error.pointer.as_str()),
                (line, column, pointer),
                "{text}"
            );
            assert!(error.offset <= input.len(), "{text}");
            assert!(
                error.remedy().ends_with('.') && error.remedy().len() > 20,
                "{text}"
            );
        }
    }

    #[test]
    fn tags_that_could_not_be_told_apart() {
        let tag = |input: &str| canonicalize_with(input.as_bytes(), NanMode::Tag);
        for input in [
            r#"[NaN, {"b": [ {"$number" : "NaN"}]}]"#,
            r#"[{"a":{"\u0024number":"-Infinity"}},Infinity]"#,
        ] {
            let error = tag(input).unwrap_err();
            assert_eq!(error.kind, Kind::AmbiguousTag, "{input}");
            assert_eq!(input.as_bytes()[error.offset], b'{', "{input}");
            assert!(
                ["/1/b/0", "/0/a"].contains(&error.pointer.as_str()),
                "{error}"
            );
        }
        // Without a literal they are objects like any other, and so are those of another content.
        for (input, tagged, expected) in [
            (r#"[{"$number":"NaN"}]"#, false, r#"[{"$number":"NaN"}]"#),
            (
                r#"[{"$number":"nan"},NaN]"#,
                true,
                r#"[{"$number":"nan"},{"$number":"NaN"}]"#,
            ),
            (
                r#"[{"$number":"NaN","a":1},NaN]"#,
                true,
                r#"[{"$number":"NaN","a":1},{"$number":"NaN"}]"#,
            ),
            (
                r#"[{"$number":NaN}]"#,
                true,
                r#"[{"$number":{"$number":"NaN"}}]"#,
            ),
            (
                r#"{"b":-Infinity,"a":[Infinity]}"#,
                true,
                r#"{"a":[{"$number":"Infinity"}],"b":{"$number":"-Infinity"}}"#,
            ),
        ] {
            let (canonical, outcome) = tag(input).unwrap();
            assert_eq!(String::from_utf8(canonical).unwrap(), expected);
            assert_eq!(outcome.tagged, tagged, "{input}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |open: &str, inner: &str, close: &str, depth| {
            [open.repeat(depth), inner.into(), close.repeat(depth)].concat()
        };
        for (open, inner, close) in [
            ("[", "", "]"),
            ("{\"a\":", "0", "}"),
            ("{\"b\":0,\"a\":", "0", "}"),
        ] {
            let deepest = nested(open, inner, close, MAX_DEPTH);
            assert!(canonicalize(deepest.as_bytes()).is_ok());
            let too_deep = error(nested(open, inner, close, MAX_DEPTH + 1).as_bytes());
            assert_eq!(
                (too_deep.kind, too_deep.offset),
                (Kind::TooDeep, open.len() * MAX_DEPTH)
            );
        }
        let hostile = error("[".repeat(1_000_000).as_bytes());
        assert_eq!((&hostile.kind, hostile.offset), (&Kind::TooDeep, MAX_DEPTH));
        assert_eq!(hostile.pointer, "/0".repeat(MAX_DEPTH));
        assert!(hostile.to_string().len() < 250, "{hostile}");
        assert!(hostile.remedy().contains(&MAX_DEPTH.to_string()));
    }

    #[test]
    fn display_is_one_readable_line() {
        let input = "{\"runs\":[\n{\"name\":{\"x\":1,\n  \"x\":2}}]}";
        assert_eq!(
            error(input.as_bytes()).to_string(),
            r#"line 3, column 3, at /runs/0/name: duplicate member name "x""#
        );
        assert_eq!(
            error(b"[").to_string(),
            "line 1, column 2, at /0: the input ends inside the document"
        );
        assert_eq!(
            error(b"x").to_string(),
            r#"line 1, column 1: expected a value, found "x""#
        );
        assert_eq!(
            error(b"NaN").to_string(),
            "line 1, column 1: NaN is not JSON"
        );
        assert!(error(b"NaN").remedy().contains("--nan tag"));
        let hostile = r#"{"a\n\u001b[2J\u202e":1,"a\n\u001b[2J\u202e":2}"#;
        assert_eq!(
            error(hostile.as_bytes()).to_string(),
            r#"line 1, column 25: duplicate member name "a\n\u{1b}[2J\u{202e}""#
        );
        let long = "é".repeat(5000);
        let line =
            error(format!("{{\"{long}\":{{\"{long}\":1,\"{long}\":2}}}}").as_bytes()).to_string();
        assert!(line.chars().count() < 260 && line.contains('…'), "{line}");
    }
}
