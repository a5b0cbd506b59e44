//! A JSON Pointer that may stand for many values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::Found;
use crate::error::{Error, Result};
use crate::pointer::{self, Pointer};

/// What stands for every member or element.
const EVERY: &str = "*";

/// A JSON Pointer (RFC 6901) in which a token `*` stands for every member of an object or element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pointer: Pointer,
}

impl Places {
    /// Reads a pointer; the empty text is the whole document.
    ///
    /// # Errors
    /// `Usage` where it is none.
    pub fn parse(text: &str) -> Result<Places> {
        match Pointer::parse(text) {
            Ok(pointer) => Ok(Places { pointer }),
            Err(error) => Err(Error::invalid(error.to_string())),
        }
    }

    /// Is there a `*` in it?
    pub fn is_wild(&self) -> bool {
        self.pointer.tokens().any(|token| token == EVERY)
    }

    /// The pointer as it was written.
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Is this one of the places?
    pub fn covers(&self, pointer: &Pointer) -> bool {
        let same = |(ours, theirs): (Cow<'_, str>, Cow<'_, str>)| ours == EVERY || ours == theirs;
        self.pointer.tokens().count() == pointer.tokens().count()
            && self.pointer.tokens().zip(pointer.tokens()).all(same)
    }

    /// Adds the values that a document in canonical form has in these places.
    pub(super) fn find(&self, canonical: &[u8], found: &mut Vec<Found>) {
        if !self.is_wild() {
            if let Some(range) = pointer::find(canonical, &self.pointer) {
                found.extend(value(canonical, range, self.pointer.clone()));
            }
            return;
        }
        // One step down for all values that were reached, rather than recursion: pointers may be long.
        let mut reached = vec![(Pointer::root(), 0..canonical.len())];
        for token in self.pointer.tokens() {
            let mut next = Vec::new();
            for (at, range) in reached {
                let inside = canonical.get(range.clone()).unwrap_or_default();
                if token == EVERY {
                    for (name, child) in pointer::children(inside) {
                        let child = range.start + child.start..range.start + child.end;
                        next.push((at.join(&name), child));
                    }
                } else {
                    let step = Pointer::root().join(&token);
                    if let Some(child) = pointer::find(inside, &step) {
                        let child = range.start + child.start..range.start + child.end;
                        next.push((at.join(&token), child));
                    }
                }
            }
            reached = next;
        }
        for (at, range) in reached {
            found.extend(value(canonical, range, at));
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pointer.fmt(f)
    }
}

fn value(canonical: &[u8], range: Range<usize>, pointer: Pointer) -> Option<Found> {
    let json = std::str::from_utf8(canonical.get(range)?).ok()?;
    Some(Found {
        pointer,
        json: json.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str, pointer: &str) -> Vec<String> {
        let mut found = Vec::new();
        let places = Places::parse(pointer).unwrap();
        places.find(document.as_bytes(), &mut found);
        assert!(found.iter().all(|found| places.covers(&found.pointer)));
        let text = |found: &Found| format!("{}={}", found.pointer, found.json);
        found.iter().map(text).collect()
    }

    #[test]
    fn a_star_is_every_member_and_every_element() {
        let document =
            r#"{"a/b":{"n":1},"list":[{"n":2},{"m":3},{"n":[4,5]}],"x":{"*":6,"é\n":7}}"#;
        assert_eq!(found(document, "/*/n"), ["/a~1b/n=1"]);
        assert_eq!(
            found(document, "/list/*/n"),
            ["/list/0/n=2", "/list/2/n=[4,5]"]
        );
        assert_eq!(
            found(document, "/list/2/n/*"),
            ["/list/2/n/0=4", "/list/2/n/1=5"]
        );
        assert_eq!(found(document, "/x/*"), ["/x/*=6", "/x/é\n=7"]);
        assert_eq!(found("[]", "/*"), [""; 0]);
        assert_eq!(found("{}", "/*/*"), [""; 0]);
        assert_eq!(found("21.5", "/*"), [""; 0]);
        assert_eq!(found("21.5", ""), ["=21.5"]);
    }

    #[test]
    fn what_is_covered() {
        let places = Places::parse("/a/*/c").unwrap();
        for (pointer, covered) in [("/a/b/c", true), ("/a/b", false), ("/b/b/c", false)] {
            assert_eq!(places.covers(&Pointer::parse(pointer).unwrap()), covered);
        }
        assert!(Places::parse("a").is_err());
    }
}
