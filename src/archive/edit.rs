//! Changes without a new document: delete, undelete, rename, tags.

use super::Archive;
use super::engine::Fault;
use super::restore::{answer, stage_answers, unchanged};
use super::save::Conditions;
use super::transaction::{Draft, Newest, Transaction};
use super::version::{Change as Changed, Note, Status, Version};
use crate::commit::{Change, Fields, Op};
use crate::error::{Error, Result};
use crate::path::check_path;
use crate::revision::check_tag_name;

#[derive(Clone, Debug)]
pub(crate) enum EditKind {
    Delete(Vec<String>),
    Undelete(Vec<String>),
    Rename {
        old: String,
        new: String,
    },
    TagVersion {
        name: String,
        path: String,
        version: u64,
    },
    TagArchive {
        name: String,
        seq: u64,
    },
    TagDelete {
        name: String,
    },
}

/// A commit that changes no document.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before commit()"]
pub struct Edit<'a> {
    archive: &'a Archive,
    kind: EditKind,
    note: Note,
    conditions: Conditions,
}

impl<'a> Edit<'a> {
    pub(crate) fn new(archive: &'a Archive, kind: EditKind) -> Edit<'a> {
        Edit {
            archive,
            kind,
            note: Note::default(),
            conditions: Conditions::default(),
        }
    }

    /// Message, author, metadata and time of the commit.
    pub fn note(&mut self, note: Note) -> &mut Self {
        self.note = note;
        self
    }

    /// Commits only if the newest version of every path (of a rename: of the old path) is this one.
    pub fn if_version(&mut self, version: u64) -> &mut Self {
        self.conditions.if_version = Some(version);
        self
    }

    /// Commits; returns once the commit is on disk.
    ///
    /// # Errors
    /// `NotFound` for a path or tag that is not there, `Conflict` where a condition fails or a path is in the way.
    pub fn commit(self) -> Result<Vec<Changed>> {
        let Edit {
            archive,
            kind,
            note,
            conditions,
        } = self;
        match &kind {
            EditKind::Rename { new, .. } => {
                check_path(new).map_err(|error| Error::invalid(error.to_string()))?;
            }
            EditKind::TagVersion { name, .. } | EditKind::TagArchive { name, .. } => {
                check_tag_name(name).map_err(|error| Error::invalid(error.to_string()))?;
            }
            EditKind::Delete(paths) | EditKind::Undelete(paths) => check_once(paths)?,
            EditKind::TagDelete { .. } => {}
        }
        // Where the index is wrong it is mended here: under the lock that would be an error.
        let touched = match &kind {
            EditKind::Delete(paths) | EditKind::Undelete(paths) => paths.clone(),
            EditKind::Rename { old, new } => vec![old.clone(), new.clone()],
            EditKind::TagVersion { path, .. } => vec![path.clone()],
            EditKind::TagArchive { .. } | EditKind::TagDelete { .. } => Vec::new(),
        };
        for path in touched {
            archive.newest(&path)?;
        }
        archive.engine.submit(move |transaction| {
            let (drafts, mut answers) = match &kind {
                EditKind::Delete(paths) => delete(transaction, paths, conditions)?,
                EditKind::Undelete(paths) => undelete(transaction, paths, conditions)?,
                EditKind::Rename { old, new } => rename(transaction, old, new, conditions)?,
                EditKind::TagVersion {
                    name,
                    path,
                    version,
                } => tag(transaction, name, path, *version, 0)?,
                EditKind::TagArchive { name, seq } => tag(transaction, name, "", 0, *seq)?,
                EditKind::TagDelete { name } => delete_tag(transaction, name)?,
            };
            stage_answers(transaction, &note, Fields::default(), drafts, &mut answers)?;
            Ok(answers)
        })
    }
}

/// A path named twice would get the same version twice.
fn check_once(paths: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    match paths.iter().find(|path| !seen.insert(path.as_str())) {
        Some(path) => Err(Error::invalid(format!("{path} is named twice"))),
        None => Ok(()),
    }
}

type Planned = (Vec<Draft>, Vec<Changed>);

fn live(
    transaction: &Transaction<'_>,
    path: &str,
    conditions: Conditions,
) -> Result<Newest, Fault> {
    let newest = transaction.newest(path)?;
    conditions.check(path, newest.as_ref())?;
    match newest {
        Some(newest) if newest.change().content.is_some() => Ok(newest),
        Some(newest) => {
            let message = format!("{path} was deleted in version {}", newest.row.version);
            Err(Fault::Error(Error::not_found(message)))
        }
        None => Err(Fault::Error(Error::not_found(format!(
            "no version of {path}"
        )))),
    }
}

fn delete(
    transaction: &Transaction<'_>,
    paths: &[String],
    conditions: Conditions,
) -> Result<Planned, Fault> {
    let mut planned = Planned::default();
    for path in paths {
        let newest = live(transaction, path, conditions)?;
        let mut change = Change::new(Op::Delete, &**path, newest.row.version + 1);
        change.file = newest.change().file;
        planned.1.push(answer(&change, Status::Deleted));
        planned.0.push(Draft::of(change));
    }
    Ok(planned)
}

fn undelete(
    transaction: &Transaction<'_>,
    paths: &[String],
    conditions: Conditions,
) -> Result<Planned, Fault> {
    let mut planned = Planned::default();
    for path in paths {
        let newest = transaction.newest(path)?;
        conditions.check(path, newest.as_ref())?;
        let Some(newest) = newest else {
            return Err(Fault::Error(Error::not_found(format!(
                "no version of {path}"
            ))));
        };
        if newest.change().content.is_some() {
            planned.1.push(unchanged(transaction, &newest)?);
            continue;
        }
        let mut number = newest.row.version;
        let before = loop {
            // Numbers may be missing, any number of them.
            let Some(version) = transaction.version_below(path, number)? else {
                return Err(Fault::Error(Error::not_found(format!(
                    "{path} never had a document"
                ))));
            };
            number = version.row.version;
            if version.change().content.is_some() {
                break version;
            }
        };
        transaction.check_whole(&before)?;
        let mut change = Change::new(Op::Undelete, &**path, newest.row.version + 1);
        change.content = before.change().content;
        change.of = before.row.version;
        change.file = newest.change().file;
        planned.1.push(answer(&change, Status::Undeleted));
        planned.0.push(Draft::of(change));
    }
    Ok(planned)
}

fn rename(
    transaction: &Transaction<'_>,
    old: &str,
    new: &str,
    conditions: Conditions,
) -> Result<Planned, Fault> {
    if old == new {
        return Err(Fault::Error(Error::invalid(format!(
            "{old} has that name already"
        ))));
    }
    let source = live(transaction, old, conditions)?;
    let target = transaction.newest(new)?;
    if let Some(target) = &target
        && target.change().content.is_some()
    {
        let message = format!("{new} exists, at version {}", target.row.version);
        return Err(Fault::Error(Error::conflict(
            new,
            target.row.version,
            message,
        )));
    }
    let mut taken = Change::new(
        Op::Rename,
        new,
        target.map_or(0, |target| target.row.version) + 1,
    );
    taken.content = source.change().content;
    taken.file = source.change().file;
    taken.of = source.row.version;
    taken.other = old.to_owned();
    let mut away = Change::new(Op::RenameAway, old, source.row.version + 1);
    away.file = source.change().file;
    away.other = new.to_owned();
    let answers = vec![
        answer(&away, Status::RenamedAway),
        answer(&taken, Status::Renamed),
    ];
    Ok((vec![Draft::of(taken), Draft::of(away)], answers))
}

fn tag(
    transaction: &Transaction<'_>,
    name: &str,
    path: &str,
    version: u64,
    seq: u64,
) -> Result<Planned, Fault> {
    let mut change = Change::new(Op::Tag, path, version);
    change.of = seq;
    change.other = name.to_owned();
    let mut done = answer(&change, Status::Tagged);
    if path.is_empty() {
        if seq == 0 || seq > transaction.head_seq() {
            return Err(Fault::Error(Error::not_found(
                "there is no commit to name".to_owned(),
            )));
        }
    } else {
        let Some(named) = transaction.version(path, version)? else {
            return Err(Fault::Error(Error::not_found(format!(
                "{path} has no version {version}"
            ))));
        };
        done.id = named.change().content.map(|content| content.object);
    }
    if transaction.tag_as_of(name, u64::MAX)?.as_ref() == Some(&change) {
        done.status = Status::Unchanged;
        done.seq = transaction.head_seq();
        done.commit = transaction.commit_id(done.seq)?;
        return Ok((Vec::new(), vec![done]));
    }
    Ok((vec![Draft::of(change)], vec![done]))
}

fn delete_tag(transaction: &Transaction<'_>, name: &str) -> Result<Planned, Fault> {
    match transaction.tag_as_of(name, u64::MAX)? {
        Some(before) if before.op == Op::Tag => {
            let mut change = Change::new(Op::TagDelete, "", 0);
            change.other = name.to_owned();
            Ok((
                vec![Draft::of(change.clone())],
                vec![answer(&change, Status::TagDeleted)],
            ))
        }
        _ => Err(Fault::Error(Error::not_found(format!("no tag {name:?}")))),
    }
}

impl Archive {
    /// Ends paths; their history stays.
    pub fn delete(&self, paths: &[&str]) -> Edit<'_> {
        Edit::new(
            self,
            EditKind::Delete(paths.iter().map(|path| (*path).to_owned()).collect()),
        )
    }

    /// Brings deleted paths back, with the content they had before.
    pub fn undelete(&self, paths: &[&str]) -> Edit<'_> {
        Edit::new(
            self,
            EditKind::Undelete(paths.iter().map(|path| (*path).to_owned()).collect()),
        )
    }

    /// Lets `new` go on where `old` ends: its history leads to the old path's.
    pub fn rename(&self, old: &str, new: &str) -> Edit<'_> {
        Edit::new(
            self,
            EditKind::Rename {
                old: old.to_owned(),
                new: new.to_owned(),
            },
        )
    }

    /// Names a version of a path.
    pub fn tag_version(&self, name: &str, version: &Version) -> Edit<'_> {
        let kind = EditKind::TagVersion {
            name: name.to_owned(),
            path: version.path.clone(),
            version: version.version,
        };
        Edit::new(self, kind)
    }

    /// Names the whole archive as the commit of this number left it.
    pub fn tag_archive(&self, name: &str, seq: u64) -> Edit<'_> {
        Edit::new(
            self,
            EditKind::TagArchive {
                name: name.to_owned(),
                seq,
            },
        )
    }

    /// Removes a tag; the commits that set it stay in the history.
    pub fn delete_tag(&self, name: &str) -> Edit<'_> {
        Edit::new(
            self,
            EditKind::TagDelete {
                name: name.to_owned(),
            },
        )
    }
}
