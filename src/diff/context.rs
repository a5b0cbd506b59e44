//! What stands around a change and stayed: for people who read a diff.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use super::value::{Kind, Value};
use super::{Change, ChangeKind, Diff, NotCanonical};
use crate::pointer::{Pointer, push_token};

/// The two documents of a diff, for [`write_text`](super::text::write_text) to show what stands around its changes.
#[derive(Debug)]
pub struct Surroundings<'a> {
    old: Value<'a>,
    new: Value<'a>,
}

impl<'a> Surroundings<'a> {
    /// Reads both, in canonical form.
    ///
    /// # Errors
    /// [`NotCanonical`] as [`diff`](super::diff()).
    pub fn new(old: &'a [u8], new: &'a [u8]) -> Result<Surroundings<'a>, NotCanonical> {
        Ok(Surroundings {
            old: Value::parse(old)?,
            new: Value::parse(new)?,
        })
    }
}

/// Walks through the changes of a diff and gives for each what stands in front of it and behind it.
pub(super) struct Neighbours<'d, 'a> {
    around: &'d Surroundings<'a>,
    diff: &'d Diff,
    most: usize,
    /// Places in or at which something changed, in the old and in the new document.
    touched: [OnceCell<HashSet<String>>; 2],
    shown: HashSet<(bool, String)>,
}

/// A value that stayed, and its place.
pub(super) type Neighbour<'d> = (String, &'d str);

impl<'d, 'a> Neighbours<'d, 'a> {
    pub fn new(around: &'d Surroundings<'a>, diff: &'d Diff, most: usize) -> Self {
        Neighbours {
            around,
            diff,
            most,
            touched: [OnceCell::new(), OnceCell::new()],
            shown: HashSet::new(),
        }
    }

    /// At most `most` neighbours on each side of the change of this number that are not shown yet. They are in the old
    /// document where something was removed, else in the new one.
    pub fn of(&mut self, number: usize) -> [Vec<Neighbour<'d>>; 2] {
        let change = &self.diff.changes[number];
        let in_old = is_removed(change);
        let mut parent = change.pointer.clone();
        let Some(token) = parent.pop() else {
            return [Vec::new(), Vec::new()];
        };
        let root = match in_old {
            true => &self.around.old,
            false => &self.around.new,
        };
        let Some((container, at)) = place(root, &parent, &token) else {
            return [Vec::new(), Vec::new()];
        };
        // What stands behind the next change of the same container is for that one to show.
        let next = self.diff.changes.get(number + 1);
        let next = next.filter(|next| is_removed(next) == in_old);
        let end = next.and_then(|next| {
            let below = next.pointer.as_str().strip_prefix(parent.as_str())?;
            let token = Pointer::from_escaped(below).tokens().next()?.into_owned();
            position(container, &token)
        });
        let end = end.filter(|end| *end > at).unwrap_or(usize::MAX);
        let front = at.saturating_sub(self.most)..at;
        let behind = at + 1..(at + 1 + self.most).min(end);
        [front, behind].map(|range| self.stayed(container, &parent, range, in_old))
    }

    fn stayed(
        &mut self,
        container: &'d Value<'a>,
        parent: &Pointer,
        range: Range<usize>,
        in_old: bool,
    ) -> Vec<Neighbour<'d>> {
        let mut found = Vec::new();
        for at in range {
            let Some((token, value)) = child(container, at) else {
                break;
            };
            let mut place = parent.as_str().to_owned();
            push_token(&mut place, &token);
            if !self.is_touched(&place, in_old) && self.shown.insert((in_old, place.clone())) {
                found.push((place, value.text()));
            }
        }
        found
    }

    fn is_touched(&self, place: &str, in_old: bool) -> bool {
        let touched = self.touched[usize::from(in_old)].get_or_init(|| {
            let mut places = HashSet::new();
            for change in &self.diff.changes {
                let pointer = match (in_old, is_removed(change)) {
                    (true, _) => change.old_pointer(),
                    (false, true) => None,
                    (false, false) => Some(&change.pointer),
                };
                let Some(mut text) = pointer.map(Pointer::as_str) else {
                    continue;
                };
                // What is around a place that is known is known too.
                while places.insert(text.to_owned()) {
                    let Some((above, _)) = text.rsplit_once('/') else {
                        break;
                    };
                    text = above;
                }
            }
            places
        });
        touched.contains(place)
    }
}

fn is_removed(change: &Change) -> bool {
    matches!(change.kind, ChangeKind::Removed { .. })
}

fn place<'v, 'a>(
    root: &'v Value<'a>,
    parent: &Pointer,
    token: &str,
) -> Option<(&'v Value<'a>, usize)> {
    let mut container = root;
    for token in parent.tokens() {
        container = child(container, position(container, &token)?)?.1;
    }
    Some((container, position(container, token)?))
}

fn position(container: &Value<'_>, token: &str) -> Option<usize> {
    match container.kind() {
        Kind::Array(_) => token.parse().ok(),
        Kind::Object(members) => members
            .binary_search_by(|(name, _)| super::value::compare_names(name, token))
            .ok(),
        _ => None,
    }
}

fn child<'v, 'a>(container: &'v Value<'a>, at: usize) -> Option<(String, &'v Value<'a>)> {
    match container.kind() {
        Kind::Array(items) => Some((at.to_string(), items.get(at)?)),
        Kind::Object(members) => members
            .get(at)
            .map(|(name, value)| (name.to_string(), value)),
        _ => None,
    }
}
