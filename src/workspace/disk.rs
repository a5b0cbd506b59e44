//! What stands on disk, and whether the archive has it.

use std::path::Path;

use super::Workspace;
use crate::archive::Version;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::storage::files::{self, Kind};

/// The file of a path, before it is replaced.
#[derive(Debug)]
pub(super) enum OnDisk {
    /// There is none.
    Missing,
    /// A pipe or a device: nothing that could be lost.
    Stream,
    /// Its bytes are those of a version of the path.
    Archived(Vec<u8>),
    /// Its bytes are nowhere in the path's history.
    Unsaved(Vec<u8>),
}

impl OnDisk {
    /// The bytes that were seen.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            OnDisk::Missing | OnDisk::Stream => None,
            OnDisk::Archived(bytes) | OnDisk::Unsaved(bytes) => Some(bytes),
        }
    }
}

impl Workspace {
    /// Looks at a file that is about to be replaced. Without a `path`, no version can hold its content.
    ///
    /// # Errors
    /// Where it is a folder or cannot be read: it can then not be replaced either.
    pub(super) fn look(&self, file: &Path, path: Option<&str>) -> Result<OnDisk> {
        match files::kind(file)? {
            Kind::Missing => return Ok(OnDisk::Missing),
            Kind::Stream => return Ok(OnDisk::Stream),
            Kind::Folder => {
                let action = format!("replace {}", file.display());
                return Err(Error::io(action, files::a_folder()));
            }
            Kind::File => {}
        }
        let Some(bytes) = files::read_if_there(file)? else {
            return Ok(OnDisk::Missing);
        };
        Ok(match path {
            Some(path) if self.has_bytes(path, &bytes) => OnDisk::Archived(bytes),
            _ => OnDisk::Unsaved(bytes),
        })
    }

    /// Can exactly these bytes be loaded from a version of this path? Where the archive cannot tell, or the version is
    /// damaged, the answer is no, and the content will be kept once more.
    pub(super) fn has_bytes(&self, path: &str, bytes: &[u8]) -> bool {
        let loads = |version: &Version| {
            let loaded = self.archive.load(version);
            loaded.is_ok_and(|loaded| loaded.source() == bytes)
        };
        let id = ObjectId::of(bytes);
        if self.written.has(path, &id) {
            return true;
        }
        let newest = self.archive.newest(path).ok().flatten();
        let newest = newest.filter(|v| !v.is_deleted() && v.may_have_source(&id));
        newest.is_some_and(|newest| loads(&newest))
            || self.archive.identify(bytes).is_ok_and(|matches| {
                let mut same = matches
                    .iter()
                    .filter(|found| found.same_bytes && found.version.path == path);
                same.any(|found| loads(&found.version))
            })
    }

    /// Are these the bytes of the newest version of this path?
    pub(super) fn newest_has_bytes(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        match self.archive.newest(path)? {
            Some(newest) if newest.is_deleted() => Ok(false),
            Some(newest) if !newest.may_have_source(&ObjectId::of(bytes)) => Ok(false),
            Some(newest) => match newest.source {
                Some(source) => Ok(source == ObjectId::of(bytes)),
                None => Ok(self.archive.load(&newest)?.source() == bytes),
            },
            None => Ok(false),
        }
    }
}
