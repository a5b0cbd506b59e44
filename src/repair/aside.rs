//! Keeping what was damaged.

use std::io;

use crate::error::{Error, Result};
use crate::log::format::{DAMAGED_FOLDER, LOG_FOLDER};
use crate::storage::{Storage, StorageFile};

/// So many bytes are copied at a time.
const CHUNK: usize = 1 << 20;

/// Copies a file into the folder of damaged files, on disk; the copy's name, relative to the archive's folder.
pub(super) fn keep(storage: &dyn Storage, file: &str) -> Result<String> {
    let failed = |error| Error::io(format!("keep {file}"), error);
    let from = storage.open(file, false).map_err(failed)?;
    let (name, to) = create(storage, file).map_err(failed)?;
    copy(&*from, &*to).map_err(failed)?;
    to.sync_data().map_err(failed)?;
    storage
        .sync_dir(&format!("{LOG_FOLDER}/{DAMAGED_FOLDER}"))
        .map_err(failed)?;
    Ok(name)
}

fn create(
    storage: &dyn Storage,
    file: &str,
) -> io::Result<(String, std::sync::Arc<dyn StorageFile>)> {
    let folder = format!("{LOG_FOLDER}/{DAMAGED_FOLDER}");
    storage.create_dir(&folder)?;
    storage.sync_dir(LOG_FOLDER)?;
    let base = file.rsplit('/').next().unwrap_or(file);
    for attempt in 1u32.. {
        let name = format!("{folder}/{base}-{attempt}");
        match storage.create(&name) {
            Ok(copy) => return Ok((name, copy)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn copy(from: &dyn StorageFile, to: &dyn StorageFile) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let count = from.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
}
