//! Replacing files by archived content. What stood in them is never lost, and never stops the replacement.
//!
//! The order is: look at every file; put what the archive does not have into a commit in front; commit; only then
//! move aside what is no document, and write. Whatever fails before the commit leaves files and archive as they
//! were; whatever fails after it is reported for its file and the other files are still written.

use std::path::{Path, PathBuf};

use super::disk::OnDisk;
use super::{ARCHIVE_FOLDER, Workspace};
use crate::archive::{Document, Note, Restored, Rollback, Undo, Version};
use crate::commit::Op;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::files;
use crate::time;

/// Where restored content goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the file of each path that was saved as a file.
    Files,
    /// To no file.
    ArchiveOnly,
    /// To this file.
    File(PathBuf),
}

/// What happened to one file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileEvent {
    /// It has the restored content now.
    Written,
    /// It had the restored content already.
    AlreadyThere,
    /// What stood in it was not a document: it has this name now.
    MovedAside(PathBuf),
    /// The path has ended; the file was left as it is.
    Left,
    /// The path never came from a file, so none was written.
    NeverAFile,
    /// It could not be written; the archive holds what belongs in it.
    Failed(Error),
}

/// What happened to one file, and which.
#[derive(Debug)]
pub struct FileReport {
    /// The path in the archive.
    pub path: String,
    /// The file.
    pub file: PathBuf,
    /// The version whose content it was to get, as a REV.
    pub rev: Option<String>,
    /// What happened.
    pub event: FileEvent,
}

/// The commits that were made and what became of the files.
#[derive(Debug)]
pub struct Report {
    /// The commits.
    pub restored: Restored,
    /// In order; a file may have more than one event.
    pub files: Vec<FileReport>,
}

impl Workspace {
    /// Commits a rollback and writes the files.
    ///
    /// # Errors
    /// [`Usage`](ErrorKind::Usage) where a file is to be written for a path that never came from one, or one file for
    /// several paths; otherwise what the commit says. Files are then untouched. Failures after the commit are in the
    /// report.
    pub fn rollback(&self, rollback: Rollback<'_>, to: &Destination, stamp: i64) -> Result<Report> {
        let paths: Vec<String> = rollback
            .targets()
            .iter()
            .map(|version| version.path.clone())
            .collect();
        let mut plan = Vec::new();
        match to {
            Destination::ArchiveOnly => {}
            Destination::File(file) => match paths.as_slice() {
                [path] => plan.push(self.plan_other(path, file)?),
                _ => {
                    return Err(Error::invalid(
                        "one file cannot hold the content of several paths",
                    ));
                }
            },
            Destination::Files => {
                for path in &paths {
                    if !self.came_from_file(path)? {
                        return Err(Error::invalid(format!(
                            "{path} was not saved as a file, so no file belongs to it"
                        )));
                    }
                    plan.push(self.plan(path)?);
                }
            }
        }
        self.restore(rollback, plan, Vec::new(), stamp)
    }

    /// Commits an undo or a redo and writes the files of the paths that came from files.
    ///
    /// # Errors
    /// What the commit says; files are then untouched. Failures after the commit are in the report.
    pub fn undo(&self, undo: Undo<'_>, to: &Destination, stamp: i64) -> Result<Report> {
        let mut paths: Vec<String> = undo
            .view()
            .changes
            .iter()
            .map(|version| version.path.clone())
            .collect();
        paths.sort();
        paths.dedup();
        let mut plan = Vec::new();
        let mut moves = Vec::new();
        if *to == Destination::Files {
            moves = self.moves_back(&undo.view().changes);
            for path in &paths {
                // The files of an undo are not named one by one, so no link may lead out of the root.
                if self.came_from_file(path)? && files::is_inside(&self.root, &self.file_of(path)) {
                    plan.push(self.plan(path)?);
                }
            }
        }
        self.restore(undo, plan, moves, stamp)
    }

    /// The files that go back to their old names when these changes are taken back: those that nobody has moved or
    /// written over since.
    fn moves_back(&self, changes: &[Version]) -> Vec<(PathBuf, PathBuf)> {
        let renames = changes.iter().filter(|change| change.op == Op::Rename);
        let files = renames.filter_map(|change| {
            Some((
                self.file_of(&change.path),
                self.file_of(change.other.as_deref()?),
            ))
        });
        let inside = |file: &Path| {
            file.parent()
                .is_some_and(|folder| files::is_inside(&self.root, folder))
        };
        files
            .filter(|(new, old)| inside(new) && inside(old))
            .filter(|(new, old)| files::is_there(new) && !files::is_there(old))
            .collect()
    }

    /// Writes content to a file. Where that is the file of an archived path, what stands in it is saved first, or
    /// moved aside where that is not possible, be it that the archive cannot be written.
    ///
    /// Returns the version that was saved first, and the new name of what was moved aside.
    ///
    /// # Errors
    /// Where the file cannot be replaced; it is then as it was, or has its new name.
    pub fn write_file(
        &self,
        file: &Path,
        bytes: &[u8],
        note: Note,
        stamp: i64,
    ) -> Result<(Option<String>, Option<PathBuf>)> {
        let path = self.archived_path_of(file)?;
        let file = self.base.join(file);
        let (mut saved, mut aside) = (None, None);
        if let Some(path) = &path
            && let OnDisk::Unsaved(found) = self.look(&file, Some(path))?
            && found != bytes
        {
            match self.save_found(path, found, note) {
                Ok(rev) => saved = rev,
                Err(_) => aside = Some(files::rename_aside(&file, &time::format_utc(stamp))?),
            }
        }
        files::write_atomically(&file, bytes)?;
        Ok((saved, aside))
    }

    /// The archived path that a file about to be written stands for, by its name or by what a link leads to.
    ///
    /// # Errors
    /// `Usage` for a file of the archive itself.
    pub(super) fn archived_path_of(&self, file: &Path) -> Result<Option<String>> {
        let absolute = self.base.join(file);
        let real = files::resolve(&absolute).unwrap_or(absolute);
        if real.starts_with(self.root.join(ARCHIVE_FOLDER)) {
            let message = format!("{} belongs to the archive itself", file.display());
            return Err(Error::invalid(message));
        }
        let named = self.path_of_file(file).ok();
        let behind = self.path_of_file(&real).ok();
        for path in [named, behind].into_iter().flatten() {
            if self.archive.path_exists(&path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn save_found(&self, path: &str, found: Vec<u8>, note: Note) -> Result<Option<String>> {
        let mut save = self.archive.save();
        save.add(path, Document::source(found).file())?;
        save.note(note);
        Ok(save.commit()?.first().map(|change| change.rev()))
    }

    /// Was a version of this path saved from the file that belongs to it?
    ///
    /// # Errors
    /// Where the archive cannot be read.
    pub fn came_from_file(&self, path: &str) -> Result<bool> {
        Ok(self.archive.newest(path)?.is_some_and(|newest| newest.file))
    }

    fn plan(&self, path: &str) -> Result<Planned> {
        let file = self.file_of(path);
        let on_disk = self.look(&file, Some(path))?;
        Ok(Planned {
            path: path.to_owned(),
            own: Some(path.to_owned()),
            file,
            on_disk,
            aside: false,
        })
    }

    /// Plans to write the content of `path` to a file that need not be its own.
    fn plan_other(&self, path: &str, file: &Path) -> Result<Planned> {
        let own = self.archived_path_of(file)?;
        let file = self.base.join(file);
        let on_disk = self.look(&file, own.as_deref())?;
        Ok(Planned {
            path: path.to_owned(),
            own,
            file,
            on_disk,
            aside: false,
        })
    }

    fn restore(
        &self,
        mut builder: impl Restore,
        mut plan: Vec<Planned>,
        moves: Vec<(PathBuf, PathBuf)>,
        stamp: i64,
    ) -> Result<Report> {
        for planned in &mut plan {
            if let OnDisk::Unsaved(found) = &planned.on_disk {
                planned.aside = match &planned.own {
                    None => true,
                    Some(own) => {
                        match builder.save_first(own, Document::source(found.clone()).file()) {
                            Ok(()) => false,
                            Err(error) if error.kind() == ErrorKind::InvalidDocument => true,
                            Err(error) => return Err(error),
                        }
                    }
                };
            }
        }
        let restored = builder.commit()?;
        for (new, old) in moves {
            // Where this fails the file stays, and the old name gets a file of its own below.
            if files::rename(&new, &old).is_ok() {
                hand_over(&mut plan, &new, &old);
            }
        }
        let mut reports = Vec::new();
        for (path, version) in &restored.files {
            let Some(planned) = plan.iter().find(|planned| planned.path == *path) else {
                continue;
            };
            let report = |event| FileReport {
                path: path.clone(),
                file: planned.file.clone(),
                rev: version.as_ref().map(Version::rev),
                event,
            };
            match version {
                None if files::is_there(&planned.file) => reports.push(report(FileEvent::Left)),
                None => {}
                Some(version) => match self.put(planned, version, stamp) {
                    Ok(events) => reports.extend(events.into_iter().map(report)),
                    Err(error) => reports.push(report(FileEvent::Failed(error))),
                },
            }
        }
        for (path, version) in &restored.files {
            if version.is_some() && !plan.iter().any(|planned| planned.path == *path) {
                let rev = version.as_ref().map(Version::rev);
                reports.push(FileReport {
                    path: path.clone(),
                    file: self.file_of(path),
                    rev,
                    event: FileEvent::NeverAFile,
                });
            }
        }
        Ok(Report {
            restored,
            files: reports,
        })
    }

    /// Replaces one file, after the commit. Whatever was written to it since it was looked at is moved aside.
    fn put(&self, planned: &Planned, version: &Version, stamp: i64) -> Result<Vec<FileEvent>> {
        let content = self.archive.load(version)?.source();
        let mut events = Vec::new();
        if !matches!(planned.on_disk, OnDisk::Stream)
            && let Some(now) = files::read_if_there(&planned.file)?
        {
            if now == content {
                return Ok(vec![FileEvent::AlreadyThere]);
            }
            if planned.aside || planned.on_disk.bytes() != Some(now.as_slice()) {
                let aside = files::rename_aside(&planned.file, &time::format_utc(stamp))?;
                events.push(FileEvent::MovedAside(aside));
            }
        }
        match files::write_atomically(&planned.file, &content) {
            Ok(()) => events.push(FileEvent::Written),
            Err(error) => events.push(FileEvent::Failed(error)),
        }
        Ok(events)
    }
}

/// What was seen in one file is in another now.
fn hand_over(plan: &mut [Planned], from: &Path, to: &Path) {
    let taken = plan
        .iter_mut()
        .find(|planned| planned.file == from)
        .map(|planned| {
            let on_disk = std::mem::replace(&mut planned.on_disk, OnDisk::Missing);
            (on_disk, std::mem::take(&mut planned.aside))
        });
    if let (Some((on_disk, aside)), Some(planned)) =
        (taken, plan.iter_mut().find(|planned| planned.file == to))
    {
        planned.on_disk = on_disk;
        planned.aside = aside;
    }
}

/// One file that will be replaced.
struct Planned {
    /// The path whose content it gets.
    path: String,
    /// The path whose file it is.
    own: Option<String>,
    file: PathBuf,
    on_disk: OnDisk,
    /// What stands in it cannot be saved.
    aside: bool,
}

/// What rollback, undo and redo have in common.
trait Restore {
    fn save_first(&mut self, path: &str, document: Document) -> Result<()>;
    fn commit(self) -> Result<Restored>;
}

impl Restore for Rollback<'_> {
    fn save_first(&mut self, path: &str, document: Document) -> Result<()> {
        Rollback::save_first(self, path, document).map(|_| ())
    }

    fn commit(self) -> Result<Restored> {
        Rollback::commit(self)
    }
}

impl Restore for Undo<'_> {
    fn save_first(&mut self, path: &str, document: Document) -> Result<()> {
        Undo::save_first(self, path, document).map(|_| ())
    }

    fn commit(self) -> Result<Restored> {
        Undo::commit(self)
    }
}
