//! `path@rev`: how a person names one version of a document. Parses; resolves nothing.

use std::fmt;

use chrono::NaiveDate;

use crate::time::{TimeError, format_utc, parse_day, parse_time};

/// Longest tag name, in bytes of UTF-8.
pub const MAX_TAG_BYTES: usize = 255;
/// Digits of a whole object id: 256 bits in hex.
const ID_DIGITS: usize = 64;

/// Which version of a path: what stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spec {
    /// `latest`, or nothing: the newest version.
    Latest,
    /// `3`: the version with this number, from 1.
    Number(u64),
    /// `-1` or `~1`: so many before the newest, from 1.
    Back(u64),
    /// `b3:9f2c…`: the version whose object id begins with these 1 to 64 lower-case hex digits.
    ObjectPrefix(String),
    /// `2026-11-01`: the newest version at the end of that day in UTC.
    Day(NaiveDate),
    /// A full RFC 3339 time: the newest version then, in microseconds since the Unix epoch.
    Time(i64),
    /// Any other name: the version that carries this tag.
    Tag(String),
}

/// A path and which version of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// As written in front of the `@`; empty where the text begins with it, which stands for the
    /// path named before. Not checked.
    pub path: String,
    /// Which version.
    pub spec: Spec,
}

/// Why a text names no version, or cannot be a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// Nothing behind the `@`.
    #[error("no version is named behind the `@`; {FORMS}")]
    Empty,
    /// Version 0.
    #[error(
        "there is no version 0: versions count from 1; write @1 for the first, @latest for the newest"
    )]
    Zero,
    /// A number over the range of `u64`.
    #[error("{text} is too large for a version number; `backstory log PATH` lists the versions")]
    TooLarge {
        /// The digits, cut to at most 64 characters.
        text: String,
    },
    /// `-` or `~` without a number behind it.
    #[error("{text:?} is not a number of versions back; write @-1 for the one before the newest")]
    Back {
        /// The text, cut to at most 64 characters.
        text: String,
    },
    /// `b3:` without 1 to 64 hex digits behind it.
    #[error("{text:?} is not an object id; write b3: and 1 to 64 hex digits, such as @b3:9f2c")]
    ObjectId {
        /// The text, cut to at most 80 characters.
        text: String,
    },
    /// The text looks like a date or time and is not one.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The text cannot be the name of a tag, so it names no version either.
    #[error("{text:?} names no version: {reason}; {FORMS}")]
    NotATag {
        /// The text, cut to at most 64 characters.
        text: String,
        /// What a tag name cannot have.
        reason: &'static str,
    },
    /// The name of a tag would be taken for another form of version.
    #[error(
        "{text:?} cannot be a tag, because it is read as {reason}; put a word in front, such as v-{text}"
    )]
    Taken {
        /// The name.
        text: String,
        /// What it is read as.
        reason: &'static str,
    },
    /// A tag cannot have this name.
    #[error("{text:?} cannot be a tag: {reason}; choose a name such as v1.0")]
    TagName {
        /// The name, cut to at most 64 characters.
        text: String,
        /// What a tag name cannot have.
        reason: &'static str,
    },
}

const FORMS: &str = "write @3, @-1, @latest, @TAG, @b3:9f2c, @2026-11-01 or @2026-11-01T12:00:00Z";

impl Spec {
    /// Reads what stands behind the `@`; one `@` in front is left out.
    ///
    /// What has the form of a number, an id, a date or a time is never a tag, so that a mistyped
    /// date is an error and not a tag that nobody set.
    ///
    /// # Errors
    /// Where the text has none of the forms. Each message says what to write.
    pub fn parse(text: &str) -> Result<Spec, RevisionError> {
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.is_empty() {
            return Err(RevisionError::Empty);
        }
        if text == "latest" {
            return Ok(Spec::Latest);
        }
        if is_digits(text) {
            return match number(text)? {
                0 => Err(RevisionError::Zero),
                number => Ok(Spec::Number(number)),
            };
        }
        if let Some(back) = text.strip_prefix(['-', '~']) {
            if !is_digits(back) {
                return Err(RevisionError::Back {
                    text: shown(text, 64),
                });
            }
            return Ok(match number(back)? {
                0 => Spec::Latest,
                back => Spec::Back(back),
            });
        }
        if let Some(hex) = text.strip_prefix("b3:") {
            let valid = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !valid || hex.is_empty() || hex.len() > ID_DIGITS {
                return Err(RevisionError::ObjectId {
                    text: shown(text, 80),
                });
            }
            return Ok(Spec::ObjectPrefix(hex.to_ascii_lowercase()));
        }
        match calendar_form(text) {
            Some(Calendar::Day) => return Ok(Spec::Day(parse_day(text)?)),
            Some(Calendar::Time) => return Ok(Spec::Time(parse_time(text)?)),
            None => {}
        }
        if let Some(reason) = tag_problem(text) {
            let text = shown(text, 64);
            return Err(RevisionError::NotATag { text, reason });
        }
        Ok(Spec::Tag(text.to_owned()))
    }
}

impl fmt::Display for Spec {
    /// The text that [`Spec::parse`] reads back, without the `@`: `-1` for `~1`, times in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Latest => f.write_str("latest"),
            Spec::Number(number) => write!(f, "{number}"),
            Spec::Back(back) => write!(f, "-{back}"),
            Spec::ObjectPrefix(hex) => write!(f, "b3:{hex}"),
            Spec::Day(day) => write!(f, "{}", day.format("%Y-%m-%d")),
            Spec::Time(time) => f.write_str(&format_utc(*time)),
            Spec::Tag(name) => f.write_str(name),
        }
    }
}

/// Splits at the last `@`: the path, and the text behind the `@` if there is one.
///
/// `@5` has an empty path. A path may itself hold an `@`: a caller that knows a path of the whole
/// text takes that first.
pub fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('@') {
        Some((path, spec)) => (path, Some(spec)),
        None => (text, None),
    }
}

impl Revision {
    /// Reads `path@spec`; without an `@`, the newest version of the path.
    ///
    /// # Errors
    /// As [`Spec::parse`] does. The path is not checked.
    pub fn parse(text: &str) -> Result<Revision, RevisionError> {
        let (path, spec) = split(text);
        Ok(Revision {
            path: path.to_owned(),
            spec: spec.map_or(Ok(Spec::Latest), Spec::parse)?,
        })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.path, self.spec)
    }
}

/// Whether a text can be the name of a tag: whatever [`Spec::parse`] reads as one.
///
/// 1 to [`MAX_TAG_BYTES`] bytes without white space, `@`, control characters and bidirectional
/// controls, and without a `/` at either end; not digits, not of the form of a date or time, not
/// `latest`, and not beginning with `-`, `~` or `b3:`.
///
/// # Errors
/// The first problem, with what to do.
pub fn check_tag_name(name: &str) -> Result<(), RevisionError> {
    if let Some(reason) = tag_problem(name) {
        let text = shown(name, 64);
        return Err(RevisionError::TagName { text, reason });
    }
    let reason = match name.as_bytes() {
        b"latest" => "the newest version",
        [b'-' | b'~', ..] => "a number of versions back",
        [b'b', b'3', b':', ..] => "an object id",
        _ if is_digits(name) => "a version number",
        _ if calendar_form(name).is_some() => "a date",
        _ => return Ok(()),
    };
    let text = name.to_owned();
    Err(RevisionError::Taken { text, reason })
}

/// What no tag name has, whatever else it could be read as.
fn tag_problem(name: &str) -> Option<&'static str> {
    let bidirectional = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.is_empty() {
        Some("the name is empty")
    } else if name.len() > MAX_TAG_BYTES {
        Some("a tag name has at most 255 bytes")
    } else if name.contains(|c: char| c.is_control() || bidirectional(c)) {
        Some("a tag name has no control characters")
    } else if name.contains(char::is_whitespace) {
        Some("a tag name has no white space")
    } else if name.contains('@') {
        Some("a tag name has no `@`")
    } else if name.starts_with('/') || name.ends_with('/') {
        Some("a tag name does not begin or end with `/`")
    } else {
        None
    }
}

enum Calendar {
    Day,
    Time,
}

/// Whether a text is meant as a date or a time, right or wrong: digits with `-` between them, or
/// what begins as a full date and goes on with a `T` or a space and a digit.
fn calendar_form(text: &str) -> Option<Calendar> {
    let bytes = text.as_bytes();
    let dashes = bytes.iter().filter(|&&byte| byte == b'-').count();
    let numeric = bytes
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if numeric && bytes[0].is_ascii_digit() && (1..=2).contains(&dashes) {
        return Some(Calendar::Day);
    }
    let shape = |byte: &u8| if byte.is_ascii_digit() { b'0' } else { *byte };
    let start: Vec<u8> = bytes.iter().take(12).map(shape).collect();
    matches!(
        start.as_slice(),
        b"0000-00-00T0" | b"0000-00-00t0" | b"0000-00-00 0"
    )
    .then_some(Calendar::Time)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(digits: &str) -> Result<u64, RevisionError> {
    digits.parse().map_err(|_| RevisionError::TooLarge {
        text: shown(digits, 64),
    })
}

fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> Spec {
        Spec::Day(NaiveDate::from_ymd_opt(year, month, day).unwrap())
    }

    #[test]
    fn every_form_and_its_text() {
        for (text, spec, back) in [
            ("latest", Spec::Latest, "latest"),
            ("3", Spec::Number(3), "3"),
            ("@3", Spec::Number(3), "3"),
            ("003", Spec::Number(3), "3"),
            (
                "18446744073709551615",
                Spec::Number(u64::MAX),
                "18446744073709551615",
            ),
            ("-1", Spec::Back(1), "-1"),
            ("~12", Spec::Back(12), "-12"),
            ("-0", Spec::Latest, "latest"),
            ("b3:9F2c", Spec::ObjectPrefix("9f2c".into()), "b3:9f2c"),
            ("2026-11-01", day(2026, 11, 1), "2026-11-01"),
            ("0001-01-01", day(1, 1, 1), "0001-01-01"),
            (
                "1970-01-01T01:00:00.5+01:00",
                Spec::Time(500_000),
                "1970-01-01T00:00:00.500Z",
            ),
            ("v1.0", Spec::Tag("v1.0".into()), "v1.0"),
            (
                "release/über",
                Spec::Tag("release/über".into()),
                "release/über",
            ),
            (
                "2026-11-01-beta",
                Spec::Tag("2026-11-01-beta".into()),
                "2026-11-01-beta",
            ),
            ("Latest", Spec::Tag("Latest".into()), "Latest"),
            ("b3", Spec::Tag("b3".into()), "b3"),
        ] {
            assert_eq!(Spec::parse(text), Ok(spec.clone()), "{text}");
            assert_eq!(spec.to_string(), back);
            assert_eq!(Spec::parse(back), Ok(spec), "{back}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, part) in [
            ("", "write @3, @-1, @latest"),
            ("@", "write @3"),
            ("0", "versions count from 1"),
            ("00", "versions count from 1"),
            ("18446744073709551616", "too large"),
            ("-18446744073709551616", "too large"),
            ("-", "write @-1"),
            ("~x", "write @-1"),
            ("--1", "write @-1"),
            ("b3:", "1 to 64 hex digits"),
            ("b3:xyz", "1 to 64 hex digits"),
            (&format!("b3:{}", "0".repeat(65)), "1 to 64 hex digits"),
            ("2026-13-01", "no such day"),
            ("2026-11", "is not a time"),
            ("2026-1-1", "is not a time"),
            ("2026-11-01T12:00:00", "add Z"),
            ("2026-11-01T25:00:00Z", "no such time of day"),
            ("a b", "white space"),
            ("a\u{1b}[2J", "control characters"),
            ("/a", "begin or end with `/`"),
            ("@@3", "no `@`"),
        ] {
            let error = Spec::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
    }

    #[test]
    fn the_last_at_sign_divides() {
        for (text, expected) in [
            ("x.json", ("x.json", None)),
            ("x.json@3", ("x.json", Some("3"))),
            ("a@b/c.json@-1", ("a@b/c.json", Some("-1"))),
            ("@5", ("", Some("5"))),
            ("x@", ("x", Some(""))),
            ("", ("", None)),
        ] {
            assert_eq!(split(text), expected);
        }
        let revision = Revision::parse("a@b/c.json@~1").unwrap();
        assert_eq!(revision.path, "a@b/c.json");
        assert_eq!(revision.spec, Spec::Back(1));
        assert_eq!(revision.to_string(), "a@b/c.json@-1");
        assert_eq!(Revision::parse("x.json").unwrap().spec, Spec::Latest);
        assert_eq!(Revision::parse("@5").unwrap().path, "");
        assert_eq!(Revision::parse("x@"), Err(RevisionError::Empty));
    }

    #[test]
    fn tag_names() {
        for name in ["v1", "release/1.0", "2026", "x@y"] {
            let tag = Spec::parse(name) == Ok(Spec::Tag(name.into()));
            assert_eq!(check_tag_name(name).is_ok(), tag, "{name}");
        }
        let longest = "t".repeat(255);
        assert_eq!(check_tag_name(&longest), Ok(()));
        for name in [
            "",
            "7",
            "2026-11-01",
            "2026-99-99",
            "2026-11-01T00:00:00Z",
            "latest",
            "-x",
            "~x",
            "b3:x",
            "@x",
            "x@1",
            "a b",
            "a\tb",
            "/a",
            "a/",
            "a\u{202e}b",
            &"t".repeat(256),
        ] {
            let error = check_tag_name(name).unwrap_err().to_string();
            assert!(error.contains("cannot be a tag"), "{error}");
            assert!(error.contains("; "), "{error}");
        }
    }
}
