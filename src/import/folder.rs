//! The files of a folder, each a version from the time of its last change.

use std::path::{Path, PathBuf};

use super::{Imported, Intake, Tell, check_under, is_about_one, place};
use crate::archive::{Archive, Document, Note};
use crate::canon::NanMode;
use crate::error::{Error, Result};
use crate::path::is_reserved_on_disk;
use crate::storage::walk::walk;
use crate::storage::{files, real_path};

/// The files below a folder, oldest first. Those of the same time are one commit. A file whose content is that of the
/// newest version of its path makes none.
pub struct FolderImport<'w> {
    /// The folder.
    pub folder: PathBuf,
    /// Which files, by their names below the folder.
    pub wanted: Box<dyn Fn(&str) -> bool + 'w>,
    /// The folder of the archive that the files come under; empty for its root.
    pub under: String,
    /// What to do with numbers that JSON does not have; else what the path's newest version was saved with.
    pub nan: Option<NanMode>,
    /// Message, author and metadata of the commits.
    pub note: Note,
}

impl<'w> FolderImport<'w> {
    /// All `.json` files of a folder.
    pub fn new(folder: impl Into<PathBuf>) -> FolderImport<'w> {
        FolderImport {
            folder: folder.into(),
            wanted: Box::new(is_json),
            under: String::new(),
            nan: None,
            note: Note::default(),
        }
    }

    /// Imports what the archive does not have yet. Folders of git and of archives are not entered, and links not
    /// followed.
    ///
    /// # Errors
    /// `NotFound` where there is no such folder, `Io` where it cannot be read or the archive not be written. What is no
    /// document is told of and left out.
    pub fn run(&self, archive: &Archive, tell: Tell<'_>) -> Result<Imported> {
        check_under(&self.under)?;
        if !files::is_folder(&self.folder) {
            let message = format!("no such folder: {}", self.folder.display());
            return Err(Error::not_found(message));
        }
        let root = archive.root().map(real_path);
        let mut found = walk(
            &self.folder,
            &|name| !is_reserved_on_disk(name),
            &self.wanted,
        )?;
        found.sort_by_key(|found| found.modified);
        let mut intake = Intake::new(archive, tell)?;
        for group in found.chunk_by(|a, b| a.modified == b.modified) {
            let mut save = archive.save();
            save.note(Note {
                time: group.first().map(|found| found.modified),
                ..self.note.clone()
            });
            let mut len = 0;
            for found in group {
                let shown = || found.file.display().to_string();
                let added = (|| {
                    let name = found.name.as_deref().ok_or_else(|| {
                        Error::invalid(format!("the name of {} is not UTF-8", shown()))
                    })?;
                    let path = place(&self.under, name)?;
                    let bytes = files::read(&found.file)?;
                    let len = bytes.len();
                    let mut document = Document::source(bytes);
                    if is_own(root.as_deref(), &path, &found.file) {
                        document = document.file();
                    }
                    if let Some(nan) = self.nan {
                        document = document.nan(nan);
                    }
                    save.add(&path, document)?;
                    Ok(len)
                })();
                match added {
                    Ok(added) => len += added,
                    Err(error) if is_about_one(&error) || Error::is_not_found(&error) => {
                        let name = found.name.clone().unwrap_or_default();
                        intake.leave_out(name, shown(), error);
                    }
                    Err(error) => return Err(error),
                }
                // A folder that was copied may have one time for all of it.
                if len >= super::BATCH_LEN {
                    let next = archive.save();
                    let full = std::mem::replace(&mut save, next);
                    save.note(Note {
                        time: Some(found.modified),
                        ..self.note.clone()
                    });
                    intake.push(full, std::mem::take(&mut len))?;
                }
            }
            intake.push(save, len)?;
        }
        intake.finish()
    }
}

/// Is it the file that belongs to this path of an archive?
fn is_own(root: Option<&Path>, path: &str, file: &Path) -> bool {
    root.is_some_and(|root| real_path(&root.join(path)) == real_path(file))
}

fn is_json(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}
