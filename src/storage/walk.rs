//! The files below a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: PathBuf,
    /// Its name below the folder, `/` between the parts; `None` where that is not UTF-8.
    pub name: Option<String>,
    /// The time of its last change, microseconds since the Unix epoch; 0 where it is not known.
    pub modified: i64,
}

/// The regular files below a folder that `wanted` likes, given their names, in the order of their names. Links are not
/// followed, and folders that `enter` does not like, given their own names, are not entered.
///
/// # Errors
/// What the system said.
pub fn walk(
    folder: &Path,
    enter: &dyn Fn(&str) -> bool,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), Some(String::new()))];
    while let Some((folder, prefix)) = folders.pop() {
        let failed = |error| Error::io(format!("search {}", folder.display()), error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let own = entry.file_name();
            let own = own.to_str();
            let name = prefix.as_ref().zip(own);
            let name = name.map(|(prefix, own)| match prefix.as_str() {
                "" => own.to_owned(),
                prefix => format!("{prefix}/{own}"),
            });
            if kind.is_dir() {
                if own.is_none_or(enter) {
                    folders.push((entry.path(), name));
                }
            } else if kind.is_file() && name.as_deref().is_none_or(wanted) {
                found.push(Found {
                    file: entry.path(),
                    name,
                    modified: modified(&entry.path()),
                });
            }
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}

/// The names of the folders in a folder, in order; those that are not UTF-8 are left out.
///
/// # Errors
/// What the system said.
pub fn folders(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io(format!("search {}", folder.display()), error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// The time of a file's last change, microseconds since the Unix epoch; 0 where it is not known.
pub fn modified(file: &Path) -> i64 {
    let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
    let since = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    };
    modified.map_or(0, since)
}
