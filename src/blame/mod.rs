//! Who brought each value: every leaf of a document with the version that last changed it.
//!
//! [`Annotated`] is the pure part, for any row of canonical documents; [`blame`] walks the history of a path with it.

mod tree;

pub use tree::Annotated;

use crate::archive::{Archive, HistoryQuery, LoadedDocument, Version};
use crate::diff::NotCanonical;
use crate::error::{Error, Result};
use crate::pointer::{Pointer, is_within};

/// How many documents are compared at a time, and how many bytes of them.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 16 << 20;

/// A scalar or an empty container, and who brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Where it is in the newest version.
    pub pointer: Pointer,
    /// The canonical text.
    pub value: Box<str>,
    /// The number that the version that brought it was [pushed](Annotated::push) with; in a [`Blame`] a place in its
    /// `versions`.
    pub origin: usize,
}

/// The leaves of a version, and the versions that brought them.
#[derive(Debug)]
pub struct Blame {
    /// All leaves, in the order of the document.
    pub leaves: Vec<Leaf>,
    /// The versions that were walked, oldest first, under the names that the path had then. The last is the one that
    /// was asked for.
    pub versions: Vec<Version>,
    /// Versions that damage keeps from being read, and why. What they changed is blamed on the next one.
    pub unread: Vec<(Version, Error)>,
}

impl Blame {
    /// The version that brought this value.
    pub fn origin(&self, leaf: &Leaf) -> Option<&Version> {
        self.versions.get(leaf.origin)
    }

    /// The leaves at and below a place.
    pub fn below<'b>(&'b self, pointer: &'b Pointer) -> impl Iterator<Item = &'b Leaf> {
        let leaves = self.leaves.iter();
        leaves.filter(move |leaf| is_within(&leaf.pointer, pointer))
    }
}

/// Walks the history up to `version`, across renames, and says which version brought each of its leaves: the one
/// that put the present value in its place. A value that came back by a rollback is the rollback's, and after a
/// deletion everything is new.
///
/// # Errors
/// `NotFound` where the version is a deletion; `Corrupt` where it cannot be read. Older ones that cannot are listed.
pub fn blame(archive: &Archive, version: &Version) -> Result<Blame> {
    if version.is_deleted() {
        let (path, number) = (&version.path, version.version);
        let message = format!("{path} was deleted in version {number}");
        return Err(Error::not_found(message));
    }
    let mut versions = Vec::new();
    for earlier in archive.history(HistoryQuery {
        path: Some(version.path.clone()),
        follow: true,
        ..HistoryQuery::default()
    })? {
        let earlier = earlier?;
        if earlier.seq <= version.seq {
            versions.push(earlier);
        }
    }
    versions.reverse();
    let mut annotated = Annotated::default();
    let mut waiting: Vec<(LoadedDocument, usize)> = Vec::new();
    let mut bytes = 0;
    let mut unread = Vec::new();
    let mut before = None;
    for (origin, version) in versions.iter().enumerate() {
        let last = origin + 1 == versions.len();
        // Another layout, or another name: the same document.
        if version.id.is_some() && version.id == before {
            continue;
        }
        match (version.id, archive.load_document(version)) {
            (None, _) => {
                push(&mut annotated, &mut waiting)?;
                annotated.absent();
            }
            (_, Err(error)) if error.is_corrupt() && !last => {
                unread.push((version.clone(), error));
                continue;
            }
            (_, document) => {
                let document = document?;
                bytes += document.canonical().len();
                waiting.push((document, origin));
                if waiting.len() >= GROUP || bytes >= GROUP_BYTES {
                    push(&mut annotated, &mut waiting)?;
                    bytes = 0;
                }
            }
        }
        before = version.id;
    }
    push(&mut annotated, &mut waiting)?;
    let leaves = annotated
        .leaves()
        .map_err(|error| incomparable(version, &error))?;
    Ok(Blame {
        leaves,
        versions,
        unread,
    })
}

fn push(annotated: &mut Annotated, waiting: &mut Vec<(LoadedDocument, usize)>) -> Result<()> {
    let documents: Vec<(&[u8], usize)> = waiting
        .iter()
        .map(|(document, origin)| (document.canonical(), *origin))
        .collect();
    let pushed = annotated.push_all(&documents);
    if let (Err(error), Some((document, _))) = (pushed, waiting.last()) {
        return Err(incomparable(document.version(), &error));
    }
    waiting.clear();
    Ok(())
}

fn incomparable(version: &Version, error: &NotCanonical) -> Error {
    Error::invalid(format!("{} cannot be compared: {error}", version.rev()))
}
