//! Going back: rollback of paths, undo and redo of whole commits.

use super::Archive;
use super::engine::Fault;
use super::plan::{Rules, plan};
use super::save::{Conditions, Document, Prepared};
use super::transaction::{Draft, Newest, Transaction};
use super::version::{Change as Changed, CommitView, Note, Status, Version};
use crate::commit::{Change, Fields, Op};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::format::LOG_FOLDER;
use crate::revision::Spec;

/// What was restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// What was saved in front, so that nothing on disk is lost.
    pub first: Vec<Changed>,
    /// What the commit made of each path.
    pub changes: Vec<Changed>,
    /// What the file of each path should hold now; `None` where the path ended.
    pub files: Vec<(String, Option<Version>)>,
}

/// A commit that makes older versions of one or more paths current again.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before commit()"]
pub struct Rollback<'a> {
    archive: &'a Archive,
    targets: Vec<Version>,
    first: Vec<Prepared>,
    note: Note,
    conditions: Conditions,
}

impl<'a> Rollback<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Rollback<'a> {
        Rollback {
            archive,
            targets: Vec::new(),
            first: Vec::new(),
            note: Note::default(),
            conditions: Conditions::default(),
        }
    }

    /// Adds a path, to be set to a version; `None` is the version before the one now current. Where that one is a
    /// rollback itself it is the one before the version that was restored, so that rolling back again walks further
    /// back. What is meant is settled now and stays.
    ///
    /// # Errors
    /// `NotFound` where there is no such version, or it is a deletion.
    pub fn path(&mut self, path: &str, to: Option<Spec>) -> Result<&mut Self> {
        let target = match to {
            Some(spec) => self.archive.resolve(path, &spec)?,
            None => self.archive.version_before(path)?,
        };
        if target.is_deleted() {
            return Err(Error::not_found(format!(
                "{path} was deleted in version {}",
                target.version
            )));
        }
        if self.targets.iter().any(|other| other.path == path) {
            return Err(Error::invalid(format!("{path} is named twice")));
        }
        self.targets.push(target);
        Ok(self)
    }

    /// The versions that will be restored.
    pub fn targets(&self) -> &[Version] {
        &self.targets
    }

    /// Message, author, metadata and time of the commit.
    pub fn note(&mut self, note: Note) -> &mut Self {
        self.note = note;
        self
    }

    /// Commits only if the newest version of every path, before [`Rollback::save_first`], is this one.
    pub fn if_version(&mut self, version: u64) -> &mut Self {
        self.conditions.if_version = Some(version);
        self
    }

    /// Saves what the file of a path holds in a commit of its own in front, with the same sync.
    ///
    /// # Errors
    /// `InvalidDocument` where it cannot be saved.
    pub fn save_first(&mut self, path: &str, document: Document) -> Result<&mut Self> {
        add_first(&mut self.first, self.archive.prepare(path, document)?)?;
        Ok(self)
    }

    /// Commits; returns once everything is on disk.
    pub fn commit(self) -> Result<Restored> {
        if self.targets.is_empty() {
            return Ok(Restored {
                first: Vec::new(),
                changes: Vec::new(),
                files: Vec::new(),
            });
        }
        let Rollback {
            archive,
            targets,
            first,
            note,
            conditions,
        } = self;
        archive.engine.submit(move |transaction| {
            for target in &targets {
                conditions.check(&target.path, transaction.newest(&target.path)?.as_ref())?;
            }
            let first = save_in_front(transaction, &first, &note, BEFORE_GOING_BACK)?;
            let mut drafts = Vec::new();
            let mut changes = Vec::new();
            for target in &targets {
                let Some(newest) = transaction.newest(&target.path)? else {
                    return Err(Fault::Error(Error::not_found(format!(
                        "no version of {}",
                        target.path
                    ))));
                };
                let content = content_of(transaction, target)?;
                if transaction.same_content(newest.change().content, content)? {
                    changes.push(unchanged(transaction, &newest)?);
                    continue;
                }
                let mut change = Change::new(Op::Rollback, &*target.path, newest.row.version + 1);
                change.content = content;
                change.of = target.version;
                change.file = newest.change().file;
                changes.push(answer(&change, Status::RolledBack));
                drafts.push(Draft {
                    before: Some(newest),
                    ..Draft::of(change)
                });
            }
            stage_answers(transaction, &note, Fields::default(), drafts, &mut changes)?;
            let files = targets
                .iter()
                .map(|target| (target.path.clone(), Some(target.clone())))
                .collect();
            Ok(Restored {
                first,
                changes,
                files,
            })
        })
    }
}

/// The inverse of a whole commit, over all its paths and tags.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before commit()"]
pub struct Undo<'a> {
    archive: &'a Archive,
    view: CommitView,
    redo: bool,
    first: Vec<Prepared>,
    note: Note,
}

impl<'a> Undo<'a> {
    pub(crate) fn new(archive: &'a Archive, view: CommitView, redo: bool) -> Undo<'a> {
        Undo {
            archive,
            view,
            redo,
            first: Vec::new(),
            note: Note::default(),
        }
    }

    /// The commit that will be taken back.
    pub fn view(&self) -> &CommitView {
        &self.view
    }

    /// Message, author, metadata and time of the commit.
    pub fn note(&mut self, note: Note) -> &mut Self {
        self.note = note;
        self
    }

    /// Saves what the file of a path holds in a commit of its own in front, with the same sync. It does not count
    /// as a change since.
    ///
    /// # Errors
    /// `InvalidDocument` where it cannot be saved.
    pub fn save_first(&mut self, path: &str, document: Document) -> Result<&mut Self> {
        add_first(&mut self.first, self.archive.prepare(path, document)?)?;
        Ok(self)
    }

    /// Commits; returns once everything is on disk.
    ///
    /// # Errors
    /// `Conflict` where a path or a tag has changed since the commit that is to be taken back.
    pub fn commit(self) -> Result<Restored> {
        let Undo {
            archive,
            view,
            redo,
            first,
            note,
        } = self;
        // Where the index is wrong it is mended here: under the lock that would be an error.
        for version in &view.changes {
            archive.newest(&version.path)?;
        }
        let (op, status) = if redo {
            (Op::Redo, Status::Redone)
        } else {
            (Op::Undo, Status::Undone)
        };
        archive
            .engine
            .submit(move |transaction| {
                for version in &view.changes {
                    check_unchanged_since(transaction, version, view.seq)?;
                }
                let mut drafts = Vec::new();
                let mut changes = Vec::new();
                let mut files = Vec::new();
                for name in &view.tags {
                    drafts.push(Draft::of(undo_tag(transaction, name, view.seq)?));
                }
                let mut restored = Vec::new();
                for version in &view.changes {
                    let before =
                        transaction.version_as_of(&version.path, view.seq.saturating_sub(1))?;
                    if let Some(before) = &before {
                        transaction.check_whole(before)?;
                    }
                    restored.push((version.path.clone(), before));
                }
                let first = save_in_front(transaction, &first, &note, BEFORE_GOING_BACK)?;
                for (path, before) in restored {
                    let newest = transaction.newest(&path)?;
                    let number = newest.as_ref().map_or(0, |newest| newest.row.version);
                    let mut change = Change::new(op, &*path, number + 1);
                    change.content = before.as_ref().and_then(|before| before.change().content);
                    change.of = before.as_ref().map_or(0, |before| before.row.version);
                    change.file = newest.as_ref().is_some_and(|newest| newest.change().file)
                        || before.as_ref().is_some_and(|before| before.change().file);
                    changes.push(answer(&change, status));
                    files.push((path, change.content.is_some()));
                    drafts.push(Draft::of(change));
                }
                let mut fields = Fields::default();
                fields.set_number(
                    if redo {
                        Fields::REDO_OF
                    } else {
                        Fields::UNDO_OF
                    },
                    view.seq,
                );
                stage_answers(transaction, &note, fields, drafts, &mut changes)?;
                Ok((first, changes, files))
            })
            .and_then(|(first, changes, ended)| {
                let mut files = Vec::new();
                for ((path, live), change) in ended.into_iter().zip(&changes) {
                    let version = match live {
                        true => Some(archive.resolve(&path, &Spec::Number(change.version))?),
                        false => None,
                    };
                    files.push((path, version));
                }
                Ok(Restored {
                    first,
                    changes,
                    files,
                })
            })
    }
}

pub(super) fn add_first(first: &mut Vec<Prepared>, document: Prepared) -> Result<()> {
    if first.iter().any(|other| other.path == document.path) {
        return Err(Error::invalid(format!("{} is named twice", document.path)));
    }
    first.push(document);
    Ok(())
}

/// The message of a commit in front of a rollback or an undo.
const BEFORE_GOING_BACK: &str = "what was on disk before going back";

/// Stages what the files hold in a commit of its own.
pub(super) fn save_in_front(
    transaction: &mut Transaction<'_>,
    first: &[Prepared],
    note: &Note,
    message: &str,
) -> Result<Vec<Changed>, Fault> {
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let plan = plan(transaction, first, Rules::default())?;
    let message = Some(message.to_owned());
    let note = Note {
        message,
        author: note.author.clone(),
        ..Note::default()
    };
    plan.stage(transaction, &note, Fields::default())
}

fn content_of(
    transaction: &Transaction<'_>,
    version: &Version,
) -> Result<Option<crate::commit::Content>, Fault> {
    let found = transaction.version(&version.path, version.version)?;
    if let Some(found) = &found {
        transaction.check_whole(found)?;
    }
    let content = found.and_then(|found| found.change().content);
    // It was read before the lock was had: what another writer had not synced then may be gone.
    if content.map(|content| content.object) != version.id {
        let message = format!("{} is no longer in the archive", version.rev());
        return Err(Fault::Error(Error::not_found(message)));
    }
    Ok(content)
}

pub(crate) fn unchanged(transaction: &Transaction<'_>, newest: &Newest) -> Result<Changed, Fault> {
    Ok(Changed {
        path: newest.row.path.clone(),
        version: newest.row.version,
        id: newest.change().content.map(|content| content.object),
        commit: transaction.commit_id(newest.row.seq)?,
        seq: newest.row.seq,
        status: Status::Unchanged,
    })
}

/// The answer for a change whose commit is not known yet.
pub(crate) fn answer(change: &Change, status: Status) -> Changed {
    Changed {
        path: change.path.clone(),
        version: change.version,
        id: change.content.map(|content| content.object),
        commit: CommitId([0; 32]),
        seq: 0,
        status,
    }
}

/// Stages the drafts, where there are any, and fills their commit into the answers.
pub(crate) fn stage_answers(
    transaction: &mut Transaction<'_>,
    note: &Note,
    fields: Fields,
    drafts: Vec<Draft>,
    answers: &mut [Changed],
) -> Result<(), Fault> {
    if drafts.is_empty() {
        return Ok(());
    }
    let staged = transaction.stage(note, fields, drafts)?;
    for answer in answers
        .iter_mut()
        .filter(|answer| answer.status != Status::Unchanged)
    {
        (answer.commit, answer.seq) = (staged.commit, staged.seq);
    }
    Ok(())
}

/// Is the state that the commit `seq` left of this path the state now? Whoever brought it back: what counts is the
/// content.
fn check_unchanged_since(
    transaction: &Transaction<'_>,
    version: &Version,
    seq: u64,
) -> Result<(), Fault> {
    let left = transaction.version_as_of(&version.path, seq)?;
    let now = transaction.newest(&version.path)?;
    let content = |state: &Option<Newest>| state.as_ref().and_then(|state| state.change().content);
    if transaction.same_content(content(&left), content(&now))? {
        return Ok(());
    }
    let newest = now.map_or(0, |now| now.row.version);
    let message = format!(
        "{} has changed since commit {seq}: it is at version {newest} now",
        version.path
    );
    Err(Fault::Error(Error::conflict(
        &version.path,
        newest,
        message,
    )))
}

fn undo_tag(transaction: &Transaction<'_>, name: &str, seq: u64) -> Result<Change, Fault> {
    let left = transaction.tag_as_of(name, seq)?;
    let now = transaction.tag_as_of(name, u64::MAX)?;
    if left != now {
        let message = format!("tag {name:?} has changed since commit {seq}");
        return Err(Fault::Error(Error::conflict("", 0, message)));
    }
    Ok(match transaction.tag_as_of(name, seq.saturating_sub(1))? {
        Some(before) => before,
        None => {
            let mut change = Change::new(Op::TagDelete, "", 0);
            change.other = name.to_owned();
            change
        }
    })
}

impl Archive {
    /// What `rollback` goes to where nothing is said: see [`Rollback::path`].
    fn version_before(&self, path: &str) -> Result<Version> {
        let mut current = self.resolve(path, &Spec::Latest)?;
        let none = |path: &str| Error::not_found(format!("{path} has no version to go back to"));
        while let (Op::Rollback, Some(of)) = (current.op, current.of) {
            if of >= current.version {
                let message = format!("{} goes back to a later version", current.rev());
                return Err(Error::corrupt(LOG_FOLDER, None, message));
            }
            current = self.resolve(path, &Spec::Number(of))?;
        }
        // A deletion in between is nothing to go back to.
        let mut number = current.version;
        while number > 1 {
            number -= 1;
            let version = self.resolve(path, &Spec::Number(number))?;
            if !version.is_deleted() {
                return Ok(version);
            }
        }
        Err(none(path))
    }
}
