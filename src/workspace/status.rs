//! How the files on disk stand to the newest versions of their paths.

use std::fmt;

use super::Workspace;
use crate::archive::Version;
use crate::canon::{NanMode, canonicalize_with};
use crate::error::{Error, Result};
use crate::storage::files::{self, Kind};

/// How a file stands to the newest version of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The same bytes.
    Same,
    /// Other bytes, and a document.
    Modified,
    /// There is no such file.
    Missing,
    /// Other bytes, and not a document that `save` would take.
    Invalid,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Same => "same",
            State::Modified => "modified",
            State::Missing => "missing",
            State::Invalid => "invalid",
        })
    }
}

/// One archived path and its file.
#[derive(Clone, Debug)]
pub struct FileStatus {
    /// The path in the archive.
    pub path: String,
    /// The number of its newest version.
    pub version: u64,
    /// How the file stands to it.
    pub state: State,
}

impl Workspace {
    /// Compares the files of the paths at or below `prefix` with their newest versions, in order of the paths. Paths
    /// that were deleted, and those that never came from a file, are left out.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::ErrorKind::NotFound) where `prefix` is not empty and the archive has no live path
    /// there; where a file or the archive cannot be read.
    pub fn status(&self, prefix: &str) -> Result<Vec<FileStatus>> {
        let live: Vec<Version> = self
            .archive
            .list(prefix)?
            .into_iter()
            .filter(|version| !version.is_deleted())
            .collect();
        if live.is_empty() && !prefix.is_empty() {
            return Err(Error::not_found(format!(
                "no such path in the archive: {prefix}"
            )));
        }
        live.into_iter()
            .filter(|version| version.file)
            .map(|version| self.status_of(version))
            .collect()
    }

    fn status_of(&self, newest: Version) -> Result<FileStatus> {
        let file = self.file_of(&newest.path);
        let bytes = match files::kind(&file)? {
            Kind::File => files::read_if_there(&file)?,
            Kind::Missing | Kind::Folder | Kind::Stream => None,
        };
        let state = match bytes {
            None => State::Missing,
            Some(bytes) if self.newest_has_bytes(&newest.path, &bytes)? => State::Same,
            Some(bytes) => {
                let nan = if newest.nan {
                    NanMode::Tag
                } else {
                    NanMode::Reject
                };
                if canonicalize_with(&bytes, nan).is_ok() {
                    State::Modified
                } else {
                    State::Invalid
                }
            }
        };
        Ok(FileStatus {
            path: newest.path,
            version: newest.version,
            state,
        })
    }
}
