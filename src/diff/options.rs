//! What to leave out of a comparison, what counts as equal, and what tells elements of arrays from each other.

use std::borrow::Cow;

use super::number::number_difference;
use super::value::{Kind, Value};
use super::{Change, ChangeKind, Diff, NotCanonical};
use crate::escape::write_string;
use crate::pointer::{Pointer, PointerError, push_token};

/// A JSON Pointer in which `*` stands for any one member or element.
///
/// ```
/// use backstory::diff::Pattern;
///
/// let pattern = Pattern::parse("/runs/*/timestamp")?;
/// assert!(pattern.matches("/runs/3/timestamp"));
/// assert!(!pattern.matches("/runs/3/timestamp/zone"));
/// # Ok::<(), backstory::pointer::PointerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Pointer);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// Where it is no JSON Pointer.
    pub fn parse(text: &str) -> Result<Pattern, PointerError> {
        Pointer::parse(text).map(Pattern)
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Does it stand for this place, a JSON Pointer as text?
    pub fn matches(&self, pointer: &str) -> bool {
        let mut wanted = self.0.as_str().split('/');
        let mut there = pointer.split('/');
        loop {
            match (wanted.next(), there.next()) {
                (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    /// Does it stand for this place, or for one around it?
    fn covers(&self, pointer: &str) -> bool {
        let mut there = pointer.split('/');
        let mut wanted = self.0.as_str().split('/');
        wanted.all(|a| there.next().is_some_and(|b| a == "*" || a == b))
    }
}

/// How much two numbers may differ and count as equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// Where; everywhere if there is none.
    pub at: Option<Pattern>,
    /// At most so much …
    pub absolute: f64,
    /// … or at most so much of the larger of the two.
    pub relative: f64,
}

/// How to compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiffOptions {
    /// Places that are left out, before arrays are matched: members as if they were not there, elements as `null`.
    pub ignore: Vec<Pattern>,
    /// Numbers that count as equal.
    pub tolerances: Vec<Tolerance>,
    /// Arrays whose objects are told apart by a member of this name.
    pub keys: Vec<(Pattern, String)>,
}

impl DiffOptions {
    /// Do they say nothing?
    pub fn is_default(&self) -> bool {
        *self == DiffOptions::default()
    }

    /// Adds what others say; of two keys for one array the first counts.
    pub fn extend(&mut self, others: DiffOptions) {
        self.ignore.extend(others.ignore);
        self.tolerances.extend(others.tolerances);
        self.keys.extend(others.keys);
    }

    /// The document without what is left out.
    ///
    /// # Errors
    /// Where it is not in canonical form.
    pub fn masked<'a>(&self, canonical: &'a [u8]) -> Result<Cow<'a, [u8]>, NotCanonical> {
        if self.ignore.is_empty() {
            return Ok(Cow::Borrowed(canonical));
        }
        let value = Value::parse(canonical)?;
        let mut out = Vec::with_capacity(canonical.len());
        self.mask(&value, &mut String::new(), &mut out);
        Ok(Cow::Owned(out))
    }

    fn leaves_out(&self, path: &str) -> bool {
        self.ignore.iter().any(|pattern| pattern.matches(path))
    }

    /// Recurses as deep as the document: 1,024 levels at most.
    fn mask(&self, value: &Value<'_>, path: &mut String, out: &mut Vec<u8>) {
        let base = path.len();
        match value.kind() {
            Kind::Object(members) => {
                out.push(b'{');
                let start = out.len();
                for (name, value) in members {
                    push_token(path, name);
                    if !self.leaves_out(path) {
                        if out.len() > start {
                            out.push(b',');
                        }
                        write_string(out, name);
                        out.push(b':');
                        self.mask(value, path, out);
                    }
                    path.truncate(base);
                }
                out.push(b'}');
            }
            Kind::Array(items) => {
                out.push(b'[');
                for (at, value) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    push_token(path, &at.to_string());
                    match self.leaves_out(path) {
                        true => out.extend_from_slice(b"null"),
                        false => self.mask(value, path, out),
                    }
                    path.truncate(base);
                }
                out.push(b']');
            }
            _ => out.extend_from_slice(value.raw()),
        }
    }

    /// Takes out what counts as equal.
    pub(super) fn filter(&self, diff: &mut Diff) {
        if !self.tolerances.is_empty() {
            diff.changes.retain(|change| !self.is_noise(change));
        }
    }

    fn is_noise(&self, change: &Change) -> bool {
        let ChangeKind::Changed { old, new } = &change.kind else {
            return false;
        };
        let Some(difference) = number_difference(old, new) else {
            return false;
        };
        let size = |text: &str| text.parse::<f64>().map_or(f64::NAN, f64::abs);
        let (difference, most) = (size(&difference), size(old).max(size(new)));
        // What no double holds is no noise.
        if !most.is_finite() {
            return false;
        }
        self.tolerances.iter().any(|tolerance| {
            let here = tolerance
                .at
                .as_ref()
                .is_none_or(|at| at.covers(change.pointer.as_str()));
            here && (difference <= tolerance.absolute || difference <= tolerance.relative * most)
        })
    }

    /// The member that tells the objects of the array at this place apart, as far as that was said.
    pub(super) fn key(&self, path: &str) -> Option<&str> {
        let named = self.keys.iter().find(|(at, _)| at.matches(path));
        named.map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Compared, compare};

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn places(compared: &Compared) -> Vec<&str> {
        let changes = compared.diff.changes.iter();
        changes.map(|change| change.pointer.as_str()).collect()
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let options = DiffOptions {
            ignore: vec![pattern("/at"), pattern("/runs/*/at")],
            ..DiffOptions::default()
        };
        let old = br#"{"at":1,"runs":[{"at":1,"id":1,"v":1},{"at":2,"id":2,"v":1}]}"#;
        let new = br#"{"at":2,"runs":[{"at":3,"id":0,"v":9},{"at":4,"id":1,"v":1},{"at":5,"id":2,"v":2}]}"#;
        let compared = compare(old, new, &options).unwrap();
        assert_eq!(places(&compared), ["/runs/0", "/runs/2/v"]);
        assert_eq!(compared.hidden, 3);
        let same = compare(br#"{"at":1}"#, br#"{"at":2}"#, &options).unwrap();
        assert!(same.diff.is_empty());
        assert_eq!(same.hidden, 1);
    }

    #[test]
    fn noise_is_no_difference() {
        let tolerance = |at: Option<&str>, absolute, relative| Tolerance {
            at: at.map(pattern),
            absolute,
            relative,
        };
        let old = br#"{"a":1,"b":{"c":100},"d":"x","e":1e400}"#;
        let new = br#"{"a":1.01,"b":{"c":101},"d":"y","e":2e400}"#;
        for (tolerances, left) in [
            (vec![], vec!["/a", "/b/c", "/d", "/e"]),
            (vec![tolerance(None, 0.1, 0.0)], vec!["/b/c", "/d", "/e"]),
            (vec![tolerance(None, 0.0, 0.02)], vec!["/d", "/e"]),
            (
                vec![tolerance(Some("/b"), 2.0, 0.0)],
                vec!["/a", "/d", "/e"],
            ),
        ] {
            let options = DiffOptions {
                tolerances,
                ..DiffOptions::default()
            };
            let compared = compare(old, new, &options).unwrap();
            assert_eq!(places(&compared), left);
            assert_eq!(compared.hidden, 4 - left.len());
        }
    }

    #[test]
    fn elements_go_by_their_key() {
        // Everything but the host is another's.
        let old = br#"{"hosts":[{"host":"a","v":1,"w":1},{"host":"b","v":2,"w":2}]}"#;
        let new = br#"{"hosts":[{"host":"c","v":1,"w":1},{"host":"a","v":2,"w":2},{"host":"b","v":3,"w":3}]}"#;
        let options = DiffOptions {
            keys: vec![(pattern("/hosts"), "host".to_owned())],
            ..DiffOptions::default()
        };
        let compared = compare(old, new, &options).unwrap();
        assert_eq!(
            places(&compared),
            [
                "/hosts/0",
                "/hosts/1/v",
                "/hosts/1/w",
                "/hosts/2/v",
                "/hosts/2/w"
            ]
        );
    }
}
