//! A document's tree with, at each leaf, the version that brought its value. Pure: it takes canonical bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::slice;

use super::Leaf;
use crate::diff::value::{Kind, Value};
use crate::diff::{ChangeKind, Diff, NotCanonical, diff_row};
use crate::pointer::{Pointer, push_token};

/// Follows one document through its versions, oldest first, and knows for every leaf of the newest one which version
/// brought it.
///
/// A leaf is a scalar or an empty container. It keeps its version while [`diff`](crate::diff::diff) finds it unchanged: an element of an
/// array is followed when others are put in front of it or taken away, and objects of an array are paired by `id`,
/// `name` and the like. What is absent for a version and comes back is new when it comes back.
///
/// ```
/// use backstory::blame::Annotated;
///
/// let mut annotated = Annotated::default();
/// annotated.push(br#"{"hosts":["a","b"],"port":1}"#, 1)?;
/// annotated.push(br#"{"hosts":["new","a","b"],"port":1}"#, 2)?;
/// let leaves = annotated.leaves()?;
/// let found: Vec<_> = leaves.iter().map(|leaf| (leaf.pointer.as_str(), leaf.origin)).collect();
/// assert_eq!(found, [("/hosts/0", 2), ("/hosts/1", 1), ("/hosts/2", 1), ("/port", 1)]);
/// # Ok::<(), backstory::diff::NotCanonical>(())
/// ```
#[derive(Debug, Default)]
pub struct Annotated {
    document: Option<(Vec<u8>, Node)>,
}

#[derive(Debug)]
enum Node {
    /// Brought by this version.
    Leaf(usize),
    /// With the version that made it empty, where it is.
    Array(Vec<Node>, usize),
    Object(BTreeMap<Box<str>, Node>, usize),
    /// An element on its way out: the others keep their numbers until all that go have been found.
    Gone,
}

impl Annotated {
    /// The next version of the document; what differs from the one before is from `origin`.
    ///
    /// # Errors
    /// [`NotCanonical`] as [`diff`](crate::diff::diff); nothing has happened then.
    pub fn push(&mut self, canonical: &[u8], origin: usize) -> Result<(), NotCanonical> {
        self.push_all(&[(canonical, origin)])
    }

    /// The next versions, oldest first: the same as one by one, in about half the time.
    ///
    /// # Errors
    /// As [`Annotated::push`].
    pub fn push_all(&mut self, versions: &[(&[u8], usize)]) -> Result<(), NotCanonical> {
        let before = self.document.as_ref().map(|(before, _)| before.as_slice());
        let new = versions.iter().map(|(canonical, _)| *canonical);
        let diffs = diff_row(&before.into_iter().chain(new).collect::<Vec<_>>())?;
        // The first version ever has none in front to differ from.
        let first = versions.len() - diffs.len().min(versions.len());
        let Some((newest, _)) = versions.last() else {
            return Ok(());
        };
        let mut root = match (self.document.take(), versions.first()) {
            (Some((_, root)), _) => root,
            (None, Some((canonical, origin))) => build(&Value::parse(canonical)?, *origin),
            (None, None) => return Ok(()),
        };
        for ((canonical, origin), changes) in versions.iter().skip(first).zip(&diffs) {
            if !changes.is_empty() && apply(&mut root, changes, *origin).is_none() {
                // Pointers that lead nowhere do not come from a diff. If they did, this is the honest answer.
                root = build(&Value::parse(canonical)?, *origin);
            }
        }
        self.document = Some((newest.to_vec(), root));
        Ok(())
    }

    /// The document ended here: whatever comes next is new.
    pub fn absent(&mut self) {
        self.document = None;
    }

    /// Every leaf of the newest version, in the order of the document; none where it has ended.
    ///
    /// # Errors
    /// None that [`Annotated::push`] has not given before.
    pub fn leaves(&self) -> Result<Vec<Leaf>, NotCanonical> {
        let mut leaves = Vec::new();
        let Some((canonical, root)) = &self.document else {
            return Ok(leaves);
        };
        let value = Value::parse(canonical)?;
        let mut path = String::new();
        let mut rest: Vec<(usize, Option<Cow<'_, str>>, &Value<'_>, &Node)> =
            vec![(0, None, &value, root)];
        while let Some((base, place, value, node)) = rest.pop() {
            path.truncate(base);
            if let Some(token) = &place {
                push_token(&mut path, token);
            }
            let first = rest.len();
            match (value.kind(), node) {
                (Kind::Array(items), Node::Array(nodes, _)) if !items.is_empty() => {
                    let pairs = items.iter().zip(nodes).enumerate();
                    rest.extend(pairs.map(|(at, (value, node))| {
                        (path.len(), Some(Cow::Owned(at.to_string())), value, node)
                    }));
                }
                (Kind::Object(members), Node::Object(nodes, _)) if !members.is_empty() => {
                    for (name, value) in members {
                        if let Some(node) = nodes.get(&**name) {
                            let name = Cow::Borrowed(&**name);
                            rest.push((path.len(), Some(name), value, node));
                        }
                    }
                }
                (_, Node::Leaf(origin) | Node::Array(_, origin) | Node::Object(_, origin)) => {
                    leaves.push(Leaf {
                        pointer: Pointer::from_escaped(&path),
                        value: value.text().into(),
                        origin: *origin,
                    })
                }
                (_, Node::Gone) => {}
            }
            // The last one is taken first.
            rest[first..].reverse();
        }
        Ok(leaves)
    }
}

/// What is left of a container while its tree is built: documents may be 1,024 levels deep, and threads small.
enum Rest<'v, 'a> {
    Items(slice::Iter<'v, Value<'a>>, Vec<Node>),
    Members(
        slice::Iter<'v, (Cow<'a, str>, Value<'a>)>,
        BTreeMap<Box<str>, Node>,
        Option<&'v str>,
    ),
}

/// The tree of a value that is all from one version.
fn build(value: &Value<'_>, origin: usize) -> Node {
    let mut open = Vec::new();
    let mut next = value;
    loop {
        let mut node = match next.kind() {
            Kind::Array(items) => {
                open.push(Rest::Items(items.iter(), Vec::with_capacity(items.len())));
                None
            }
            Kind::Object(members) => {
                open.push(Rest::Members(members.iter(), BTreeMap::new(), None));
                None
            }
            _ => Some(Node::Leaf(origin)),
        };
        // A finished node goes into the container around it, which may be finished by it.
        loop {
            let done = match open.last_mut() {
                None => return node.unwrap_or(Node::Leaf(origin)),
                Some(Rest::Items(rest, nodes)) => {
                    nodes.extend(node.take());
                    match rest.next() {
                        Some(value) => {
                            next = value;
                            break;
                        }
                        None => Node::Array(std::mem::take(nodes), origin),
                    }
                }
                Some(Rest::Members(rest, nodes, name)) => {
                    if let (Some(name), Some(node)) = (name.take(), node.take()) {
                        nodes.insert(name.into(), node);
                    }
                    match rest.next() {
                        Some((member, value)) => {
                            *name = Some(member);
                            next = value;
                            break;
                        }
                        None => Node::Object(std::mem::take(nodes), origin),
                    }
                }
            };
            open.pop();
            node = Some(done);
        }
    }
}

/// The tree of a text out of a diff.
fn grow(text: &str, origin: usize) -> Option<Node> {
    let value = Value::parse(text.as_bytes()).ok()?;
    Some(build(&value, origin))
}

/// A place by its depth: it is right as long as nothing above it has moved.
type Deep = (usize, Pointer);

/// Makes the old tree the new one. What was changed, removed or moved is found by its place in the old document, what
/// comes in by that in the new one. `None` where a pointer leads nowhere.
fn apply(root: &mut Node, diff: &Diff, origin: usize) -> Option<()> {
    // Arrays that lose elements, each with those that move: old and new place.
    let mut shrunk: BTreeMap<Deep, Vec<(usize, &Pointer)>> = BTreeMap::new();
    let mut incoming = Vec::new();
    for change in &diff.changes {
        match &change.kind {
            ChangeKind::Changed { new, .. } => {
                *find(root, change.old_pointer()?)? = grow(new, origin)?;
            }
            ChangeKind::Removed { .. } => {
                let (parent, token) = split(&change.pointer)?;
                match find(root, &parent.1)? {
                    Node::Object(nodes, since) => {
                        nodes.remove(&*token)?;
                        *since = origin;
                    }
                    Node::Array(nodes, since) => {
                        *nodes.get_mut(token.parse::<usize>().ok()?)? = Node::Gone;
                        *since = origin;
                        shrunk.entry(parent).or_default();
                    }
                    Node::Leaf(_) | Node::Gone => return None,
                }
            }
            ChangeKind::Moved { .. } => {
                let (parent, token) = split(change.old_pointer()?)?;
                let from = token.parse().ok()?;
                shrunk
                    .entry(parent)
                    .or_default()
                    .push((from, &change.pointer));
            }
            ChangeKind::Added { new } => {
                incoming.push((split(&change.pointer)?, grow(new, origin)?));
            }
        }
    }
    // Inner arrays first: then the places of the outer ones are still those of the old document.
    for ((_, place), moved) in shrunk.iter().rev() {
        let Node::Array(nodes, _) = find(root, place)? else {
            return None;
        };
        for (from, to) in moved {
            let node = std::mem::replace(nodes.get_mut(*from)?, Node::Gone);
            incoming.push((split(to)?, node));
        }
        nodes.retain(|node| !matches!(node, Node::Gone));
    }
    // Outer ones first, and all that comes into one array at once: one by one, each would shift all behind it.
    incoming.sort_by_key(|((parent, _), _)| parent.0);
    let mut waiting: BTreeMap<Deep, Vec<(usize, Node)>> = BTreeMap::new();
    let mut level = 0;
    for ((parent, token), node) in incoming {
        if parent.0 > level {
            level = parent.0;
            insert(root, &mut waiting)?;
        }
        match find(root, &parent.1)? {
            Node::Object(nodes, _) => drop(nodes.insert(token.into(), node)),
            Node::Array(..) => {
                let at = token.parse().ok()?;
                waiting.entry(parent).or_default().push((at, node));
            }
            Node::Leaf(_) | Node::Gone => return None,
        }
    }
    insert(root, &mut waiting)
}

/// Puts elements where they belong in arrays.
fn insert(root: &mut Node, waiting: &mut BTreeMap<Deep, Vec<(usize, Node)>>) -> Option<()> {
    for ((_, place), mut added) in std::mem::take(waiting) {
        added.sort_by_key(|(at, _)| *at);
        let Node::Array(nodes, _) = find(root, &place)? else {
            return None;
        };
        let mut old = std::mem::take(nodes).into_iter();
        nodes.reserve(old.len() + added.len());
        for (at, node) in added {
            nodes.extend(old.by_ref().take(at.checked_sub(nodes.len())?));
            nodes.push(node);
        }
        nodes.extend(old);
    }
    Some(())
}

fn find<'n>(root: &'n mut Node, pointer: &Pointer) -> Option<&'n mut Node> {
    pointer.tokens().try_fold(root, |node, token| match node {
        Node::Object(nodes, _) => nodes.get_mut(&*token),
        Node::Array(nodes, _) => nodes.get_mut(token.parse::<usize>().ok()?),
        Node::Leaf(_) | Node::Gone => None,
    })
}

/// The container around a place, and the name or number in it.
fn split(pointer: &Pointer) -> Option<(Deep, String)> {
    let mut parent = pointer.clone();
    let token = parent.pop()?;
    let depth = parent.as_str().bytes().filter(|byte| *byte == b'/').count();
    Some(((depth, parent), token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves after these versions, numbered from 1; an empty text is a deletion.
    fn origins(versions: &[&str]) -> String {
        let mut annotated = Annotated::default();
        for (number, version) in (1..).zip(versions) {
            match version.is_empty() {
                true => annotated.absent(),
                false => annotated.push(version.as_bytes(), number).unwrap(),
            }
        }
        let leaves = annotated.leaves().unwrap();
        let texts = leaves
            .iter()
            .map(|leaf| format!("{}={}@{}", leaf.pointer, leaf.value, leaf.origin));
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_leaf_keeps_the_version_that_brought_it() {
        for (versions, expected) in [
            (&["1"][..], "=1@1"),
            (&["1", "2", "2"], "=2@2"),
            (&[r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#], "/a=1@1 /b=2@2"),
            // It was gone for a while.
            (&[r#"{"a":1}"#, "{}", r#"{"a":1}"#], "/a=1@3"),
            (&["[1,2]", "", "[1,2]"], "/0=1@3 /1=2@3"),
            // Empty containers are leaves, blamed on what emptied them.
            (&["{}", "{}"], "={}@1"),
            (
                &[r#"{"a":[1],"b":{}}"#, r#"{"a":[],"b":{}}"#],
                "/a=[]@2 /b={}@1",
            ),
            (
                &[r#"{"a":{"x":1}}"#, r#"{"a":{}}"#, r#"{"a":{"y":1}}"#],
                "/a/y=1@3",
            ),
            (&[r#"{"a":{}}"#, r#"{"a":{"0":1}}"#], "/a/0=1@2"),
            (
                &[r#"{"a":1}"#, r#"{"a":[1,{"b":2}]}"#],
                "/a/0=1@2 /a/1/b=2@2",
            ),
        ] {
            assert_eq!(origins(versions), expected, "{versions:?}");
        }
    }

    #[test]
    fn elements_are_followed() {
        for (versions, expected) in [
            (&["[1,2,3]", "[0,1,2,3]"][..], "/0=0@2 /1=1@1 /2=2@1 /3=3@1"),
            (&["[1,2,3]", "[3]"], "/0=3@1"),
            (&["[1,2,3]", "[2,3,4]"], "/0=2@1 /1=3@1 /2=4@2"),
            (
                &[
                    r#"[{"id":1,"v":1},{"id":2,"v":1}]"#,
                    r#"[{"id":0,"v":1},{"id":1,"v":1},{"id":2,"v":9}]"#,
                ],
                "/0/id=0@2 /0/v=1@2 /1/id=1@1 /1/v=1@1 /2/id=2@1 /2/v=9@2",
            ),
            // What moves keeps its versions, and has a new one where it changed on the way.
            (
                &[
                    r#"[{"id":"a","l":[1]},{"id":"b","l":[1,2]},{"id":"c","l":[]}]"#,
                    r#"[{"id":"c","l":[]},{"id":"b","l":[2,1]},{"id":"a","l":[1,3]}]"#,
                ],
                "/0/id=\"c\"@1 /0/l=[]@1 /1/id=\"b\"@1 /1/l/0=2@1 /1/l/1=1@1 /2/id=\"a\"@1 /2/l/0=1@1 /2/l/1=3@2",
            ),
            // Outer and inner arrays change at once.
            (
                &[
                    r#"[{"id":"a","l":[1]},{"id":"b","l":[1,2]}]"#,
                    r#"[{"id":"b","l":[0,2,3]}]"#,
                ],
                "/0/id=\"b\"@1 /0/l/0=0@2 /0/l/1=2@1 /0/l/2=3@2",
            ),
            (
                &[
                    r#"[{"id":"b","l":[1,2]}]"#,
                    r#"[{"id":"a","l":[1]},{"id":"b","l":[1,7,2]}]"#,
                ],
                "/0/id=\"a\"@2 /0/l/0=1@2 /1/id=\"b\"@1 /1/l/0=1@1 /1/l/1=7@2 /1/l/2=2@1",
            ),
        ] {
            assert_eq!(origins(versions), expected, "{versions:?}");
        }
    }

    #[test]
    fn deep_documents_do_not_recurse() {
        let deep = |leaf: &str| format!("{}{leaf}{}", "[".repeat(1000), "]".repeat(1000));
        let check = move || {
            let mut annotated = Annotated::default();
            annotated.push(deep("1").as_bytes(), 1).unwrap();
            annotated.push(deep("2").as_bytes(), 2).unwrap();
            let leaves = annotated.leaves().unwrap();
            assert_eq!((leaves.len(), leaves[0].origin), (1, 2));
        };
        let thread = std::thread::Builder::new().stack_size(512 * 1024);
        thread.spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn many_additions_at_once_are_not_slow() {
        let list = |step: usize| {
            let items: Vec<String> = (0..60_000).step_by(step).map(|n| n.to_string()).collect();
            format!("[{}]", items.join(","))
        };
        let mut annotated = Annotated::default();
        annotated.push(list(2).as_bytes(), 1).unwrap();
        annotated.push(list(1).as_bytes(), 2).unwrap();
        let leaves = annotated.leaves().unwrap();
        assert!(
            leaves
                .iter()
                .zip([1, 2].iter().cycle())
                .all(|(leaf, origin)| leaf.origin == *origin)
        );
        annotated.push(list(3).as_bytes(), 3).unwrap();
        assert_eq!(annotated.leaves().unwrap()[1].origin, 2);
    }
}
