//! A transaction: what jobs see of the newest state under the writer's lock, and what they have staged on top of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::contents::{ChainPlace, Encoded, ObjectAt};
use super::engine::{Engine, Fault};
use super::objects::{ObjectReader, Unwritten};
use super::sources::NewSource;
use super::view::View;
use crate::commit::{self, Change, SourceForm};
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId};
use crate::index::{Catalog, Recent, VersionRow};
use crate::log::cursor::Head;
use crate::log::reader::LocatedChange;
use crate::wire::Malformed;

/// A new object of a change: its content, and what it may rest on.
#[derive(Clone, Debug)]
pub(crate) struct NewObject {
    pub id: ObjectId,
    pub bytes: Arc<Vec<u8>>,
    /// Compressed before the lock was taken.
    pub guess: Option<Guess>,
}

impl NewObject {
    pub fn of(bytes: Vec<u8>) -> NewObject {
        NewObject {
            id: ObjectId::of(&bytes),
            bytes: bytes.into(),
            guess: None,
        }
    }

    /// What was compressed in front, if that was of this reading of the log.
    pub fn guess_of(&self, reading: u64) -> Option<&Guess> {
        self.guess.as_ref().filter(|guess| guess.reading == reading)
    }
}

/// An object compressed for the newest state that was known.
#[derive(Clone, Debug)]
pub(crate) struct Guess {
    pub on: GuessBase,
    /// Of which reading of the log: after another the same place may hold another object.
    pub reading: u64,
    /// No commit up to this one has the object.
    pub absent: u64,
    /// Shared, because a large one is not to be copied.
    pub encoded: Arc<Encoded>,
}

/// What a guess rests on.
#[derive(Clone, Debug)]
pub(crate) enum GuessBase {
    /// The object of the path's previous version, by its place, and what that rests on.
    Before(Option<ObjectAt>),
    /// The path has no version yet; the object rests on that of another path.
    Kin(Over),
    /// The object of the path's previous version, which the same batch brings, at this place in its chain; the new one
    /// is compressed over it, or over an anchor.
    Staged {
        id: ObjectId,
        place: ChainPlace,
        over: Over,
    },
}

/// What an object behind one of the same batch, or the first one of a path, is compressed over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// It stands alone.
    Nothing,
    /// An object of the same batch, at this place in its chain.
    Staged { id: ObjectId, place: ChainPlace },
    /// An object that the log has.
    Stored,
}

/// What was newest of a path before the lock was taken.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// In the log up to this commit, of this reading of it.
    pub seq: u64,
    pub reading: u64,
    pub newest: Option<Newest>,
    /// Whether that can be loaded, where its document is the one to be saved.
    pub loads: Option<bool>,
}

/// A change to be staged.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub change: Change,
    /// The document, where the log may not have it yet.
    pub object: Option<NewObject>,
    /// The source, where it is stored; its form is settled on staging.
    pub source: Option<NewSource>,
    /// The path's previous version: what the new objects may rest on.
    pub before: Option<Newest>,
}

impl Draft {
    pub fn of(change: Change) -> Draft {
        Draft {
            change,
            object: None,
            source: None,
            before: None,
        }
    }
}

/// A version's row and what the log says of it.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub row: VersionRow,
    pub located: LocatedChange,
}

impl Newest {
    pub fn change(&self) -> &Change {
        &self.located.stored.change
    }
}

/// A commit that was staged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub seq: u64,
    pub commit: CommitId,
}

/// Stages commits on top of the newest state.
pub(crate) struct Transaction<'a> {
    pub(super) engine: &'a Engine,
    pub(super) view: &'a View,
    pub(super) group: Recent,
    /// What the running job has staged.
    pub(super) job: Recent,
    pub(super) unwritten: Unwritten,
    /// The objects that were staged: where each is, and at which place in its chain.
    pub(super) staged: HashMap<ObjectId, (ObjectAt, ChainPlace)>,
    pub(super) head: Head,
    /// Bytes in front of the group that are not known to be on disk.
    pub(super) unsynced: u64,
    pub(super) now: i64,
}

impl Transaction<'_> {
    /// Runs a job; where it fails, nothing of it stays.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (len, head) = (self.unwritten.bytes.len(), self.head);
        let result = work(self);
        if result.is_ok() {
            self.group.append(std::mem::take(&mut self.job));
        } else {
            self.unwritten.bytes.truncate(len);
            for seq in head.seq + 1..=self.head.seq {
                self.unwritten.changes.remove(&seq);
                self.unwritten.ids.remove(&seq);
            }
            self.staged.retain(|_, (at, _)| at.seq <= head.seq);
            // The next commit of this number, maybe another process's, has other objects.
            self.engine.forget_objects_from(head.seq + 1);
            self.head = head;
            self.job = Recent::default();
        }
        result
    }

    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&ObjectReader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let keys = self.engine.reader.keys();
        let layers = vec![&self.view.recent, &self.group, &self.job];
        let catalog = Catalog::new(keys, &self.engine.index, self.view.mark, layers);
        ask(&ObjectReader {
            reader: &self.engine.reader,
            catalog: &catalog,
            unwritten: Some(&self.unwritten),
            layouts: &self.engine.layouts,
            reading: self.engine.reading(),
            changes: &self.engine.changes,
        })
    }

    /// Is this source that of a content? Where the archive cannot tell, the answer is no.
    pub fn has_source(
        &self,
        content: &commit::Content,
        source: &NewSource,
        document: &NewObject,
    ) -> Result<bool, Fault> {
        no_where_doubtful(self.with(|objects| objects.has_source(content, source, document)))
    }

    /// Can this version be loaded? As seen before the lock was taken, where it was looked into then.
    pub fn loads(&self, newest: &Newest, seen: Option<&Seen>) -> Result<bool, Fault> {
        let same = |seen: &&Seen| {
            let before = seen.newest.as_ref().map(|before| before.row.seq);
            seen.reading == self.engine.reading() && before == Some(newest.row.seq)
        };
        match seen.filter(same).and_then(|seen| seen.loads) {
            Some(loads) => Ok(loads),
            None => self.with(|objects| objects.loads(newest, Some(&self.engine.cache))),
        }
    }

    /// Fails where a version that is to be made current again cannot be loaded, byte for byte.
    pub fn check_whole(&self, version: &Newest) -> Result<(), Fault> {
        let Some(content) = version.change().content else {
            return Ok(());
        };
        let (located, seq) = (&version.located, version.row.seq);
        let cache = Some(&self.engine.cache);
        self.with(|objects| {
            let canonical = objects.named(located, seq, &content.object, cache)?;
            match content.source {
                SourceForm::Object(id) => objects.named(located, seq, &id, cache).map(drop),
                SourceForm::LaidOut { check, layout } => objects
                    .laid_out(
                        &canonical,
                        content.nan,
                        (check, layout),
                        (seq, &version.row.path),
                    )
                    .map(drop),
                SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => Ok(()),
            }
        })
    }

    /// Can this version be loaded, byte for byte?
    pub fn is_whole(&self, version: &Newest) -> Result<bool, Fault> {
        no_where_doubtful(self.check_whole(version).map(|()| true))
    }

    /// Are these the same document in the same bytes? Where the archive cannot tell, the answer is no.
    pub fn same_content(
        &self,
        a: Option<commit::Content>,
        b: Option<commit::Content>,
    ) -> Result<bool, Fault> {
        match (a, b) {
            (Some(a), Some(b)) => {
                no_where_doubtful(self.with(|objects| objects.same_content(&a, &b)))
            }
            (a, b) => Ok(a.is_none() && b.is_none()),
        }
    }

    /// The newest version of a path, a deletion included.
    pub fn newest(&self, path: &str) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.newest(path)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// The commit that made the newest version of a path, and the number of that.
    pub fn newest_seq(&self, path: &str) -> Result<Option<(u64, u64)>, Fault> {
        self.with(|objects| {
            let newest = objects.catalog.newest(path)?;
            Ok(newest.map(|row| (row.seq, row.version)))
        })
    }

    /// The newest version of a path, where that was looked up before.
    pub fn newest_after(&self, path: &str, seen: Option<&Seen>) -> Result<Option<Newest>, Fault> {
        if let Some(seen) = seen
            && seen.reading == self.engine.reading()
            && self.with(|objects| Ok(objects.catalog.has_changed_since(path, seen.seq)))?
                == Some(false)
        {
            return Ok(seen.newest.clone());
        }
        self.newest(path)
    }

    /// One version of a path.
    pub fn version(&self, path: &str, version: u64) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.version(path, version)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// The newest version of a path below a number.
    pub fn version_below(&self, path: &str, below: u64) -> Result<Option<Newest>, Fault> {
        self.with(
            |objects| match objects.catalog.versions(path, below, 1)?.pop() {
                None => Ok(None),
                Some(row) => Ok(Some(Newest {
                    located: objects.change(&row)?,
                    row,
                })),
            },
        )
    }

    /// The newest version of a path made by commit `seq` or before.
    pub fn version_as_of(&self, path: &str, seq: u64) -> Result<Option<Newest>, Fault> {
        self.with(|objects| match objects.catalog.version_as_of(path, seq)? {
            None => Ok(None),
            Some(row) => Ok(Some(Newest {
                located: objects.change(&row)?,
                row,
            })),
        })
    }

    /// What was last said of a tag by commit `seq` or before.
    pub fn tag_as_of(&self, name: &str, seq: u64) -> Result<Option<Change>, Fault> {
        self.with(|objects| match objects.catalog.tag_as_of(name, seq)? {
            None => Ok(None),
            Some(row) => Ok(Some(objects.change_at(row.seq, row.change)?.stored.change)),
        })
    }

    /// The newest sequence number.
    pub fn head_seq(&self) -> u64 {
        self.head.seq
    }

    /// The id of a commit.
    pub fn commit_id(&self, seq: u64) -> Result<CommitId, Fault> {
        if seq == self.head.seq {
            return Ok(self.head.commit);
        }
        if let Some(id) = self.unwritten.ids.get(&seq) {
            return Ok(*id);
        }
        self.with(|objects| match objects.catalog.commit(seq)? {
            Some(row) if row.record_len > 0 => Ok(self.engine.reader.commit(row.place())?.id()),
            _ => Err(Fault::Error(Error::not_found(format!("no commit {seq}")))),
        })
    }
}

fn no_where_doubtful(answer: Result<bool, Fault>) -> Result<bool, Fault> {
    match answer {
        Err(Fault::Doubt(_)) => Ok(false),
        answer => answer,
    }
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Fault {
        super::objects::doubt(error.0.to_owned())
    }
}
