//! Bringing histories into an archive: from git, from JSON lines, from another archive, from a folder of files.
//!
//! Each of these goes on where it stopped: run again it adds what is new, and nothing where nothing is. Commits go into
//! the archive many at a time, in the order of the source, so that a run that was killed has imported a whole number of
//! them. Where another writer changes a path of the import meanwhile, be it another import of the same source, it ends with
//! a `Conflict`, and what came before is imported. What cannot be imported is told of and left out.

mod archive;
mod folder;
mod git;
mod jsonl;
#[cfg(feature = "mlflow")]
mod mlflow;

pub use archive::ArchiveImport;
pub use folder::FolderImport;
pub use git::GitImport;
pub use jsonl::JsonlImport;
#[cfg(feature = "mlflow")]
pub use mlflow::{MlflowImport, is_file_store};

use serde_json::{Map, Value};

use crate::archive::{Archive, Batch, Known, Save, Status};
use crate::error::{Error, Result};
use crate::path::{check_path, is_reserved_on_disk, join};

/// So many commits share a sync …
const BATCH_COMMITS: usize = 1000;
/// … or those of so many bytes.
const BATCH_LEN: usize = 16 << 20;

/// What an import tells of while it goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told {
    /// So much is on disk.
    Imported(Imported),
    /// Something that a person may want to know of the source.
    Note(String),
    /// Something is left out.
    LeftOut {
        /// What: a path in the source.
        path: String,
        /// Where in the source: a commit, a line, a file.
        place: String,
        /// Why.
        error: Error,
    },
}

/// Whom it tells.
pub type Tell<'t> = &'t mut dyn FnMut(Told);

/// How much was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Commits that were made.
    pub commits: u64,
    /// Versions in them, deletions too.
    pub versions: u64,
    /// What the archive had already.
    pub already: u64,
    /// What was left out.
    pub left_out: u64,
}

/// Commits on their way into an archive.
struct Intake<'a, 't> {
    archive: &'a Archive,
    batch: Option<Batch<'a>>,
    len: usize,
    imported: Imported,
    /// The commits that were looked at when it was decided what is new, and those made since.
    known: Known,
    tell: Tell<'t>,
}

impl<'a, 't> Intake<'a, 't> {
    /// To be made before anyone looks at what the archive has: whoever changes a path of the import from then on is in
    /// its way, be it another import of the same.
    fn new(archive: &'a Archive, tell: Tell<'t>) -> Result<Intake<'a, 't>> {
        Ok(Intake {
            archive,
            batch: None,
            len: 0,
            imported: Imported::default(),
            known: Known {
                up_to: archive.head()?.seq,
                own: Vec::new(),
            },
            tell,
        })
    }

    /// Takes a commit whose documents have so many bytes.
    fn push(&mut self, save: Save<'a>, len: usize) -> Result<()> {
        if save.is_empty() {
            return Ok(());
        }
        let archive = self.archive;
        let batch = self.batch.get_or_insert_with(|| archive.batch());
        batch.push(save);
        self.len += len;
        match batch.len() >= BATCH_COMMITS || self.len >= BATCH_LEN {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Puts the commits that were taken on disk.
    fn flush(&mut self) -> Result<()> {
        self.len = 0;
        let Some(mut batch) = self.batch.take() else {
            return Ok(());
        };
        batch.known(self.known.clone());
        for changes in batch.commit()? {
            let new = changes
                .iter()
                .filter(|change| change.status != Status::Unchanged);
            if let Some(change) = new.clone().next() {
                self.known.add(change.seq, change.seq);
            }
            let versions = new.count() as u64;
            self.imported.versions += versions;
            self.imported.commits += u64::from(versions > 0);
            self.imported.already += changes.len() as u64 - versions;
        }
        (self.tell)(Told::Imported(self.imported));
        Ok(())
    }

    fn leave_out(&mut self, path: impl Into<String>, place: impl Into<String>, error: Error) {
        self.imported.left_out += 1;
        (self.tell)(Told::LeftOut {
            path: path.into(),
            place: place.into(),
            error,
        });
    }

    fn finish(mut self) -> Result<Imported> {
        self.flush()?;
        Ok(self.imported)
    }
}

/// The path in the archive of something that has this name in the source.
///
/// # Errors
/// `Usage` for a name that is none, or that would belong to git or to an archive if it were a file's.
fn place(under: &str, name: &str) -> Result<String> {
    let path = join(under, name);
    // Both, because `..` at the front of a name must not go by what it is below.
    check_path(name)
        .and_then(|()| check_path(&path))
        .map_err(|error| Error::invalid(format!("{name:?} is no path: {error}")))?;
    match is_reserved_on_disk(&path) {
        true => Err(Error::invalid(format!(
            "{name:?} is no path for a document: a file of that name would belong to git or to an archive"
        ))),
        false => Ok(path),
    }
}

/// Metadata that says which git commit a commit was imported from says so below another folder, too.
fn rebase(meta: &mut Map<String, Value>, under: &str) {
    let git = meta.get_mut(git::META).and_then(Value::as_object_mut);
    let Some(git) = git.filter(|git| !under.is_empty() && git.contains_key("commit")) else {
        return;
    };
    let path = match git.get("under").and_then(Value::as_str) {
        Some(inner) => join(under, inner),
        None => under.to_owned(),
    };
    git.insert("under".to_owned(), Value::from(path));
}

fn check_under(under: &str) -> Result<()> {
    match under {
        "" => Ok(()),
        under => check_path(under).map_err(|error| Error::invalid(error.to_string())),
    }
}

/// What concerns one document only: it is left out, and the rest is imported.
fn is_about_one(error: &Error) -> bool {
    use crate::error::ErrorKind::{InvalidDocument, Usage};
    matches!(error.kind(), InvalidDocument | Usage)
}
