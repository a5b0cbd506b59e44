//! Another archive's history, as new commits that say where they come from.

use std::collections::{HashMap, HashSet};

use super::{Imported, Intake, Tell, check_under, is_about_one, place, rebase};
use crate::archive::{Archive, CommitView, Document, HistoryQuery, Note, Version};
use crate::canon::{Form, NanMode};
use crate::commit::{Op, Origin, SourceForm};
use crate::error::Result;
use crate::id::CommitId;
use crate::path::join;

/// The whole history of an archive.
///
/// Each commit becomes one with the same time, author, message, metadata, documents and bytes; its [`Origin`] names the
/// archive, the commit and when that was recorded. Renames stay renames; what was rolled back, undone or brought back is
/// saved again. Tags stay where they are.
#[derive(Clone, Debug, Default)]
pub struct ArchiveImport {
    /// The folder of the archive that the paths come under; empty for its root.
    pub under: String,
}

impl ArchiveImport {
    /// Imports what `archive` does not have yet of `source`. Where one is a copy of the other that went its own way, what
    /// they have in common is not imported, unless it is under a folder.
    ///
    /// # Errors
    /// Where `source` cannot be read or `archive` not be written. A version that damage has taken is told of and left out.
    pub fn run(&self, archive: &Archive, source: &Archive, tell: Tell<'_>) -> Result<Imported> {
        check_under(&self.under)?;
        let mut intake = Intake::new(archive, tell)?;
        let common = match self.under.is_empty() && archive.id() == source.id() {
            true => common(archive, source)?,
            false => 0,
        };
        let after = self.imported_up_to(archive, source, common)?;
        for commit in source.commits_after(after)? {
            self.push(&commit?, source, &mut intake)?;
        }
        intake.finish()
    }

    /// The newest commit of `source` behind `common` that was imported; commits are imported in their order.
    fn imported_up_to(&self, archive: &Archive, source: &Archive, common: u64) -> Result<u64> {
        let mut origins = Origins {
            archive,
            source,
            paths: HashMap::new(),
        };
        for commit in source.commits()? {
            let commit = commit?;
            if commit.seq <= common {
                break;
            }
            for version in &commit.changes {
                if origins
                    .of(join(&self.under, &version.path))?
                    .contains(&commit.commit)
                {
                    return Ok(commit.seq);
                }
            }
        }
        Ok(common)
    }

    fn push<'a>(
        &self,
        commit: &CommitView,
        source: &Archive,
        intake: &mut Intake<'a, '_>,
    ) -> Result<()> {
        let mut save = intake.archive.save();
        let mut note = Note {
            message: commit.message.clone(),
            author: commit.author.clone(),
            meta: commit.meta.clone(),
            time: Some(commit.time),
        };
        rebase(&mut note.meta, &self.under);
        let origin = Origin {
            archive: source.id(),
            commit: commit.commit,
            recorded: commit.recorded,
        };
        save.note(note).origin(origin).repeat(true);
        let mut len = 0;
        // What a rename ends is a change of its own, which may stand in front.
        let mut changes: Vec<&Version> = commit.changes.iter().collect();
        changes.sort_by_key(|version| version.op != Op::Rename);
        for version in changes {
            let added = (|| {
                let path = place(&self.under, &version.path)?;
                if version.is_deleted() {
                    if !save.has(&path) {
                        save.delete(&path)?;
                    }
                    return Ok(0);
                }
                let (document, len) = document(source, version)?;
                let from = version.other.as_ref().filter(|_| version.op == Op::Rename);
                let from = from.map(|from| place(&self.under, from)).transpose()?;
                match from.filter(|from| !save.has(from)) {
                    Some(from) => save.add_moved(&from, &path, document)?,
                    None => save.add(&path, document)?,
                };
                Ok(len)
            })();
            match added {
                Ok(added) => len += added,
                Err(error) if is_about_one(&error) || error.is_corrupt() => {
                    intake.leave_out(&version.path, version.rev(), error);
                }
                Err(error) => return Err(error),
            }
        }
        intake.push(save, len)
    }
}

/// A version's document as it was saved, and its length.
fn document(source: &Archive, version: &Version) -> Result<(Document, usize)> {
    let loaded = source.load(version)?;
    let len = loaded.canonical().len();
    let mode = if version.nan {
        NanMode::Tag
    } else {
        NanMode::Reject
    };
    let document = match version.form {
        SourceForm::None if version.nan => Document::value(loaded.render(Form::Compact)).nan(mode),
        SourceForm::None => Document::canonical(loaded.canonical()),
        _ => Document::source(loaded.into_source()).nan(mode),
    };
    Ok(match version.file {
        true => (document.file(), len),
        false => (document, len),
    })
}

/// The newest commit that two copies of an archive have in common; 0 for none.
fn common(a: &Archive, b: &Archive) -> Result<u64> {
    let (mut same, mut other) = (0, a.head()?.seq.min(b.head()?.seq) + 1);
    // Each id vouches for all in front: where two are the same, so is everything before.
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        match (first_behind(a, middle)?, first_behind(b, middle)?) {
            (Some(a), Some(b)) if a == b => same = middle,
            _ => other = middle,
        }
    }
    Ok(same)
}

/// The number and the id of the first commit from this number on.
fn first_behind(archive: &Archive, seq: u64) -> Result<Option<(u64, CommitId)>> {
    let first = archive.commits_after(seq - 1)?.next().transpose()?;
    Ok(first.map(|first| (first.seq, first.commit)))
}

/// What was imported from an archive, path by path.
struct Origins<'a> {
    archive: &'a Archive,
    source: &'a Archive,
    paths: HashMap<String, HashSet<CommitId>>,
}

impl Origins<'_> {
    /// The commits of the source that versions of this path were imported from.
    fn of(&mut self, path: String) -> Result<&HashSet<CommitId>> {
        if !self.paths.contains_key(&path) {
            let mut commits = HashSet::new();
            let query = HistoryQuery {
                path: Some(path.clone()),
                ..HistoryQuery::default()
            };
            for version in self.archive.history(query)? {
                let origin = version?.origin;
                let own = origin.filter(|origin| origin.archive == self.source.id());
                commits.extend(own.map(|origin| origin.commit));
            }
            self.paths.insert(path.clone(), commits);
        }
        Ok(self.paths.entry(path).or_default())
    }
}
