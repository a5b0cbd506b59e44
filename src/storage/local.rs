//! The local file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{FileIdentity, Storage, StorageFile, StorageLock, files};

const LOCK: &str = "lock";

/// Files below one folder of the local file system.
#[derive(Debug)]
pub struct LocalStorage {
    folder: PathBuf,
    network: OnceLock<Option<&'static str>>,
}

#[derive(Debug)]
struct LockFile {
    file: File,
    identity: FileIdentity,
}

impl LocalStorage {
    /// Files below `folder`, which must stand.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<LocalStorage> {
        let folder = folder.into();
        if !fs::metadata(&folder)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        Ok(LocalStorage::at(folder))
    }

    fn at(folder: PathBuf) -> LocalStorage {
        LocalStorage {
            folder,
            network: OnceLock::new(),
        }
    }

    /// Makes `folder` in one step, with all that `fill` puts into it on disk before it has its name. Fails with
    /// `AlreadyExists` where something has that name.
    pub fn create_whole(
        folder: &Path,
        fill: impl FnOnce(&LocalStorage) -> io::Result<()>,
    ) -> io::Result<()> {
        let parent = parent_of(folder);
        if fs::symlink_metadata(folder).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files::create_folders(parent)?;
        let temporary = tempfile::Builder::new()
            .prefix(".backstory-new-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .tempdir_in(parent)?;
        fill(&LocalStorage::at(temporary.path().to_owned()))?;
        sync_folder(temporary.path())?;
        match fs::rename(temporary.path(), folder) {
            Ok(()) => {
                let _ = temporary.keep();
                sync_folder(parent)
            }
            Err(error) if folder.exists() => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
            }
            Err(error) => Err(error),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn open_lock(&self) -> io::Result<LockFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(LOCK))?;
        let identity = identity_of(&file.metadata()?);
        Ok(LockFile { file, identity })
    }
}

/// The folder that a file or folder is in.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Which file has this name. The times are not asked for: once a file's times were seen, Linux makes each of the next
/// writes change them, and a sync then has to put them on disk too (multigrain timestamps).
#[cfg(target_os = "linux")]
pub(super) fn identity_of_path(path: &Path) -> io::Result<FileIdentity> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(FileIdentity {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
        }),
        // An old kernel, or a sandbox that does not know the call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            fs::metadata(path).map(|metadata| identity_of(&metadata))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn identity_of_path(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path).map(|metadata| identity_of(&metadata))
}

fn identity_of(metadata: &fs::Metadata) -> FileIdentity {
    FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
    }
}

impl Storage for LocalStorage {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(write)
            .open(self.path(name))?;
        Ok(Arc::new(LocalFile::new(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name))?;
        Ok(Arc::new(LocalFile::new(file)))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        match fs::create_dir(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(folder))? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        sync_folder(&self.path(folder))?;
        if !folder.is_empty() {
            return Ok(());
        }
        match sync_folder(parent_of(&self.folder)) {
            // Whoever may not read the folder around the archive cannot sync it, and can still save.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    fn identity(&self, name: &str) -> io::Result<FileIdentity> {
        identity_of_path(&self.path(name))
    }

    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn StorageLock>>> {
        let deadline = Instant::now() + wait;
        let mut pause = Duration::from_micros(50);
        loop {
            // Opened for each lock: a child that is forked between two of them must not have a share in the next.
            let lock = self.open_lock()?;
            loop {
                match lock.file.try_lock() {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error))
                        if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(TryLockError::Error(error)) => return Err(error),
                }
                let now = Instant::now();
                if now >= deadline {
                    return Ok(None);
                }
                // A system lock wakes nobody with a time limit, so ask again: soon at first, then every 5 ms.
                std::thread::sleep(pause.min(deadline - now));
                pause = (pause * 2).min(Duration::from_millis(5));
            }
            // A lock on a file that no longer has the name would be a lock of our own.
            match fs::metadata(self.path(LOCK)) {
                Ok(named) if identity_of(&named) == lock.identity => {
                    return Ok(Some(Box::new(LocalLock {
                        file: lock.file,
                        holder: std::process::id(),
                    })));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn local_dir(&self) -> Option<PathBuf> {
        Some(self.folder.clone())
    }

    fn is_writable(&self) -> bool {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        ["", "log"]
            .iter()
            .all(|name| rustix::fs::access(self.path(name), access).is_ok())
    }

    fn network_file_system(&self) -> Option<&'static str> {
        *self
            .network
            .get_or_init(|| network_file_system(&self.folder))
    }
}

fn network_file_system(folder: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(folder).ok()?.f_type;
    // Magic numbers of statfs(2).
    match u32::try_from(kind).ok()? {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x5346_414f => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        _ => None,
    }
}

#[derive(Debug)]
struct LocalFile(File, OnceLock<FileIdentity>);

impl LocalFile {
    fn new(file: File) -> LocalFile {
        LocalFile(file, OnceLock::new())
    }
}

impl StorageFile for LocalFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        // Not by stat: see [`identity_of_path`].
        (&self.0).seek(SeekFrom::End(0))
    }

    fn changed_at(&self) -> io::Result<i64> {
        let metadata = self.0.metadata()?;
        Ok(metadata
            .ctime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.ctime_nsec()))
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        // An open file stays what it is.
        match self.1.get() {
            Some(identity) => Ok(*identity),
            None => {
                let identity = identity_of(&self.0.metadata()?);
                Ok(*self.1.get_or_init(|| identity))
            }
        }
    }
}

/// The lock goes with the open file, so a process that dies leaves none behind. A forked child inherits a reference:
/// there the drop only closes it, for the lock is the parent's.
#[derive(Debug)]
struct LocalLock {
    file: File,
    holder: u32,
}

impl StorageLock for LocalLock {
    fn note(&self) -> io::Result<Vec<u8>> {
        let mut note = vec![0; 256];
        let count = self.file.read_at(&mut note, 0)?;
        note.truncate(count);
        Ok(note)
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        self.file.write_all_at(note, 0)
    }
}

impl Drop for LocalLock {
    fn drop(&mut self) {
        if self.holder == std::process::id() {
            // Said aloud, because a forked child that still has the file open would keep a merely closed lock.
            let _ = self.file.unlock();
        }
    }
}
