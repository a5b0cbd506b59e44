//! Where an archive lives: the only module that touches files.
//!
//! [`Storage`] is what the log is written on: the local file system, or memory. It is small on purpose, so that a
//! test can put a storage under the real engine that tears, loses and fails. [`files`] writes the user's own files.

pub mod files;
mod local;
mod memory;
pub mod output;
pub mod walk;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use local::LocalStorage;
pub use memory::MemoryStorage;

/// What tells two files of the same name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// An open file. Reads and writes name their offset; nothing is buffered.
#[allow(
    clippy::len_without_is_empty,
    reason = "asking for the length can fail; emptiness is not asked for"
)]
pub trait StorageFile: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Puts the file's bytes, and what is needed to read them back, on disk.
    fn sync_data(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Which file this is, whatever its name says by now.
    fn identity(&self) -> io::Result<FileIdentity>;
    /// When its bytes or its attributes were last changed: nanoseconds since the Unix epoch, as coarse as the system
    /// has them. 0 where there is no such thing.
    fn changed_at(&self) -> io::Result<i64> {
        Ok(0)
    }
}

/// Holds the writer's lock until it is dropped, or the process ends.
///
/// A lock carries a note from holder to holder. It is never synced: it may be lost or old, and whoever reads it must
/// be able to tell.
pub trait StorageLock: Debug + Send {
    /// The note that an earlier holder left.
    fn note(&self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Leaves a note to later holders.
    fn set_note(&self, _note: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A tree of files, named relative to the archive's own folder with `/` between the parts.
pub trait Storage: Debug + Send + Sync {
    /// The whole of a small file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Opens an existing file; `write` asks for the right to change it.
    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>>;
    /// Makes a new, empty file; fails where one stands.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;
    /// Makes a folder; one that stands is fine.
    fn create_dir(&self, name: &str) -> io::Result<()>;
    /// Renames a file over whatever has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Puts the names in a folder on disk. `""` is the archive's own folder, whose own name is put on disk with them.
    fn sync_dir(&self, folder: &str) -> io::Result<()>;
    /// The identity of the file that has this name now.
    fn identity(&self, name: &str) -> io::Result<FileIdentity>;
    /// Takes the writer's lock, waiting at most this long; `None` when the time ran out.
    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn StorageLock>>>;
    /// The folder on the local file system, where there is one.
    fn local_dir(&self) -> Option<PathBuf>;
    /// May the archive be changed here?
    fn is_writable(&self) -> bool;
    /// The name of the network file system this is on, if it is on one: locks do not hold there.
    fn network_file_system(&self) -> Option<&'static str> {
        None
    }
}

/// Reads exactly `buffer.len()` bytes, or fails with `UnexpectedEof`.
pub fn read_exact_at(file: &dyn StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buffer, offset)? == buffer.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Replaces a small file whole: temporary file, sync, rename, sync of the folder.
pub fn replace(storage: &dyn Storage, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let join = |name: &str| {
        if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        }
    };
    let temporary = join(&format!("{name}.new"));
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(&temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    storage.rename(&temporary, &join(name))?;
    storage.sync_dir(folder)
}

/// Removes a file that may be missing.
pub(crate) fn remove_if_there(path: &std::path::Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Which file has this name, where there is one.
pub(crate) fn file_identity(path: &std::path::Path) -> Option<FileIdentity> {
    local::identity_of_path(path).ok()
}

/// The length of a file, where there is one.
pub(crate) fn file_len(path: &std::path::Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.len())
}

/// Makes a folder and those above it.
pub(crate) fn make_folders(path: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// The path without symbolic links; as it is where that cannot be told.
pub(crate) fn real_path(path: &std::path::Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
