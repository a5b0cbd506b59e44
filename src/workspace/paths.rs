//! Between the file that a person names and the path it has in the archive.

use std::path::{Component, Path, PathBuf};

use super::{ARCHIVE_FOLDER, Workspace};
use crate::archive::Version;
use crate::error::{Error, Result};
use crate::path::check_path;
use crate::revision::{self, Spec};
use crate::storage::files;

/// A REV argument, read: a path and which of its versions is meant.
#[derive(Clone, Debug)]
pub struct Target {
    /// The path in the archive.
    pub path: String,
    /// Which version; `None` is the newest.
    pub spec: Option<Spec>,
}

impl Workspace {
    /// The path of a file, which must lie below the archive's root.
    ///
    /// The name counts as it is written: a link is archived under its own name, and so is what lies behind a linked
    /// folder. Only where that leads out of the root, and where `..` is used, do the real folders count.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) where the file lies outside the root or inside the archive's own
    /// folder, or where its name is not one that a path can have.
    pub fn path_of_file(&self, file: &Path) -> Result<String> {
        match self.below_root(file) {
            Some(relative) => archive_path(&relative, file),
            None => Err(outside(file, &self.root)),
        }
    }

    /// The path that an argument names: relative to the base folder, or to the archive's root with `:/` in front.
    /// Where the base folder lies outside the root, a relative argument is relative to the root as well.
    ///
    /// # Errors
    /// As for [`Workspace::path_of_file`].
    pub fn path_argument(&self, argument: &str) -> Result<String> {
        match self.prefix_argument(argument)? {
            path if path.is_empty() => Err(Error::invalid(format!(
                "{argument:?} is the archive's root, not a path in it"
            ))),
            path => Ok(path),
        }
    }

    /// As [`Workspace::path_argument`]; the root itself is the empty text.
    ///
    /// # Errors
    /// As for [`Workspace::path_of_file`].
    pub fn prefix_argument(&self, argument: &str) -> Result<String> {
        if let Some(path) = argument.strip_prefix(":/") {
            return archive_path(Path::new(path), Path::new(argument));
        }
        let file = Path::new(argument);
        match self.below_root(file) {
            Some(relative) => archive_path(&relative, file),
            None if file.is_relative() && self.below_root(&self.base).is_none() => {
                archive_path(file, file)
            }
            None => Err(outside(file, &self.root)),
        }
    }

    /// Reads a REV argument: `PATH`, `PATH@SPEC`, or `@SPEC` where `before` is the path of the REV in front of it.
    /// Where the whole argument is the name of an archived path, it is that path.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) where it is not a REV.
    pub fn target(&self, argument: &str, before: Option<&str>) -> Result<Target> {
        if let Ok(path) = self.path_argument(argument)
            && self.archive.path_exists(&path)?
        {
            return Ok(Target { path, spec: None });
        }
        let (name, spec) = revision::split(argument);
        let spec = match spec {
            Some(text) => {
                Some(Spec::parse(text).map_err(|error| Error::invalid(error.to_string()))?)
            }
            None => None,
        };
        let path = match (name.is_empty(), before) {
            (false, _) => self.path_argument(name)?,
            (true, Some(before)) => before.to_owned(),
            (true, None) => {
                return Err(Error::invalid(format!(
                    "{argument:?} names no path in front of the @"
                )));
            }
        };
        Ok(Target { path, spec })
    }

    /// The version that a target means; it may be a deletion.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::ErrorKind::NotFound) where the archive has no such path or version.
    pub fn resolve(&self, target: &Target) -> Result<Version> {
        match &target.spec {
            Some(spec) => self.archive.resolve(&target.path, spec),
            None => match self.archive.newest(&target.path)? {
                Some(version) => Ok(version),
                None => Err(Error::not_found(format!(
                    "no such path in the archive: {}",
                    target.path
                ))),
            },
        }
    }

    /// The file that belongs to an archived path.
    pub fn file_of(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Is `file` the very file that belongs to this path?
    pub fn is_file_of(&self, file: &Path, path: &str) -> bool {
        self.path_of_file(file).is_ok_and(|own| own == path)
    }

    /// What is left of `file` when the root is taken off its front; `None` where it lies elsewhere.
    fn below_root(&self, file: &Path) -> Option<PathBuf> {
        let absolute = self.base.join(file);
        if absolute
            .components()
            .all(|component| component != Component::ParentDir)
        {
            for root in [&self.root, &self.given_root] {
                if let Ok(relative) = absolute.strip_prefix(root) {
                    return Some(relative.to_owned());
                }
            }
        }
        let real = files::resolve_folder(&absolute).ok()?;
        real.strip_prefix(&self.root).ok().map(Path::to_owned)
    }
}

fn outside(file: &Path, root: &Path) -> Error {
    Error::invalid(format!(
        "{} is outside of the archive's folder {}",
        file.display(),
        root.display()
    ))
}

/// The `/`-separated name of a relative path; `named` is what the person wrote.
fn archive_path(relative: &Path, named: &Path) -> Result<String> {
    let refuse = |why: &str| {
        Error::invalid(format!(
            "{} cannot be a path in the archive: {why}",
            named.display()
        ))
    };
    let mut path = String::new();
    for component in relative.components() {
        let part = match component {
            Component::Normal(part) => part
                .to_str()
                .ok_or_else(|| refuse("the name is not UTF-8"))?,
            Component::CurDir => continue,
            Component::ParentDir => return Err(refuse("it leads upwards")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("it is not relative")),
        };
        if path.is_empty() && part == ARCHIVE_FOLDER {
            return Err(refuse("it is inside the archive's own folder"));
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    if !path.is_empty() {
        check_path(&path).map_err(|error| refuse(&error.to_string()))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Archive, Document};

    fn workspace(dir: &Path, base: &str) -> Workspace {
        let base = dir.join(base);
        files::create_folder(&base).unwrap();
        let archive = Archive::open(dir)
            .or_else(|_| Archive::create(dir))
            .unwrap();
        Workspace::new(archive, &base).unwrap()
    }

    #[test]
    fn arguments_start_from_the_base_folder() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path(), "config/deep");
        let path = |argument: &str| workspace.path_argument(argument).unwrap();
        assert_eq!(path("a.json"), "config/deep/a.json");
        assert_eq!(path("./a.json"), "config/deep/a.json");
        assert_eq!(path("../a.json"), "config/a.json");
        assert_eq!(path("../../new/../a.json"), "a.json");
        assert_eq!(path(":/a.json"), "a.json");
        assert_eq!(path(dir.path().join("b.json").to_str().unwrap()), "b.json");
        assert!(workspace.path_argument("../../../a.json").is_err());
        assert!(
            workspace
                .path_argument("../../.backstory/archive.json")
                .is_err()
        );
        assert!(workspace.path_argument("../..").is_err());
        assert_eq!(workspace.prefix_argument("../..").unwrap(), "");
    }

    #[test]
    fn from_outside_relative_arguments_start_from_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let archive = Archive::create(dir.path()).unwrap();
        let workspace = Workspace::new(archive, elsewhere.path()).unwrap();
        assert_eq!(
            workspace.path_argument("config/a.json").unwrap(),
            "config/a.json"
        );
        assert!(workspace.path_of_file(Path::new("config/a.json")).is_err());
        assert!(workspace.path_argument("../a.json").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_keeps_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path(), "");
        files::create_folder(&dir.path().join("releases/5")).unwrap();
        std::os::unix::fs::symlink("releases/5", dir.path().join("current")).unwrap();
        assert_eq!(
            workspace.path_argument("current/a.json").unwrap(),
            "current/a.json"
        );
        assert_eq!(
            workspace.path_argument("current/../a.json").unwrap(),
            "releases/a.json"
        );
    }

    #[test]
    fn a_whole_argument_that_is_a_path_is_that_path() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path(), "");
        let mut save = workspace.archive().save();
        save.add("a@2", Document::value("1")).unwrap();
        save.add("a", Document::value("2")).unwrap();
        save.commit().unwrap();
        let target = workspace.target("a@2", None).unwrap();
        assert_eq!((target.path.as_str(), target.spec.is_none()), ("a@2", true));
        let target = workspace.target("a@1", None).unwrap();
        assert_eq!((target.path.as_str(), target.spec.is_none()), ("a", false));
        let target = workspace.target("@1", Some("b/c")).unwrap();
        assert_eq!(target.path, "b/c");
        assert!(workspace.target("@1", None).is_err());
    }
}
