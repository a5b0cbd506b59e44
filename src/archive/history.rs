//! History: versions, newest first, a page at a time.

use std::collections::VecDeque;

use super::Archive;
use super::version::Version;
use crate::commit::Op;
use crate::error::{Error, Result};
use crate::log::format::LOG_FOLDER;

/// How many versions are fetched at a time.
pub(super) const PAGE: usize = 256;

/// Which versions, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Of this path; of all paths where none is given.
    pub path: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Not before this time, microseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Not after this time.
    pub until: Option<i64>,
    /// Go on with the path that this one was renamed from.
    pub follow: bool,
}

/// The versions that a [`HistoryQuery`] asks for.
pub struct History<'a> {
    archive: &'a Archive,
    query: HistoryQuery,
    page: VecDeque<Version>,
    next: Next,
    given: usize,
    /// A rename was followed: from here on each version must be of an earlier commit than the one in front, or a row
    /// of renames could lead back to where it began.
    older_than: Option<u64>,
}

/// Where the next page begins.
enum Next {
    /// Versions of this path below this number.
    Path(String, u64),
    /// All versions of commits up to this number.
    Commits(u64),
    Done,
}

impl Iterator for History<'_> {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Result<Version>> {
        if self.query.limit.is_some_and(|limit| self.given >= limit) {
            return None;
        }
        loop {
            if let Some(version) = self.page.pop_front() {
                let (since, until) = (self.query.since, self.query.until);
                if since.is_some_and(|t| version.time < t)
                    || until.is_some_and(|t| version.time > t)
                {
                    continue;
                }
                self.given += 1;
                return Some(Ok(version));
            }
            if let Err(error) = self.fetch()? {
                self.next = Next::Done;
                return Some(Err(error));
            }
        }
    }
}

impl History<'_> {
    /// Fetches the next page; `None` where there is none.
    fn fetch(&mut self) -> Option<Result<()>> {
        let wanted = self
            .query
            .limit
            .map_or(PAGE, |limit| (limit - self.given).clamp(1, PAGE));
        match &self.next {
            Next::Done => None,
            Next::Path(path, below) => {
                let (path, below) = (path.clone(), *below);
                let found = self.archive.engine.ask(|catalog| {
                    let rows = catalog.versions(&path, below, wanted)?;
                    rows.iter()
                        .map(|row| self.archive.version_of(catalog, row))
                        .collect::<Result<Vec<_>, _>>()
                });
                let found = match found {
                    Ok(found) => found,
                    Err(error) => return Some(Err(error)),
                };
                if let Err(error) = self.check_order(&path, &found) {
                    return Some(Err(error));
                }
                let mut above = (below != u64::MAX).then_some(below);
                if found.is_empty() {
                    self.tell_of_gap(&path, 0, above);
                }
                for version in &found {
                    self.tell_of_gap(&path, version.version, above);
                    above = Some(version.version);
                }
                self.next = match found.last() {
                    None => Next::Done,
                    Some(last) => Next::Path(path, last.version),
                };
                for version in found {
                    let from = (version.op == Op::Rename)
                        .then(|| version.other.clone())
                        .flatten();
                    let (end, seq) = (version.of, version.seq);
                    self.page.push_back(version);
                    if self.query.follow
                        && let Some(from) = from
                    {
                        // The old path's last version is the rename itself, seen from the other side.
                        self.next = Next::Path(from, end.map_or(u64::MAX, |n| n.saturating_add(1)));
                        self.older_than = Some(seq);
                        break;
                    }
                }
                (!self.page.is_empty() || matches!(self.next, Next::Path(..))).then_some(Ok(()))
            }
            Next::Commits(0) => None,
            Next::Commits(up_to) => {
                let up_to = *up_to;
                let found = self.archive.engine.ask(|catalog| {
                    let mut views = Vec::new();
                    let rows = catalog.commits_below(up_to.saturating_add(1), wanted)?;
                    let last = rows.last().map_or(0, |row| row.seq);
                    for row in rows {
                        views.extend(self.archive.commit_view(catalog, row.seq)?);
                    }
                    Ok((last, views))
                });
                let (last, views) = match found {
                    Ok(found) => found,
                    Err(error) => {
                        self.next = Next::Done;
                        return Some(Err(error));
                    }
                };
                self.next = Next::Commits(last.saturating_sub(1));
                let mut next = up_to;
                for view in views {
                    self.archive.tell_of_lost(view.seq + 1, next);
                    next = view.seq - 1;
                    self.page.extend(view.changes);
                }
                self.archive.tell_of_lost(last.max(1), next);
                Some(Ok(()))
            }
        }
    }
}

impl History<'_> {
    /// Behind a rename: is each of these of an earlier commit than the one in front?
    fn check_order(&mut self, path: &str, found: &[Version]) -> Result<()> {
        let Some(mut older_than) = self.older_than else {
            return Ok(());
        };
        for version in found {
            if version.seq >= older_than {
                let message = format!("the history of {path} leads back to where it came from");
                return Err(Error::corrupt(LOG_FOLDER, None, message));
            }
            older_than = version.seq;
        }
        self.older_than = Some(older_than);
        Ok(())
    }

    /// Versions that damage has taken are not passed over in silence.
    fn tell_of_gap(&self, path: &str, version: u64, above: Option<u64>) {
        let Some(last) = above.and_then(|above| above.checked_sub(1)) else {
            return;
        };
        let first = version + 1;
        if first <= last {
            let which = match first == last {
                true => format!("version {first} of {path} is"),
                false => format!("versions {first} to {last} of {path} are"),
            };
            self.archive.engine.notice(format!(
                "{which} in a damaged part of the log; `backstory verify` says where"
            ));
        }
    }
}

impl Archive {
    /// Versions, newest first: of one path by version, of all paths by commit.
    pub fn history(&self, query: HistoryQuery) -> Result<History<'_>> {
        let next = match &query.path {
            Some(path) => Next::Path(path.clone(), u64::MAX),
            None => Next::Commits(self.head()?.seq),
        };
        Ok(History {
            archive: self,
            query,
            page: VecDeque::new(),
            next,
            given: 0,
            older_than: None,
        })
    }
}
