//! Files and folders that get their names once they are whole: whoever sees the name sees all of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile, TempDir};

use super::files::{Kind, create_folder, kind, parent, sync_folder};
use crate::error::{Error, Result};

/// Bytes gathered before they are handed to the system.
const BUFFER: usize = 256 << 10;

/// A file that is being written, under another name until [`OutputFile::finish`]. Dropped before that it is removed.
#[derive(Debug)]
pub struct OutputFile {
    inner: Inner,
    target: PathBuf,
    replace: bool,
}

#[derive(Debug)]
enum Inner {
    Temporary(BufWriter<NamedTempFile>),
    /// A pipe or a device simply gets the bytes.
    Stream(BufWriter<File>),
}

impl OutputFile {
    /// Begins a file. Missing folders are made.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) as the source of an `Io` error where something has the name,
    /// unless `replace`; a folder is never replaced.
    pub fn create(path: &Path, replace: bool) -> Result<OutputFile> {
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        let inner = match kind(path)? {
            Kind::Folder => return Err(failed(io::Error::other("it is a folder"))),
            Kind::Stream => {
                let stream = File::options().write(true).open(path).map_err(failed)?;
                Inner::Stream(BufWriter::with_capacity(BUFFER, stream))
            }
            Kind::File if !replace => return Err(taken(path)),
            Kind::File | Kind::Missing => {
                let folder = parent(path);
                create_folder(folder)?;
                let mut builder = Builder::new();
                builder.prefix(".backstory-").suffix(".tmp");
                open_to_all(&mut builder);
                let temporary = builder.tempfile_in(folder).map_err(failed)?;
                Inner::Temporary(BufWriter::with_capacity(BUFFER, temporary))
            }
        };
        Ok(OutputFile {
            inner,
            target: path.to_owned(),
            replace,
        })
    }

    /// Where the bytes are for now; none for a pipe or a device.
    pub fn temporary_path(&self) -> Option<&Path> {
        match &self.inner {
            Inner::Temporary(file) => Some(file.get_ref().path()),
            Inner::Stream(_) => None,
        }
    }

    /// Puts everything on disk and gives the file its name.
    ///
    /// # Errors
    /// As for [`OutputFile::create`], and what the system said; no file of that name has come to be then.
    pub fn finish(self) -> Result<()> {
        let target = self.target;
        let failed = |error| Error::io(format!("write {}", target.display()), error);
        match self.inner {
            Inner::Stream(mut stream) => stream.flush().map_err(failed),
            Inner::Temporary(file) => {
                let temporary = file
                    .into_inner()
                    .map_err(|error| failed(error.into_error()))?;
                temporary.as_file().sync_all().map_err(failed)?;
                let named = match self.replace {
                    true => temporary.persist(&target),
                    false => temporary.persist_noclobber(&target),
                };
                match named {
                    Ok(_) => sync_folder(parent(&target)).map_err(failed),
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        Err(taken(&target))
                    }
                    Err(error) => Err(failed(error.error)),
                }
            }
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Temporary(file) => file.write(bytes),
            Inner::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Temporary(file) => file.flush(),
            Inner::Stream(stream) => stream.flush(),
        }
    }
}

/// A folder that is being filled, under another name until [`OutputFolder::finish`]. Dropped before that it is removed.
#[derive(Debug)]
pub struct OutputFolder {
    temporary: TempDir,
    target: PathBuf,
}

impl OutputFolder {
    /// Begins a folder. Missing folders above it are made.
    ///
    /// # Errors
    /// As [`OutputFile::create`], where something other than an empty folder has the name.
    pub fn create(path: &Path) -> Result<OutputFolder> {
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(taken(path));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(taken(path)),
            Err(error) => return Err(failed(error)),
        }
        let folder = parent(path);
        create_folder(folder)?;
        let mut builder = Builder::new();
        builder.prefix(".backstory-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        Ok(OutputFolder {
            temporary: builder.tempdir_in(folder).map_err(failed)?,
            target: path.to_owned(),
        })
    }

    /// Where the folder is for now.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes a file in the folder, given its path relative to it, and the time of its last change in microseconds since
    /// the Unix epoch. It is on disk when [`OutputFolder::finish`] has returned.
    ///
    /// # Errors
    /// What the system said.
    pub fn file(&self, relative: &str, bytes: &[u8], time: i64) -> Result<()> {
        let path = self.path().join(relative);
        let failed = |error| {
            Error::io(
                format!("write {}", self.target.join(relative).display()),
                error,
            )
        };
        fs::create_dir_all(parent(&path)).map_err(failed)?;
        let write = || {
            let mut file = File::options().write(true).create_new(true).open(&path)?;
            file.write_all(bytes)?;
            file.set_modified(system_time(time))?;
            file.sync_all()
        };
        write().map_err(failed)
    }

    /// Puts the names on disk and gives the folder its own.
    ///
    /// # Errors
    /// As [`OutputFolder::create`]; no folder of that name has come to be then.
    pub fn finish(self) -> Result<()> {
        let OutputFolder { temporary, target } = self;
        let failed = |error| Error::io(format!("write {}", target.display()), error);
        sync_folders(temporary.path()).map_err(failed)?;
        // This replaces an empty folder and nothing else.
        fs::rename(temporary.path(), &target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => taken(&target),
            _ => failed(error),
        })?;
        let _ = temporary.keep();
        sync_folder(parent(&target)).map_err(failed)
    }
}

/// Sets the time of a file's last change, in microseconds since the Unix epoch.
///
/// # Errors
/// What the system said.
pub fn set_modified(path: &Path, time: i64) -> Result<()> {
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(system_time(time)))
        .map_err(|error| Error::io(format!("set the time of {}", path.display()), error))
}

fn system_time(microseconds: i64) -> SystemTime {
    let since = Duration::from_micros(microseconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = match microseconds < 0 {
        true => epoch.checked_sub(since),
        false => epoch.checked_add(since),
    };
    time.unwrap_or(epoch)
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

fn taken(path: &Path) -> Error {
    Error::invalid(format!("{} is there already", path.display()))
}

/// The mode passes through the umask.
fn open_to_all(builder: &mut Builder<'_, '_>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/a.jsonl");
        let mut file = OutputFile::create(&path, false).unwrap();
        file.write_all(b"1\n").unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\n");
        assert!(OutputFile::create(&path, false).is_err());
        drop(OutputFile::create(&path, true).unwrap());
        let mut file = OutputFile::create(&path, true).unwrap();
        file.write_all(b"2\n").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn who_comes_second_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = OutputFile::create(&path, false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(file.finish().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        let folder = dir.path().join("b");
        let output = OutputFolder::create(&folder).unwrap();
        output.file("x", b"1", 0).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("mine"), "").unwrap();
        assert!(output.finish().is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_takes_the_place_of_an_empty_one_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        fs::create_dir(&folder).unwrap();
        let output = OutputFolder::create(&folder).unwrap();
        output.file("a/b.json", b"1", 1_500_000).unwrap();
        assert!(output.file("a", b"1", 0).is_err());
        output.finish().unwrap();
        let modified = fs::metadata(folder.join("a/b.json")).unwrap().modified();
        let since = modified.unwrap().duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap(), Duration::from_micros(1_500_000));
        assert!(OutputFolder::create(&folder).is_err());
        assert!(OutputFolder::create(&folder.join("a/b.json")).is_err());
    }
}
