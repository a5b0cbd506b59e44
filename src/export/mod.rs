//! Taking histories and states out of an archive: as JSON lines, a stream for `git fast-import`, a SQLite database, a tar
//! file or a folder.
//!
//! What is written goes out as it is read: no more than a page of commits, and one document, is in memory. A version that
//! damage has taken is told of, and the others are exported all the same.
//!
//! ```
//! # fn main() -> Result<(), backstory::Error> {
//! use backstory::export::{Export, Jsonl};
//! use backstory::{Archive, Document};
//!
//! let archive = Archive::in_memory()?;
//! let mut save = archive.save();
//! save.add("runs/1.json", Document::source("{\"loss\": 0.5}"))?;
//! save.commit()?;
//! let mut lines = Vec::new();
//! let exported = Export::new(&archive).jsonl(&Jsonl::default(), &mut lines, &mut |_| {})?;
//! assert_eq!(exported, 1);
//! assert!(lines.starts_with(b"{\"path\":\"runs/1.json\",\"version\":1,"));
//! # Ok(())
//! # }
//! ```

mod folder;
mod git;
mod jsonl;
mod sqlite;
#[cfg(feature = "tar")]
mod tar;

pub use git::DEFAULT_BRANCH;
pub use jsonl::Jsonl;

use std::io;

use crate::archive::{Archive, CommitView, Loaded, Version};
use crate::error::{Error, Result};
use crate::path::is_reserved_on_disk;
use crate::revision::Spec;

/// What an export tells of while it goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told {
    /// So many versions or files are written.
    Written(u64),
    /// A version is left out.
    LeftOut {
        /// Which, as a REV.
        rev: String,
        /// Why: the archive is damaged there, or the path is none that may be put on disk.
        error: Error,
    },
}

/// Whom it tells.
pub type Tell<'t> = &'t mut dyn FnMut(Told);

/// What is to be taken out of an archive: all of it, unless something is said.
pub struct Export<'a> {
    archive: &'a Archive,
    wanted: Box<dyn Fn(&str) -> bool + 'a>,
    at: Option<i64>,
}

impl<'a> Export<'a> {
    /// All of an archive.
    pub fn new(archive: &'a Archive) -> Export<'a> {
        Export {
            archive,
            wanted: Box::new(|_| true),
            at: None,
        }
    }

    /// Only paths that `wanted` likes.
    pub fn only(mut self, wanted: impl Fn(&str) -> bool + 'a) -> Export<'a> {
        self.wanted = Box::new(wanted);
        self
    }

    /// As it was at this time, microseconds since the Unix epoch: no version that claims a later one.
    pub fn at(mut self, time: i64) -> Export<'a> {
        self.at = Some(time);
        self
    }

    /// The commits, oldest first, with the changes that are wanted.
    fn commits(&self) -> Result<impl Iterator<Item = Result<CommitView>> + '_> {
        let commits = self.archive.commits_after(0)?;
        Ok(commits.filter_map(|commit| {
            let mut commit = match commit {
                Ok(commit) => commit,
                Err(error) => return Some(Err(error)),
            };
            if self.at.is_some_and(|at| commit.time > at) {
                return None;
            }
            commit
                .changes
                .retain(|version| (self.wanted)(&version.path));
            (!commit.changes.is_empty()).then_some(Ok(commit))
        }))
    }

    /// The version that each path had, in the order of their names; deletions are left out.
    fn state(&self) -> Result<impl Iterator<Item = Result<Version>> + '_> {
        let newest = self.archive.list("")?;
        let at_time = |version: Version| match self.at {
            Some(at) if version.time > at => {
                match self.archive.resolve(&version.path, &Spec::Time(at)) {
                    Err(error) if error.is_not_found() => Ok(None),
                    resolved => resolved.map(Some),
                }
            }
            _ => Ok(Some(version)),
        };
        Ok(newest
            .into_iter()
            .filter(|version| (self.wanted)(&version.path))
            .filter_map(move |version| at_time(version).transpose())
            .filter(|version| !version.as_ref().is_ok_and(Version::is_deleted)))
    }

    /// The files of a state: each with its bytes as they were saved. What cannot be one is told of.
    fn files(
        &self,
        tell: Tell<'_>,
        write: &mut dyn FnMut(&Version, Vec<u8>) -> Result<()>,
    ) -> Result<u64> {
        let mut written = 0;
        for version in self.state()? {
            let version = version?;
            if is_reserved_on_disk(&version.path) {
                tell(Told::LeftOut {
                    rev: version.rev(),
                    error: reserved(&version.path),
                });
                continue;
            }
            let Some(loaded) = self.load(&version, tell)? else {
                continue;
            };
            write(&version, loaded.into_source())?;
            written += 1;
            tell(Told::Written(written));
        }
        Ok(written)
    }

    /// A version's document; none, and told of, where damage has taken it.
    fn load(&self, version: &Version, tell: Tell<'_>) -> Result<Option<Loaded>> {
        match self.archive.load(version) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) if error.is_corrupt() => {
                let rev = version.rev();
                tell(Told::LeftOut { rev, error });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A path whose file would belong to git or to an archive.
fn reserved(path: &str) -> Error {
    Error::invalid(format!(
        "{path} is left out: a file of that name would belong to git or to an archive"
    ))
}

/// The output could not be written.
fn unwritten(error: io::Error) -> Error {
    Error::io("write the export", error)
}
