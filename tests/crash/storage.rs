//! The recording disk as a storage that an archive can be on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstory::storage::{FileIdentity, Storage, StorageFile, StorageLock};

use super::disk::{Disk, Fault, Inode, Op, Shared, State, folder_of};

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Shared {
    fn file(&self, inode: Inode) -> Arc<dyn StorageFile> {
        Arc::new(Open {
            disk: self.0.clone(),
            inode,
        })
    }
}

impl Storage for Shared {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.state();
        Ok(state.data[&state.inode(name)?].0.clone())
    }

    fn open(&self, name: &str, _write: bool) -> io::Result<Arc<dyn StorageFile>> {
        let inode = self.0.state().inode(name)?;
        Ok(self.file(inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.0.state();
        let folder = folder_of(name);
        if !folder.is_empty() && !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.data.keys().last().map_or(1, |last| last + 1);
        state.apply(Op::Create {
            name: name.to_owned(),
            inode,
        });
        drop(state);
        Ok(self.file(inode))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.folders.contains(name) {
            state.apply(Op::CreateDir {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.state();
        assert_eq!(folder_of(from), folder_of(to), "the models know no other");
        let inode = state.inode(from)?;
        state.apply(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.state();
        let inode = state.inode(name)?;
        state.apply(Op::Remove {
            name: name.to_owned(),
            inode,
        });
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.0.state();
        if !folder.is_empty() && !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.keys().chain(&state.folders);
        let names = names.filter(|name| folder_of(name) == folder);
        let mut names: Vec<String> = names
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        let mut state = self.0.state();
        if !folder.is_empty() && !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let ok = !state.fails(Fault::SyncDir);
        state.apply(Op::SyncDir {
            folder: folder.to_owned(),
            ok,
        });
        ok.then_some(()).ok_or_else(input_output_error)
    }

    fn identity(&self, name: &str) -> io::Result<FileIdentity> {
        let inode = self.0.state().inode(name)?;
        Ok(FileIdentity { device: 0, inode })
    }

    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn StorageLock>>> {
        let state = self.0.state();
        let held = |state: &mut State| state.locked;
        let (mut state, waited) = self.0.freed.wait_timeout_while(state, wait, held).unwrap();
        if waited.timed_out() && state.locked {
            return Ok(None);
        }
        state.locked = true;
        Ok(Some(Box::new(Lock(self.0.clone()))))
    }

    fn local_dir(&self) -> Option<PathBuf> {
        None
    }

    fn is_writable(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Open {
    disk: Arc<Disk>,
    inode: Inode,
}

impl StorageFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.data[&self.inode].0;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.fails(Fault::Write);
        let done = if fails { bytes.len() / 2 } else { bytes.len() };
        state.apply(Op::Write {
            inode: self.inode,
            offset: usize::try_from(offset).unwrap(),
            bytes: bytes[..done].into(),
        });
        (!fails).then_some(()).ok_or_else(input_output_error)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().apply(Op::SetLen {
            inode: self.inode,
            len: usize::try_from(len).unwrap(),
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let ok = !state.fails(Fault::Sync);
        state.apply(Op::Sync {
            inode: self.inode,
            ok,
        });
        ok.then_some(()).ok_or_else(input_output_error)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().data[&self.inode].0.len() as u64)
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity {
            device: 0,
            inode: self.inode,
        })
    }

    fn changed_at(&self) -> io::Result<i64> {
        Ok(self.disk.state().data[&self.inode].1)
    }
}

#[derive(Debug)]
struct Lock(Arc<Disk>);

impl StorageLock for Lock {
    fn note(&self) -> io::Result<Vec<u8>> {
        Ok(self.0.state().note.clone())
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        self.0.state().apply(Op::Note(note.into()));
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().locked = false;
        self.0.freed.notify_one();
    }
}
