//! Elements that are in both arrays but have passed others: finding them, and the operations that move them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use super::pairing::Step;
use super::value::{Kind, Value};
use super::{Change, ChangeKind, Diff};
use crate::pointer::Pointer;

/// Finds what moved among the steps of one array: elements that are equal on both sides, and on each side only once
/// among those that did not stay.
///
/// A pair of two different elements is given up for it only where both what moved and what stays behind are containers:
/// of two numbers, one in the place of the other, it says less that one of them has moved.
pub(super) fn find(old: &[Value<'_>], new: &[Value<'_>], steps: &mut Vec<Step>) {
    let loose = |step: &Step| match *step {
        Step::Pair(i, j) => !old[i].same(&new[j]),
        _ => true,
    };
    if steps.iter().filter(|step| loose(step)).count() < 2 {
        return;
    }
    by(
        steps,
        |i| Some(Whole(&old[i])),
        |j| Some(Whole(&new[j])),
        |i, j| match (i, j) {
            (Some(i), _) if !is_large(&old[i]) => false,
            (_, Some(j)) if !is_large(&new[j]) => false,
            _ => true,
        },
    );
}

/// Is it more than a line can say?
fn is_large(value: &Value<'_>) -> bool {
    match value.kind() {
        Kind::Array(items) => !items.is_empty(),
        Kind::Object(members) => !members.is_empty(),
        _ => false,
    }
}

/// Makes one step of an element that was removed in one place and added in another: those that have the same key, each
/// once on its side. `parts` says whether the pair that the old or the new element of this number is in may be given up.
pub(super) fn by<K: Hash + Eq>(
    steps: &mut Vec<Step>,
    old_key: impl Fn(usize) -> Option<K>,
    new_key: impl Fn(usize) -> Option<K>,
    parts: impl Fn(Option<usize>, Option<usize>) -> bool,
) {
    let mut sides: HashMap<K, Sides> = HashMap::new();
    for step in steps.iter() {
        let (i, j, alone) = match *step {
            Step::Removed(i) => (Some(i), None, true),
            Step::Added(j) => (None, Some(j), true),
            Step::Pair(i, j) => (Some(i), Some(j), false),
            Step::Moved(..) => continue,
        };
        let (old, new) = (i.and_then(&old_key), j.and_then(&new_key));
        // What stays is no candidate.
        if old.is_some() && old == new {
            continue;
        }
        if let (Some(i), Some(key)) = (i, old)
            && (alone || parts(Some(i), None))
        {
            sides.entry(key).or_default().old.see(i);
        }
        if let (Some(j), Some(key)) = (j, new)
            && (alone || parts(None, Some(j)))
        {
            sides.entry(key).or_default().new.see(j);
        }
    }
    let (mut gone, mut come) = (HashMap::new(), HashMap::new());
    for pair in sides.into_values() {
        if let (Seen::Once(i), Seen::Once(j)) = (pair.old, pair.new) {
            gone.insert(i, j);
            come.insert(j, i);
        }
    }
    if gone.is_empty() {
        return;
    }
    let found = std::mem::take(steps);
    for step in found {
        match step {
            Step::Removed(i) if gone.contains_key(&i) => {}
            Step::Added(j) => steps.push(match come.get(&j) {
                Some(&i) => Step::Moved(i, j),
                None => step,
            }),
            Step::Pair(i, j) if gone.contains_key(&i) || come.contains_key(&j) => {
                if !gone.contains_key(&i) {
                    steps.push(Step::Removed(i));
                }
                steps.push(match come.get(&j) {
                    Some(&from) => Step::Moved(from, j),
                    None => Step::Added(j),
                });
            }
            step => steps.push(step),
        }
    }
}

/// Where a key was seen.
#[derive(Default)]
struct Sides {
    old: Seen,
    new: Seen,
}

#[derive(Default)]
enum Seen {
    #[default]
    Never,
    Once(usize),
    Often,
}

impl Seen {
    fn see(&mut self, at: usize) {
        *self = match self {
            Seen::Never => Seen::Once(at),
            _ => Seen::Often,
        };
    }
}

/// A value by all its bytes.
struct Whole<'v, 'a>(&'v Value<'a>);

impl PartialEq for Whole<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}

impl Eq for Whole<'_, '_> {}

impl Hash for Whole<'_, '_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash());
    }
}

/// What comes into a document once all that was removed is gone, one operation after the other.
pub(super) enum Arrival<'d> {
    /// The value is inserted here.
    Add(Pointer, &'d str),
    /// What is at the first place goes to the second, whose number is that after it was taken out.
    Move(Pointer, Pointer),
}

/// The additions and moves of a diff in an order in which they can be made, each with its places at that time.
///
/// Outer arrays come first, so that the places of inner ones are final. In one array elements come from the first to
/// the last, each behind the one that is to be in front of it; those that have yet to move are still in between.
pub(super) fn arrivals(diff: &Diff) -> Vec<Arrival<'_>> {
    let arrays = arrays(diff);
    let mut incoming: Vec<(usize, &Change)> = diff
        .changes
        .iter()
        .filter(|change| {
            matches!(
                change.kind,
                ChangeKind::Added { .. } | ChangeKind::Moved { .. }
            )
        })
        .map(|change| (change.pointer.as_str().matches('/').count(), change))
        .collect();
    if !arrays.is_empty() {
        incoming.sort_by_key(|(depth, _)| *depth);
    }
    let mut running: HashMap<Pointer, Running<'_>> = HashMap::new();
    let mut arrivals = Vec::with_capacity(incoming.len());
    for (_, change) in incoming {
        let plain = |new| Arrival::Add(change.pointer.clone(), new);
        let place = (!arrays.is_empty())
            .then(|| split(&change.pointer))
            .flatten();
        let array = place.and_then(|(parent, at)| Some((arrays.get(&parent)?, parent, at)));
        arrivals.push(match (&change.kind, array) {
            (ChangeKind::Added { new }, None) => plain(new),
            (kind, Some((array, parent, at))) => {
                let state = running
                    .entry(parent.clone())
                    .or_insert_with(|| Running::new(array));
                let element = |at: usize| parent.join(&at.to_string());
                match kind {
                    ChangeKind::Moved { .. } => {
                        let from = change.moved_from.as_ref().and_then(split);
                        let (from, to) = state.take(at, from.map_or(0, |(_, from)| from));
                        Arrival::Move(element(from), element(to))
                    }
                    ChangeKind::Added { new } => Arrival::Add(element(state.insert(at)), new),
                    ChangeKind::Removed { .. } | ChangeKind::Changed { .. } => continue,
                }
            }
            _ => continue,
        });
    }
    arrivals
}

/// The container of a place and the number in it.
fn split(pointer: &Pointer) -> Option<(Pointer, usize)> {
    let mut parent = pointer.clone();
    let at = parent.pop()?.parse().ok()?;
    Some((parent, at))
}

/// An array in which something moved: the old numbers of what left its place, the new ones of what came, rising.
#[derive(Default)]
struct Moving {
    removed: Vec<usize>,
    movers: Vec<usize>,
    incoming: Vec<usize>,
}

/// By their places in the new document.
fn arrays(diff: &Diff) -> BTreeMap<Pointer, Moving> {
    let mut arrays: BTreeMap<Pointer, Moving> = BTreeMap::new();
    let mut new_places: HashMap<Pointer, Pointer> = HashMap::new();
    for change in &diff.changes {
        if let ChangeKind::Moved { .. } = change.kind
            && let Some((parent, at)) = split(&change.pointer)
            && let Some((old_parent, from)) = change.moved_from.as_ref().and_then(split)
        {
            let array = arrays.entry(parent.clone()).or_default();
            array.movers.push(from);
            array.incoming.push(at);
            new_places.entry(old_parent).or_insert(parent);
        }
    }
    if arrays.is_empty() {
        return arrays;
    }
    for change in &diff.changes {
        let Some((parent, at)) = split(&change.pointer) else {
            continue;
        };
        match change.kind {
            ChangeKind::Added { .. } => {
                if let Some(array) = arrays.get_mut(&parent) {
                    array.incoming.push(at);
                }
            }
            ChangeKind::Removed { .. } => {
                let array = new_places.get(&parent);
                if let Some(array) = array.and_then(|parent| arrays.get_mut(parent)) {
                    array.removed.push(at);
                }
            }
            ChangeKind::Changed { .. } | ChangeKind::Moved { .. } => {}
        }
    }
    for array in arrays.values_mut() {
        array.removed.sort_unstable();
        array.movers.sort_unstable();
        array.incoming.sort_unstable();
    }
    arrays
}

impl Moving {
    /// How many elements that stay are in front of the mover of this rank.
    fn stay_before(&self, mover: usize) -> usize {
        let at = self.movers[mover];
        at - mover - self.removed.partition_point(|removed| *removed < at)
    }

    /// How many elements that stay are in front of the incoming element of this rank.
    fn stay_in_front(&self, incoming: usize) -> usize {
        self.incoming[incoming] - incoming
    }
}

/// An array on its way: the first elements are those of the new document, with what has yet to move in between.
struct Running<'m> {
    array: &'m Moving,
    /// How many have come.
    placed: usize,
    waiting: Waiting,
}

impl<'m> Running<'m> {
    fn new(array: &'m Moving) -> Self {
        Running {
            array,
            placed: 0,
            waiting: Waiting::new(array.movers.len()),
        }
    }

    /// The place behind the element that is to be in front of `at`, which is behind all that stay in front of it.
    fn behind(&self, at: usize) -> usize {
        let stay = self.array.stay_in_front(self.placed);
        let movers = partition(self.array.movers.len(), |mover| {
            self.array.stay_before(mover) < stay
        });
        at + self.waiting.before(movers)
    }

    fn insert(&mut self, at: usize) -> usize {
        let place = self.behind(at);
        self.placed += 1;
        place
    }

    /// Where an element of this old number is now, and where it is to go once it is out.
    fn take(&mut self, at: usize, old: usize) -> (usize, usize) {
        let place = self.behind(at);
        let mover = self.array.movers.partition_point(|mover| *mover < old);
        let stay = self.array.stay_before(mover);
        let come = partition(self.placed, |incoming| {
            self.array.stay_in_front(incoming) <= stay
        });
        let from = stay + come + self.waiting.before(mover);
        self.waiting.remove(mover);
        self.placed += 1;
        (from, if from < place { place - 1 } else { place })
    }
}

/// The first number below `length` that is not `low`, where the low ones come first.
fn partition(length: usize, low: impl Fn(usize) -> bool) -> usize {
    let (mut start, mut end) = (0, length);
    while start < end {
        let middle = start + (end - start) / 2;
        match low(middle) {
            true => start = middle + 1,
            false => end = middle,
        }
    }
    start
}

/// Which of a row of elements are still there, with quick counts: a Fenwick tree.
struct Waiting {
    sums: Vec<usize>,
}

impl Waiting {
    fn new(length: usize) -> Waiting {
        // Each sum covers as many elements as the lowest set bit of its number, from 1.
        let sums = (1..=length).map(|at| at & at.wrapping_neg()).collect();
        Waiting { sums }
    }

    /// How many of the first `length` are there.
    fn before(&self, length: usize) -> usize {
        let mut at = length;
        let mut sum = 0;
        while at > 0 {
            sum += self.sums[at - 1];
            at &= at - 1;
        }
        sum
    }

    fn remove(&mut self, element: usize) {
        let mut at = element + 1;
        while at <= self.sums.len() {
            self.sums[at - 1] -= 1;
            at += at & at.wrapping_neg();
        }
    }
}
