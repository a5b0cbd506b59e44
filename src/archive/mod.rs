//! The archive: create, open, save, load, history, resolve, rollback.

mod adopt;
mod ahead;
mod batch;
mod beside;
mod chains;
mod changes;
mod commits;
mod compact;
mod contents;
mod create;
mod edit;
mod engine;
mod group;
mod guess;
mod history;
mod kin;
mod load;
mod lookups;
mod objects;
mod patched;
mod plan;
mod profiles;
mod query;
mod rebatch;
mod receive;
mod restore;
mod save;
mod sources;
mod stage;
mod stats;
mod transaction;
mod version;
mod view;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub(crate) use adopt::WholeSegment;
pub use batch::Batch;
pub use commits::{Commits, OldestFirst};
pub use compact::{CompactOptions, Compacted};
pub(crate) use contents::{Content, ContentCache, Encoded, ObjectAt};
pub use edit::Edit;
pub(crate) use engine::{Engine, Fault, check_writable};
pub use history::{History, HistoryQuery};
pub use load::{Loaded, LoadedDocument};
pub(crate) use objects::{ChangeCache, ObjectReader, gone};
pub(crate) use plan::Known;
pub use profiles::DiffProfile;
pub(crate) use rebatch::{Incoming, IncomingObject, Rebatch, Refused};
pub(crate) use receive::Receiver;
pub use restore::{Restored, Rollback, Undo};
pub use save::{Document, Save};
pub(crate) use sources::LayoutCache;
pub use version::{Change, CommitView, Head, Match, Note, Stats, Status, Tag, Version};
pub(crate) use view::mark_of;

use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::ArchiveId;
use crate::index::Binding;
use crate::log::format::*;
use crate::log::reader::LogReader;
use crate::storage::{LocalStorage, MemoryStorage, Storage};
use create::{fill, fill_copy, make, make_copy};
use engine::EngineParts;

/// Where the index is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexPlace {
    /// In `.backstory`; in memory where that cannot be written.
    #[default]
    Beside,
    /// In this file.
    At(PathBuf),
    /// In `.backstory`; where that cannot be written in a file of this folder that is named after the archive.
    BesideOr(PathBuf),
    /// In memory: opening reads the whole log.
    Memory,
}

/// How to open an archive.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How long to wait for the writer's lock.
    pub wait: Duration,
    /// Where the index is kept.
    pub index: IndexPlace,
    /// Refuse every write.
    pub read_only: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            wait: Duration::from_secs(30),
            index: IndexPlace::Beside,
            read_only: false,
        }
    }
}

/// An archive: every version of every document saved to it.
///
/// Cheap to clone, and safe to share between threads and processes. A forked child must open it again.
///
/// ```
/// # fn main() -> Result<(), backstory::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// use backstory::{Archive, Document, Spec};
///
/// let archive = Archive::create(folder.path())?;
/// for text in ["{\"loss\": 0.5}", "{\"loss\": 0.25}"] {
///     let mut save = archive.save();
///     save.add("runs/1.json", Document::source(text))?;
///     save.commit()?;
/// }
/// let first = archive.resolve("runs/1.json", &Spec::Number(1))?;
/// assert_eq!(archive.load(&first)?.source(), b"{\"loss\": 0.5}");
/// assert_eq!(archive.load(&first)?.canonical(), b"{\"loss\":0.5}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Archive {
    pub(crate) engine: Arc<Engine>,
}

impl Archive {
    /// Makes an archive in `dir`, the folder whose files it will keep.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one.
    pub fn create(dir: impl AsRef<Path>) -> Result<Archive> {
        let dir = dir.as_ref();
        make(dir)?;
        Archive::open(dir)
    }

    /// Opens the archive of `dir`, the folder that holds `.backstory`.
    ///
    /// # Errors
    /// `NoArchive` where there is none, `Unsupported` for one from the future, `Corrupt` for one that is damaged
    /// where nothing can be read without it.
    pub fn open(dir: impl AsRef<Path>) -> Result<Archive> {
        Archive::open_with(dir, &OpenOptions::default())
    }

    /// Opens the archive of `dir`, or makes one; the other answer is whether it was made. Who loses a race to make it
    /// opens the winner's.
    pub fn open_or_create(dir: impl AsRef<Path>, options: &OpenOptions) -> Result<(Archive, bool)> {
        let dir = dir.as_ref();
        let made = match Archive::open_with(dir, options) {
            Err(Error::NoArchive(_)) => match make(dir) {
                Ok(()) => true,
                Err(Error::AlreadyExists(_)) => false,
                Err(error) => return Err(error),
            },
            opened => return opened.map(|archive| (archive, false)),
        };
        Archive::open_with(dir, options).map(|archive| (archive, made))
    }

    /// Opens the archive of `dir`.
    pub fn open_with(dir: impl AsRef<Path>, options: &OpenOptions) -> Result<Archive> {
        let dir = dir.as_ref();
        let folder = dir.join(ARCHIVE_FOLDER);
        let no_archive = || Error::NoArchive(dir.display().to_string());
        let storage = match LocalStorage::open(&folder) {
            Ok(storage) => storage,
            Err(error) => {
                use std::io::ErrorKind::{NotADirectory, NotFound};
                return Err(match error.kind() {
                    NotFound | NotADirectory => no_archive(),
                    _ => Error::io(format!("open {}", folder.display()), error),
                });
            }
        };
        open_storage(Arc::new(storage), Some(dir), options)
    }

    /// Makes an archive in memory: it ends with its last handle.
    pub fn in_memory() -> Result<Archive> {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        fill(&*storage).map_err(|error| Error::io("make an archive in memory", error))?;
        Archive::open_on(storage)
    }

    /// Makes an archive on any storage.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one, or a log without its `archive.json`.
    pub fn create_on(storage: Arc<dyn Storage>) -> Result<Archive> {
        let options = OpenOptions::default();
        // Of two that make it at once the second finds what the first has made.
        let lock = storage.lock(options.wait);
        let lock = lock.map_err(|error| Error::io("lock the archive", error))?;
        let lock = lock.ok_or(Error::Busy(options.wait.as_secs_f64()))?;
        fill(&*storage).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::AlreadyExists("this storage".to_owned()),
            _ => Error::io("make an archive", error),
        })?;
        drop(lock);
        Archive::open_on(storage)
    }

    /// Makes an archive in `dir` that is a copy of the one with this identity, without its commits yet.
    pub(crate) fn create_copy(dir: &Path, identity: &[u8]) -> Result<()> {
        make_copy(dir, identity)
    }

    /// The same on any storage.
    pub(crate) fn create_copy_on(&self, storage: &dyn Storage) -> Result<()> {
        fill_copy(storage, self.engine.reader.identity()).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::AlreadyExists("this storage".to_owned()),
            _ => Error::io("make an archive", error),
        })
    }

    /// Opens the archive on any storage; its index is in memory.
    ///
    /// # Errors
    /// As [`Archive::open`]. An archive whose making was never finished is none.
    pub fn open_on(storage: Arc<dyn Storage>) -> Result<Archive> {
        open_storage(
            storage,
            None,
            &OpenOptions {
                index: IndexPlace::Memory,
                ..OpenOptions::default()
            },
        )
    }

    /// The folder that holds `.backstory`; none for an archive in memory.
    pub fn root(&self) -> Option<&Path> {
        self.engine.root.as_deref()
    }

    /// The archive's identity.
    pub fn id(&self) -> ArchiveId {
        self.engine.id
    }

    /// What happened on the way that a person may want to know, a line each; asking takes them away.
    pub fn take_notices(&self) -> Vec<String> {
        self.engine.take_notices()
    }

    /// Begins a commit of documents.
    pub fn save(&self) -> Save<'_> {
        Save::new(self)
    }

    /// Begins a row of commits that share one sync.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Begins a commit that makes older versions current again.
    pub fn rollback(&self) -> Rollback<'_> {
        Rollback::new(self)
    }

    /// Begins the inverse of a commit: of [`Archive::undo_target`], or one that [`Archive::find_commit`] found.
    pub fn undo(&self, commit: CommitView) -> Undo<'_> {
        Undo::new(self, commit, false)
    }

    /// Begins taking back the newest undo that was not taken back yet.
    pub fn redo(&self) -> Result<Undo<'_>> {
        Ok(Undo::new(self, self.redo_target()?, true))
    }

    /// Builds the index anew from the log; the number of the newest commit.
    pub fn reindex(&self) -> Result<u64> {
        self.engine.reindex()
    }
}

/// Microseconds since the Unix epoch, now; 0 where the clock stands before it.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

fn open_storage(
    storage: Arc<dyn Storage>,
    root: Option<&Path>,
    options: &OpenOptions,
) -> Result<Archive> {
    let line = storage
        .read(IDENTITY_FILE)
        .map_err(|error| match error.kind() {
            // A folder has its name once all is in it; on other storages making it may have ended half-way.
            std::io::ErrorKind::NotFound
                if root.is_none() && create::is_unmade(&*storage).is_ok_and(|unmade| unmade) =>
            {
                Error::NoArchive("this storage".to_owned())
            }
            std::io::ErrorKind::NotFound => Error::corrupt(IDENTITY_FILE, None, "it is missing"),
            _ => Error::io(format!("read {ARCHIVE_FOLDER}/{IDENTITY_FILE}"), error),
        })?;
    let (identity, id) = read_identity(&line)?;
    let settings = Settings::read(&*storage)?;
    let keys = ArchiveKeys::new(id);
    let reader = Arc::new(LogReader::new(storage.clone(), keys, identity));
    reader.check_header()?;
    let local = storage.local_dir();
    let real = local.as_ref().map(|dir| crate::storage::real_path(dir));
    let place = real
        .as_ref()
        .map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
    let file = storage
        .identity(IDENTITY_FILE)
        .map_err(|error| Error::io(format!("read {ARCHIVE_FOLDER}/{IDENTITY_FILE}"), error))?;
    let binding = Binding {
        archive: id,
        place: place.clone(),
        device: file.device,
        inode: file.inode,
    };
    let beside = local
        .filter(|_| storage.is_writable())
        .map(|dir| dir.join(INDEX_FILE));
    let index_files = match &options.index {
        IndexPlace::Memory => Vec::new(),
        IndexPlace::At(file) => vec![file.clone()],
        IndexPlace::Beside => beside.into_iter().collect(),
        IndexPlace::BesideOr(folder) => {
            let name = blake3::hash(place.as_bytes()).to_hex();
            let cached = folder.join(format!("{id}-{}.sqlite", &name.as_str()[..16]));
            beside.into_iter().chain([cached]).collect()
        }
    };
    let engine = Engine::open(EngineParts {
        storage,
        reader,
        id,
        root: root.map(Path::to_owned),
        wait: options.wait,
        read_only: options.read_only,
        settings,
        binding,
        index_files,
    })?;
    Ok(Archive {
        engine: Arc::new(engine),
    })
}

/// Reads `archive.json`: exactly the canonical bytes that every segment repeats, and a final newline.
pub(crate) fn read_identity(line: &[u8]) -> Result<(Vec<u8>, ArchiveId)> {
    let corrupt = |message: &str| Error::corrupt(IDENTITY_FILE, None, message);
    let identity = line
        .strip_suffix(b"\n")
        .ok_or_else(|| corrupt("it does not end with a newline"))?;
    let value: Value = serde_json::from_slice(identity).map_err(|_| corrupt("it is not JSON"))?;
    if value["name"].as_str() != Some(FORMAT_NAME) {
        return Err(corrupt("it is not the identity of an archive"));
    }
    let format = value["format"]
        .as_u64()
        .ok_or_else(|| corrupt("it has no format"))?;
    if format == 0 {
        let message = "this archive has format 0, which was in the making and is no longer read";
        return Err(Error::Unsupported(message.to_owned()));
    }
    if format > FORMAT {
        return Err(Error::Unsupported(format!(
            "this archive has format {format}; this program knows formats up to {FORMAT}"
        )));
    }
    if let Some(feature) = value["required"].as_array().and_then(|list| list.first()) {
        return Err(Error::Unsupported(format!(
            "this archive needs a feature that this program lacks: {feature}"
        )));
    }
    let id = value["archive"].as_str().and_then(|text| text.parse().ok());
    let id = id.ok_or_else(|| corrupt("it has no archive id"))?;
    Ok((identity.to_vec(), id))
}

/// What may be changed in an archive's `settings.json`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Write although the archive is on a network file system.
    pub network_writes: bool,
    /// The length at which a segment takes no more commits.
    pub segment_len: u64,
}

impl Settings {
    pub fn read(storage: &dyn Storage) -> Result<Settings> {
        let mut settings = Settings {
            network_writes: false,
            segment_len: SEGMENT_LEN,
        };
        let bytes = match storage.read(SETTINGS_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(settings),
            Err(error) => {
                return Err(Error::io(
                    format!("read {ARCHIVE_FOLDER}/{SETTINGS_FILE}"),
                    error,
                ));
            }
        };
        let bad = |what: &str| Error::invalid(format!("{ARCHIVE_FOLDER}/{SETTINGS_FILE}: {what}"));
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
        for (name, value) in value
            .as_object()
            .ok_or_else(|| bad("it is not an object"))?
        {
            match name.as_str() {
                "network_writes" => {
                    settings.network_writes = value
                        .as_bool()
                        .ok_or_else(|| bad("network_writes must be true or false"))?;
                }
                "segment_bytes" => {
                    let len = value.as_u64().filter(|len| *len >= 1024);
                    settings.segment_len =
                        len.ok_or_else(|| bad("segment_bytes must be a number of at least 1024"))?;
                }
                other => return Err(bad(&format!("unknown setting {other:?}"))),
            }
        }
        Ok(settings)
    }
}
