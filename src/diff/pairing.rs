//! Which removed element became which added one, inside one run of differences.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::moves;
use super::sequence::{self, Hunk};
use super::value::{Kind, Value, compare_names};

/// Most pairs of one run that are scored one by one; larger runs are cut by identity first.
const MAX_CELLS: usize = 250_000;
/// Most members or elements of a container that are looked at to score it.
const MAX_LOOK: usize = 64;
/// Comparisons that scoring may spend in a whole diff.
pub(super) const BUDGET: usize = 20_000_000;

/// Member names that usually tell one object of an array from the others.
pub(super) const IDENTITY: [&str; 6] = ["id", "_id", "uuid", "key", "name", "path"];

/// What happened to the elements of a run; the numbers are indices of the arrays. In order: old indices rise but for
/// those of elements that moved, new indices rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Pair(usize, usize),
    Removed(usize),
    Added(usize),
    Moved(usize, usize),
}

/// Pairs the old elements of a run with new ones: as many as possible, most similar first, never
/// crossing. `budget` is what is left of [`BUDGET`]; without it elements are paired in order.
pub(super) fn pair(
    old: &[Value<'_>],
    new: &[Value<'_>],
    hunk: &Hunk,
    budget: &mut usize,
    steps: &mut Vec<Step>,
) {
    let (rows, columns) = (hunk.old.len(), hunk.new.len());
    if rows == 0 || columns == 0 || (rows == 1 && columns == 1) {
        return in_order(hunk, steps);
    }
    if score(old, new, hunk, budget, steps) {
        return;
    }
    // Too many for scores: objects with the same identity are the same objects, and what stands
    // between them is scored if it is now small enough.
    let identities = |values| -> Vec<Option<Identity<'_, '_>>> {
        <[Value<'_>]>::iter(values).map(identity).collect()
    };
    let kept = sequence::matches(
        &identities(&old[hunk.old.clone()]),
        &identities(&new[hunk.new.clone()]),
    );
    let mut gaps = sequence::between(&kept, rows, columns)
        .into_iter()
        .peekable();
    for &(i, j) in kept.iter().chain([&(rows, columns)]) {
        if let Some(gap) = gaps.next_if(|gap| gap.old.end <= i && gap.new.end <= j) {
            let gap = Hunk {
                old: gap.old.start + hunk.old.start..gap.old.end + hunk.old.start,
                new: gap.new.start + hunk.new.start..gap.new.end + hunk.new.start,
            };
            if !score(old, new, &gap, budget, steps) {
                in_order(&gap, steps);
            }
        }
        if i < rows && j < columns {
            steps.push(Step::Pair(i + hunk.old.start, j + hunk.new.start));
        }
    }
}

/// The member that tells the objects of two arrays apart: a scalar in each of them, and another one in each of a side.
/// At least half of the objects of the shorter side must be on the other side too.
pub(super) fn key(old: &[Value<'_>], new: &[Value<'_>]) -> Option<&'static str> {
    if old.len().min(new.len()) < 2 {
        return None;
    }
    IDENTITY.into_iter().find(|name| {
        let Some(ids) = unique(old, name) else {
            return false;
        };
        let Some(others) = unique(new, name) else {
            return false;
        };
        let common = others.iter().filter(|id| ids.contains(*id)).count();
        2 * common >= old.len().min(new.len())
    })
}

/// The values of a member, where all objects have it, and each another scalar.
fn unique<'v, 'a>(values: &'v [Value<'a>], name: &str) -> Option<HashSet<Identity<'v, 'a>>> {
    let mut ids = HashSet::with_capacity(values.len());
    for value in values {
        let id = member(value, name).filter(|id| !id.0.is_container())?;
        if !ids.insert(id) {
            return None;
        }
    }
    Some(ids)
}

fn member<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<Identity<'v, 'a>> {
    let Kind::Object(members) = value.kind() else {
        return None;
    };
    let at = members.binary_search_by(|(other, _)| compare_names(other, name));
    Some(Identity(&members[at.ok()?].1))
}

/// Pairs what has the same value of a member; where the order is another one, it moved. All else was removed or added.
pub(super) fn by_key(old: &[Value<'_>], new: &[Value<'_>], key: &str, steps: &mut Vec<Step>) {
    let ids = |values| -> Vec<Option<Identity<'_, '_>>> {
        let values = <[Value<'_>]>::iter(values);
        values.map(|value| member(value, key)).collect()
    };
    let (mut i, mut j) = (0, 0);
    let kept = sequence::matches(&ids(old), &ids(new));
    for (at, to) in kept.into_iter().chain([(old.len(), new.len())]) {
        steps.extend((i..at).map(Step::Removed));
        steps.extend((j..to).map(Step::Added));
        if at < old.len() && to < new.len() {
            steps.push(Step::Pair(at, to));
        }
        (i, j) = (at + 1, to + 1);
    }
    moves::by(
        steps,
        |i| member(&old[i], key),
        |j| member(&new[j], key),
        |_, _| true,
    );
}

/// Pairs by position; the rest of the longer side is removed or added at the end.
fn in_order(hunk: &Hunk, steps: &mut Vec<Step>) {
    steps.extend(
        hunk.old
            .clone()
            .zip(hunk.new.clone())
            .map(|(i, j)| Step::Pair(i, j)),
    );
    let both = hunk.old.len().min(hunk.new.len());
    steps.extend(hunk.old.clone().skip(both).map(Step::Removed));
    steps.extend(hunk.new.clone().skip(both).map(Step::Added));
}

/// The pairing with the highest sum of similarities. `false`, and no steps, where that costs more
/// than the run or the budget allows.
fn score(
    old: &[Value<'_>],
    new: &[Value<'_>],
    hunk: &Hunk,
    budget: &mut usize,
    steps: &mut Vec<Step>,
) -> bool {
    let (rows, columns) = (hunk.old.len(), hunk.new.len());
    let cells = rows.saturating_mul(columns);
    let look = |value: &Value<'_>| match value.kind() {
        Kind::Array(items) => items.len().min(MAX_LOOK),
        Kind::Object(members) => members.len().min(MAX_LOOK),
        _ => 1,
    };
    let widest = old[hunk.old.clone()].iter().map(look).max().unwrap_or(0)
        + new[hunk.new.clone()].iter().map(look).max().unwrap_or(0);
    let cost = cells.saturating_mul(widest + 1);
    if cells > MAX_CELLS || cost > *budget {
        return false;
    }
    *budget -= cost;

    // best[i][j]: the highest sum for the elements from i and j on.
    let width = columns + 1;
    let mut best = vec![0_u32; (rows + 1) * width];
    let mut scores = vec![0_u32; cells];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            let s = similarity(&old[hunk.old.start + i], &new[hunk.new.start + j]);
            scores[i * columns + j] = s;
            best[i * width + j] = (s + best[(i + 1) * width + j + 1])
                .max(best[(i + 1) * width + j])
                .max(best[i * width + j + 1]);
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rows && j < columns {
        let here = best[i * width + j];
        if here == scores[i * columns + j] + best[(i + 1) * width + j + 1] {
            steps.push(Step::Pair(hunk.old.start + i, hunk.new.start + j));
            (i, j) = (i + 1, j + 1);
        } else if here == best[(i + 1) * width + j] {
            steps.push(Step::Removed(hunk.old.start + i));
            i += 1;
        } else {
            steps.push(Step::Added(hunk.new.start + j));
            j += 1;
        }
    }
    steps.extend((hunk.old.start + i..hunk.old.end).map(Step::Removed));
    steps.extend((hunk.new.start + j..hunk.new.end).map(Step::Added));
    true
}

/// How likely `new` is what became of `old`: 1 for anything, up to about 1,100.
fn similarity(old: &Value<'_>, new: &Value<'_>) -> u32 {
    match (old.kind(), new.kind()) {
        (Kind::Object(old), Kind::Object(new)) => objects(old, new),
        (Kind::Array(old), Kind::Array(new)) => {
            let most = old.len().max(new.len()).clamp(1, MAX_LOOK);
            let equal = old
                .iter()
                .zip(new)
                .take(MAX_LOOK)
                .filter(|(a, b)| a.same(b));
            20 + share(equal.count(), most, 500)
        }
        (Kind::String(old), Kind::String(new)) => {
            let most = old.len().max(new.len()).clamp(1, 2 * MAX_LOOK);
            let (a, b) = (old.as_bytes(), new.as_bytes());
            let same = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| {
                pairs.take(MAX_LOOK).take_while(|(a, b)| a == b).count()
            };
            let front = same(&mut a.iter().zip(b));
            let back = same(&mut a.iter().rev().zip(b.iter().rev()));
            20 + share((front + back).min(most), most, 400)
        }
        (Kind::Number(_), Kind::Number(_)) | (Kind::Bool(_), Kind::Bool(_)) => 20,
        _ if old.is_container() == new.is_container() => 10,
        _ => 1,
    }
}

type Members<'a> = [(std::borrow::Cow<'a, str>, Value<'a>)];

fn objects(old: &Members<'_>, new: &Members<'_>) -> u32 {
    let (mut i, mut j) = (0, 0);
    let (mut names, mut values) = (0, 0);
    let mut identity = 0_i32;
    while i < old.len().min(MAX_LOOK) && j < new.len().min(MAX_LOOK) {
        match compare_names(&old[i].0, &new[j].0) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                names += 1;
                let same = old[i].1.same(&new[j].1);
                values += usize::from(same);
                if IDENTITY.contains(&&*old[i].0) {
                    identity += if same { 1 } else { -1 };
                }
                i += 1;
                j += 1;
            }
        }
    }
    let most = old.len().max(new.len()).clamp(1, MAX_LOOK);
    let alike = 20 + share(names, most, 100) + share(values, most, 480);
    match identity.signum() {
        1 => alike + 500,
        -1 => 20 + alike / 4,
        _ => alike,
    }
}

fn share(part: usize, whole: usize, of: usize) -> u32 {
    u32::try_from(part.min(whole) * of / whole.max(1)).unwrap_or(0)
}

/// What tells an element from its neighbours: the value of an identifying member, or the first
/// element of a row.
struct Identity<'v, 'a>(&'v Value<'a>);

fn identity<'v, 'a>(value: &'v Value<'a>) -> Option<Identity<'v, 'a>> {
    match value.kind() {
        Kind::Object(members) => IDENTITY.iter().find_map(|name| {
            let at = members.binary_search_by(|(other, _)| compare_names(other, name));
            Some(Identity(&members[at.ok()?].1))
        }),
        Kind::Array(items) => items.first().map(Identity),
        _ => None,
    }
}

impl PartialEq for Identity<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}

impl Eq for Identity<'_, '_> {}

impl Hash for Identity<'_, '_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::RandomState;

    fn steps(old: &str, new: &str, mut budget: usize) -> Vec<Step> {
        let key = RandomState::new();
        let old = Value::parse_keyed(old.as_bytes(), &key).unwrap();
        let new = Value::parse_keyed(new.as_bytes(), &key).unwrap();
        let (Kind::Array(old), Kind::Array(new)) = (old.kind(), new.kind()) else {
            panic!("two arrays")
        };
        let hunk = Hunk {
            old: 0..old.len(),
            new: 0..new.len(),
        };
        let mut steps = Vec::new();
        pair(old, new, &hunk, &mut budget, &mut steps);
        steps
    }

    use Step::{Added, Pair, Removed};

    #[test]
    fn the_similar_ones_are_paired() {
        let old = r#"[{"id":1,"v":2},{"id":2,"v":3}]"#;
        assert_eq!(
            steps(old, r#"[{"id":2,"v":4}]"#, BUDGET),
            [Removed(0), Pair(1, 0)]
        );
        assert_eq!(
            steps(old, r#"[{"id":1,"v":4}]"#, BUDGET),
            [Pair(0, 0), Removed(1)]
        );
        assert_eq!(
            steps(r#"["lorem ipsum"]"#, r#"["x","lorem dolor"]"#, BUDGET),
            [Added(0), Pair(0, 1)]
        );
        assert_eq!(
            steps(r#"[1,{"a":1}]"#, r#"[{"a":2}]"#, BUDGET),
            [Removed(0), Pair(1, 0)]
        );
    }

    #[test]
    fn the_same_id_counts_more_than_equal_values() {
        assert_eq!(
            steps(
                r#"[{"a":1,"b":1,"c":1,"id":1}]"#,
                r#"[{"a":1,"b":1,"c":1,"id":2},{"a":9,"b":9,"c":9,"id":1}]"#,
                BUDGET
            ),
            [Added(0), Pair(0, 1)]
        );
    }

    #[test]
    fn as_many_pairs_as_possible() {
        assert_eq!(steps("[1,2]", "[3,4]", BUDGET), [Pair(0, 0), Pair(1, 1)]);
        assert_eq!(steps("[1]", r#"[{"a":1}]"#, BUDGET), [Pair(0, 0)]);
        assert_eq!(steps("[]", "[1,2]", BUDGET), [Added(0), Added(1)]);
    }

    #[test]
    fn without_budget_identity_decides() {
        let old = r#"[{"id":1,"v":2},{"id":2,"v":3},7]"#;
        let new = r#"[{"id":0,"v":0},{"id":1,"v":0},{"id":2,"v":0},8]"#;
        assert_eq!(
            steps(old, new, 0),
            [Added(0), Pair(0, 1), Pair(1, 2), Pair(2, 3)]
        );
        assert_eq!(
            steps("[1,2,3]", "[4,5]", 0),
            [Pair(0, 0), Pair(1, 1), Removed(2)]
        );
    }
}
