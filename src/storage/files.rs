//! The user's own files beside an archive: read, replaced whole, moved aside, looked at.
//!
//! Nothing here knows what an archive is. A file is replaced through a temporary file in its own folder that is
//! synced and renamed, so that whoever reads it sees the old bytes or the new ones.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// How many links are followed before a name is called a loop; Linux stops at 40 too.
const MAX_LINKS: usize = 40;

/// What a name stands for, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing has this name, or it is a link to nothing.
    Missing,
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, a pipe or a socket.
    Stream,
}

/// What `path` stands for, links followed.
///
/// # Errors
/// When the name cannot be looked up, except that nothing has it.
pub fn kind(path: &Path) -> Result<Kind> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Kind::File),
        Ok(metadata) if metadata.is_dir() => Ok(Kind::Folder),
        Ok(_) => Ok(Kind::Stream),
        Err(error) if is_missing(&error) => Ok(Kind::Missing),
        Err(error) => Err(Error::io(format!("look at {}", path.display()), error)),
    }
}

/// Is `path` a folder? `false` also where it cannot be looked at.
pub fn is_folder(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Does anything have this name, be it a link to nothing? `false` also where it cannot be looked at.
pub fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Is there something that keeps `path` from being a file: a folder of its name, or a file where it needs a folder?
pub fn is_blocked(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1);
    is_folder(path) || above.any(|above| is_there(above) && !is_folder(above))
}

/// The size in bytes; 0 where it cannot be looked at.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// What tells that a file has changed: which file it is, its length, and when it was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    identity: (u64, u64),
    len: u64,
    /// Seconds and nanoseconds, of the bytes and of the attributes.
    times: [i64; 4],
}

/// The stamp of a regular file, links followed; none where there is no such file, or it cannot be looked at.
pub fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Stamp {
        identity: (found.dev(), found.ino()),
        len: found.len(),
        times: [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ],
    })
}

/// Reads a whole file.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound) where nothing has the name, otherwise what the system said.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_if_there(path)?
        .ok_or_else(|| Error::not_found(format!("no such file: {}", path.display())))
}

/// Opens a file to be read piece by piece.
///
/// # Errors
/// As for [`read`].
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| match is_missing(&error) {
        true => Error::not_found(format!("no such file: {}", path.display())),
        false => Error::io(format!("read {}", path.display()), error),
    })
}

/// Reads a whole file; `None` where nothing has the name.
///
/// # Errors
/// What the system said, except that nothing has the name.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Replaces a file whole, or makes it: readers see the old bytes or the new ones, and the new ones are on disk when
/// this returns.
///
/// A link is followed and what it names is replaced. Permissions stay, owner and group where the process may set
/// them; a new file gets what the umask leaves of 0666. Missing folders are made. A pipe or a device, such as
/// `/dev/stdout`, simply gets the bytes.
///
/// # Errors
/// Where `path` is a folder, and what the system said; the old file is then untouched and no temporary file stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    Replacement::prepare(path, bytes)?.put(Durability::Synced)
}

/// When new bytes are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On return.
    Synced,
    /// When the system gets round to it. After a power cut before that the file may be the old one, the new one, or
    /// on some file systems an empty one.
    Lazy,
}

/// The next content of a file, written to a temporary file beside it: all that can fail for want of room or of
/// permission has been done. The temporary file goes when this is dropped.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// To be renamed to this name.
    File(NamedTempFile, PathBuf),
    /// A pipe or a device gets the bytes themselves.
    Stream(Vec<u8>),
}

impl Replacement {
    /// Writes the temporary file; nothing else has changed when this returns, but that missing folders were made.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn prepare(path: &Path, bytes: &[u8]) -> Result<Replacement> {
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        let next = match kind(path)? {
            Kind::Folder => return Err(failed(a_folder())),
            Kind::Stream => Next::Stream(bytes.to_owned()),
            Kind::File | Kind::Missing => {
                let target = follow_links(path).map_err(failed)?;
                let folder = parent(&target);
                create_folder(folder)?;
                Next::File(temporary(&target, folder, bytes).map_err(failed)?, target)
            }
        };
        let path = path.to_owned();
        Ok(Replacement { path, next })
    }

    /// Puts the content in its place.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn put(self, durability: Durability) -> Result<()> {
        let Replacement { path, next } = self;
        let put = || match next {
            Next::Stream(bytes) => write_stream(&path, &bytes),
            Next::File(temporary, target) => {
                if durability == Durability::Synced {
                    temporary.as_file().sync_all()?;
                }
                temporary.persist(&target).map_err(|error| error.error)?;
                match durability {
                    Durability::Synced => sync_folder(parent(&target)),
                    Durability::Lazy => Ok(()),
                }
            }
        };
        put().map_err(|error| Error::io(format!("write {}", path.display()), error))
    }
}

/// What is said of a folder that stands where a file is to be.
pub(crate) fn a_folder() -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")
}

fn write_stream(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut stream = File::options().write(true).open(path)?;
    stream.write_all(bytes)?;
    stream.flush()
}

/// A temporary file with these bytes and the permissions that its target has, or is to have.
fn temporary(target: &Path, folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".backstory-").suffix(".tmp");
    let old = match fs::metadata(target) {
        Ok(metadata) => Some(metadata),
        Err(error) if is_missing(&error) => None,
        Err(error) => return Err(error),
    };
    // The mode given here passes through the umask. What replaces a file stays closed to others until its owner and
    // permissions are set.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    if let Some(old) = &old {
        keep_owner(temporary.path(), old);
        temporary.as_file().set_permissions(old.permissions())?;
    }
    Ok(temporary)
}

/// Only the superuser may give a file away, so this is done as far as it goes.
#[cfg(unix)]
fn keep_owner(path: &Path, old: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, chown};
    let Ok(now) = fs::metadata(path) else { return };
    if (now.uid(), now.gid()) != (old.uid(), old.gid())
        && chown(path, Some(old.uid()), Some(old.gid())).is_err()
    {
        let _ = chown(path, None, Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_path: &Path, _old: &fs::Metadata) {}

/// Makes a folder and what is missing above it. Their names are on disk when this returns, so that what is moved into
/// the folder cannot get lost with it.
///
/// # Errors
/// What the system said.
pub fn create_folder(folder: &Path) -> Result<()> {
    create_folders(folder)
        .map_err(|error| Error::io(format!("make the folder {}", folder.display()), error))
}

pub(super) fn create_folders(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !is_folder(folder))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    missing
        .iter()
        .rev()
        .try_for_each(|made| sync_folder(parent(made)))
}

/// Moves a file out of the way, to `FILE.unsaved-<stamp>` in its own folder, and returns the new name. A name that
/// is taken gets `-2`, `-3` … behind it: nothing is overwritten. A link is followed and stays; what it names moves.
///
/// `stamp` is a moment as text; colons in it are left out, for the file systems that forbid them.
///
/// # Errors
/// What the system said; the file is then where it was.
pub fn rename_aside(path: &Path, stamp: &str) -> Result<PathBuf> {
    let failed = |error| Error::io(format!("move {} out of the way", path.display()), error);
    let target = follow_links(path).map_err(failed)?;
    let stamp: String = stamp.chars().filter(|c| *c != ':').collect();
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".unsaved-{stamp}"));
    for attempt in 1u32.. {
        let mut aside = name.clone();
        if attempt > 1 {
            aside.push(format!("-{attempt}"));
        }
        let aside = PathBuf::from(aside);
        match rename_new(&target, &aside) {
            Ok(()) => {
                sync_folder(parent(&aside)).map_err(failed)?;
                return Ok(aside);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// Renames a file, making the folders above the new name; a link is renamed itself.
///
/// # Errors
/// Where the new name is taken, and what the system said; the file is then where it was.
pub fn rename(old: &Path, new: &Path) -> Result<()> {
    let failed = |error| {
        Error::io(
            format!("rename {} to {}", old.display(), new.display()),
            error,
        )
    };
    create_folder(parent(new))?;
    rename_new(old, new).map_err(failed)?;
    sync_folder(parent(new)).map_err(failed)?;
    sync_folder(parent(old)).map_err(failed)
}

/// A rename that overwrites nothing: by the system's own call where it has one, else by a hard link and, on file
/// systems without those, by looking first.
fn rename_new(old: &Path, new: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if is_there(new) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(old, new)
}

/// Is `path` at or below `folder`, both taken as they stand on disk? `false` where the folder cannot be looked up.
pub fn is_inside(folder: &Path, path: &Path) -> bool {
    match (fs::canonicalize(folder), resolve(path)) {
        (Ok(folder), Ok(path)) => path.starts_with(folder),
        _ => false,
    }
}

/// The absolute name of `path` with every link in it followed and every `..` taken out. The part that is not there
/// yet is taken as it is written.
///
/// # Errors
/// What the system said, except that nothing has the name.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(found) => return Ok(found),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error),
    }
    // Nothing is there, so no link can lead elsewhere: `..` takes back the name in front of it.
    if path.components().next_back() == Some(Component::ParentDir) {
        let mut folder = resolve(parent(path))?;
        folder.pop();
        return Ok(folder);
    }
    let followed = follow_links(path)?;
    let Some(name) = followed.file_name() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Ok(resolve(parent(&followed))?.join(name))
}

/// The absolute name of `path` with the links of the folders above it followed, its own name as it is.
///
/// # Errors
/// As for [`resolve`].
pub fn resolve_folder(path: &Path) -> io::Result<PathBuf> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok(resolve(parent(path))?.join(name)),
        _ => resolve(path),
    }
}

/// Follows the links that `path` itself may be; the folders above it are left as they are written.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = parent(&target).join(next),
            // Not a link, or not there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_missing(&error) => {
                return Ok(target);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links lead on from one another"))
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// A name below something that is not a folder is missing as well.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Puts the names in a folder on disk, where the system can do that.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        String::from_utf8(fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn a_new_file_gets_its_folders_and_no_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/deep/a.json");
        write_atomically(&path, b"{}").unwrap();
        assert_eq!(text(&path), "{}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_a_link_is_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shared.json");
        fs::write(&target, "1").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("config.json");
        symlink("shared.json", &link).unwrap();
        write_atomically(&link, b"2").unwrap();
        assert_eq!(text(&target), "2");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_makes_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("config.json");
        std::os::unix::fs::symlink("there/real.json", &link).unwrap();
        write_atomically(&link, b"2").unwrap();
        assert_eq!(text(&dir.path().join("there/real.json")), "2");
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("a.json");
        std::os::unix::fs::symlink("a.json", &link).unwrap();
        assert!(write_atomically(&link, b"2").is_err());
    }

    #[test]
    fn a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomically(dir.path(), b"2").unwrap_err();
        assert!(error.to_string().contains("it is a folder"), "{error}");
    }

    #[test]
    fn a_name_that_is_taken_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for (content, name) in [
            ("x", "a.json.unsaved-10"),
            ("y", "a.json.unsaved-10-2"),
            ("z", "a.json.unsaved-10-3"),
        ] {
            fs::write(&path, content).unwrap();
            let aside = rename_aside(&path, "1:0").unwrap();
            assert_eq!(aside, dir.path().join(name));
            assert_eq!(text(&aside), content);
            assert!(!path.exists());
        }
        fs::write(&path, "new").unwrap();
        assert!(rename(&path, &dir.path().join("a.json.unsaved-10")).is_err());
        assert_eq!(text(&dir.path().join("a.json.unsaved-10")), "x");
    }

    #[cfg(unix)]
    #[test]
    fn inside_goes_by_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let outside = dir.path().join("outside");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("door")).unwrap();
        assert!(is_inside(&root, &root.join("new/a.json")));
        assert!(!is_inside(&root, &root.join("door/a.json")));
        assert!(!is_inside(&root, &root.join("../outside/a.json")));
    }
}
