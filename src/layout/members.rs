//! Inference: the order of members.

use std::collections::HashMap;

use super::collate::{ALL, Collation};
use super::infer::{Document, Names, Set};
use super::merge::Merge;
use super::spec::Spec;

/// Rounds of adding sets to the precedence list; each can put other sets wrong that were right before.
const ROUNDS: usize = 4;

pub(super) fn derive(
    document: &Document,
    previous: Option<&Spec>,
    names: &mut Names,
    spec: &mut Spec,
) {
    // The document's names start with those of the former layout, so the indexes of both are the same.
    let mut merge = Merge::new(previous.map_or(&[], |former| &former.precedence));
    let mut orders = previous.map_or(Vec::new(), |former| former.orders.clone());
    let mut explicit: HashMap<Vec<u32>, usize> = HashMap::new();
    for (index, order) in orders.iter().enumerate() {
        explicit.insert(sorted(order), index);
    }
    spec.collation = collation(document, previous);
    let by_precedence = |merge: &Merge, names: &[u32]| -> Vec<u32> {
        let rank = |name: u32| merge.rank(name).unwrap_or(usize::MAX);
        let mut names = names.to_vec();
        names.sort_by(|&a, &b| match (rank(a), rank(b)) {
            (usize::MAX, usize::MAX) => spec.collation.compare(document.name(a), document.name(b)),
            (a, b) => a.cmp(&b),
        });
        names
    };
    let mut open: Vec<(&Set, Vec<u32>)> = Vec::new();
    for set in &document.sets {
        let known = explicit.get(&sorted(&set.names)).copied();
        let expected = match known.and_then(|index| orders.get(index)) {
            Some(order) => order.clone(),
            None => by_precedence(&merge, &set.names),
        };
        let order = choose(set, &expected, previous.is_some());
        match known.and_then(|index| orders.get_mut(index)) {
            Some(former) => *former = order,
            None => open.push((set, order)),
        }
    }
    for round in 0..=ROUNDS {
        let mut wrong = false;
        open.retain(|(set, order)| {
            if by_precedence(&merge, &set.names) == *order {
                return true;
            }
            wrong = true;
            let merged = round < ROUNDS && merge.add(order);
            if !merged {
                orders.push(order.clone());
            }
            merged
        });
        if !wrong {
            break;
        }
    }
    let ids = |list: &[u32], names: &mut Names| {
        list.iter().map(|&name| names.id(document, name)).collect()
    };
    spec.precedence = ids(merge.list(), names);
    spec.orders = orders.iter().map(|order| ids(order, names)).collect();
}

fn sorted(names: &[u32]) -> Vec<u32> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// The order of a set, as names: the one met most often, or the one the former layout gives if that is not rare.
fn choose(set: &Set, expected: &[u32], keep: bool) -> Vec<u32> {
    let named = |order: &[u32]| -> Vec<u32> {
        order
            .iter()
            .filter_map(|&position| set.names.get(position as usize).copied())
            .collect()
    };
    let mut best: Option<&(Vec<u32>, u32)> = None;
    let mut expected_count = 0;
    for candidate in &set.orders {
        if best.is_none_or(|(_, count)| candidate.1 > *count) {
            best = Some(candidate);
        }
        if keep && named(&candidate.0) == expected {
            expected_count = candidate.1;
        }
    }
    match best {
        Some((_, count)) if keep && expected_count * 2 >= *count => expected.to_vec(),
        Some((order, _)) => named(order),
        None => set.names.clone(),
    }
}

/// The collation that puts most names right without a list, counting the names of each set once.
fn collation(document: &Document, previous: Option<&Spec>) -> Collation {
    let score = |collation: Collation| -> usize {
        let right = document.sets.iter().filter(|set| {
            let Some((order, _)) = set.orders.first() else {
                return false;
            };
            let named = order.iter().filter_map(|&position| {
                let name = set.names.get(position as usize)?;
                Some((document.name(*name), position))
            });
            let named: Vec<(&[u8], u32)> = named.collect();
            named.windows(2).all(|pair| {
                let (a, b) = (pair[0], pair[1]);
                collation.compare(a.0, b.0).then(a.1.cmp(&b.1)).is_lt()
            })
        });
        right.map(|set| set.names.len()).sum()
    };
    let mut best = previous.map_or(Collation::Canonical, |former| former.collation);
    let mut most = score(best);
    for collation in ALL {
        let count = score(collation);
        if count > most {
            (best, most) = (collation, count);
        }
    }
    best
}
