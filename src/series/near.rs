//! What a document has near a place where it has nothing: for messages that help.

use super::Places;
use crate::pointer::{self, Pointer};

/// The existing values that are nearest to a pointer that finds nothing in this canonical document, the most similar
/// names first: members or elements of the deepest part of the pointer that exists.
pub fn near(canonical: &[u8], places: &Places, limit: usize) -> Vec<Pointer> {
    let mut inside = canonical;
    let mut at = Pointer::root();
    let mut wanted = String::new();
    for token in places.pointer().tokens() {
        wanted = token.into_owned();
        let step = match wanted.as_str() {
            // Any of them shows what is below.
            "*" => pointer::children(inside).next().map(|(name, _)| name),
            _ => Some(wanted.clone()),
        };
        let Some(step) = step else { break };
        let Some(range) = pointer::find(inside, &Pointer::root().join(&step)) else {
            break;
        };
        inside = canonical_part(inside, range);
        at.push(&step);
    }
    let mut names: Vec<(usize, String)> = pointer::children(inside)
        .map(|(name, _)| (distance(&name, &wanted), name))
        .collect();
    names.sort_by_key(|(distance, _)| *distance);
    names.truncate(limit);
    names.iter().map(|(_, name)| at.join(name)).collect()
}

/// Pointers to numbers in a canonical document, those nearest to its root first: what a series can be made of.
pub fn scalars(canonical: &[u8], limit: usize) -> Vec<Pointer> {
    let mut found = Vec::new();
    let mut level = vec![(Pointer::root(), canonical)];
    // Level by level, and never more of one than could be shown: documents may be huge.
    while found.len() < limit && !level.is_empty() {
        let mut below = Vec::new();
        for (at, inside) in level {
            match inside.first() {
                Some(b'-' | b'0'..=b'9') => found.push(at),
                Some(b'{' | b'[') => below.extend(
                    pointer::children(inside)
                        .take(64)
                        .map(|(name, range)| (at.join(&name), canonical_part(inside, range))),
                ),
                _ => {}
            }
        }
        below.truncate(1024);
        level = below;
    }
    found.truncate(limit);
    found
}

fn canonical_part(whole: &[u8], range: std::ops::Range<usize>) -> &[u8] {
    whole.get(range).unwrap_or_default()
}

/// How many letters must change, case aside. Long names are compared by their beginnings.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let lower = text.chars().flat_map(char::to_lowercase);
        lower.take(64).collect()
    };
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] =
        br#"{"AllAcres":1,"Incidents":[{"AcresBurned":2,"Name":"x"}],"name":"y","z":{"deep":{"n":-3}}}"#;

    fn names(pointers: Vec<Pointer>) -> Vec<String> {
        pointers.iter().map(Pointer::to_string).collect()
    }

    #[test]
    fn the_most_similar_names_come_first() {
        let near = |text: &str| names(near(DOCUMENT, &Places::parse(text).unwrap(), 2));
        assert_eq!(near("/allacre")[0], "/AllAcres");
        assert_eq!(near("/Incidents/0/Burned")[0], "/Incidents/0/AcresBurned");
        assert_eq!(near("/Incidents/*/nam")[0], "/Incidents/0/Name");
        assert_eq!(near("/Incidents/7"), ["/Incidents/0"]);
        assert_eq!(near("/name/first"), [""; 0]);
    }

    #[test]
    fn numbers_near_the_root_come_first() {
        assert_eq!(
            names(scalars(DOCUMENT, 9)),
            ["/AllAcres", "/Incidents/0/AcresBurned", "/z/deep/n"]
        );
        assert_eq!(names(scalars(b"21.5", 9)), [""]);
        assert_eq!(names(scalars(DOCUMENT, 1)), ["/AllAcres"]);
    }
}
