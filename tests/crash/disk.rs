//! A disk in memory that keeps what was done to it, call by call.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use backstory::storage::{FileIdentity, Storage, StorageFile, StorageLock};

/// A file's number, whatever its name says.
pub type Inode = u64;

/// How many calls have the same time of change: clocks of file systems are coarse.
const TICK: usize = 3;

/// A call that changed something, or a mark that the test made.
#[derive(Clone, Debug)]
pub enum Op {
    Create {
        name: String,
        inode: Inode,
    },
    CreateDir {
        name: String,
    },
    Rename {
        from: String,
        to: String,
        inode: Inode,
    },
    Remove {
        name: String,
        inode: Inode,
    },
    Write {
        inode: Inode,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    SetLen {
        inode: Inode,
        len: usize,
    },
    Sync {
        inode: Inode,
        ok: bool,
    },
    SyncDir {
        folder: String,
        ok: bool,
    },
    /// The system could not write back what was not synced yet, and nobody was left to be told.
    WritebackFailed,
    /// The note in the lock file; it is never synced.
    Note(Arc<[u8]>),
    /// An attempt to make this commit of the workload begins.
    Begin(usize),
    /// The workload was told that this commit is on disk.
    Acknowledge(usize),
}

impl Op {
    pub fn is_mark(&self) -> bool {
        matches!(self, Op::Begin(_) | Op::Acknowledge(_))
    }

    /// The name that it gives or takes.
    pub fn name(&self) -> Option<&str> {
        match self {
            Op::Create { name, .. } | Op::CreateDir { name } | Op::Remove { name, .. } => {
                Some(name)
            }
            Op::Rename { to, .. } => Some(to),
            _ => None,
        }
    }

    /// One line, without the bytes.
    pub fn short(&self) -> String {
        match self {
            Op::Write {
                inode,
                offset,
                bytes,
            } => format!(
                "Write {{ inode: {inode}, offset: {offset}, {} bytes }}",
                bytes.len()
            ),
            Op::Note(note) => format!("Note of {} bytes", note.len()),
            other => format!("{other:?}"),
        }
    }
}

/// The folder that a name is in.
pub fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub inode: Inode,
    /// What `changed_at` says.
    pub changed: i64,
    pub bytes: Vec<u8>,
}

/// All that is on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub folders: BTreeSet<String>,
    pub files: BTreeMap<String, File>,
    pub note: Vec<u8>,
}

impl Image {
    /// The same for equal images.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(&self.note);
        for folder in &self.folders {
            part(folder.as_bytes());
        }
        for (name, file) in &self.files {
            part(name.as_bytes());
            part(&file.inode.to_le_bytes());
            part(&file.changed.to_le_bytes());
            part(&file.bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// The time of the next change.
    fn now(&self) -> i64 {
        self.files.values().map(|f| f.changed).max().unwrap_or(0) + 1
    }
}

/// A disk as it was, and what was done to it since.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub base: Image,
    pub ops: Vec<Op>,
}

impl Recording {
    /// The time of change that the call at this place gives a file.
    pub fn time(&self, at: usize) -> i64 {
        self.base.now() + (at / TICK) as i64
    }
}

/// Fails one call, after so many more of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Sync(usize),
    SyncDir(usize),
    /// A part of the write is done.
    Write(usize),
}

#[derive(Debug, Default)]
struct State {
    recording: Recording,
    names: BTreeMap<String, Inode>,
    folders: BTreeSet<String>,
    data: BTreeMap<Inode, (Vec<u8>, i64)>,
    note: Vec<u8>,
    fault: Option<Fault>,
    /// Number of the call that failed.
    failed: Option<usize>,
    locked: bool,
}

/// The disk as the running system shows it.
#[derive(Debug, Default)]
pub struct Disk {
    state: Mutex<State>,
    freed: Condvar,
}

/// A disk that can be opened as an archive.
#[derive(Clone, Debug)]
pub struct Shared(pub Arc<Disk>);

impl Disk {
    pub fn new(base: Image) -> Shared {
        Disk::replay(&Recording {
            base,
            ops: Vec::new(),
        })
    }

    /// The disk after these calls; what is done to it goes on behind them.
    pub fn replay(recording: &Recording) -> Shared {
        let disk = Disk::default();
        {
            let mut state = disk.state();
            state.recording.base = recording.base.clone();
            state.folders = recording.base.folders.clone();
            state.note = recording.base.note.clone();
            for (name, file) in &recording.base.files {
                state.names.insert(name.clone(), file.inode);
                let data = (file.bytes.clone(), file.changed);
                state.data.insert(file.inode, data);
            }
            for op in &recording.ops {
                state.apply(op.clone());
            }
        }
        Shared(Arc::new(disk))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn recording(&self) -> Recording {
        self.state().recording.clone()
    }

    /// How many calls changed something.
    pub fn changes(&self) -> usize {
        let state = self.state();
        let changes = state.recording.ops.iter().filter(|op| !op.is_mark());
        changes.count()
    }

    pub fn mark(&self, op: Op) {
        self.state().apply(op);
    }

    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// The call that failed.
    pub fn failed(&self) -> Option<usize> {
        self.state().failed
    }

    /// All as the running system shows it.
    pub fn image(&self) -> Image {
        let state = self.state();
        let file = |(name, inode): (&String, &Inode)| {
            let (bytes, changed) = state.data[inode].clone();
            let file = File {
                inode: *inode,
                changed,
                bytes,
            };
            (name.clone(), file)
        };
        Image {
            folders: state.folders.clone(),
            files: state.names.iter().map(file).collect(),
            note: state.note.clone(),
        }
    }
}

impl State {
    /// Does what the call does, and keeps it.
    fn apply(&mut self, op: Op) {
        let now = self.recording.time(self.recording.ops.len());
        match &op {
            Op::Create { name, inode } => {
                self.names.insert(name.clone(), *inode);
                self.data.insert(*inode, (Vec::new(), now));
            }
            Op::CreateDir { name } => {
                self.folders.insert(name.clone());
            }
            Op::Rename { from, to, inode } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *inode);
            }
            Op::Remove { name, .. } => {
                self.names.remove(name);
            }
            Op::Write {
                inode,
                offset,
                bytes,
            } => {
                let (data, changed) = self.data.get_mut(inode).unwrap();
                put(data, *offset, bytes);
                *changed = now;
            }
            Op::SetLen { inode, len } => {
                let (data, changed) = self.data.get_mut(inode).unwrap();
                data.resize(*len, 0);
                *changed = now;
            }
            Op::Note(note) => self.note = note.to_vec(),
            Op::Sync { .. }
            | Op::SyncDir { .. }
            | Op::WritebackFailed
            | Op::Begin(_)
            | Op::Acknowledge(_) => {}
        }
        self.recording.ops.push(op);
    }

    /// Does the planned fault hit this call?
    fn fails(&mut self, kind: fn(usize) -> Fault) -> bool {
        let left = match self.fault {
            Some(fault @ (Fault::Sync(left) | Fault::SyncDir(left) | Fault::Write(left)))
                if fault == kind(left) =>
            {
                left
            }
            _ => return false,
        };
        self.fault = left.checked_sub(1).map(kind);
        if left == 0 {
            self.failed = Some(self.recording.ops.len());
        }
        left == 0
    }

    fn inode(&self, name: &str) -> io::Result<Inode> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Puts bytes at an offset, with zeros in front where there was nothing.
pub fn put(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[offset..end].copy_from_slice(bytes);
}

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
