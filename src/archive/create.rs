//! Making an archive.
//!
//! `archive.json` comes last, and whole: before it has its name there is no archive, and what a crash has left of the
//! other files is removed by whoever makes it anew.

use std::io;
use std::path::Path;

use serde_json::json;

use super::read_identity;
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::ArchiveId;
use crate::log::format::*;
use crate::log::manifest::Manifest;
use crate::log::reader::segment_file;
use crate::log::writer::segment_header;
use crate::storage::{LocalStorage, Storage, replace};

/// A first segment that is no longer than this has its header at most; one with a commit is longer.
const NO_COMMITS_LEN: u64 = 160;

/// Makes the files of an archive below `dir`, all of them or none.
pub(super) fn make(dir: &Path) -> Result<()> {
    make_with(dir, |storage| fill(storage))
}

/// Makes the files of an archive below `dir` that has this identity and no commits yet.
pub(super) fn make_copy(dir: &Path, identity: &[u8]) -> Result<()> {
    make_with(dir, |storage| fill_copy(storage, identity))
}

fn make_with(dir: &Path, fill: impl FnOnce(&LocalStorage) -> io::Result<()>) -> Result<()> {
    let folder = dir.join(ARCHIVE_FOLDER);
    LocalStorage::create_whole(&folder, fill).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists(dir.display().to_string()),
        _ => Error::io(format!("make {}", folder.display()), error),
    })
}

/// Writes the files of a new archive.
pub(super) fn fill(storage: &dyn Storage) -> io::Result<()> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let id = ArchiveId(id);
    let created = crate::time::format_utc(super::now());
    // serde_json sorts the members: this is the canonical form.
    let identity = json!({
        "archive": id.to_string(),
        "created": created,
        "format": FORMAT,
        "name": FORMAT_NAME,
        "required": [],
    })
    .to_string()
    .into_bytes();
    fill_copy(storage, &identity)
}

/// Writes the files of an archive that has this identity, and no commits yet.
pub(super) fn fill_copy(storage: &dyn Storage, identity: &[u8]) -> io::Result<()> {
    let mut line = identity.to_vec();
    line.push(b'\n');
    let (_, id) = read_identity(&line).map_err(io::Error::other)?;
    let keys = ArchiveKeys::new(id);
    let header = segment_header(identity, &keys);
    if !is_unmade(storage)? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    storage.create_dir(LOG_FOLDER)?;
    for name in names_of_log(storage)? {
        storage.remove(&name)?;
    }
    let write = |name: &str, bytes: &[u8]| -> io::Result<()> {
        let file = storage.create(name)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    write(&segment_file(1), &header)?;
    let manifest = Manifest::first().encode(&keys);
    write(&format!("{LOG_FOLDER}/{MANIFEST_FILE}"), &manifest)?;
    storage.sync_dir(LOG_FOLDER)?;
    storage.sync_dir("")?;
    replace(storage, "", IDENTITY_FILE, &line)
}

/// Is there nothing, or only what a crash left of an archive that was never made? Not so where there is an
/// `archive.json`, or a log that may have commits.
pub(super) fn is_unmade(storage: &dyn Storage) -> io::Result<bool> {
    match storage.identity(IDENTITY_FILE) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    for name in names_of_log(storage)? {
        let manifest = name == format!("{LOG_FOLDER}/{MANIFEST_FILE}");
        let unused =
            name == segment_file(1) && storage.open(&name, false)?.len()? <= NO_COMMITS_LEN;
        if !manifest && !unused {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files in the log's folder, where there is one.
fn names_of_log(storage: &dyn Storage) -> io::Result<Vec<String>> {
    match storage.list(LOG_FOLDER) {
        Ok(names) => Ok(names
            .iter()
            .map(|name| format!("{LOG_FOLDER}/{name}"))
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
