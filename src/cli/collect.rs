//! The files that a folder argument of `save` stands for.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::failure::Failure;
use crate::storage::files;
use crate::workspace::ARCHIVE_FOLDER;

/// What was found below a folder.
pub(super) struct Collected {
    /// The `.json` files, sorted.
    pub files: Vec<PathBuf>,
    /// How many more an ignore file left out.
    pub left_out: usize,
}

/// The `.json` files below a folder. Hidden ones count; git's and Backstory's own folders are never entered.
/// Ignore files (`.gitignore`, `.ignore`) in the folder and below it are honoured unless `no_ignore`.
pub(super) fn collect(folder: &Path, no_ignore: bool) -> Result<Collected, Failure> {
    let all = walk(folder, false)?;
    if no_ignore {
        return Ok(Collected {
            files: all,
            left_out: 0,
        });
    }
    let files = walk(folder, true)?;
    let left_out = all.len().saturating_sub(files.len());
    Ok(Collected { files, left_out })
}

fn walk(folder: &Path, ignore: bool) -> Result<Vec<PathBuf>, Failure> {
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(ignore)
        .ignore(ignore)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ARCHIVE_FOLDER && entry.file_name() != ".git")
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| {
            Failure::io(format!("could not search {}: {error}", folder.display()))
        })?;
        let path = entry.path();
        let json = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        // A link to a file counts, a link to a folder is not followed.
        if json && files::kind(path)? == files::Kind::File {
            found.push(path.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_files_below_the_folder_count_and_git_need_not_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "a.json",
            "b.txt",
            "node_modules/x.json",
            ".hidden/c.json",
            ".git/d.json",
            ".backstory/e.json",
        ];
        for name in names {
            files::write_atomically(&dir.path().join("in").join(name), b"1").unwrap();
        }
        files::write_atomically(&dir.path().join("in/.gitignore"), b"node_modules\n").unwrap();
        files::write_atomically(&dir.path().join(".gitignore"), b"a.json\n").unwrap();
        let names = |no_ignore| {
            let found = collect(&dir.path().join("in"), no_ignore).unwrap();
            let base = dir.path().join("in");
            let names: Vec<String> = found
                .files
                .iter()
                .map(|file| {
                    file.strip_prefix(&base)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned()
                })
                .collect();
            (names, found.left_out)
        };
        assert_eq!(
            names(false),
            (vec![".hidden/c.json".to_owned(), "a.json".to_owned()], 1)
        );
        assert_eq!(names(true).0.len(), 3);
    }
}
