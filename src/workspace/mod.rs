//! The working files beside an archive: which archive a file belongs to, which path it has there, and how it is
//! replaced without losing what stands in it.
//!
//! Nothing here reads the environment or the current directory: whoever calls says where it stands. The files
//! themselves are read and written by [`storage::files`](crate::storage::files).

mod discover;
mod disk;
mod paths;
mod restore;
mod save;
mod state;
mod status;
mod written;

pub use discover::{
    Place, find_archive, find_git_work_tree, place_for, project_root, start_folder,
};
pub use paths::Target;
pub use restore::{Destination, FileEvent, FileReport, Report};
pub use save::{FileContent, FileSave};
pub use state::{StateEvent, StateOptions, StateReport};
pub use status::{FileStatus, State};

use std::path::{Path, PathBuf};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::storage::files;
use written::Written;

pub use crate::log::format::ARCHIVE_FOLDER;

/// An archive together with the files that stand beside it.
#[derive(Clone)]
pub struct Workspace {
    archive: Archive,
    /// The folder that holds `.backstory`, every link followed.
    root: PathBuf,
    /// The same folder as it was named.
    given_root: PathBuf,
    /// What relative path arguments start from.
    base: PathBuf,
    written: Written,
}

impl Workspace {
    /// The files beside `archive`, with path arguments relative to the absolute folder `base`.
    ///
    /// # Errors
    /// Where the archive is not on the local file system, or its folder cannot be looked up.
    pub fn new(archive: Archive, base: &Path) -> Result<Workspace> {
        let given_root = match archive.root() {
            Some(root) => base.join(root),
            None => {
                return Err(Error::invalid(
                    "this archive is not on the local file system, it has no files beside it",
                ));
            }
        };
        let root = files::resolve(&given_root)
            .map_err(|error| Error::io(format!("look up {}", given_root.display()), error))?;
        Ok(Workspace {
            archive,
            root,
            given_root,
            base: base.to_owned(),
            written: Written::default(),
        })
    }

    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The folder that holds `.backstory`, every link followed.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
