//! Which archive a call is about.

use std::path::{Component, Path, PathBuf};

use super::ARCHIVE_FOLDER;
use crate::error::{Error, Result};
use crate::storage::files;

/// What marks the root folder of a project.
const PROJECT_MARKS: [&str; 4] = [".git", "pyproject.toml", "package.json", "Cargo.toml"];

/// Where the archive of a call is, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The folder that holds the `.backstory` found.
    Archive(PathBuf),
    /// There is none; a new one belongs in this folder.
    Nowhere(PathBuf),
}

/// The folder from which to look upwards for the archive of `file`: the file's own, or the folder itself where
/// `file` is one.
pub fn start_folder(base: &Path, file: &Path) -> PathBuf {
    let file = base.join(file);
    if files::is_folder(&file) {
        return file;
    }
    match file.parent() {
        Some(folder) => folder.to_owned(),
        None => file,
    }
}

/// The nearest folder at or above the absolute `start` that holds an archive.
pub fn find_archive(start: &Path) -> Option<PathBuf> {
    nearest(start, |folder| {
        files::is_folder(&folder.join(ARCHIVE_FOLDER))
    })
}

/// The nearest folder at or above `start` with a `.git`, `pyproject.toml`, `package.json` or `Cargo.toml`, else
/// `start`.
pub fn project_root(start: &Path) -> PathBuf {
    nearest(start, |folder| {
        PROJECT_MARKS
            .iter()
            .any(|mark| files::is_there(&folder.join(mark)))
    })
    .unwrap_or_else(|| start.to_owned())
}

/// The nearest folder at or above `start` that git manages.
pub fn find_git_work_tree(start: &Path) -> Option<PathBuf> {
    nearest(start, |folder| files::is_there(&folder.join(".git")))
}

/// The one archive that all of `starts` are below, looking upwards from each.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage) where they are below different ones, or would be.
pub fn place_for(starts: &[PathBuf]) -> Result<Place> {
    let mut chosen: Option<(Place, PathBuf)> = None;
    for start in starts {
        let place = match find_archive(start) {
            Some(root) => Place::Archive(root),
            None => Place::Nowhere(project_root(start)),
        };
        let (Place::Archive(folder) | Place::Nowhere(folder)) = &place;
        let real = files::resolve(folder)
            .map_err(|error| Error::io(format!("look up {}", folder.display()), error))?;
        match &chosen {
            None => chosen = Some((place, real)),
            Some((_, first)) if *first == real => {}
            Some((first, first_real)) => return Err(two_places(first, first_real, &place, &real)),
        }
    }
    match chosen {
        Some((place, _)) => Ok(place),
        None => Err(Error::invalid(
            "there is no folder to look for an archive from",
        )),
    }
}

fn two_places(first: &Place, first_folder: &Path, second: &Place, second_folder: &Path) -> Error {
    let describe = |place: &Place, folder: &Path| match place {
        Place::Archive(_) => format!("the one in {}", folder.display()),
        Place::Nowhere(_) => format!("a new one in {}", folder.display()),
    };
    Error::invalid(format!(
        "these files belong to two archives: {} and {}",
        describe(first, first_folder),
        describe(second, second_folder)
    ))
}

/// Looks upwards along the names as they are written, then, where links lead elsewhere, along the real folders.
fn nearest(start: &Path, holds: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let written = start
        .components()
        .all(|component| component != Component::ParentDir);
    if written && let Some(found) = start.ancestors().find(|folder| holds(folder)) {
        return Some(found.to_owned());
    }
    let real = files::resolve(start).ok()?;
    real.ancestors()
        .find(|folder| holds(folder))
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) {
        files::create_folder(path).unwrap();
    }

    #[test]
    fn the_nearest_archive_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().to_owned(), dir.path().join("inner"));
        folder(&outer.join(ARCHIVE_FOLDER));
        folder(&inner.join(ARCHIVE_FOLDER));
        folder(&inner.join("deep/er"));
        assert_eq!(find_archive(&inner.join("deep/er")), Some(inner.clone()));
        assert_eq!(find_archive(&outer.join("not/there")), Some(outer.clone()));
        let error = place_for(&[outer.clone(), inner.clone()]).unwrap_err();
        assert!(error.to_string().contains("two archives"), "{error}");
        assert_eq!(
            place_for(&[inner.join("deep"), inner.join("deep/er")]).unwrap(),
            Place::Archive(inner)
        );
    }

    #[test]
    fn a_project_is_known_by_its_marks() {
        for mark in PROJECT_MARKS {
            let dir = tempfile::tempdir().unwrap();
            folder(&dir.path().join("sub/deeper"));
            files::write_atomically(&dir.path().join("sub").join(mark), b"").unwrap();
            assert_eq!(
                project_root(&dir.path().join("sub/deeper")),
                dir.path().join("sub"),
                "{mark}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            project_root(&dir.path().join("plain")),
            dir.path().join("plain")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_reached_through_a_link_finds_what_is_above_either_name() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real/config");
        folder(&real);
        folder(&dir.path().join("real").join(ARCHIVE_FOLDER));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(
            find_archive(&link),
            Some(files::resolve(&dir.path().join("real")).unwrap())
        );
    }
}
