//! Inference: the spelling of numbers.

use std::collections::HashMap;

use super::infer::{Document, NO_NAME, Names};
use super::number::{decimal, spelled};
use super::spec::{Flat, Floats, MAX_DECIMALS, Spec};
use super::tape::Kind;

const PYTHON: Floats = Floats::new(-4, 15, b'e', true, false, 2);

/// How the float printers of common languages and libraries spell, beside ECMAScript and Python.
const OTHERS: [Floats; 7] = [
    // Rust: ryu and serde_json.
    Floats::new(-5, 15, b'e', false, false, 1),
    // Ruby.
    Floats::new(-4, 15, b'e', true, true, 2),
    // Java: Double.toString.
    Floats::new(-3, 6, b'E', false, true, 1),
    // .NET: Double.ToString("R").
    Floats::new(-5, 14, b'E', true, false, 2),
    // PHP with serialize_precision -1.
    Floats::new(-4, 16, b'e', true, true, 1),
    // C: printf with %.17g and %.15g.
    Floats::new(-4, 16, b'e', true, false, 2),
    Floats::new(-4, 14, b'e', true, false, 2),
];

/// Decimal exponents from -3 to 6 are written without one by all of them.
const SAFE: std::ops::RangeInclusive<i64> = -3..=6;

/// What the numbers of a name say about their decimals.
#[derive(Clone)]
struct Tally {
    /// Numbers that no least number of decimals up to the index would change.
    unpadded: [u32; MAX_DECIMALS as usize + 1],
    /// Numbers padded to this many decimals.
    padded: [u32; MAX_DECIMALS as usize + 1],
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            unpadded: [0; MAX_DECIMALS as usize + 1],
            padded: [0; MAX_DECIMALS as usize + 1],
        }
    }
}

impl Tally {
    /// The number of decimals that gives most numbers right; of equal ones `former`, or else the least, but 1 for
    /// floats if they are `typed`.
    fn best(&self, typed: bool, former: u8) -> u8 {
        // By number of decimals: how many numbers it gives right.
        let mut scores = self.padded;
        let mut unpadded = 0;
        for (score, count) in scores.iter_mut().zip(&self.unpadded).rev() {
            unpadded += count;
            *score += unpadded;
        }
        let score = |decimals: u8| scores.get(decimals as usize).copied().unwrap_or(0);
        let floats = self.unpadded.iter().skip(1).any(|&count| count > 0);
        let mut best = if former == 0 && typed && floats {
            1
        } else {
            former
        };
        for decimals in 0..=MAX_DECIMALS {
            if score(decimals) > score(best) {
                best = decimals;
            }
        }
        best
    }
}

pub(super) fn derive(
    document: &Document,
    previous: Option<&Spec>,
    names: &mut Names,
    spec: &mut Spec,
) {
    let mut candidates = vec![Floats::ECMASCRIPT, PYTHON];
    candidates.extend(OTHERS);
    if let Some(former) = previous {
        candidates.insert(0, former.floats.clone());
    }
    let mut wrong = vec![0u32; candidates.len()];
    let mut tallies: HashMap<u32, Tally> = HashMap::new();
    let mut last: (u32, Tally) = (NO_NAME, Tally::default());
    let mut pointed = false;
    for (at, token) in document.tokens.iter().enumerate() {
        if token.kind != Kind::Number {
            continue;
        }
        let Some(twin) = document.twin(at as u32) else {
            continue;
        };
        let (text, canonical) = (token.text(document.source), twin.text(document.canonical));
        let name = document.ruler.get(at).copied().unwrap_or(NO_NAME);
        if last.0 != name {
            let former = std::mem::replace(&mut last, (name, Tally::default()));
            tallies.insert(former.0, former.1);
            last.1 = tallies.remove(&name).unwrap_or_default();
        }
        let integer = !canonical.iter().any(|b| matches!(b, b'.' | b'e'));
        if text == canonical && integer {
            count(&mut last.1.unpadded, 0);
            continue;
        }
        let exponent = text.iter().any(|b| matches!(b, b'e' | b'E'));
        let needed = u8::from(integer);
        if exponent || canonical.contains(&b'e') || !SAFE.contains(&decimal(canonical).1) {
            for (candidate, wrong) in candidates.iter().zip(&mut wrong) {
                *wrong += u32::from(spelled(canonical, needed, candidate) != text);
            }
        }
        if exponent {
            let tally = &mut last.1;
            let counts = if integer {
                &mut tally.padded
            } else {
                &mut tally.unpadded
            };
            count(counts, 1);
        } else {
            let (written, least) = (decimals(text), decimals(canonical));
            if written == least {
                count(&mut last.1.unpadded, least);
            } else {
                pointed |= least == 0 && written == 1;
                count(&mut last.1.padded, written);
            }
        }
    }
    tallies.insert(last.0, last.1);
    let former = previous.is_some_and(|former| former.floats != Floats::ECMASCRIPT);
    if (pointed || looks_like_python(spec)) && !former {
        let python = candidates.iter().position(|c| *c == PYTHON).unwrap_or(0);
        candidates.swap(0, python);
        wrong.swap(0, python);
    }
    let best = wrong.iter().copied().min().unwrap_or(0);
    let found = candidates
        .iter()
        .zip(&wrong)
        .find(|(_, wrong)| **wrong == best);
    spec.floats = found.map_or(Floats::ECMASCRIPT, |(floats, _)| floats.clone());

    let root = tallies.remove(&NO_NAME).unwrap_or_default();
    // A writer that tells 1.0 from 1 will write 1.0 where it has written 0.5.
    let typed = pointed || spec.floats != Floats::ECMASCRIPT;
    spec.root_decimals = root.best(typed, previous.map_or(0, |former| former.root_decimals));
    // The names of the former layout have the same indexes in the document.
    let formers: HashMap<u32, u8> = previous
        .map(|former| former.decimals.iter().copied().collect())
        .unwrap_or_default();
    let mut decimals = formers.clone();
    let mut ruled: Vec<(u32, Tally)> = tallies.into_iter().collect();
    ruled.sort_unstable_by_key(|(name, _)| *name);
    for (name, tally) in ruled {
        let best = tally.best(typed, formers.get(&name).copied().unwrap_or(0));
        if best > 0 {
            decimals.insert(names.id(document, name), best);
        } else if formers.contains_key(&name) {
            decimals.remove(&name);
        }
    }
    spec.decimals = decimals.into_iter().collect();
    spec.decimals.sort_unstable();
}

/// Python's defaults, which few others share: a space behind commas on one line, or every character escaped that is
/// not ASCII, in lower case.
fn looks_like_python(spec: &Spec) -> bool {
    let one_line = spec.flat == [Flat::All; 2]
        && spec.colon[1] == b" "
        && spec
            .styles
            .iter()
            .all(|styles| styles[1].after_comma.text == b" ");
    let ascii_only = spec
        .escapes
        .ranges
        .first()
        .is_some_and(|range| range.0 == 0x80)
        && spec.escapes.ranges.len() == 1
        && !spec.escapes.upper;
    one_line || ascii_only
}

fn count(counts: &mut [u32], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

/// Digits behind the point.
fn decimals(text: &[u8]) -> usize {
    text.iter()
        .position(|&b| b == b'.')
        .map_or(0, |point| text.len() - point - 1)
}
