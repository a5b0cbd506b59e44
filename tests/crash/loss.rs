//! What is left of the bytes of one file.

use std::sync::Arc;

use super::disk::put;
use super::power::Random;

/// A call on the bytes of a file, and what is sure of it.
#[derive(Clone, Debug)]
struct Change {
    what: What,
    state: Known,
}

#[derive(Clone, Debug)]
enum What {
    Write(usize, Arc<[u8]>),
    SetLen(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    OnDisk,
    Unsynced,
    /// A sync failed on it. It may be on disk or not, and no later sync changes that; a later one makes the length
    /// sure.
    Failed {
        len_sure: bool,
    },
}

/// A file: what it was, and what was done to it since.
#[derive(Clone, Debug)]
pub struct Content {
    base: Vec<u8>,
    changes: Vec<Change>,
    /// When it was last changed.
    pub time: i64,
    /// The same, as far as it is sure to be on disk.
    pub synced_time: i64,
}

impl Content {
    pub fn of(base: Vec<u8>, time: i64) -> Content {
        Content {
            base,
            changes: Vec::new(),
            time,
            synced_time: time,
        }
    }

    pub fn write(&mut self, offset: usize, bytes: &Arc<[u8]>, time: i64) {
        self.push(What::Write(offset, bytes.clone()), time);
    }

    pub fn set_len(&mut self, len: usize, time: i64) {
        self.push(What::SetLen(len), time);
    }

    fn push(&mut self, what: What, time: i64) {
        self.time = time;
        self.changes.push(Change {
            what,
            state: Known::Unsynced,
        });
    }

    pub fn sync(&mut self, ok: bool) {
        for change in &mut self.changes {
            change.state = match (change.state, ok, &change.what) {
                (Known::Unsynced, true, _) => Known::OnDisk,
                (Known::Unsynced, false, What::Write(..)) => Known::Failed { len_sure: false },
                (Known::Failed { .. }, true, _) => Known::Failed { len_sure: true },
                (state, ..) => state,
            };
        }
        if ok {
            self.synced_time = self.time;
        }
        // What is sure is not looked at again.
        let sure = self.changes.iter();
        let sure = sure.take_while(|change| change.state == Known::OnDisk);
        for change in self.changes.drain(..sure.count()) {
            match change.what {
                What::Write(offset, bytes) => put(&mut self.base, offset, &bytes),
                What::SetLen(len) => self.base.resize(len, 0),
            }
        }
    }
}

/// What became of an unsynced call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// The first so many bytes of a write.
    Cut(usize),
    /// Of the blocks of this size, those of the list.
    Blocks {
        size: usize,
        kept: Vec<bool>,
        junk: bool,
        /// The file has the length it would have with all of them.
        long: bool,
    },
}

/// The ways in which a file can come out, and what was lost: without what is not sure first, with all of it second.
pub fn contents(content: &Content, limit: usize, random: &mut Random) -> Vec<(Vec<u8>, String)> {
    let unsure: Vec<&Change> = content
        .changes
        .iter()
        .filter(|change| change.state != Known::OnDisk)
        .collect();
    let mut ways: Vec<(Vec<u8>, String)> = Vec::new();
    let mut add = |fates: Vec<Fate>| {
        let bytes = apply(content, &fates);
        if ways.iter().all(|(known, _)| *known != bytes) {
            ways.push((bytes, format!("{fates:?}")));
        }
    };
    match unsure[..] {
        [] => return vec![(content.base.clone(), String::new())],
        [one] => {
            let fates = fates_of(one, limit, random);
            fates
                .into_iter()
                .take(limit)
                .for_each(|fate| add(vec![fate]));
        }
        _ => {
            add(vec![Fate::Lost; unsure.len()]);
            add(vec![Fate::Kept; unsure.len()]);
            let lists: Vec<Vec<Fate>> = unsure
                .iter()
                .map(|change| fates_of(change, limit, random))
                .collect();
            for one in 0..unsure.len() {
                for fate in [Fate::Lost, Fate::Kept] {
                    let mut fates = vec![fate.clone(); unsure.len()];
                    fates[one] = match fate {
                        Fate::Lost => Fate::Kept,
                        _ => Fate::Lost,
                    };
                    add(fates);
                }
            }
            for _ in 0..limit {
                let fate = |list: &Vec<Fate>| match random.below(3) {
                    0 => list[random.below(2)].clone(),
                    _ => list[random.below(list.len())].clone(),
                };
                add(lists.iter().map(fate).collect());
            }
        }
    }
    ways
}

/// What can become of one call: lost first, kept second.
fn fates_of(change: &Change, limit: usize, random: &mut Random) -> Vec<Fate> {
    let mut fates = vec![Fate::Lost, Fate::Kept];
    let What::Write(offset, bytes) = &change.what else {
        return fates;
    };
    let len = bytes.len();
    for size in [4096, 512] {
        let (first, last) = (offset / size, (offset + len.max(1) - 1) / size);
        let count = last - first + 1;
        let mut masks: Vec<Vec<bool>> = vec![vec![false; count]];
        if count <= 4 {
            for mask in 1..(1usize << count) - 1 {
                masks.push((0..count).map(|block| mask >> block & 1 == 1).collect());
            }
        } else {
            for one in [0, count - 1] {
                masks.push((0..count).map(|block| block == one).collect());
                masks.push((0..count).map(|block| block != one).collect());
            }
            for _ in 0..limit / 4 {
                masks.push((0..count).map(|_| random.below(2) == 1).collect());
            }
        }
        for kept in masks {
            for (junk, long) in [(false, true), (true, true), (false, false)] {
                fates.push(Fate::Blocks {
                    size,
                    kept: kept.clone(),
                    junk,
                    long,
                });
            }
        }
    }
    fates.extend(tears(*offset, len).into_iter().map(Fate::Cut));
    fates
}

/// Lengths at which a write may be torn.
pub fn tears(offset: usize, len: usize) -> Vec<usize> {
    let mut tears = vec![0, 1, len / 2, len.saturating_sub(1)];
    for size in [512, 4096] {
        let boundaries = (offset / size + 1..).map(|block| block * size - offset);
        let mut inside: Vec<usize> = boundaries.take_while(|at| *at < len).collect();
        if inside.len() > 6 {
            let last = inside.split_off(inside.len() - 3);
            inside.truncate(3);
            inside.extend(last);
        }
        tears.extend(inside);
    }
    tears.retain(|at| *at < len);
    tears.sort_unstable();
    tears.dedup();
    tears
}

/// The bytes that these fates of the calls that are not sure leave.
fn apply(content: &Content, fates: &[Fate]) -> Vec<u8> {
    let mut data = content.base.clone();
    let mut fates = fates.iter();
    for change in &content.changes {
        let fate = match change.state {
            Known::OnDisk => &Fate::Kept,
            _ => fates.next().unwrap(),
        };
        match (&change.what, fate) {
            (What::SetLen(len), Fate::Kept) => data.resize(*len, 0),
            (What::SetLen(_), _) => {}
            (What::Write(offset, bytes), fate) => {
                let old_len = data.len();
                let sure = change.state == Known::Failed { len_sure: true };
                let long = matches!(fate, Fate::Blocks { long: true, .. });
                if (sure || long) && data.len() < offset + bytes.len() {
                    data.resize(offset + bytes.len(), 0);
                }
                write(&mut data, *offset, bytes, fate, old_len);
            }
        }
    }
    data
}

/// Writes what the fate leaves of the bytes. What is lost of bytes that were there stays as it was; junk stands only
/// where the file has grown, beyond `old_len`.
fn write(data: &mut Vec<u8>, offset: usize, bytes: &[u8], fate: &Fate, old_len: usize) {
    match fate {
        Fate::Lost => {}
        Fate::Kept => put(data, offset, bytes),
        Fate::Cut(len) => put(data, offset, &bytes[..*len]),
        Fate::Blocks {
            size, kept, junk, ..
        } => {
            let first = offset / size;
            for (number, kept) in kept.iter().enumerate() {
                let start = ((first + number) * size).max(offset);
                let end = ((first + number + 1) * size).min(offset + bytes.len());
                if *kept {
                    put(data, start, &bytes[start - offset..end - offset]);
                } else if *junk && end > old_len {
                    let start = start.max(old_len);
                    let junk: Vec<u8> = (start..end).map(junk_at).collect();
                    put(data, start, &junk);
                }
            }
        }
    }
}

/// A byte that nobody wrote.
fn junk_at(at: usize) -> u8 {
    (at.wrapping_mul(0x9e37_79b1) >> 11) as u8
}
