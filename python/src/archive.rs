//! An open archive, and how it gets over a fork.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backstory::workspace::{ARCHIVE_FOLDER, Workspace};
use backstory::{Archive, Error, IndexPlace, OpenOptions, Result};
use pyo3::prelude::*;

use crate::error::raise;
use crate::gate::detached;

/// An archive that is open in this process. After a fork the child opens it again when it first uses it.
#[pyclass(frozen)]
pub struct Handle {
    /// The folder that holds `.backstory`; none for an archive in memory.
    root: Option<PathBuf>,
    options: OpenOptions,
    open: Mutex<Open>,
}

struct Open {
    process: u32,
    library: Option<Library>,
}

/// What calls work with; cheap to clone.
#[derive(Clone)]
pub struct Library {
    pub archive: Archive,
    /// The files beside it; relative names count from its root.
    workspace: Option<Workspace>,
    /// Device and inode of `archive.json`.
    identity: Option<(u64, u64)>,
}

impl Library {
    fn of(archive: Archive) -> Result<Library> {
        let workspace = match archive.root() {
            Some(root) => Some(Workspace::new(archive.clone(), root)?),
            None => None,
        };
        let identity = archive.root().and_then(identity);
        Ok(Library {
            archive,
            workspace,
            identity,
        })
    }

    /// # Errors
    /// `Usage` for an archive in memory.
    pub fn workspace(&self) -> Result<&Workspace> {
        let none = || Error::invalid("this archive is in memory: there are no files beside it");
        self.workspace.as_ref().ok_or_else(none)
    }
}

fn identity(root: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let file = root.join(ARCHIVE_FOLDER).join("archive.json");
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Handle {
    /// Does work on the archive with the GIL released.
    pub fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Library) -> Result<T> + Send,
    ) -> PyResult<T> {
        let library = self.library(py)?;
        // Where this is the last use, the archive is closed without the GIL too.
        detached(py, move || work(&library)).map_err(|error| raise(py, error))
    }

    fn library(&self, py: Python<'_>) -> PyResult<Library> {
        // Held for moments only, and with the GIL: no fork finds it locked.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if open.process != process {
            let Some(root) = &self.root else {
                let message = "an archive in memory stays with the process that made it";
                return Err(crate::error::usage(py, message));
            };
            let fresh = Archive::open_with(root, &self.options).and_then(Library::of);
            let fresh = fresh.map_err(|error| raise(py, error))?;
            // Nothing of the parent's is closed here.
            std::mem::forget(open.library.replace(fresh));
            open.process = process;
        }
        match &open.library {
            Some(library) => Ok(library.clone()),
            None => Err(crate::error::usage(py, "this archive is closed")),
        }
    }

    fn new(archive: Archive, options: OpenOptions) -> Result<Handle> {
        Ok(Handle {
            root: archive.root().map(Path::to_owned),
            options,
            open: Mutex::new(Open {
                process: std::process::id(),
                library: Some(Library::of(archive)?),
            }),
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        let library = open.library.take();
        if open.process != std::process::id() {
            std::mem::forget(library);
        }
    }
}

#[pymethods]
impl Handle {
    /// Opens the archive in the absolute folder `root`; with `create` makes one where there is none. Says whether it was
    /// made.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        root: PathBuf,
        create: bool,
        wait: f64,
        read_only: bool,
        index: Option<PathBuf>,
        cache: Option<PathBuf>,
    ) -> PyResult<(Handle, bool)> {
        let wait = Duration::try_from_secs_f64(wait);
        let options = OpenOptions {
            wait: wait.map_err(|error| crate::error::usage(py, error))?,
            read_only,
            index: match (index, cache) {
                (Some(file), _) => IndexPlace::At(file),
                (None, Some(folder)) => IndexPlace::BesideOr(folder),
                (None, None) => IndexPlace::Beside,
            },
        };
        let opened = detached(py, || {
            let (archive, made) = match create {
                true => Archive::open_or_create(&root, &options)?,
                false => (Archive::open_with(&root, &options)?, false),
            };
            Ok((Handle::new(archive, options)?, made))
        });
        opened.map_err(|error| raise(py, error))
    }

    /// Makes an archive in memory.
    #[staticmethod]
    fn in_memory(py: Python<'_>) -> PyResult<Handle> {
        let made = Archive::in_memory().and_then(|a| Handle::new(a, OpenOptions::default()));
        made.map_err(|error| raise(py, error))
    }

    /// The folder that holds `.backstory`, as it was named.
    #[getter]
    fn root(&self) -> Option<&OsStr> {
        self.root.as_deref().map(Path::as_os_str)
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.library(py)?.archive.id().to_string())
    }

    /// Is the archive that was opened still the one in its folder?
    fn stands(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(library), Some(root)) = (&open.library, &self.root) else {
            return self.root.is_none();
        };
        library.identity.is_some() && library.identity == identity(root)
    }

    /// What happened on the way that a person may want to know; asking takes it away.
    fn take_notices(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.library(py)?.archive.take_notices())
    }

    /// Closes the archive once no call is at work in it.
    fn close(&self, py: Python<'_>) {
        let library = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            match open.process == std::process::id() {
                true => open.library.take(),
                false => return,
            }
        };
        detached(py, move || drop(library));
    }
}
