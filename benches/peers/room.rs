//! The folder in which a run does all its work: on the disk of the repository, and gone at the end.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Result;

pub struct Room {
    dir: TempDir,
    /// Where the histories are.
    pub data: PathBuf,
    pub quick: bool,
}

impl Room {
    pub fn new(data: &Path, quick: bool) -> Result<Room> {
        // /tmp may be memory, where a sync costs nothing.
        let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
        fs::create_dir_all(&below)?;
        Ok(Room {
            dir: tempfile::Builder::new().prefix("room-").tempdir_in(below)?,
            data: data.canonicalize()?,
            quick,
        })
    }

    /// One number or the other.
    pub fn pick<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A new, empty folder. It goes with the room, or when the answer is dropped.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.dir.path())?)
    }

    /// A folder that several rows read from and none writes to: made by the first that asks.
    pub fn shared(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.dir.path().join(name);
        if !folder.exists() {
            eprintln!("    making {name}");
            fs::create_dir(&folder)?;
            if let Err(error) = make(&folder) {
                fs::remove_dir_all(&folder)?;
                return Err(error);
            }
        }
        Ok(folder)
    }

    /// A copy of such a folder, for a row that writes.
    pub fn copy(&self, from: &Path) -> Result<TempDir> {
        let copy = self.folder()?;
        copy_below(from, copy.path())?;
        Ok(copy)
    }
}

fn copy_below(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_below(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The bytes of all files below a folder.
pub fn bytes_below(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            bytes_below(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(sum)
}

/// Waits until what was written so far is on disk: else it is written in the middle of a measurement, and the syncs
/// of that pay for it.
pub fn settle() {
    rustix::fs::sync();
}
