//! Copies of an archive: what travels, what is refused, and what an interruption leaves.

#[path = "../support/mod.rs"]
mod support;

mod bundles;
mod damage;
mod folders;
mod model;
mod transfer;

use std::sync::Arc;

use backstory::remote::{TransferOptions, Transferred, create_copy_on, transfer};
use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Result};

/// An archive in memory, and the storage that it is on.
pub(crate) struct Side {
    pub storage: Arc<MemoryStorage>,
    pub archive: Archive,
}

impl Side {
    pub fn new() -> Side {
        let storage = Arc::new(MemoryStorage::new());
        let archive = support::short_segments(&storage);
        Side { storage, archive }
    }

    /// A copy of it without commits.
    pub fn copy(&self) -> Side {
        let storage = Arc::new(MemoryStorage::new());
        create_copy_on(&self.archive, storage.clone()).unwrap();
        support::put_file(&*storage, "settings.json", b"{\"segment_bytes\": 1024}");
        let archive = Archive::open_on(storage.clone()).unwrap();
        Side { storage, archive }
    }

    pub fn reopen(&mut self) {
        self.archive = Archive::open_on(self.storage.clone()).unwrap();
    }

    pub fn try_push(&self, copy: &Side) -> Result<Transferred> {
        transfer(&self.archive, &copy.archive, &TransferOptions::default())
    }

    pub fn push(&self, copy: &Side) -> Transferred {
        self.try_push(copy).unwrap()
    }
}

/// All that an archive answers, but for how many bytes it takes.
pub(crate) fn answers(archive: &Archive) -> Vec<String> {
    let mut lines = support::answers(archive);
    lines.retain(|line| !line.starts_with("Stats"));
    lines
}

/// The copy has the same history, and a new handle finds it whole.
#[track_caller]
pub(crate) fn assert_equal(source: &Side, copy: &Side) {
    assert_eq!(answers(&source.archive), answers(&copy.archive));
    assert_whole(copy);
    let again = Archive::open_on(copy.storage.clone()).unwrap();
    assert_eq!(answers(&source.archive), answers(&again));
}

#[track_caller]
pub(crate) fn assert_whole(side: &Side) {
    for archive in [
        side.archive.clone(),
        Archive::open_on(side.storage.clone()).unwrap(),
    ] {
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(report.ok, "{:?}", report.findings);
    }
}

/// A document that takes about `len` bytes and differs little from that of another `n`.
pub(crate) fn document(n: u64, len: usize) -> String {
    let mut words = vec![format!("\"n\": {n}")];
    let mut total = 0;
    while total < len {
        let word = blake3::hash(format!("{total}").as_bytes()).to_hex();
        words.push(format!("\"{}\":  \"{word}\"", words.len()));
        total += 70;
    }
    format!("{{{}}}\n", words.join(",\n "))
}
