//! The whole state of a moment on disk. As with a rollback, what stands in a file is never lost; the archive's newest
//! versions stay as they are.

use std::path::PathBuf;

use super::Workspace;
use super::disk::OnDisk;
use crate::archive::{Document, Note, Save, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::path::is_reserved_on_disk;
use crate::revision::Spec;
use crate::storage::files;
use crate::time;

/// So many bytes of unsaved files are saved in one commit.
const SAVE_LEN: usize = 32 << 20;

/// Which state goes where.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// The moment, microseconds since the Unix epoch: of each path the newest version that claims no later time.
    pub at: i64,
    /// Below this folder; else each path that came from a file to that file.
    pub to: Option<PathBuf>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Author and the like of what is saved first.
    pub note: Note,
    /// The moment that names of files moved aside carry.
    pub stamp: i64,
}

/// What becomes, or would become, of one file.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateEvent {
    /// What stood in a file is saved as this version, given as a REV; in a dry run it would be.
    SavedFirst(String),
    /// It has the content of that moment now.
    Written,
    /// It had it already.
    AlreadyThere,
    /// What stood in it has this name now; in a dry run it would get one.
    MovedAside(Option<PathBuf>),
    /// The path had no document then; the file is left as it is.
    Left,
    /// The path never came from a file, so none is written.
    NeverAFile,
    /// It could not be written, or must not be.
    Failed(Error),
}

/// What becomes of one file, and which.
#[derive(Debug)]
pub struct StateReport {
    /// The path in the archive.
    pub path: String,
    /// The file.
    pub file: PathBuf,
    /// The version that the state has, as a REV; none where it has no document.
    pub rev: Option<String>,
    /// What becomes of it.
    pub event: StateEvent,
}

impl Workspace {
    /// Puts the state of a moment on disk, each file whole, for the paths that `wanted` likes; `tell` hears of each file,
    /// and with how many paths there are. First everything that the archive does not have is saved, then files are
    /// replaced.
    ///
    /// # Errors
    /// Where the archive cannot be read, or something must be saved first and cannot: no file is replaced then. A file
    /// that cannot be written is told of, and the others are written.
    pub fn restore_state(
        &self,
        options: &StateOptions,
        wanted: &dyn Fn(&str) -> bool,
        tell: &mut dyn FnMut(StateReport, usize),
    ) -> Result<()> {
        let mut newest = self.archive.list("")?;
        newest.retain(|version| wanted(&version.path));
        let total = newest.len();
        let mut tell = |place: &Place, event: StateEvent| {
            let report = StateReport {
                path: place.path.clone(),
                file: place.file.clone(),
                rev: place.version.as_ref().map(Version::rev),
                event,
            };
            tell(report, total);
        };
        let mut first = Unsaved {
            workspace: self,
            save: self.archive.save(),
            len: 0,
        };
        let places = newest.into_iter().map(|newest| self.place(newest, options));
        let mut to_write = Vec::new();
        for place in places {
            let place = place?;
            if place.version.is_none() && !self.stays(&place, options) {
                continue;
            }
            match self.what_stands_against(&place, options) {
                Some(event) => tell(&place, event),
                None => to_write.push(place),
            }
        }
        for place in &to_write {
            match self.look(&place.file, place.own.as_deref()) {
                Ok(OnDisk::Unsaved(found)) if !self.is_content(place, &found) => {
                    first.keep(place, found, options, &mut tell)?;
                }
                // What cannot be looked at is met again below.
                _ => {}
            }
        }
        first.commit(options, &mut tell)?;
        for place in &to_write {
            self.put_state(place, options, &mut tell);
        }
        Ok(())
    }

    /// Where the content of a path goes, and which it is.
    fn place(&self, newest: Version, options: &StateOptions) -> Result<Place> {
        let path = newest.path.clone();
        let came_from_file = newest.file;
        let version = match newest.time > options.at {
            false => Some(newest),
            true => match self.archive.resolve(&path, &Spec::Time(options.at)) {
                Err(error) if error.is_not_found() => None,
                resolved => Some(resolved?),
            },
        };
        let (file, own) = match &options.to {
            None => (self.file_of(&path), Some(path.clone())),
            Some(folder) => {
                let file = self.base.join(folder).join(&path);
                let own = self.archived_path_of(&file)?;
                (file, own)
            }
        };
        Ok(Place {
            path,
            file,
            own,
            came_from_file,
            version: version.filter(|version| !version.is_deleted()),
        })
    }

    /// Is there a file that stays though its path had no document?
    fn stays(&self, place: &Place, options: &StateOptions) -> bool {
        options.to.is_none() && place.came_from_file && files::is_there(&place.file)
    }

    /// Why no file is written for a place.
    fn what_stands_against(&self, place: &Place, options: &StateOptions) -> Option<StateEvent> {
        let in_place = options.to.is_none();
        if place.version.is_none() {
            return Some(StateEvent::Left);
        }
        if in_place && !place.came_from_file {
            return Some(StateEvent::NeverAFile);
        }
        let refuse = |why: &str| {
            let message = format!("{}: {why}", place.file.display());
            Some(StateEvent::Failed(Error::invalid(message)))
        };
        if is_reserved_on_disk(&place.path) {
            return refuse("a file of that name would belong to git or to an archive");
        }
        let root = match &options.to {
            None => self.root.clone(),
            Some(folder) => self.base.join(folder),
        };
        // The files are not named one by one, so no link may lead out of the folder.
        match files::is_folder(&root) && !files::is_inside(&root, &place.file) {
            true => refuse("it leads out of the folder"),
            false => None,
        }
    }

    /// Is this already what the file is to hold?
    fn is_content(&self, place: &Place, found: &[u8]) -> bool {
        let version = place.version.as_ref();
        let loaded = version.and_then(|version| self.archive.load(version).ok());
        loaded.is_some_and(|loaded| loaded.into_source() == found)
    }

    fn put_state(
        &self,
        place: &Place,
        options: &StateOptions,
        tell: &mut dyn FnMut(&Place, StateEvent),
    ) {
        let mut aside = None;
        let put = (|| {
            let Some(version) = &place.version else {
                return Ok(StateEvent::Left);
            };
            let content = self.archive.load(version)?.into_source();
            if files::kind(&place.file)? == files::Kind::Folder {
                let reason = std::io::Error::other("it is a folder");
                return Err(Error::io(
                    format!("replace {}", place.file.display()),
                    reason,
                ));
            }
            match self.look(&place.file, place.own.as_deref())? {
                on_disk if on_disk.bytes() == Some(content.as_slice()) => {
                    return Ok(StateEvent::AlreadyThere);
                }
                _ if options.dry_run => {}
                // What was written since, or is no document.
                OnDisk::Unsaved(_) => {
                    let stamp = time::format_utc(options.stamp);
                    aside = Some(files::rename_aside(&place.file, &stamp)?);
                }
                _ => {}
            }
            if !options.dry_run {
                files::write_atomically(&place.file, &content)?;
            }
            Ok(StateEvent::Written)
        })();
        if let Some(aside) = aside {
            tell(place, StateEvent::MovedAside(Some(aside)));
        }
        tell(place, put.unwrap_or_else(StateEvent::Failed));
    }
}

/// One path of a state.
struct Place {
    path: String,
    file: PathBuf,
    /// The archived path that the file belongs to.
    own: Option<String>,
    came_from_file: bool,
    version: Option<Version>,
}

/// What stands on disk and in no version.
struct Unsaved<'w> {
    workspace: &'w Workspace,
    save: Save<'w>,
    len: usize,
}

impl Unsaved<'_> {
    /// Keeps what was found in a file, where it can be saved. Else it is moved aside when the file is replaced.
    fn keep(
        &mut self,
        place: &Place,
        found: Vec<u8>,
        options: &StateOptions,
        tell: &mut dyn FnMut(&Place, StateEvent),
    ) -> Result<()> {
        let len = found.len();
        let added = match &place.own {
            // A link may lead from one path to another's file.
            Some(own) if self.save.has(own) => return Ok(()),
            Some(own) => self.save.add(own, Document::source(found).file()).map(drop),
            None => Err(Error::invalid("no path belongs to the file")),
        };
        match added {
            Ok(()) if options.dry_run => {
                self.save = self.workspace.archive.save();
                let own = place.own.clone().unwrap_or_default();
                tell(place, StateEvent::SavedFirst(own));
            }
            Ok(()) => self.len += len,
            Err(error) if matches!(error.kind(), ErrorKind::InvalidDocument | ErrorKind::Usage) => {
                if options.dry_run {
                    tell(place, StateEvent::MovedAside(None));
                }
            }
            Err(error) => return Err(error),
        }
        match self.len >= SAVE_LEN {
            true => self.commit(options, tell),
            false => Ok(()),
        }
    }

    fn commit(
        &mut self,
        options: &StateOptions,
        tell: &mut dyn FnMut(&Place, StateEvent),
    ) -> Result<()> {
        self.len = 0;
        let next = self.workspace.archive.save();
        let mut save = std::mem::replace(&mut self.save, next);
        if options.dry_run {
            return Ok(());
        }
        save.note(Note {
            message: Some("what was on disk before restoring".to_owned()),
            ..options.note.clone()
        });
        for change in save.commit()? {
            let place = Place {
                file: self.workspace.file_of(&change.path),
                path: change.path.clone(),
                own: None,
                came_from_file: true,
                version: None,
            };
            tell(&place, StateEvent::SavedFirst(change.rev()));
        }
        Ok(())
    }
}
