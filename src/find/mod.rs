//! Versions whose document a JSONPath query selects something in. Needs the feature `find`.
//!
//! [`Query`] is the pure part, for one canonical document; [`find`] asks it of the versions of an archive.

mod query;

use std::collections::VecDeque;

pub use query::{Node, Query, QueryError};

use crate::archive::{Archive, HistoryQuery, Version};
use crate::error::{Error, Result};
use crate::id::ObjectId;

/// Which versions of each path are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    #[default]
    Newest,
    /// Every version, newest first.
    All,
    /// The oldest that matches.
    First,
}

/// A version that the query selected something in.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The version.
    pub version: Version,
    /// What was selected: at least one value.
    pub nodes: Vec<Node>,
}

/// The matches of [`find`], path by path.
pub struct Matches<'a> {
    archive: &'a Archive,
    query: &'a Query,
    which: Which,
    paths: VecDeque<Version>,
    versions: VecDeque<Version>,
    /// How many of them were read ahead.
    at_hand: usize,
    /// What the last document gave: a version in another layout need not be searched again.
    last: Option<(ObjectId, Vec<Node>)>,
}

/// Versions that are searched newest first are read so many at a time.
const PAGE: usize = 16;

/// The versions that a query selects something in, of the paths that are wanted, in the order of the paths.
///
/// A deletion matches nothing. Renames are not followed: the old path has its own versions.
///
/// # Errors
/// Where the paths cannot be listed. A version that cannot be read is an error in its place; the next one goes on.
pub fn find<'a>(
    archive: &'a Archive,
    query: &'a Query,
    which: Which,
    wanted: impl Fn(&str) -> bool,
) -> Result<Matches<'a>> {
    let mut paths = VecDeque::from(archive.list("")?);
    paths.retain(|version| wanted(&version.path));
    Ok(Matches {
        archive,
        query,
        which,
        paths,
        versions: VecDeque::new(),
        at_hand: 0,
        last: None,
    })
}

impl Matches<'_> {
    /// Goes on with the next path; `None` where there is none.
    fn next_path(&mut self) -> Option<Result<()>> {
        let newest = self.paths.pop_front()?;
        if self.which == Which::Newest {
            self.versions.push_back(newest);
            return Some(Ok(()));
        }
        let history = self.archive.history(HistoryQuery {
            path: Some(newest.path),
            ..HistoryQuery::default()
        });
        let versions = history.and_then(|history| history.collect::<Result<VecDeque<_>>>());
        Some(versions.map(|mut versions| {
            if self.which == Which::First {
                versions.make_contiguous().reverse();
            }
            self.versions = versions;
            self.at_hand = 0;
        }))
    }

    fn select(&mut self, version: &Version, id: ObjectId) -> Result<Vec<Node>> {
        if let Some((last, nodes)) = &self.last
            && *last == id
        {
            return Ok(nodes.clone());
        }
        let document = self.archive.load_document(version)?;
        let nodes = self.query.select(document.canonical());
        let nodes = nodes.map_err(|error| Error::invalid(format!("{}: {error}", version.rev())))?;
        self.last = Some((id, nodes.clone()));
        Ok(nodes)
    }
}

impl Iterator for Matches<'_> {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Result<Found>> {
        loop {
            let Some(version) = self.versions.pop_front() else {
                match self.next_path()? {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            };
            if self.which == Which::All && self.at_hand == 0 {
                let next = std::iter::once(&version).chain(self.versions.iter().take(PAGE - 1));
                self.archive.read_ahead(next);
                self.at_hand = PAGE;
            }
            self.at_hand = self.at_hand.saturating_sub(1);
            let Some(id) = version.id else { continue };
            match self.select(&version, id) {
                Ok(nodes) if nodes.is_empty() => {}
                Ok(nodes) => {
                    if self.which == Which::First {
                        self.versions.clear();
                    }
                    return Some(Ok(Found { version, nodes }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
