//! Applying a JSON Patch (RFC 6902) or a JSON Merge Patch (RFC 7396).

use super::NotCanonical;
use super::tree::Tree;
use crate::pointer::{Pointer, PointerError};

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The document or the patch is not in canonical form.
    #[error("{0}")]
    NotCanonical(#[from] NotCanonical),
    /// An operation is not one of RFC 6902.
    #[error("operation {operation} of the patch: {reason}")]
    Malformed {
        /// Its number, from 1.
        operation: usize,
        /// What is wrong.
        reason: String,
    },
    /// An operation does not fit the document.
    #[error("operation {operation} of the patch ({op} {path}): {reason}")]
    DoesNotFit {
        /// Its number, from 1.
        operation: usize,
        /// What it does.
        op: String,
        /// Where.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A patch is an array of operations, or an object.
    #[error("a patch is an array of operations (RFC 6902) or an object to be merged (RFC 7396)")]
    NoPatch,
}

/// Applies a patch to a document, both in canonical form: an array as a JSON Patch (RFC 6902), an object as a JSON Merge
/// Patch (RFC 7396). All operations are applied, or none.
///
/// The result is JSON text, not in canonical form: members may be out of order. Numbers keep all their digits.
///
/// # Errors
/// See [`PatchError`].
///
/// ```
/// use backstory::diff::apply::apply_patch;
///
/// let patch = br#"[{"op":"replace","path":"/port","value":8080}]"#;
/// assert_eq!(apply_patch(br#"{"port":80}"#, patch)?, br#"{"port":8080}"#);
/// assert_eq!(apply_patch(br#"{"port":80}"#, br#"{"port":null}"#)?, b"{}");
/// # Ok::<(), backstory::diff::apply::PatchError>(())
/// ```
pub fn apply_patch(document: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut document = Tree::parse(document)?;
    match Tree::parse(patch)? {
        Tree::Array(operations) => {
            for (at, operation) in operations.into_iter().enumerate() {
                Operation::read(at + 1, &operation)?.apply(&mut document)?;
            }
        }
        patch @ Tree::Object(_) => merge(&mut document, patch),
        Tree::Scalar(_) => return Err(PatchError::NoPatch),
    }
    let mut out = Vec::new();
    document.write(&mut out);
    Ok(out)
}

/// RFC 7396, section 2. Recurses as deep as the patch: 1,024 levels at most.
fn merge(target: &mut Tree, patch: Tree) {
    let Tree::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !matches!(target, Tree::Object(_)) {
        *target = Tree::Object(Vec::new());
    }
    let Tree::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        let there = members.iter().position(|(other, _)| *other == name);
        match (value.is_null(), there) {
            (true, Some(at)) => drop(members.remove(at)),
            (true, None) => {}
            (false, Some(at)) => merge(&mut members[at].1, value),
            (false, None) => {
                let mut new = Tree::Object(Vec::new());
                merge(&mut new, value);
                members.push((name, new));
            }
        }
    }
}

/// An operation of a JSON Patch.
struct Operation<'a> {
    number: usize,
    op: String,
    path: Pointer,
    from: Option<Pointer>,
    value: Option<&'a Tree>,
}

impl<'a> Operation<'a> {
    fn read(number: usize, tree: &'a Tree) -> Result<Operation<'a>, PatchError> {
        let malformed = |reason: &str| PatchError::Malformed {
            operation: number,
            reason: reason.to_owned(),
        };
        let string = |name: &str| -> Result<Option<String>, PatchError> {
            match tree.member(name) {
                None => Ok(None),
                Some(value) => match value.as_string() {
                    Some(text) => Ok(Some(text)),
                    None => Err(malformed(&format!("{name} is not a string"))),
                },
            }
        };
        if !matches!(tree, Tree::Object(_)) {
            return Err(malformed("it is not an object"));
        }
        let pointer = |text: String| {
            Pointer::parse(&text).map_err(|error: PointerError| malformed(&error.to_string()))
        };
        let op = string("op")?.ok_or_else(|| malformed("op is missing"))?;
        let path = pointer(string("path")?.ok_or_else(|| malformed("path is missing"))?)?;
        let from = match op.as_str() {
            "move" | "copy" => Some(pointer(
                string("from")?.ok_or_else(|| malformed("from is missing"))?,
            )?),
            _ => None,
        };
        let value = match op.as_str() {
            "add" | "replace" | "test" => Some(
                tree.member("value")
                    .ok_or_else(|| malformed("value is missing"))?,
            ),
            "remove" | "move" | "copy" => None,
            _ => return Err(malformed(&format!("unknown op {op:?}"))),
        };
        Ok(Operation {
            number,
            op,
            path,
            from,
            value,
        })
    }

    fn fails(&self, path: &Pointer, reason: impl Into<String>) -> PatchError {
        PatchError::DoesNotFit {
            operation: self.number,
            op: self.op.clone(),
            path: path.as_str().to_owned(),
            reason: reason.into(),
        }
    }

    fn apply(&self, document: &mut Tree) -> Result<(), PatchError> {
        let there = |path: &Pointer, found: Result<(), &'static str>| {
            found.map_err(|reason| self.fails(path, reason))
        };
        match (self.op.as_str(), self.value, &self.from) {
            ("test", Some(value), _) => {
                let found = get(document, &self.path)
                    .ok_or_else(|| self.fails(&self.path, "there is no value"))?;
                match found.same(value) {
                    true => Ok(()),
                    false => Err(self.fails(&self.path, "the value is another one")),
                }
            }
            ("replace", Some(value), _) => {
                let place = get_mut(document, &self.path)
                    .ok_or_else(|| self.fails(&self.path, "there is no value"))?;
                *place = value.clone();
                Ok(())
            }
            ("add", Some(value), _) => there(&self.path, add(document, &self.path, value.clone())),
            ("copy", _, Some(from)) => {
                let value = get(document, from)
                    .cloned()
                    .ok_or_else(|| self.fails(from, "there is no value"))?;
                there(&self.path, add(document, &self.path, value))
            }
            ("move", _, Some(from)) => {
                let inside = self.path.as_str().strip_prefix(from.as_str());
                if inside.is_some_and(|rest| rest.starts_with('/')) {
                    return Err(self.fails(&self.path, "a value cannot move into itself"));
                }
                if inside == Some("") {
                    let found = get(document, from).map(drop);
                    return found.ok_or_else(|| self.fails(from, "there is no value"));
                }
                let value = take(document, from).map_err(|reason| self.fails(from, reason))?;
                there(&self.path, add(document, &self.path, value))
            }
            _ => take(document, &self.path)
                .map(drop)
                .map_err(|reason| self.fails(&self.path, reason)),
        }
    }
}

/// An index: digits without a zero in front (RFC 6901, section 4).
fn index(token: &str) -> Option<usize> {
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    let plain = token == "0" || !token.starts_with('0');
    (digits && plain).then(|| token.parse().ok()).flatten()
}

fn child<'t>(tree: &'t Tree, token: &str) -> Option<&'t Tree> {
    match tree {
        Tree::Array(items) => items.get(index(token)?),
        _ => tree.member(token),
    }
}

fn get<'t>(tree: &'t Tree, path: &Pointer) -> Option<&'t Tree> {
    path.tokens()
        .try_fold(tree, |tree, token| child(tree, &token))
}

fn get_mut<'t>(tree: &'t mut Tree, path: &Pointer) -> Option<&'t mut Tree> {
    path.tokens().try_fold(tree, |tree, token| match tree {
        Tree::Array(items) => items.get_mut(index(&token)?),
        Tree::Object(members) => members
            .iter_mut()
            .find(|(name, _)| **name == *token)
            .map(|(_, value)| value),
        Tree::Scalar(_) => None,
    })
}

/// The container that a path leads into, and the last token.
fn parent<'t>(tree: &'t mut Tree, path: &Pointer) -> Option<(&'t mut Tree, String)> {
    let mut above = path.clone();
    let last = above.pop()?;
    Some((get_mut(tree, &above)?, last))
}

fn add(tree: &mut Tree, path: &Pointer, value: Tree) -> Result<(), &'static str> {
    if path.is_root() {
        *tree = value;
        return Ok(());
    }
    let (container, last) = parent(tree, path).ok_or("there is nothing to add it to")?;
    match container {
        Tree::Array(items) => {
            let at = match last.as_str() {
                "-" => items.len(),
                token => index(token).ok_or("no index of an array")?,
            };
            if at > items.len() {
                return Err("the index is behind the end of the array");
            }
            items.insert(at, value);
            Ok(())
        }
        Tree::Object(members) => {
            match members.iter_mut().find(|(name, _)| **name == *last) {
                Some((_, there)) => *there = value,
                None => members.push((last.into(), value)),
            }
            Ok(())
        }
        Tree::Scalar(_) => Err("there is nothing to add it to"),
    }
}

fn take(tree: &mut Tree, path: &Pointer) -> Result<Tree, &'static str> {
    if path.is_root() {
        return Ok(std::mem::replace(tree, Tree::Scalar("null".into())));
    }
    let missing = "there is no value";
    let (container, last) = parent(tree, path).ok_or(missing)?;
    match container {
        Tree::Array(items) => match index(&last).filter(|at| *at < items.len()) {
            Some(at) => Ok(items.remove(at)),
            None => Err(missing),
        },
        Tree::Object(members) => match members.iter().position(|(name, _)| **name == *last) {
            Some(at) => Ok(members.remove(at).1),
            None => Err(missing),
        },
        Tree::Scalar(_) => Err(missing),
    }
}
