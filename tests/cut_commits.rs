//! A commit that a reader has seen, whose sync then failed: it is cut, and another one stands in its place.

mod support;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory::Archive;
use backstory::storage::{
    FileIdentity, LocalStorage, MemoryStorage, Storage, StorageFile, StorageLock,
};
use backstory::verify::{VerifyOptions, verify};
use support::{save, source, try_save};

/// A storage whose next sync runs `at_sync` and fails.
struct Hooks {
    at_sync: Mutex<Option<Box<dyn FnMut() + Send>>>,
}
impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}
#[derive(Debug)]
struct Hooked {
    inner: Arc<dyn Storage>,
    hooks: Arc<Hooks>,
}
impl Hooked {
    fn new(inner: Arc<dyn Storage>) -> Arc<Hooked> {
        Arc::new(Hooked {
            inner,
            hooks: Arc::new(Hooks {
                at_sync: Mutex::new(None),
            }),
        })
    }
    fn file(&self, f: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(HookedFile {
            inner: f,
            hooks: self.hooks.clone(),
        })
    }
}
#[derive(Debug)]
struct HookedFile {
    inner: Arc<dyn StorageFile>,
    hooks: Arc<Hooks>,
}
impl StorageFile for HookedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn write_all_at(&self, b: &[u8], o: u64) -> io::Result<()> {
        self.inner.write_all_at(b, o)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        let hook = self.hooks.at_sync.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
            return Err(io::Error::from_raw_os_error(5));
        }
        self.inner.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }
    fn changed_at(&self) -> io::Result<i64> {
        self.inner.changed_at()
    }
}
impl Storage for Hooked {
    fn read(&self, n: &str) -> io::Result<Vec<u8>> {
        self.inner.read(n)
    }
    fn open(&self, n: &str, w: bool) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.file(self.inner.open(n, w)?))
    }
    fn create(&self, n: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.file(self.inner.create(n)?))
    }
    fn create_dir(&self, n: &str) -> io::Result<()> {
        self.inner.create_dir(n)
    }
    fn rename(&self, a: &str, b: &str) -> io::Result<()> {
        self.inner.rename(a, b)
    }
    fn remove(&self, n: &str) -> io::Result<()> {
        self.inner.remove(n)
    }
    fn list(&self, n: &str) -> io::Result<Vec<String>> {
        self.inner.list(n)
    }
    fn sync_dir(&self, n: &str) -> io::Result<()> {
        self.inner.sync_dir(n)
    }
    fn identity(&self, n: &str) -> io::Result<FileIdentity> {
        self.inner.identity(n)
    }
    fn lock(&self, w: Duration) -> io::Result<Option<Box<dyn StorageLock>>> {
        self.inner.lock(w)
    }
    fn local_dir(&self) -> Option<PathBuf> {
        self.inner.local_dir()
    }
    fn is_writable(&self) -> bool {
        true
    }
}

fn doc(n: usize) -> String {
    format!("{{\"n\": {n}, \"text\": \"{:x}\"}}", n * 7919)
}

/// Three handles of one archive of eight commits: `a` reads, the next sync of `b` fails, `c` writes on.
struct Handles {
    inner: Arc<MemoryStorage>,
    hooked: Arc<Hooked>,
    a: Arc<Archive>,
    b: Archive,
    c: Archive,
}

fn handles() -> Handles {
    let inner = Arc::new(MemoryStorage::new());
    let c = Archive::create_on(inner.clone()).unwrap();
    for n in 0..8 {
        save(&c, "p", &doc(n));
    }
    let a = Arc::new(Archive::open_on(inner.clone()).unwrap());
    assert_eq!(a.head().unwrap().seq, 8);
    let hooked = Hooked::new(inner.clone());
    let b = Archive::open_on(hooked.clone()).unwrap();
    Handles {
        inner,
        hooked,
        a,
        b,
        c,
    }
}

#[test]
fn a_reader_forgets_a_commit_that_was_cut() {
    let Handles {
        inner,
        hooked,
        a,
        b,
        c,
    } = handles();
    let seen = a.clone();
    *hooked.hooks.at_sync.lock().unwrap() = Some(Box::new(move || {
        assert_eq!(seen.head().unwrap().seq, 9);
        assert!(source(&seen, "x", 1).is_ok());
    }));
    let long = format!(
        "{{\"x\":   \"{}\"}}",
        (0..300)
            .map(|n: u32| format!("{:x}", n * 2654435))
            .collect::<String>()
    );
    try_save(&b, "x", &long).unwrap_err();
    save(&c, "y", "{\"acknowledged\":    1}");
    let fresh = Archive::open_on(inner.clone()).unwrap();
    assert!(source(&fresh, "y", 1).is_ok() && source(&fresh, "x", 1).is_err());
    let x = source(&a, "x", 1);
    let y = source(&a, "y", 1);
    assert!(x.is_err() && y.is_ok(), "x {x:?} y {y:?}");
}

/// A handle that is dropped puts rows of a commit that was cut into the index.
#[test]
fn dropping_a_reader_keeps_the_index_true() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let c = Archive::create(root).unwrap();
    let dir = root.join(".backstory");
    save(&c, "p", &doc(0));
    let a = Arc::new(Archive::open(root).unwrap());
    for n in 1..256 {
        save(&c, "p", &doc(n));
    }
    assert_eq!(a.head().unwrap().seq, 256);
    let hooked = Hooked::new(Arc::new(LocalStorage::open(&dir).unwrap()));
    let b = Archive::open_on(hooked.clone()).unwrap();
    let seen = a.clone();
    *hooked.hooks.at_sync.lock().unwrap() = Some(Box::new(move || {
        assert_eq!(seen.head().unwrap().seq, 257);
    }));
    try_save(&b, "x", "{\"x\":   1}").unwrap_err();
    *hooked.hooks.at_sync.lock().unwrap() = None;
    drop(b);
    assert_eq!(save(&c, "q", "{\"acknowledged\":    1}").version, 1);
    drop(Arc::try_unwrap(a).unwrap());
    for n in 300..600 {
        save(&c, "p", &doc(n));
    }
    let q = save(&c, "q", "{\"acknowledged\":    2}");
    drop(c);
    let fresh = Archive::open(root).unwrap();
    let again = save(&fresh, "q", "{\"acknowledged\":    3}");
    let report = verify(&fresh, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!((q.version, again.version), (2, 3));
}

/// A handle that has seen it then saves: what it writes must be readable by others.
#[test]
fn a_save_after_that_rests_on_the_right_object() {
    let Handles {
        inner,
        hooked,
        a,
        b,
        c,
    } = handles();
    let seen = a.clone();
    *hooked.hooks.at_sync.lock().unwrap() = Some(Box::new(move || {
        source(&seen, "x", 1).unwrap();
    }));
    let long = |name: &str, seed: u64, end: &str| {
        let mut x = seed;
        let words: Vec<String> = (0..40)
            .map(|_| {
                x = x
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                format!("\"{x:x}\"")
            })
            .collect();
        format!("{{\"{name}\":[{}],\"z\":\"{end}\"}}", words.join(","))
    };
    // A little longer than what comes in its place.
    try_save(&b, "x", &long("x", 1, &"0123456789abcdef".repeat(8))).unwrap_err();
    save(&c, "y", &long("y", 2, ""));
    assert!(source(&a, "x", 1).is_err());
    source(&a, "y", 1).unwrap();
    let saved = try_save(&a, "y", &long("y", 2, "more"));
    let fresh = Archive::open_on(inner.clone()).unwrap();
    let version = saved.unwrap().version;
    let report = verify(&fresh, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(
        source(&fresh, "y", version).unwrap(),
        long("y", 2, "more").as_bytes()
    );
}

/// What such a handle keeps must not be what a delta rests on.
#[test]
fn a_delta_on_the_object_of_a_commit_that_was_cut() {
    use backstory::Document;
    let Handles {
        inner,
        hooked,
        a,
        b,
        c,
    } = handles();
    let seen = a.clone();
    *hooked.hooks.at_sync.lock().unwrap() = Some(Box::new(move || {
        source(&seen, "x", 1).unwrap();
    }));
    let words = |seed: u64, count: usize| -> Vec<String> {
        let mut x = seed;
        (0..count)
            .map(|_| {
                x = x
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                format!("\"{x:x}\"")
            })
            .collect()
    };
    // White space that no layout tells.
    let mut x = 7u64;
    let mut text = String::from("[");
    for (n, word) in words(3, 120).iter().enumerate() {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
        if n > 0 {
            text.push(',');
        }
        for k in 0..(x >> 60) {
            text.push(if (x >> k) & 1 == 0 { ' ' } else { '\t' });
        }
        text.push_str(word);
    }
    text.push(']');
    try_save(&b, "x", &text).unwrap_err();
    // The same data, saved by another process with other paths.
    let mut save = c.save();
    save.add("a", Document::value("[1]")).unwrap();
    save.add(
        "y",
        Document::value(format!("[{}]", words(3, 120).join(","))),
    )
    .unwrap();
    save.commit().unwrap();
    let _ = source(&a, "x", 1);
    let mut save = a.save();
    let new = format!("[{},1]", words(3, 120).join(","));
    save.add("y", Document::value(new.clone())).unwrap();
    assert_eq!(save.commit().unwrap()[0].version, 2);
    let fresh = Archive::open_on(inner.clone()).unwrap();
    let report = verify(&fresh, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}
