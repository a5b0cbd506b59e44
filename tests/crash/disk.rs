//! A disk in memory that keeps what was done to it, call by call.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A file's number, whatever its name says.
pub type Inode = u64;

/// How many calls have the same time of change: clocks of file systems are coarse.
const TICK: usize = 3;

/// A call that changed something, or a mark that the test made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The workload was told that the archive is made.
    Made,
    /// An attempt to make this commit of the workload begins.
    Begin(usize),
    /// The workload was told that this commit is on disk.
    Acknowledge(usize),
}

impl Op {
    pub fn is_mark(&self) -> bool {
        matches!(self, Op::Made | Op::Begin(_) | Op::Acknowledge(_))
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
pub struct State {
    pub recording: Recording,
    pub names: BTreeMap<String, Inode>,
    pub folders: BTreeSet<String>,
    pub data: BTreeMap<Inode, (Vec<u8>, i64)>,
    pub note: Vec<u8>,
    fault: Option<Fault>,
    /// Number of the call that failed.
    failed: Option<usize>,
    pub locked: bool,
}

/// The disk as the running system shows it.
#[derive(Debug, Default)]
pub struct Disk {
    state: Mutex<State>,
    pub freed: Condvar,
}

/// A disk that can be opened as an archive.
#[derive(Clone, Debug)]
pub struct Shared(pub Arc<Disk>);

impl Disk {
    pub fn with(base: Image) -> Shared {
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

    pub fn state(&self) -> MutexGuard<'_, State> {
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
    pub fn apply(&mut self, op: Op) {
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
            | Op::Made
            | Op::Begin(_)
            | Op::Acknowledge(_) => {}
        }
        self.recording.ops.push(op);
    }

    /// Does the planned fault hit this call?
    pub fn fails(&mut self, kind: fn(usize) -> Fault) -> bool {
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

    pub fn inode(&self, name: &str) -> io::Result<Inode> {
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
