//! Saving new content and writing it to its file, as one step.
//!
//! The order is: look at the file; write the new content to a temporary file beside it; commit, in front of it what
//! the file holds and the archive does not; only then rename. Whatever fails before the commit leaves file and archive
//! as they were, and the content of the file is in the archive before anyone can read it there. The file itself is not
//! synced: the log is, and has the same bytes.

use std::path::{Path, PathBuf};

use super::Workspace;
use super::disk::OnDisk;
use crate::archive::{Change, Document, Note, Version};
use crate::canon::NanMode;
use crate::commit::Op;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ObjectId;
use crate::storage::files::{self, Durability, Replacement};
use crate::time;

/// How often a file is written again because another writer has saved a newer version meanwhile.
const MAX_ROUNDS: usize = 64;

/// What a file is to hold.
#[derive(Clone, Debug, Default)]
pub struct FileContent {
    /// JSON text.
    pub bytes: Vec<u8>,
    /// What to do with `NaN` and the infinities; else what the path's newest version was saved with.
    pub nan: Option<NanMode>,
    /// Message, author, metadata and time of the commit.
    pub note: Note,
    /// Only if the newest version is this one (0: there is none).
    pub if_version: Option<u64>,
    /// Only if the path has no document now.
    pub if_absent: bool,
}

/// What became of new content. The archive has it.
#[derive(Debug)]
pub struct FileSave {
    /// What stood in the file and in no version: it was saved in front.
    pub first: Option<Change>,
    /// The version of the new content.
    pub change: Change,
    /// The new names of what stood in the file and could not be saved, or came while the commit was made.
    pub aside: Vec<PathBuf>,
    /// Was the file replaced? Where it was not it is as it was, or has one of the names in `aside`.
    pub written: Result<()>,
}

impl Workspace {
    /// Saves content as a new version of the path that belongs to `file`, then replaces the file by it. What stands in
    /// the file and is in no version of the path is saved first; where it is no document it is renamed to
    /// `FILE.unsaved-<stamp>`.
    ///
    /// Where others save to the same file at the same time, it has the newest version once all have returned.
    ///
    /// # Errors
    /// `Usage` for a file outside the archive's root, `InvalidDocument`, `Conflict` where a condition does not hold, and
    /// what the system or the archive says. The file is then untouched and no version was made, but for
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown). What fails after the commit is in the answer.
    pub fn save_file(&self, file: &Path, content: FileContent, stamp: i64) -> Result<FileSave> {
        let path = self.path_of_file(file)?;
        let file = self.base.join(file);
        let on_disk = self.look(&file, Some(&path))?;
        let replacement = Replacement::prepare(&file, &content.bytes)?;
        let id = ObjectId::of(&content.bytes);
        let mut save = self.archive.save();
        let mut unsaved = false;
        if let OnDisk::Unsaved(found) = &on_disk
            && *found != content.bytes
        {
            let found = Document::source(found.clone()).nan(NanMode::Tag).file();
            match save.save_first(&path, found) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::InvalidDocument => unsaved = true,
                Err(error) => return Err(error),
            }
        }
        let mut document = Document::source(content.bytes).file();
        if let Some(nan) = content.nan {
            document = document.nan(nan);
        }
        save.add(&path, document)?.note(content.note);
        if let Some(version) = content.if_version {
            save.if_version(version);
        }
        if content.if_absent {
            save.if_absent();
        }
        let mut changes = save.commit()?;
        let change = changes.pop();
        let change = change.ok_or_else(|| Error::invalid("there is nothing to save"))?;
        let first = changes.pop();
        self.written.note(&path, id);
        let mut turn = Turn {
            workspace: self,
            path: &path,
            file: &file,
            seen: (!unsaved).then(|| on_disk.bytes().map(<[u8]>::to_vec)),
            stream: matches!(on_disk, OnDisk::Stream),
            stamp,
            aside: Vec::new(),
        };
        let written = turn.write_newest(replacement, &change);
        Ok(FileSave {
            first,
            aside: turn.aside,
            change,
            written,
        })
    }

    /// The newest version of a path, where a save after `than` has made it.
    fn newer_save(&self, path: &str, than: (u64, u64)) -> Result<Option<Version>> {
        let (version, seq) = than;
        if self.archive.head()?.seq == seq {
            return Ok(None);
        }
        let newest = self.archive.newest(path)?;
        Ok(newest.filter(|newest| newest.op == Op::Save && newest.version > version))
    }
}

/// The replacement of a file after its commit.
struct Turn<'a> {
    workspace: &'a Workspace,
    path: &'a str,
    file: &'a Path,
    /// What was seen in the file and is in the archive; `None` in front of what is not.
    seen: Option<Option<Vec<u8>>>,
    stream: bool,
    stamp: i64,
    aside: Vec<PathBuf>,
}

impl Turn<'_> {
    /// Replaces the file. Nothing orders renames as the lock orders commits: who finds a newer save at its turn writes that
    /// one, and so does who has replaced the file of one in the meantime.
    fn write_newest(&mut self, replacement: Replacement, change: &Change) -> Result<()> {
        let mut next = Some(replacement);
        let mut current = (change.version, change.seq);
        for _ in 0..MAX_ROUNDS {
            if let Some(newer) = self.workspace.newer_save(self.path, current)? {
                let content = self.workspace.archive.load(&newer)?.into_source();
                if !self.stream && files::read_if_there(self.file)?.as_deref() == Some(&content) {
                    return Ok(());
                }
                next = Some(Replacement::prepare(self.file, &content)?);
                current = (newer.version, newer.seq);
            }
            let Some(replacement) = next.take() else {
                return Ok(());
            };
            self.keep_what_came()?;
            replacement.put(Durability::Lazy)?;
        }
        Ok(())
    }

    /// What was written to the file since it was looked at, and is not in the archive, is moved aside.
    fn keep_what_came(&mut self) -> Result<()> {
        if self.stream {
            return Ok(());
        }
        let now = files::read_if_there(self.file)?;
        let kept = match (&now, &self.seen) {
            (None, _) => true,
            (Some(now), Some(Some(seen))) if now == seen => true,
            (Some(now), _) => self.workspace.has_bytes(self.path, now),
        };
        if !kept {
            let stamp = time::format_utc(self.stamp);
            self.aside.push(files::rename_aside(self.file, &stamp)?);
        }
        Ok(())
    }
}
