//! Orders of names that need no list: those of programs that sort, or whose maps do.

use std::cmp::Ordering;

/// How the names of an object that are not in the precedence list come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Collation {
    /// As in the canonical form: by UTF-16 code units.
    #[default]
    Canonical = 0,
    /// Non-negative integers first, by value, as the properties of ECMAScript objects come (ECMA-262, section
    /// 10.1.11.1); the others as in the canonical form.
    Integers = 1,
    /// By the root collation of Unicode (UTS #10 and CLDR), of which only ASCII is known here: ECMAScript's
    /// `localeCompare`, and so npm.
    Root = 2,
    /// ASCII letters without regard to case.
    Folded = 3,
}

pub(super) const ALL: [Collation; 4] = [
    Collation::Canonical,
    Collation::Integers,
    Collation::Root,
    Collation::Folded,
];

/// ASCII in the root collation, letters and control characters left out.
const ROOT: &[u8] = b" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";

/// Primary weights; letters come behind all others, and bytes beyond ASCII behind the letters.
const WEIGHTS: [u8; 256] = weights();

const fn weights() -> [u8; 256] {
    let mut weights = [0u8; 256];
    let mut at = 0;
    while at < ROOT.len() {
        weights[ROOT[at] as usize] = at as u8 + 1;
        at += 1;
    }
    let mut letter = 0;
    while letter < 26 {
        weights[b'a' as usize + letter] = 64 + letter as u8;
        weights[b'A' as usize + letter] = 64 + letter as u8;
        letter += 1;
    }
    let mut byte = 128;
    while byte < 256 {
        weights[byte] = byte as u8;
        byte += 1;
    }
    weights
}

impl Collation {
    /// The order of two names in canonical spelling. Equal ones stay in canonical order.
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Collation::Canonical => Ordering::Equal,
            Collation::Integers => match (integer(a), integer(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
            Collation::Root => {
                // Lower case comes first where nothing else differs.
                let case = u8::is_ascii_uppercase;
                let primary = a.iter().map(weight).cmp(b.iter().map(weight));
                primary.then_with(|| a.iter().map(case).cmp(b.iter().map(case)))
            }
            Collation::Folded => {
                let fold = u8::to_ascii_lowercase;
                a.iter().map(fold).cmp(b.iter().map(fold))
            }
        }
    }
}

fn weight(b: &u8) -> u8 {
    WEIGHTS[*b as usize]
}

/// The value of an array index or another integer that ECMAScript orders by value: below 2^32 - 1.
fn integer(name: &[u8]) -> Option<u32> {
    let canonical = match name {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 10 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let value = name
        .iter()
        .filter(|_| canonical)
        .try_fold(0u32, |value, b| {
            value.checked_mul(10)?.checked_add(u32::from(b - b'0'))
        })?;
    (canonical && value < u32::MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(collation: Collation, names: &str) -> String {
        let mut names: Vec<&str> = names.split(' ').collect();
        names.sort_unstable();
        names.sort_by(|a, b| collation.compare(a.as_bytes(), b.as_bytes()));
        names.join(" ")
    }

    #[test]
    fn names_are_sorted_as_writers_do() {
        assert_eq!(
            sorted(
                Collation::Integers,
                "b 10 9 a 0 01 4294967295 4294967294 -1"
            ),
            "0 9 10 4294967294 -1 01 4294967295 a b"
        );
        // The order of `localeCompare(…, "en")`.
        assert_eq!(
            sorted(
                Collation::Root,
                "b B a-b a_b a.b a/b ab @x/y JSONStream jsx A a 1 ajv-keywords ajv"
            ),
            "@x/y 1 a A a_b a-b a.b a/b ab ajv ajv-keywords b B JSONStream jsx"
        );
        assert_eq!(sorted(Collation::Folded, "b B a _ C"), "_ a B b C");
        assert_eq!(sorted(Collation::Canonical, "b B a"), "B a b");
    }
}
