//! Which elements of two arrays stay: a longest common subsequence, with bounded work.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use super::value::Value;

/// Work that one alignment may do, in steps of one comparison, before it gives up being minimal.
const WORK: usize = 64_000_000;
/// Bounds of the number of differences that one round looks for (the D of Myers).
const MIN_ROUND: usize = 32;
const MAX_ROUND: usize = 1000;

/// A run of old elements and the run of new elements that stands in their place. Not both empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// The runs in which two arrays differ, in order; everything between them is equal.
///
/// Minimal (what stays is a longest common subsequence) unless more than [`MAX_ROUND`] differences
/// remain between repeated elements, or the arrays are so long that [`WORK`] would be exceeded.
/// Then it is an alignment found in rounds, each of which keeps the path that got furthest.
pub(super) fn hunks(old: &[Value<'_>], new: &[Value<'_>]) -> Vec<Hunk> {
    let keys = |values| Vec::from_iter(<[Value<'_>]>::iter(values).map(|v| Some(ByBytes(v))));
    let prefix = common(old.iter().zip(new));
    let (old_rest, new_rest) = (&old[prefix..], &new[prefix..]);
    let suffix = common(old_rest.iter().rev().zip(new_rest.iter().rev()));
    let old_end = old_rest.len() - suffix;
    let new_end = new_rest.len() - suffix;
    if old_end == 0 && new_end == 0 {
        return Vec::new();
    }
    let kept = matches(&keys(&old_rest[..old_end]), &keys(&new_rest[..new_end]));
    let mut hunks = between(&kept, old_end, new_end);
    for hunk in &mut hunks {
        hunk.old = hunk.old.start + prefix..hunk.old.end + prefix;
        hunk.new = hunk.new.start + prefix..hunk.new.end + prefix;
    }
    hunks
}

fn common<'v, 'a: 'v>(pairs: impl Iterator<Item = (&'v Value<'a>, &'v Value<'a>)>) -> usize {
    pairs.take_while(|(old, new)| old.same(new)).count()
}

/// A value as a key of a hash map: its own hash, its bytes for equality.
struct ByBytes<'v, 'a>(&'v Value<'a>);

impl PartialEq for ByBytes<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}

impl Eq for ByBytes<'_, '_> {}

impl Hash for ByBytes<'_, '_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash());
    }
}

/// The gaps that `kept` leaves in sequences of these lengths.
pub(super) fn between(kept: &[(usize, usize)], old_len: usize, new_len: usize) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let (mut i, mut j) = (0, 0);
    for &(next_i, next_j) in kept.iter().chain([&(old_len, new_len)]) {
        if i < next_i || j < next_j {
            hunks.push(Hunk {
                old: i..next_i,
                new: j..next_j,
            });
        }
        (i, j) = (next_i + 1, next_j + 1);
    }
    hunks
}

/// Pairs of equal elements, rising on both sides. `None` is equal to nothing.
pub(super) fn matches<K: Hash + Eq>(old: &[Option<K>], new: &[Option<K>]) -> Vec<(usize, usize)> {
    // Elements become small integers, and what stands on one side only is left out: it can be in no
    // common subsequence, and without it the usual change of many elements costs next to nothing.
    let mut ids: HashMap<&K, Count> = HashMap::new();
    for key in old.iter().flatten() {
        let next = ids.len();
        ids.entry(key).or_insert_with(|| Count::new(next)).old += 1;
    }
    for key in new.iter().flatten() {
        if let Some(count) = ids.get_mut(key) {
            count.new += 1;
        }
    }
    let shared = |keys| -> Vec<(usize, Count)> {
        <[Option<K>]>::iter(keys)
            .enumerate()
            .filter_map(|(at, key)| Some((at, *ids.get(key.as_ref()?)?)))
            .filter(|(_, count)| count.new > 0)
            .collect()
    };
    let (old, new) = (shared(old), shared(new));
    let once = |side: &[(usize, Count)]| side.iter().all(|(_, c)| c.old == 1 && c.new == 1);
    let kept = if once(&old) && once(&new) {
        rising(&old, &new, ids.len())
    } else {
        let ids = |side: &[(usize, Count)]| Vec::from_iter(side.iter().map(|(_, c)| c.id));
        shortest_edit(&ids(&old), &ids(&new))
    };
    kept.into_iter()
        .map(|(i, j)| (old[i].0, new[j].0))
        .collect()
}

#[derive(Clone, Copy)]
struct Count {
    id: usize,
    old: usize,
    new: usize,
}

impl Count {
    fn new(id: usize) -> Count {
        Count { id, old: 0, new: 0 }
    }
}

/// A longest common subsequence of two orders of the same elements, each there once: a longest
/// rising run of the new places in old order. O(n log n), whatever the differences.
fn rising(old: &[(usize, Count)], new: &[(usize, Count)], ids: usize) -> Vec<(usize, usize)> {
    let mut place = vec![0; ids];
    for (j, (_, count)) in new.iter().enumerate() {
        place[count.id] = j;
    }
    // tails[n] ends the run of length n + 1 that ends lowest.
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(old.len());
    for (i, (_, count)) in old.iter().enumerate() {
        let j = place[count.id];
        let length = tails.partition_point(|&tail| place[old[tail].1.id] < j);
        before.push(length.checked_sub(1).map(|shorter| tails[shorter]));
        if length == tails.len() {
            tails.push(i);
        } else {
            tails[length] = i;
        }
    }
    let mut kept = Vec::with_capacity(tails.len());
    let mut at = tails.last().copied();
    while let Some(i) = at {
        kept.push((i, place[old[i].1.id]));
        at = before[i];
    }
    kept.reverse();
    kept
}

/// Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), in rounds.
///
/// A round that has not reached the end after its share of differences keeps its furthest path and
/// the next round starts there: memory is bounded by one round, work by rounds × length.
fn shortest_edit(old: &[usize], new: &[usize]) -> Vec<(usize, usize)> {
    let length = old.len() + new.len();
    let round = (WORK / 2 / length.max(1)).clamp(MIN_ROUND, MAX_ROUND);
    let mut kept = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        let (steps, path) = one_round(&old[i..], &new[j..], round);
        kept.extend(path.into_iter().map(|(x, y)| (x + i, y + j)));
        i += steps.0;
        j += steps.1;
    }
    kept
}

/// How far the furthest path with at most `most` differences gets, and the pairs it keeps.
fn one_round(old: &[usize], new: &[usize], most: usize) -> ((usize, usize), Vec<(usize, usize)>) {
    // rows[d][i] is the furthest x with d differences on diagonal k = x - y = 2i - d, if any.
    let mut rows: Vec<Vec<Option<usize>>> = Vec::new();
    loop {
        let d = rows.len();
        let mut row = Vec::with_capacity(d + 1);
        for i in 0..=d {
            let start = match rows.last() {
                None => Some(0),
                Some(previous) => enter(previous, i, old.len(), new.len()),
            };
            let end = start.map(|x| {
                let y = x + d - 2 * i;
                x + old[x..]
                    .iter()
                    .zip(&new[y..])
                    .take_while(|(a, b)| a == b)
                    .count()
            });
            row.push(end);
            if end == Some(old.len()) && old.len() + d == new.len() + 2 * i {
                rows.push(row);
                return (
                    (old.len(), new.len()),
                    trace(&rows, i, old.len(), new.len()),
                );
            }
        }
        let furthest = (0..=d)
            .filter_map(|i| row[i].map(|x| (2 * x + d - 2 * i, i, x)))
            .max();
        rows.push(row);
        if d == most
            && let Some((sum, i, x)) = furthest
        {
            return ((x, sum - x), trace(&rows, i, old.len(), new.len()));
        }
    }
}

/// The furthest x from which entry `i` of the row after `previous` starts: by one element of new
/// from the same entry, or by one of old from the entry before, inside both sequences.
fn enter(previous: &[Option<usize>], i: usize, old_len: usize, new_len: usize) -> Option<usize> {
    let d = previous.len();
    let insert = previous
        .get(i)
        .copied()
        .flatten()
        .filter(|x| x + d - 2 * i <= new_len);
    let remove = i
        .checked_sub(1)
        .and_then(|i| previous[i])
        .filter(|&x| x < old_len);
    insert.max(remove.map(|x| x + 1))
}

/// Walks back from entry `i` of the last row, collecting the pairs on the diagonals.
fn trace(
    rows: &[Vec<Option<usize>>],
    mut i: usize,
    old_len: usize,
    new_len: usize,
) -> Vec<(usize, usize)> {
    let mut kept = Vec::new();
    for d in (0..rows.len()).rev() {
        let Some(mut x) = rows[d][i] else { break };
        let start = match d.checked_sub(1) {
            None => Some(0),
            Some(before) => enter(&rows[before], i, old_len, new_len),
        };
        while Some(x) > start {
            x -= 1;
            kept.push((x, x + d - 2 * i));
        }
        if d > 0 {
            // The same choice as `enter` made: insertion wins only where it got further.
            let remove = i.checked_sub(1).and_then(|i| rows[d - 1][i]);
            let removed = remove.filter(|&from| from < old_len).map(|from| from + 1);
            if removed.is_some() && removed == start {
                i -= 1;
            }
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(old: &str, new: &str) -> usize {
        let keys = |text: &str| text.chars().map(Some).collect::<Vec<_>>();
        let kept = matches(&keys(old), &keys(new));
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for pair in kept.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        }
        assert!(kept.iter().all(|&(i, j)| chars(old)[i] == chars(new)[j]));
        kept.len()
    }

    /// The textbook table, to compare with.
    fn longest(old: &[usize], new: &[usize]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (j, b) in new.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if a == b {
                    diagonal + 1
                } else {
                    above.max(row[j])
                };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    #[test]
    fn known_lengths() {
        for (old, new, length) in [
            ("abcabba", "cbabac", 4),
            ("", "abc", 0),
            ("abc", "", 0),
            ("abc", "abc", 3),
            ("abcdef", "fedcba", 1),
            ("abcdef", "badcfe", 3),
            ("aaaa", "aa", 2),
            ("nematode knowledge", "empty bottle", 7),
        ] {
            assert_eq!(keep(old, new), length, "{old} {new}");
        }
    }

    #[test]
    fn as_long_as_the_table_says() {
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..400 {
            let letters = 1 + round % 7;
            let mut side = || Vec::from_iter((0..random(40)).map(|_| random(letters + 1)));
            let (old, new) = (side(), side());
            let kept = shortest_edit(&old, &new);
            assert!(kept.iter().all(|&(i, j)| old[i] == new[j]));
            assert!(kept.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
            assert_eq!(kept.len(), longest(&old, &new), "{old:?} {new:?}");
        }
    }

    #[test]
    fn rounds_bound_the_work_and_still_align() {
        let old: Vec<usize> = (0..200_000).map(|i| i * i % 1009 % 7).collect();
        let new: Vec<usize> = (0..200_000).map(|i| i * i * i % 1013 % 7).collect();
        let kept = shortest_edit(&old, &new);
        assert!(kept.iter().all(|&(i, j)| old[i] == new[j]));
        assert!(kept.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
        assert!(kept.len() > 80_000, "{}", kept.len());
    }

    #[test]
    fn gaps() {
        let hunk = |old, new| Hunk { old, new };
        assert_eq!(
            between(&[(1, 0), (2, 1), (4, 5)], 5, 7),
            [hunk(0..1, 0..0), hunk(3..4, 2..5), hunk(5..5, 6..7)]
        );
        assert_eq!(between(&[], 0, 0), []);
    }
}
