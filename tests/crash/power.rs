//! What is left on a disk when the power goes.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::{File, Image, Inode, Op, Recording, folder_of};
use super::loss::{Content, contents};

/// How names come to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// In order, and with each sync of whatever file.
    Ordered,
    /// In any order, and for sure only with a sync of their folder.
    Strict,
}

/// How many states to look at.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one crash point under one model.
    pub states: usize,
    /// Ways for the names to come out.
    pub names: usize,
    /// Ways for one file to come out.
    pub contents: usize,
    /// Of so many states all ways for the lock file's note and the times of change; of others one.
    pub notes: usize,
}

/// A small generator of random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What became of an operation on a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Of a rename: the new name is there, and the old one still is.
    Both,
}

/// Calls up to a point, and what of them is sure to be on disk.
struct Left<'a> {
    base: &'a Image,
    /// Operations on names, and whether each is sure.
    names: Vec<(&'a Op, bool)>,
    contents: BTreeMap<Inode, Content>,
    /// The notes that the lock file had, newest last.
    notes: Vec<&'a [u8]>,
}

impl<'a> Left<'a> {
    fn new(recording: &'a Recording, end: usize, model: Model) -> Left<'a> {
        let mut left = Left {
            base: &recording.base,
            names: Vec::new(),
            contents: BTreeMap::new(),
            notes: vec![&recording.base.note],
        };
        for file in recording.base.files.values() {
            let content = Content::of(file.bytes.clone(), file.changed);
            left.contents.insert(file.inode, content);
        }
        for (at, op) in recording.ops[..end].iter().enumerate() {
            let now = recording.time(at);
            match op {
                Op::Create { inode, .. } => {
                    left.names.push((op, false));
                    left.contents.insert(*inode, Content::of(Vec::new(), now));
                }
                Op::CreateDir { .. } | Op::Rename { .. } | Op::Remove { .. } => {
                    left.names.push((op, false));
                }
                Op::Write {
                    inode,
                    offset,
                    bytes,
                } => left.content(*inode).write(*offset, bytes, now),
                Op::SetLen { inode, len } => left.content(*inode).set_len(*len, now),
                Op::Sync { inode, ok } => {
                    left.content(*inode).sync(*ok);
                    if *ok && model == Model::Ordered {
                        left.names.iter_mut().for_each(|(_, sure)| *sure = true);
                    }
                }
                Op::SyncDir { folder, ok } => {
                    for (op, sure) in &mut left.names {
                        let here = op.name().is_some_and(|name| folder_of(name) == folder);
                        *sure |= *ok && (here || model == Model::Ordered);
                    }
                }
                Op::WritebackFailed => {
                    let all = left.contents.values_mut();
                    all.for_each(|content| content.sync(false));
                }
                Op::Note(note) => left.notes.push(note),
                Op::Made | Op::Begin(_) | Op::Acknowledge(_) => {}
            }
        }
        left
    }

    fn content(&mut self, inode: Inode) -> &mut Content {
        self.contents.get_mut(&inode).unwrap()
    }

    /// The ways in which the names can come out: without what is not sure first, with all of it second.
    fn fates(&self, model: Model, limit: usize, random: &mut Random) -> Vec<Vec<Fate>> {
        let unsure: Vec<usize> = (0..self.names.len())
            .filter(|at| !self.names[*at].1)
            .collect();
        let fates = |choose: &mut dyn FnMut(usize) -> Fate| -> Vec<Fate> {
            let mut fates = vec![Fate::Kept; self.names.len()];
            for (number, at) in unsure.iter().enumerate() {
                fates[*at] = choose(number);
            }
            fates
        };
        let kept = |yes| if yes { Fate::Kept } else { Fate::Lost };
        let mut all = vec![fates(&mut |_| Fate::Lost), fates(&mut |_| Fate::Kept)];
        if model == Model::Ordered {
            for count in 1..unsure.len() {
                all.push(fates(&mut |number| kept(number < count)));
            }
            return all;
        }
        for (one, at) in unsure.iter().enumerate() {
            all.push(fates(&mut |number| kept(number == one)));
            all.push(fates(&mut |number| kept(number != one)));
            if matches!(self.names[*at].0, Op::Rename { .. }) {
                let both = |number| {
                    if number == one {
                        Fate::Both
                    } else {
                        Fate::Kept
                    }
                };
                all.push(fates(&mut |number| both(number)));
            }
        }
        if unsure.len() <= 5 {
            for mask in 0..1usize << unsure.len() {
                all.push(fates(&mut |number| kept(mask >> number & 1 == 1)));
            }
        } else {
            while all.len() < limit {
                all.push(fates(&mut |_| kept(random.below(2) == 1)));
            }
        }
        let mut seen: Vec<Vec<Fate>> = Vec::new();
        for fates in all {
            if seen.len() < limit && !seen.contains(&fates) {
                seen.push(fates);
            }
        }
        seen
    }

    /// The folders and names that these fates leave.
    fn names(&self, fates: &[Fate]) -> (BTreeSet<String>, BTreeMap<String, Inode>) {
        let mut folders = self.base.folders.clone();
        let mut names: BTreeMap<String, Inode> = BTreeMap::new();
        for (name, file) in &self.base.files {
            names.insert(name.clone(), file.inode);
        }
        for ((op, _), fate) in self.names.iter().zip(fates) {
            if *fate == Fate::Lost {
                continue;
            }
            match op {
                Op::Create { name, inode } => {
                    names.insert(name.clone(), *inode);
                }
                Op::CreateDir { name } => {
                    folders.insert(name.clone());
                }
                Op::Rename { from, to, inode } => {
                    if *fate == Fate::Kept && names.get(from) == Some(inode) {
                        names.remove(from);
                    }
                    names.insert(to.clone(), *inode);
                }
                Op::Remove { name, inode } => {
                    if names.get(name) == Some(inode) {
                        names.remove(name);
                    }
                }
                _ => unreachable!("only operations on names are kept here"),
            }
        }
        // What is in a folder that is not there cannot be reached.
        let stands = |folder: &str| folder.is_empty() || folders.contains(folder);
        let lost: Vec<String> = folders
            .iter()
            .filter(|name| !stands(folder_of(name)))
            .cloned()
            .collect();
        names.retain(|name, _| {
            let folder = folder_of(name);
            stands(folder) && !lost.iter().any(|lost| lost == folder)
        });
        folders.retain(|name| !lost.contains(name));
        (folders, names)
    }
}

/// Calls `sink` with the states that a loss of power in front of call number `end` can leave, and what was lost.
pub fn states(
    recording: &Recording,
    end: usize,
    model: Model,
    limits: Limits,
    random: &mut Random,
    sink: &mut dyn FnMut(Image, String),
) {
    let left = Left::new(recording, end, model);
    let all_fates = left.fates(model, limits.names, random);
    let ways: BTreeMap<Inode, Vec<(Vec<u8>, String)>> = left
        .contents
        .iter()
        .map(|(inode, content)| (*inode, contents(content, limits.contents, random)))
        .collect();
    let mut unsure: Vec<Inode> = ways.keys().copied().collect();
    unsure.retain(|inode| ways[inode].len() > 1);
    let product = unsure.iter().fold(all_fates.len(), |product, inode| {
        product.saturating_mul(ways[inode].len())
    });
    let notes = left.note_ways();
    for number in 0..product.min(limits.states) {
        // The digits of a number, each to a base of its own, are one choice each. All numbers where they are few; else
        // what is first in each list, what is second, and random ones.
        let few = product <= limits.states;
        let mut code = if few { number } else { random.below(product) };
        let mut digit = |base: usize| {
            let digit = code % base;
            code /= base;
            match number {
                0 | 1 if !few => number.min(base - 1),
                _ => digit,
            }
        };
        let fates = &all_fates[digit(all_fates.len())];
        let chosen: BTreeMap<Inode, usize> = unsure
            .iter()
            .map(|inode| (*inode, digit(ways[inode].len())))
            .collect();
        // The note and the time of the last change come out on their own.
        let all = number < limits.notes;
        for round in 0..if all { notes.len() * 2 } else { 1 } {
            let (note, old_time) = match all {
                true => (round / 2, round % 2 == 1),
                false => (random.below(notes.len()), random.below(2) == 1),
            };
            let (folders, names) = left.names(fates);
            let mut lost = format!("names {}", text(&left, fates));
            let mut files = BTreeMap::new();
            for (name, inode) in names {
                let content = &left.contents[&inode];
                let (bytes, how) = &ways[&inode][chosen.get(&inode).copied().unwrap_or(0)];
                if !how.is_empty() {
                    lost.push_str(&format!("; {name}: {how}"));
                }
                let changed = match old_time {
                    true => content.synced_time,
                    false => content.time,
                };
                let bytes = bytes.clone();
                let file = File {
                    inode,
                    changed,
                    bytes,
                };
                files.insert(name, file);
            }
            lost.push_str(&format!(
                "; note {note} from the newest, old time {old_time}"
            ));
            let note = notes[note].to_vec();
            let image = Image {
                folders,
                files,
                note,
            };
            sink(image, lost);
        }
    }
}

impl Left<'_> {
    /// The newest note, none, one that is cut, and older ones.
    fn note_ways(&self) -> Vec<&[u8]> {
        let mut ways: Vec<&[u8]> = Vec::new();
        let newest = self.notes[self.notes.len() - 1];
        let older = self.notes.iter().rev().skip(1).copied();
        let all = [newest, &[], &newest[..newest.len() / 2]];
        for note in all.into_iter().chain(older) {
            if !ways.contains(&note) && ways.len() < 6 {
                ways.push(note);
            }
        }
        ways
    }
}

fn text(left: &Left<'_>, fates: &[Fate]) -> String {
    let unsure = left.names.iter().zip(fates).filter(|((_, sure), _)| !sure);
    let parts: Vec<String> = unsure
        .map(|((op, _), fate)| format!("{fate:?} {}", op.short()))
        .collect();
    format!("[{}]", parts.join(", "))
}
