//! Files in memory: for tests, and for archives that need not outlive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::{FileIdentity, Storage, StorageFile, StorageLock};

/// A tree of files in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    tree: Mutex<Tree>,
    lock: Arc<(Mutex<bool>, Condvar)>,
    note: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<String, Arc<MemoryFile>>,
    folders: BTreeSet<String>,
    last_inode: u64,
}

impl MemoryStorage {
    /// An empty tree.
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> io::Result<Arc<MemoryFile>> {
        self.tree()
            .files
            .get(name)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for MemoryStorage {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self
            .file(name)?
            .bytes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    fn open(&self, name: &str, _write: bool) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.file(name)?)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut tree = self.tree();
        if tree.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.last_inode += 1;
        let file = Arc::new(MemoryFile {
            inode: tree.last_inode,
            bytes: RwLock::default(),
        });
        tree.files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.tree().folders.insert(name.to_owned());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = self.tree();
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.tree()
            .files
            .remove(name)
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let tree = self.tree();
        let names = tree
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix));
        Ok(names
            .filter(|rest| !rest.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn sync_dir(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<FileIdentity> {
        self.file(name)?.identity()
    }

    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn StorageLock>>> {
        let deadline = Instant::now() + wait;
        let (taken, freed) = &*self.lock;
        let mut guard = taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *guard {
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            guard = freed
                .wait_timeout(guard, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *guard = true;
        Ok(Some(Box::new(MemoryLock {
            lock: self.lock.clone(),
            note: self.note.clone(),
        })))
    }

    fn local_dir(&self) -> Option<PathBuf> {
        None
    }

    fn is_writable(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct MemoryFile {
    inode: u64,
    bytes: RwLock<Vec<u8>>,
}

impl StorageFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        if bytes.len() < start + new.len() {
            bytes.resize(start + new.len(), 0);
        }
        bytes[start..start + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.bytes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self
            .bytes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64)
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity {
            device: 0,
            inode: self.inode,
        })
    }
}

#[derive(Debug)]
struct MemoryLock {
    lock: Arc<(Mutex<bool>, Condvar)>,
    note: Arc<Mutex<Vec<u8>>>,
}

impl StorageLock for MemoryLock {
    fn note(&self) -> io::Result<Vec<u8>> {
        Ok(self
            .note
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = note.to_vec();
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let (taken, freed) = &*self.lock;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        freed.notify_one();
    }
}
