//! Three-way merge: two documents that came from one.

use super::NotCanonical;
use super::tree::Tree;
use crate::pointer::{Pointer, push_token};

/// A place that both sides changed, each in its way. Values are JSON text; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where, in the merged document.
    pub pointer: Pointer,
    /// What both came from.
    pub base: Option<Box<str>>,
    /// What one side has: it stands in the merged document.
    pub ours: Option<Box<str>>,
    /// What the other has.
    pub theirs: Option<Box<str>>,
}

/// What a merge gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The document, as JSON text whose members may be out of order. Where there is a conflict it has what `ours` has.
    pub document: Vec<u8>,
    /// Where both sides changed the same.
    pub conflicts: Vec<Conflict>,
}

/// Merges what `ours` and `theirs` changed of `base`, all in canonical form.
///
/// Objects are merged member by member. Arrays of objects that each have another scalar as `id`, `_id`, `uuid`, `key`,
/// `name` or `path` are merged by that member; where only one side changed an array, that side counts; where both did,
/// arrays of the same length are merged element by element, and others are a conflict.
///
/// # Errors
/// [`NotCanonical`].
///
/// ```
/// use backstory::diff::merge3::merge;
///
/// let merged = merge(br#"{"a":1,"b":1}"#, br#"{"a":2,"b":1}"#, br#"{"a":1,"b":3}"#)?;
/// assert!(merged.conflicts.is_empty());
/// assert_eq!(merged.document, br#"{"a":2,"b":3}"#);
/// # Ok::<(), backstory::diff::NotCanonical>(())
/// ```
pub fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merged, NotCanonical> {
    let (base, ours, theirs) = (Tree::parse(base)?, Tree::parse(ours)?, Tree::parse(theirs)?);
    let mut merger = Merger {
        path: String::new(),
        conflicts: Vec::new(),
    };
    let merged = merger.value(Some(&base), Some(&ours), Some(&theirs));
    let mut document = Vec::new();
    // A root is always there on both sides, and so in what was merged.
    merged.unwrap_or(ours).write(&mut document);
    Ok(Merged {
        document,
        conflicts: merger.conflicts,
    })
}

struct Merger {
    path: String,
    conflicts: Vec<Conflict>,
}

fn same(a: Option<&Tree>, b: Option<&Tree>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

impl Merger {
    /// What becomes of a value; `None` where it is removed. Recurses as deep as the document.
    fn value(
        &mut self,
        base: Option<&Tree>,
        ours: Option<&Tree>,
        theirs: Option<&Tree>,
    ) -> Option<Tree> {
        if same(ours, theirs) || same(base, theirs) {
            return ours.cloned();
        }
        if same(base, ours) {
            return theirs.cloned();
        }
        let none = Tree::Object(Vec::new());
        match (base, ours, theirs) {
            (base, Some(Tree::Object(a)), Some(Tree::Object(b)))
                if base.is_none_or(|base| matches!(base, Tree::Object(_))) =>
            {
                Some(self.members(base.unwrap_or(&none), a, b))
            }
            (Some(Tree::Array(base)), Some(Tree::Array(a)), Some(Tree::Array(b))) => {
                match self.elements(base, a, b) {
                    Some(merged) => Some(merged),
                    None => self.conflict(Some(&Tree::Array(base.clone())), ours, theirs),
                }
            }
            _ => self.conflict(base, ours, theirs),
        }
    }

    fn conflict(
        &mut self,
        base: Option<&Tree>,
        ours: Option<&Tree>,
        theirs: Option<&Tree>,
    ) -> Option<Tree> {
        let text = |tree: Option<&Tree>| tree.map(|tree| tree.text().into());
        self.conflicts.push(Conflict {
            pointer: Pointer::from_escaped(&self.path),
            base: text(base),
            ours: text(ours),
            theirs: text(theirs),
        });
        ours.cloned()
    }

    fn below(
        &mut self,
        token: &str,
        base: Option<&Tree>,
        ours: Option<&Tree>,
        theirs: Option<&Tree>,
    ) -> Option<Tree> {
        let len = self.path.len();
        push_token(&mut self.path, token);
        let merged = self.value(base, ours, theirs);
        self.path.truncate(len);
        merged
    }

    fn members(
        &mut self,
        base: &Tree,
        ours: &[(Box<str>, Tree)],
        theirs: &[(Box<str>, Tree)],
    ) -> Tree {
        let mut merged = Vec::new();
        let find = |members: &'_ [(Box<str>, Tree)], name: &str| {
            members.iter().position(|(other, _)| &**other == name)
        };
        for (name, value) in ours {
            let other = find(theirs, name).map(|at| &theirs[at].1);
            if let Some(value) = self.below(name, base.member(name), Some(value), other) {
                merged.push((name.clone(), value));
            }
        }
        for (name, value) in theirs {
            if find(ours, name).is_none()
                && let Some(value) = self.below(name, base.member(name), None, Some(value))
            {
                merged.push((name.clone(), value));
            }
        }
        Tree::Object(merged)
    }

    /// Arrays that both sides changed; `None` where they cannot be merged.
    fn elements(&mut self, base: &[Tree], ours: &[Tree], theirs: &[Tree]) -> Option<Tree> {
        if let Some(key) = key(&[base, ours, theirs]) {
            return Some(self.by_key(key, base, ours, theirs));
        }
        if base.len() != ours.len() || base.len() != theirs.len() {
            return None;
        }
        let mut merged = Vec::new();
        for (at, ((base, ours), theirs)) in base.iter().zip(ours).zip(theirs).enumerate() {
            merged.extend(self.below(&at.to_string(), Some(base), Some(ours), Some(theirs)));
        }
        Some(Tree::Array(merged))
    }

    /// In our order; what they added comes behind the element that it stands behind on their side.
    fn by_key(&mut self, key: &str, base: &[Tree], ours: &[Tree], theirs: &[Tree]) -> Tree {
        let id = |tree: &Tree| tree.member(key).map(Tree::text).unwrap_or_default();
        let index = |items: &[Tree]| -> std::collections::HashMap<String, usize> {
            items.iter().map(&id).zip(0..).collect()
        };
        let (in_base, in_ours, in_theirs) = (index(base), index(ours), index(theirs));
        let mut order: Vec<String> = ours.iter().map(&id).collect();
        for (at, tree) in theirs.iter().enumerate() {
            let name = id(tree);
            if in_ours.contains_key(&name) {
                continue;
            }
            let before = at.checked_sub(1).map(|before| id(&theirs[before]));
            let behind = before.and_then(|before| order.iter().position(|other| *other == before));
            order.insert(behind.map_or(0, |behind| behind + 1), name);
        }
        let mut merged = Vec::new();
        for name in order {
            let of = |index: &std::collections::HashMap<String, usize>, items: &'_ [Tree]| {
                index.get(&name).map(|at| items[*at].clone())
            };
            let (base, ours, theirs) = (
                of(&in_base, base),
                of(&in_ours, ours),
                of(&in_theirs, theirs),
            );
            let at = merged.len().to_string();
            merged.extend(self.below(&at, base.as_ref(), ours.as_ref(), theirs.as_ref()));
        }
        Tree::Array(merged)
    }
}

/// The member by which the objects of all these arrays are told apart.
fn key(arrays: &[&[Tree]; 3]) -> Option<&'static str> {
    if arrays.iter().all(|items| items.is_empty()) {
        return None;
    }
    super::pairing::IDENTITY.into_iter().find(|name| {
        arrays.iter().all(|items| {
            let mut seen = std::collections::HashSet::new();
            items.iter().all(|item| match item.member(name) {
                Some(Tree::Scalar(id)) => seen.insert(id),
                _ => false,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> (String, Vec<String>) {
        let merged = merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).unwrap();
        let places = merged.conflicts.iter().map(|c| c.pointer.to_string());
        (
            String::from_utf8(merged.document).unwrap(),
            places.collect(),
        )
    }

    #[test]
    fn what_one_side_changed_counts() {
        for (base, ours, theirs, wanted) in [
            ("1", "2", "1", "2"),
            ("1", "1", "2", "2"),
            ("1", "2", "2", "2"),
            (r#"{"a":1}"#, "{}", r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
            (
                r#"{"a":{"b":1,"c":1}}"#,
                r#"{"a":{"b":2,"c":1}}"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a":{"b":2}}"#,
            ),
            ("[1,2]", "[3,2]", "[1,4]", "[3,4]"),
            ("[1,2]", "[1,2]", "[1,2,3]", "[1,2,3]"),
            (
                r#"[{"id":1,"v":1},{"id":2,"v":1}]"#,
                r#"[{"id":0,"v":0},{"id":1,"v":2},{"id":2,"v":1}]"#,
                r#"[{"id":1,"v":1},{"id":3,"v":3}]"#,
                r#"[{"id":0,"v":0},{"id":1,"v":2},{"id":3,"v":3}]"#,
            ),
        ] {
            assert_eq!(
                merged(base, ours, theirs),
                (wanted.to_owned(), vec![]),
                "{base}"
            );
        }
    }

    #[test]
    fn what_both_changed_is_a_conflict() {
        for (base, ours, theirs, wanted, at) in [
            ("1", "2", "3", "2", ""),
            (
                r#"{"a":1,"b":1}"#,
                r#"{"a":2,"b":1}"#,
                r#"{"a":3,"b":2}"#,
                r#"{"a":2,"b":2}"#,
                "/a",
            ),
            (r#"{"a":1}"#, "{}", r#"{"a":2}"#, "{}", "/a"),
            ("{}", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#, "/a"),
            ("[1]", "[1,2]", "[1,3]", "[1,2]", ""),
            (
                r#"{"l":[{"id":1,"v":1}]}"#,
                r#"{"l":[{"id":1,"v":2}]}"#,
                r#"{"l":[{"id":1,"v":3}]}"#,
                r#"{"l":[{"id":1,"v":2}]}"#,
                "/l/0/v",
            ),
        ] {
            assert_eq!(
                merged(base, ours, theirs),
                (wanted.to_owned(), vec![at.to_owned()])
            );
        }
    }
}
