//! JSON Pointer (RFC 6901): the address of one value inside a document.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use memchr::memchr2;

/// The address of one value inside a JSON document (RFC 6901).
///
/// The root is the empty text. Every other pointer is a sequence of reference tokens, each written
/// as `/` and the token, in which `~` is spelled `~0` and `/` is spelled `~1` (RFC 6901, section 3).
/// A pointer is held in that spelling; [`Pointer::tokens`] gives the tokens back unescaped.
///
/// ```
/// use backstory::pointer::Pointer;
///
/// let pointer = Pointer::parse("/a~1b/0").unwrap();
/// assert_eq!(pointer.tokens().collect::<Vec<_>>(), ["a/b", "0"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer {
    text: String,
}

/// Why a text is not a JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointerError {
    /// The text is not empty and does not begin with `/`.
    #[error(
        "a JSON Pointer starts with `/`, and this one starts with {found:?}; write `/name/0` for a member and an element, or nothing for the whole document"
    )]
    NoSlash {
        /// The first character.
        found: char,
    },
    /// The text is the URI fragment form of RFC 6901, section 6.
    #[error("a JSON Pointer in a URI fragment is not accepted here; leave out the `#` in front")]
    Fragment,
    /// A `~` is not followed by `0` or `1`.
    #[error(
        "the `~` at byte {offset} of the JSON Pointer is not followed by `0` or `1`; write `~0` for `~` and `~1` for a `/` inside a name"
    )]
    Escape {
        /// Byte offset of the `~` in the text, from 0.
        offset: usize,
    },
}

impl PointerError {
    /// Byte offset of the problem in the text, from 0.
    pub fn offset(&self) -> usize {
        match self {
            PointerError::NoSlash { .. } | PointerError::Fragment => 0,
            PointerError::Escape { offset } => *offset,
        }
    }
}

impl Pointer {
    /// The pointer to the whole document.
    pub fn root() -> Pointer {
        Pointer::default()
    }

    /// Reads a pointer in the string form of RFC 6901, section 3.
    ///
    /// # Errors
    /// When a text that is not empty lacks the `/` in front, or holds a `~` that is not part of
    /// `~0` or `~1`.
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        match text.chars().next() {
            None | Some('/') => {}
            Some('#') => return Err(PointerError::Fragment),
            Some(found) => return Err(PointerError::NoSlash { found }),
        }
        let bytes = text.as_bytes();
        for offset in memchr::memchr_iter(b'~', bytes) {
            if !matches!(bytes.get(offset + 1), Some(b'0' | b'1')) {
                return Err(PointerError::Escape { offset });
            }
        }
        Ok(Pointer {
            text: text.to_owned(),
        })
    }

    /// Takes text that is known to be a pointer: built by [`push_token`] alone.
    pub(crate) fn from_escaped(text: &str) -> Pointer {
        Pointer {
            text: text.to_owned(),
        }
    }

    /// The pointer as written, escapes included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is the whole document.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// Goes down to the member or element `token`, given unescaped.
    pub fn push(&mut self, token: &str) {
        push_token(&mut self.text, token);
    }

    /// Goes up one level and gives the token left behind, unescaped; `None` at the root.
    pub fn pop(&mut self) -> Option<String> {
        let at = self.text.rfind('/')?;
        let token = unescape(&self.text[at + 1..]).into_owned();
        self.text.truncate(at);
        Some(token)
    }

    /// The pointer one level below this one, at `token`, given unescaped.
    #[must_use]
    pub fn join(&self, token: &str) -> Pointer {
        let mut below = self.clone();
        below.push(token);
        below
    }

    /// The reference tokens from the root down, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        // The text before the first `/` is always empty and is no token.
        self.text.split('/').skip(1).map(unescape)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Pointer, PointerError> {
        Pointer::parse(text)
    }
}

/// Appends `/` and the escaped token to the text of a pointer.
pub(crate) fn push_token(text: &mut String, token: &str) {
    text.push('/');
    let mut rest = token;
    while let Some(at) = memchr2(b'~', b'/', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        text.push_str(if rest.as_bytes()[at] == b'~' {
            "~0"
        } else {
            "~1"
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

/// `~1` first, then `~0`, so that `~01` becomes `~1` and not `/` (RFC 6901, section 4).
fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

/// Does `pointer` lead to `place`, or to something inside it?
pub(crate) fn is_within(pointer: &Pointer, place: &Pointer) -> bool {
    let rest = pointer.as_str().strip_prefix(place.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The byte range, in a document in canonical form, of the value that `pointer` addresses.
///
/// `None` where there is no such value. An array index is `0` or digits that do not begin with `0`
/// (RFC 6901, section 4); `-`, the element after the last, never exists.
///
/// The bytes are scanned once from the front, without a tree and without recursion. They are
/// trusted to be canonical: on other bytes the answer has no meaning, but it is always `None` or a
/// range inside `canonical`.
pub fn find(canonical: &[u8], pointer: &Pointer) -> Option<Range<usize>> {
    let mut at = 0;
    let mut wanted = Vec::new();
    for token in pointer.tokens() {
        at = match canonical.get(at)? {
            b'{' => {
                // A name has exactly one canonical spelling, so names compare as bytes.
                wanted.clear();
                crate::escape::write_string(&mut wanted, &token);
                find_member(canonical, at, &wanted)?
            }
            b'[' => find_element(canonical, at, parse_index(&token)?)?,
            _ => return None,
        };
    }
    let end = skip_value(canonical, at)?;
    Some(at..end)
}

/// The members of an object in canonical form, in order: each name as it stands between its quotes, and its value.
/// `None` where it is no object. Bytes are trusted as by [`find`].
pub(crate) fn members(canonical: &[u8]) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
    let mut at = 1;
    (canonical.first() == Some(&b'{')).then_some(std::iter::from_fn(move || {
        let name_end = (canonical.get(at) == Some(&b'"')).then(|| skip_string(canonical, at))??;
        let name = canonical.get(at + 1..name_end - 1)?;
        let start = name_end + 1;
        let end = skip_value(canonical, start)?;
        at = end + 1;
        Some((name, canonical.get(start..end)?))
    }))
}

/// The members or elements of a value in canonical form, in order: the token that leads to each, unescaped, and its byte
/// range. None for a value that has nothing below it. Bytes are trusted as by [`find`].
pub(crate) fn children(canonical: &[u8]) -> impl Iterator<Item = (String, Range<usize>)> {
    let object = canonical.first() == Some(&b'{');
    let holds = object || canonical.first() == Some(&b'[');
    let mut at = 1;
    let mut number = 0_usize;
    std::iter::from_fn(move || {
        if !holds || matches!(canonical.get(at), None | Some(b'}' | b']')) {
            return None;
        }
        let (token, start) = if object {
            let name_end =
                (canonical.get(at) == Some(&b'"')).then(|| skip_string(canonical, at))??;
            let name = canonical.get(at..name_end)?;
            (serde_json::from_slice(name).ok()?, name_end + 1)
        } else {
            (number.to_string(), at)
        };
        number += 1;
        let end = skip_value(canonical, start)?;
        at = end + 1;
        Some((token, start..end))
    })
}

/// Start of the value of the member named `wanted` (in quotes) of the object that opens at `open`.
fn find_member(bytes: &[u8], open: usize, wanted: &[u8]) -> Option<usize> {
    let mut at = open + 1;
    while bytes.get(at) == Some(&b'"') {
        let name_end = skip_string(bytes, at)?;
        if bytes.get(name_end) != Some(&b':') {
            return None;
        }
        let value = name_end + 1;
        if &bytes[at..name_end] == wanted {
            return Some(value);
        }
        at = skip_value(bytes, value)?;
        if bytes.get(at) != Some(&b',') {
            return None;
        }
        at += 1;
    }
    None
}

/// Start of element `index` of the array that opens at `open`.
fn find_element(bytes: &[u8], open: usize, index: usize) -> Option<usize> {
    let mut at = open + 1;
    if bytes.get(at) == Some(&b']') {
        return None;
    }
    for _ in 0..index {
        at = skip_value(bytes, at)?;
        if bytes.get(at) != Some(&b',') {
            return None;
        }
        at += 1;
    }
    Some(at)
}

fn parse_index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (token.starts_with('0') && token.len() > 1) {
        return None;
    }
    token.parse().ok()
}

/// The offset after the value that starts at `start`. Counts brackets instead of recursing.
fn skip_value(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match *bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' => {
                if depth == 0 {
                    return None;
                }
                at += 1;
            }
            _ => {
                at += bytes[at..]
                    .iter()
                    .position(|byte| matches!(byte, b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']'))
                    .unwrap_or(bytes.len() - at);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The offset after the string whose opening quote is at `open`.
fn skip_string(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The document and the answers of RFC 6901, section 5, in canonical form.
    const RFC: &[u8] =
        br#"{"":0," ":7,"a/b":1,"c%d":2,"e^f":3,"foo":["bar","baz"],"g|h":4,"i\\j":5,"k\"l":6,"m~n":8}"#;

    fn at<'a>(bytes: &'a [u8], pointer: &str) -> Option<&'a str> {
        let range = find(bytes, &Pointer::parse(pointer).unwrap())?;
        Some(std::str::from_utf8(&bytes[range]).unwrap())
    }

    #[test]
    fn rfc_6901_examples() {
        assert_eq!(at(RFC, ""), Some(std::str::from_utf8(RFC).unwrap()));
        for (pointer, value) in [
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/foo/1", r#""baz""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(at(RFC, pointer), Some(value), "{pointer}");
        }
    }

    #[test]
    fn array_indices_are_plain_digits() {
        for pointer in [
            "/foo/-",
            "/foo/2",
            "/foo/00",
            "/foo/01",
            "/foo/+1",
            "/foo/",
            "/foo/1e0",
            "/foo/99999999999999999999999",
            "/foo/0/0",
            "/none",
            "/foo/٠",
        ] {
            assert_eq!(at(RFC, pointer), None, "{pointer}");
        }
        assert_eq!(at(b"[]", "/0"), None);
        assert_eq!(at(b"{}", "/0"), None);
        assert_eq!(at(b"[[],[{}],3]", "/2"), Some("3"));
        assert_eq!(at(b"[[],[{}],3]", "/1/0"), Some("{}"));
    }

    #[test]
    fn a_name_with_control_characters_is_found() {
        let doc = "{\"\\u001b[2J\\n\":{\"é\":true}}".as_bytes();
        assert_eq!(at(doc, "/\u{1b}[2J\n/é"), Some("true"));
    }

    #[test]
    fn deep_documents_do_not_recurse() {
        let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
        let pointer = Pointer::parse(&"/0".repeat(1000)).unwrap();
        assert_eq!(find(&deep, &pointer), Some(1000..1_999_000));
    }

    #[test]
    fn errors_name_the_place_and_the_remedy() {
        let cases = [
            ("a", 0, "starts with `/`"),
            ("#/a", 0, "leave out the `#`"),
            ("/a~", 2, "byte 2"),
            ("/é~2", 3, "`~1`"),
        ];
        for (text, offset, part) in cases {
            let error = Pointer::parse(text).unwrap_err();
            assert_eq!(error.offset(), offset, "{text}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn push_and_pop_are_inverse() {
        let mut pointer = Pointer::root();
        for token in ["a/b", "~", "", "~1", "x"] {
            pointer.push(token);
        }
        assert_eq!(pointer.to_string(), "/a~1b/~0//~01/x");
        assert_eq!(Pointer::parse(pointer.as_str()), Ok(pointer.clone()));
        assert_eq!(pointer.join("y/").as_str(), "/a~1b/~0//~01/x/y~1");
        for token in ["x", "~1", "", "~", "a/b"] {
            assert_eq!(pointer.pop().as_deref(), Some(token));
        }
        assert_eq!(pointer.pop(), None);
        assert!(pointer.is_root());
    }
}
