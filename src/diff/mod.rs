//! What changed between two documents, member by member and element by element.
//!
//! Everything here takes canonical bytes and is pure: [`diff`] compares, [`text`] shows the result
//! to a person, [`json`] to a program, and [`patch`] as the steps from one document to the other.

pub mod apply;
mod context;
mod inner;
pub mod json;
pub mod merge;
pub mod merge3;
mod moves;
mod number;
mod options;
mod pairing;
mod parse;
pub mod patch;
mod sequence;
mod shorten;
pub mod text;
mod tree;
pub mod value;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::RandomState;

pub use context::Surroundings;
pub use number::{MAX_DIGITS, number_difference, percent_difference};
pub use options::{DiffOptions, Pattern, Tolerance};
pub use value::NotCanonical;

use crate::pointer::{Pointer, push_token};
use pairing::Step;
use value::{Kind, Value, compare_names};

/// Bytes of pointers that a diff may hold for each byte of the two documents, and on top.
///
/// Where thousands of values change below one enormous member name, spelling out each pointer would
/// take the square of the size of the documents. Past this limit a container counts as changed as
/// a whole.
const POINTER_BYTES_PER_BYTE: usize = 16;
const POINTER_BYTES: usize = 16 << 20;

/// Why two documents have no difference of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// One of them is not in canonical form.
    #[error("{0}")]
    NotCanonical(#[from] NotCanonical),
    /// A merge patch cannot make a member `null`: there `null` stands for removal.
    #[error("a merge patch cannot make the value at {0} null: there null stands for removal")]
    NoMergePatch(Pointer),
}

/// What a comparison with options gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What differs.
    pub diff: Diff,
    /// How many differences more there are without the options.
    pub hidden: usize,
}

/// Compares two documents in canonical form, with what is to be left out and what counts as equal.
///
/// Where something is left out, values in the diff are without it.
///
/// # Errors
/// As [`diff`].
pub fn compare(old: &[u8], new: &[u8], options: &DiffOptions) -> Result<Compared, NotCanonical> {
    if options.is_default() {
        let diff = diff(old, new)?;
        return Ok(Compared { diff, hidden: 0 });
    }
    let (old_masked, new_masked) = (options.masked(old)?, options.masked(new)?);
    let mut shown = diff_with(&old_masked, &new_masked, options)?;
    options.filter(&mut shown);
    let keyed = DiffOptions {
        keys: options.keys.clone(),
        ..DiffOptions::default()
    };
    let all = diff_with(old, new, &keyed)?;
    Ok(Compared {
        hidden: all.changes.len().saturating_sub(shown.changes.len()),
        diff: shown,
    })
}

/// The differences between two documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In document order: members in canonical order, elements in the order of the arrays.
    pub changes: Vec<Change>,
}

/// One difference.
///
/// # Which array indices
/// Elements move when others are removed or added in front of them, so a pointer is right in one of
/// the two documents only: [`Change::pointer`] holds in the **old** document for what was removed,
/// and in the **new** document for what was added or changed.
///
/// To make the new document from the old one: first put each changed value at its
/// [`Change::old_pointer`], then take out what was removed and what moved, the deepest first and of one array
/// the last first, then put in what was added and what moved, the other way round (an element is inserted in
/// front of the one now there).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: in the old document for a removal, in the new document otherwise.
    pub pointer: Pointer,
    /// Where a changed value was in the old document, if that is another place: an element behind
    /// one that was removed or added. Where an element that moved was. `None` for what was added or removed.
    pub moved_from: Option<Pointer>,
    /// What happened there.
    pub kind: ChangeKind,
}

/// What happened to a value; the values are canonical text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A member or element that the old document does not have.
    Added {
        /// The value.
        new: Box<str>,
    },
    /// A member or element that the new document does not have.
    Removed {
        /// The value.
        old: Box<str>,
    },
    /// Another value in the same place.
    Changed {
        /// The value before.
        old: Box<str>,
        /// The value after.
        new: Box<str>,
    },
    /// An element that has passed others of its array. What changed inside it is said by changes of their own.
    Moved {
        /// The value in the new document.
        new: Box<str>,
    },
}

/// How many changes of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Values replaced by others.
    pub changed: usize,
    /// Members and elements that were added.
    pub added: usize,
    /// Members and elements that were removed.
    pub removed: usize,
    /// Elements that have passed others of their array.
    pub moved: usize,
}

impl Diff {
    /// Whether the documents are the same, byte for byte.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Counts the changes.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            *match change.kind {
                ChangeKind::Changed { .. } => &mut summary.changed,
                ChangeKind::Added { .. } => &mut summary.added,
                ChangeKind::Removed { .. } => &mut summary.removed,
                ChangeKind::Moved { .. } => &mut summary.moved,
            } += 1;
        }
        summary
    }
}

impl Change {
    /// Where a changed, removed or moved value was in the old document; `None` for an added one.
    pub fn old_pointer(&self) -> Option<&Pointer> {
        match self.kind {
            ChangeKind::Added { .. } => None,
            _ => Some(self.moved_from.as_ref().unwrap_or(&self.pointer)),
        }
    }

    /// `new - old`, where both are numbers: see [`number_difference`].
    pub fn difference(&self) -> Option<String> {
        match &self.kind {
            ChangeKind::Changed { old, new } => number_difference(old, new),
            _ => None,
        }
    }

    /// The difference in percent of the old number: see [`percent_difference`].
    pub fn percent(&self) -> Option<f64> {
        match &self.kind {
            ChangeKind::Changed { old, new } => percent_difference(old, new),
            _ => None,
        }
    }
}

/// Compares two documents in canonical form.
///
/// Objects are compared member by member. Arrays keep a longest common subsequence of equal
/// elements; in each run that differs, old and new elements are paired in order, the similar ones
/// first, and paired containers are compared in turn. Objects that all have one of the members
/// `id`, `_id`, `uuid`, `key`, `name` or `path`, each another scalar, go by that one, if at least half
/// of them are on both sides. An element that is in both arrays and has passed others has moved. Where two arrays of one length differ in
/// scalars only and comparing place by place gives fewer changes, that is done instead. The diff is
/// empty exactly when the bytes are equal.
///
/// Work and memory are bounded. An array pair with very many differences among repeated elements
/// is aligned well rather than minimally, and pairing spends a fixed number of comparisons on
/// similarity before it falls back to identifying members (`id`, `name`, …) and to the order. The
/// answer is the same in each run.
///
/// # Errors
/// [`NotCanonical`] where either is not a canonical document, at most 1,024 levels deep.
///
/// ```
/// use backstory::diff::{ChangeKind, diff};
///
/// let changes = diff(br#"{"a":1,"b":[2]}"#, br#"{"a":1,"b":[2,3]}"#)?.changes;
/// assert_eq!(changes.len(), 1);
/// assert_eq!(changes[0].pointer.as_str(), "/b/1");
/// assert_eq!(changes[0].kind, ChangeKind::Added { new: "3".into() });
/// # Ok::<(), backstory::diff::NotCanonical>(())
/// ```
pub fn diff(old: &[u8], new: &[u8]) -> Result<Diff, NotCanonical> {
    diff_with(old, new, &DiffOptions::default())
}

fn diff_with(old: &[u8], new: &[u8], options: &DiffOptions) -> Result<Diff, NotCanonical> {
    // One key for both, or the hashes could not be compared. It is random, so that no document can
    // be made to collide; the result does not depend on it.
    let key = RandomState::new();
    let old_value = Value::parse_keyed(old, &key)?;
    if old == new {
        return Ok(Diff::default());
    }
    let new_value = Value::parse_keyed(new, &key)?;
    Ok(walk_both(&old_value, &new_value, options))
}

/// Compares each document with the one before it, as [`diff`] does; each is read once. The answer has one diff less
/// than there are documents.
///
/// # Errors
/// As [`diff`].
pub fn diff_row<D: AsRef<[u8]>>(documents: &[D]) -> Result<Vec<Diff>, NotCanonical> {
    let key = RandomState::new();
    let options = DiffOptions::default();
    let mut diffs = Vec::with_capacity(documents.len().saturating_sub(1));
    let mut before: Option<Value<'_>> = None;
    for document in documents {
        let value = Value::parse_keyed(document.as_ref(), &key)?;
        if let Some(before) = &before {
            diffs.push(walk_both(before, &value, &options));
        }
        before = Some(value);
    }
    Ok(diffs)
}

/// Compares two documents that were read with one key.
fn walk_both(old_value: &Value<'_>, new_value: &Value<'_>, options: &DiffOptions) -> Diff {
    let bytes = old_value.raw().len().saturating_add(new_value.raw().len());
    let mut walk = Walk {
        options,
        old_path: String::new(),
        new_path: String::new(),
        pointer_bytes: bytes
            .saturating_mul(POINTER_BYTES_PER_BYTE)
            .saturating_add(POINTER_BYTES),
        comparisons: pairing::BUDGET,
        tasks: Vec::new(),
        changes: Vec::new(),
    };
    walk.compare(old_value, new_value);
    while let Some(task) = walk.tasks.pop() {
        walk.run(task);
    }
    Diff {
        changes: walk.changes,
    }
}

/// What remains to be done, as a stack: documents may be 1,024 levels deep, and threads small.
struct Walk<'v, 'a> {
    options: &'v DiffOptions,
    /// The pointers of the place where the walk is.
    old_path: String,
    new_path: String,
    pointer_bytes: usize,
    comparisons: usize,
    tasks: Vec<Task<'v, 'a>>,
    changes: Vec<Change>,
}

struct Task<'v, 'a> {
    /// Lengths of the paths of the container around.
    old_base: usize,
    new_base: usize,
    place: Place<'v>,
    action: Action<'v, 'a>,
}

#[derive(Clone, Copy)]
enum Place<'v> {
    Member(&'v str),
    Element(usize, usize),
}

enum Action<'v, 'a> {
    Compare(&'v Value<'a>, &'v Value<'a>),
    Replace(&'v Value<'a>, &'v Value<'a>),
    Remove(&'v Value<'a>),
    Add(&'v Value<'a>),
    /// An element that moved, and may have changed too.
    Move(&'v Value<'a>, &'v Value<'a>),
}

impl<'v, 'a> Walk<'v, 'a> {
    fn run(&mut self, task: Task<'v, 'a>) {
        self.old_path.truncate(task.old_base);
        self.new_path.truncate(task.new_base);
        match task.place {
            Place::Member(name) => {
                push_token(&mut self.old_path, name);
                push_token(&mut self.new_path, name);
            }
            Place::Element(i, j) => {
                push_token(&mut self.old_path, &i.to_string());
                push_token(&mut self.new_path, &j.to_string());
            }
        }
        match task.action {
            Action::Compare(old, new) => self.compare(old, new),
            Action::Replace(old, new) => self.replace(old, new),
            Action::Remove(old) => self.changes.push(Change {
                pointer: Pointer::from_escaped(&self.old_path),
                moved_from: None,
                kind: ChangeKind::Removed {
                    old: old.text().into(),
                },
            }),
            Action::Add(new) => self.changes.push(Change {
                pointer: Pointer::from_escaped(&self.new_path),
                moved_from: None,
                kind: ChangeKind::Added {
                    new: new.text().into(),
                },
            }),
            Action::Move(old, new) => {
                self.changes.push(Change {
                    pointer: Pointer::from_escaped(&self.new_path),
                    moved_from: Some(Pointer::from_escaped(&self.old_path)),
                    kind: ChangeKind::Moved {
                        new: new.text().into(),
                    },
                });
                self.compare(old, new);
            }
        }
    }

    fn replace(&mut self, old: &Value<'_>, new: &Value<'_>) {
        let moved = self.old_path != self.new_path;
        self.changes.push(Change {
            pointer: Pointer::from_escaped(&self.new_path),
            moved_from: moved.then(|| Pointer::from_escaped(&self.old_path)),
            kind: ChangeKind::Changed {
                old: old.text().into(),
                new: new.text().into(),
            },
        });
    }

    fn compare(&mut self, old: &'v Value<'a>, new: &'v Value<'a>) {
        if old.same(new) {
            return;
        }
        let first = self.tasks.len();
        match (old.kind(), new.kind()) {
            (Kind::Object(old), Kind::Object(new)) => self.members(old, new),
            (Kind::Array(old), Kind::Array(new)) => self.elements(old, new),
            _ => return self.replace(old, new),
        }
        let paths = self.old_path.len() + self.new_path.len();
        let below = (self.tasks.len() - first).saturating_mul(paths);
        match self.pointer_bytes.checked_sub(below) {
            Some(rest) => {
                self.pointer_bytes = rest;
                // The last task is taken first.
                self.tasks[first..].reverse();
            }
            None => {
                self.tasks.truncate(first);
                self.replace(old, new);
            }
        }
    }

    fn members(
        &mut self,
        old: &'v [(Cow<'a, str>, Value<'a>)],
        new: &'v [(Cow<'a, str>, Value<'a>)],
    ) {
        let (mut i, mut j) = (0, 0);
        loop {
            let order = match (old.get(i), new.get(j)) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => compare_names(a, b),
            };
            match order {
                Ordering::Less => {
                    self.push(Place::Member(&old[i].0), Action::Remove(&old[i].1));
                    i += 1;
                }
                Ordering::Greater => {
                    self.push(Place::Member(&new[j].0), Action::Add(&new[j].1));
                    j += 1;
                }
                Ordering::Equal => {
                    if !old[i].1.same(&new[j].1) {
                        let action = Action::Compare(&old[i].1, &new[j].1);
                        self.push(Place::Member(&old[i].0), action);
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
    }

    fn elements(&mut self, old: &'v [Value<'a>], new: &'v [Value<'a>]) {
        let key = match self.options.key(&self.new_path) {
            Some(key) => Some(key),
            None => pairing::key(old, new),
        };
        let mut steps = Vec::new();
        if let Some(key) = key {
            pairing::by_key(old, new, key, &mut steps);
        } else {
            for hunk in sequence::hunks(old, new) {
                pairing::pair(old, new, &hunk, &mut self.comparisons, &mut steps);
            }
            match in_place(old, new, steps.len()) {
                Some(in_place) => steps = in_place,
                None => moves::find(old, new, &mut steps),
            }
        }
        for step in steps {
            let (place, action) = match step {
                Step::Pair(i, j) if old[i].same(&new[j]) => continue,
                Step::Pair(i, j) if worth_comparing(&old[i], &new[j]) => {
                    (Place::Element(i, j), Action::Compare(&old[i], &new[j]))
                }
                Step::Pair(i, j) => (Place::Element(i, j), Action::Replace(&old[i], &new[j])),
                Step::Removed(i) => (Place::Element(i, i), Action::Remove(&old[i])),
                Step::Added(j) => (Place::Element(j, j), Action::Add(&new[j])),
                Step::Moved(i, j) => (Place::Element(i, j), Action::Move(&old[i], &new[j])),
            };
            self.push(place, action);
        }
    }

    fn push(&mut self, place: Place<'v>, action: Action<'v, 'a>) {
        self.tasks.push(Task {
            old_base: self.old_path.len(),
            new_base: self.new_path.len(),
            place,
            action,
        });
    }
}

/// The pairs that differ in two arrays of one length, where those are scalars and fewer than
/// `most`. In a long vector of which most numbers changed, the few that come back at another place
/// do so by chance, and a common subsequence through them would shift everything between.
fn in_place(old: &[Value<'_>], new: &[Value<'_>], most: usize) -> Option<Vec<Step>> {
    if old.len() != new.len() {
        return None;
    }
    let mut steps = Vec::new();
    for (i, (old, new)) in old.iter().zip(new).enumerate() {
        if old.same(new) {
            continue;
        }
        if old.is_container() || new.is_container() || steps.len() + 1 >= most {
            return None;
        }
        steps.push(Step::Pair(i, i));
    }
    Some(steps)
}

/// Two objects of an array that have no member name in common are two things: one replaced the
/// other, and a list of their members would only hide that.
fn worth_comparing(old: &Value<'_>, new: &Value<'_>) -> bool {
    let (Kind::Object(old), Kind::Object(new)) = (old.kind(), new.kind()) else {
        return true;
    };
    if old.is_empty() || new.is_empty() {
        return true;
    }
    let (few, many) = if old.len() < new.len() {
        (old, new)
    } else {
        (new, old)
    };
    few.iter().any(|(name, _)| {
        many.binary_search_by(|(other, _)| compare_names(other, name))
            .is_ok()
    })
}

#[cfg(test)]
mod tests;
