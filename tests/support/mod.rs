//! What the tests of the storage engine share: a storage that counts, fails and waits, copies of an archive's files,
//! and all that an archive answers as text that can be compared.
// Each test binary has a copy of its own and uses a part of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory::storage::{FileIdentity, MemoryStorage, Storage, StorageFile, StorageLock};
use backstory::{Archive, Change, CommitId, Document, HistoryQuery, Result, Spec};

/// The kinds of storage call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Read,
    Open,
    Create,
    CreateDir,
    Rename,
    Remove,
    List,
    SyncDir,
    Identity,
    Lock,
    ReadAt,
    Write,
    SetLen,
    Sync,
    Len,
}

/// What the next calls do.
#[derive(Debug, Default)]
struct Plan {
    log: Vec<(Call, String)>,
    /// Fails the call of this kind after so many more of it, and with `true` all that follow.
    fail: Option<(Call, usize, bool)>,
    /// Fails every call from the one on that comes after so many more, whatever its kind: the process is dead.
    die_after: Option<usize>,
    die_at_write: bool,
    sync_takes: Duration,
    written: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug, Default)]
pub struct Taps(Mutex<Plan>);

impl Taps {
    fn call(&self, call: Call, name: &str) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        plan.log.push((call, name.to_owned()));
        if let Some(left) = &mut plan.die_after {
            if *left == 0 {
                return Err(io::Error::other("the process is dead"));
            }
            *left -= 1;
        }
        if plan.die_at_write && call == Call::Write {
            plan.die_after = Some(0);
        }
        if let Some((kind, left, on)) = &mut plan.fail
            && *kind == call
        {
            if *left > 0 {
                *left -= 1;
            } else {
                if !*on {
                    plan.fail = None;
                }
                return Err(io::Error::from_raw_os_error(5));
            }
        }
        Ok(())
    }

    pub fn fail(&self, call: Call, after: usize) {
        self.0.lock().unwrap().fail = Some((call, after, false));
    }

    pub fn fail_on(&self, call: Call, after: usize) {
        self.0.lock().unwrap().fail = Some((call, after, true));
    }

    pub fn die_after(&self, calls: usize) {
        self.0.lock().unwrap().die_after = Some(calls);
    }

    /// Fails every call behind the next write: the process is killed between its write and its sync.
    pub fn fail_after_write(&self) {
        self.0.lock().unwrap().die_at_write = true;
    }

    /// Ends all failing; was a failure planned and never met?
    pub fn heal(&self) -> bool {
        let mut plan = self.0.lock().unwrap();
        plan.die_at_write = false;
        let left = plan.die_after.take().is_some_and(|left| left > 0);
        plan.fail.take().is_some() || left
    }

    pub fn sync_takes(&self, time: Duration) {
        self.0.lock().unwrap().sync_takes = time;
    }

    /// What was written since the last time this was asked, and where.
    pub fn take_written(&self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.0.lock().unwrap().written)
    }

    /// The calls since the last time this was asked.
    pub fn take(&self) -> Vec<(Call, String)> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    pub fn count(&self, call: Call) -> usize {
        let plan = self.0.lock().unwrap();
        plan.log.iter().filter(|(kind, _)| *kind == call).count()
    }
}

/// Files in memory, each call through the taps.
#[derive(Debug)]
pub struct Tapped {
    pub inner: Arc<MemoryStorage>,
    pub taps: Arc<Taps>,
}

impl Tapped {
    pub fn new() -> Arc<Tapped> {
        Tapped::around(Arc::new(MemoryStorage::new()))
    }

    pub fn around(inner: Arc<MemoryStorage>) -> Arc<Tapped> {
        Arc::new(Tapped {
            inner,
            taps: Arc::default(),
        })
    }

    fn file(&self, name: &str, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(TappedFile {
            inner: file,
            name: name.to_owned(),
            taps: self.taps.clone(),
        })
    }
}

impl Storage for Tapped {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.taps.call(Call::Read, name)?;
        self.inner.read(name)
    }
    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        self.taps.call(Call::Open, name)?;
        Ok(self.file(name, self.inner.open(name, write)?))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.taps.call(Call::Create, name)?;
        Ok(self.file(name, self.inner.create(name)?))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.taps.call(Call::CreateDir, name)?;
        self.inner.create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.taps.call(Call::Rename, to)?;
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.taps.call(Call::Remove, name)?;
        self.inner.remove(name)
    }
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.taps.call(Call::List, folder)?;
        self.inner.list(folder)
    }
    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        self.taps.call(Call::SyncDir, folder)?;
        self.inner.sync_dir(folder)
    }
    fn identity(&self, name: &str) -> io::Result<FileIdentity> {
        self.taps.call(Call::Identity, name)?;
        self.inner.identity(name)
    }
    fn lock(&self, wait: Duration) -> io::Result<Option<Box<dyn StorageLock>>> {
        self.taps.call(Call::Lock, "lock")?;
        self.inner.lock(wait)
    }
    fn local_dir(&self) -> Option<PathBuf> {
        None
    }
    fn is_writable(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct TappedFile {
    inner: Arc<dyn StorageFile>,
    name: String,
    taps: Arc<Taps>,
}

impl StorageFile for TappedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.taps.call(Call::ReadAt, &self.name)?;
        self.inner.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.taps.call(Call::Write, &self.name) {
            // A write that fails may have done a part of its work.
            self.inner.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        let mut plan = self.taps.0.lock().unwrap();
        plan.written.push((offset, bytes.to_vec()));
        drop(plan);
        self.inner.write_all_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.taps.call(Call::SetLen, &self.name)?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.taps.call(Call::Sync, &self.name)?;
        let time = self.taps.0.lock().unwrap().sync_takes;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        self.inner.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.taps.call(Call::Len, &self.name)?;
        self.inner.len()
    }
    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }
}

/// All files of an archive in memory, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files_of(storage: &MemoryStorage) -> Files {
    let mut files = Files::new();
    for folder in ["", "log", "log/torn"] {
        for name in storage.list(folder).unwrap() {
            let name = match folder {
                "" => name,
                _ => format!("{folder}/{name}"),
            };
            files.insert(name.clone(), storage.read(&name).unwrap());
        }
    }
    files
}

pub fn storage_of(files: &Files) -> Arc<MemoryStorage> {
    let storage = Arc::new(MemoryStorage::new());
    for (name, bytes) in files {
        let file = storage.create(name).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
    storage
}

pub fn put_file(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let file = match storage.open(name, true) {
        Ok(file) => file,
        Err(_) => storage.create(name).unwrap(),
    };
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// An archive in memory whose segments are as short as settings allow.
pub fn short_segments(storage: &Arc<MemoryStorage>) -> Archive {
    Archive::create_on(storage.clone()).unwrap();
    put_file(&**storage, "settings.json", b"{\"segment_bytes\": 1024}");
    Archive::open_on(storage.clone()).unwrap()
}

pub fn try_save(archive: &Archive, path: &str, source: &str) -> Result<Change> {
    let mut save = archive.save();
    save.add(path, Document::source(source))?;
    Ok(save.commit()?.remove(0))
}

pub fn save(archive: &Archive, path: &str, source: &str) -> Change {
    try_save(archive, path, source).unwrap()
}

/// The source of one version.
pub fn source(archive: &Archive, path: &str, version: u64) -> Result<Vec<u8>> {
    let version = archive.resolve(path, &Spec::Number(version))?;
    Ok(archive.load(&version)?.source())
}

/// Everything that an archive answers, a line each.
pub fn answers(archive: &Archive) -> Vec<String> {
    let mut lines = Vec::new();
    let mut contents = BTreeSet::new();
    lines.push(format!("{:?}", archive.head().unwrap()));
    let mut stats = archive.stats().unwrap();
    stats.index_bytes = 0;
    lines.push(format!("{stats:?}"));
    for newest in archive.list("").unwrap() {
        lines.push(format!("newest {newest:?}"));
        assert!(archive.path_exists(&newest.path).unwrap());
        for follow in [false, true] {
            let query = HistoryQuery {
                path: Some(newest.path.clone()),
                follow,
                ..HistoryQuery::default()
            };
            for version in archive.history(query).unwrap() {
                let version = version.unwrap();
                lines.push(format!("{} {follow} {version:?}", newest.path));
                let again = archive.resolve(&version.path, &Spec::Number(version.version));
                assert_eq!(again.unwrap(), version);
                if version.is_deleted() {
                    assert!(archive.load(&version).unwrap_err().is_not_found());
                    continue;
                }
                let loaded = archive.load(&version).unwrap();
                lines.push(String::from_utf8(loaded.source()).unwrap());
                contents.insert(loaded.source());
            }
        }
    }
    for version in archive.history(HistoryQuery::default()).unwrap() {
        lines.push(format!("{:?}", version.unwrap()));
    }
    for content in contents {
        let found = archive.identify(&content).unwrap();
        lines.push(format!("{:?} {found:?}", String::from_utf8(content)));
    }
    lines.push(format!("{:?}", archive.tags().unwrap()));
    for seq in 1..=archive.head().unwrap().seq {
        let view = archive.find_commit(&seq.to_string()).unwrap();
        let by_id = archive.find_commit(&view.commit.to_string()).unwrap();
        assert_eq!(by_id, view);
        lines.push(format!("{view:?}"));
    }
    lines.push(format!("{:?}", archive.undo_target().map_err(|e| e.kind())));
    lines.push(format!("{:?}", archive.redo_target().map_err(|e| e.kind())));
    lines
}

/// The length of the header record that a segment starts with: type, length, the identity, checksum. The length has one
/// byte or two: the time of an archive's making is written with as many digits as it takes.
pub fn header_len(segment: &[u8]) -> usize {
    let low = usize::from(segment[1] & 0x7f);
    match segment[1] < 0x80 {
        true => 2 + low + 8,
        false => 3 + (low | usize::from(segment[2]) << 7) + 8,
    }
}

/// The sources of all versions that load, by path and version.
pub fn documents_of(archive: &Archive) -> BTreeMap<(String, u64), Vec<u8>> {
    let mut found = BTreeMap::new();
    for version in archive.history(HistoryQuery::default()).unwrap() {
        let version = version.unwrap();
        if let Ok(loaded) = archive.load(&version) {
            found.insert((version.path.clone(), version.version), loaded.source());
        }
    }
    found
}

/// The ids of all commits that are there, by number.
pub fn commits_of(archive: &Archive) -> BTreeMap<u64, CommitId> {
    (1..=archive.head().unwrap().seq)
        .filter_map(|seq| Some((seq, archive.find_commit(&seq.to_string()).ok()?.commit)))
        .collect()
}

/// The records of a segment, its header included: type, where the body begins, and where the record ends.
pub fn records(segment: &[u8]) -> Vec<(u8, usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < segment.len() {
        let kind = segment[at];
        let marker = if matches!(kind, 4..=7) { 4 } else { 0 };
        let (mut len, mut shift, mut front) = (0usize, 0, at + 1 + marker);
        loop {
            let byte = segment[front];
            len |= usize::from(byte & 0x7f) << shift;
            (shift, front) = (shift + 7, front + 1);
            if byte < 0x80 {
                break;
            }
        }
        at = front + len + if kind == 2 { 4 } else { 8 };
        found.push((kind, front, at));
    }
    found
}

/// Another program, `docs/reader.py`, reads the archive and finds it whole.
pub fn python_agrees(root: &Path) {
    let Some(python) = std::env::var_os("BACKSTORY_PYTHON") else {
        println!("left out: docs/reader.py (BACKSTORY_PYTHON is not set; tests/run sets it)");
        return;
    };
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reader.py");
    let mut command = std::process::Command::new(python);
    let output = command
        .arg(reader)
        .arg(root)
        .arg("verify")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
