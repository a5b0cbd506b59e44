//! Who brought each value: every leaf of a document with the version that last changed it.
//!
//! [`Annotated`] is the pure part, for any row of canonical documents; [`blame`] walks the history of a path with it.

mod tree;

pub use tree::Annotated;

use crate::archive::{Archive, HistoryQuery, Version};
use crate::diff::NotCanonical;
use crate::error::{Error, Result};
use crate::pointer::{Pointer, is_within};

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
    let mut unread = Vec::new();
    let mut before = None;
    for (origin, version) in versions.iter().enumerate() {
        let last = origin + 1 == versions.len();
        match version.id {
            None => annotated.absent(),
            // Another layout, or another name: the same document.
            Some(_) if version.id == before => {}
            Some(_) => match archive.load_document(version) {
                Err(error) if error.is_corrupt() && !last => {
                    unread.push((version.clone(), error));
                    continue;
                }
                document => annotated
                    .push(document?.canonical(), origin)
                    .map_err(|error| incomparable(version, &error))?,
            },
        }
        before = version.id;
    }
    let leaves = annotated
        .leaves()
        .map_err(|error| incomparable(version, &error))?;
    Ok(Blame {
        leaves,
        versions,
        unread,
    })
}

fn incomparable(version: &Version, error: &NotCanonical) -> Error {
    Error::invalid(format!("{} cannot be compared: {error}", version.rev()))
}
