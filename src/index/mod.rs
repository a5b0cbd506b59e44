//! The index: what the log says, arranged for asking. It is derived, and its rows are hints.
//!
//! Commits that were read from the log and are not in the SQLite file yet stand in [`Recent`]; [`Catalog`] asks
//! both. A row with a sequence number up to the mark never changes, so a reader that knows its mark has a
//! consistent view whatever others append.

mod recent;
mod rows;
mod schema;
mod sqlite;

pub(crate) use recent::Recent;
pub(crate) use rows::{
    CommitRow, Counts, Mark, Rows, TagRow, VersionRow, rows_of_batch, rows_of_orphans,
};
pub(crate) use sqlite::{Binding, IndexError, SqliteIndex};

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log::reader::{BatchPlace, RecordPlace};

/// The SQLite file up to a mark, and layers of newer commits on top of it, oldest first.
pub(crate) struct Catalog<'a> {
    question: Question<'a>,
    /// Rows of the SQLite file above this sequence number are left out.
    pub mark: u64,
    pub layers: Vec<&'a Recent>,
}

/// While it lasts, what is asked of the index is asked in one read transaction: it costs its locks once.
pub(crate) struct Question<'a>(&'a Mutex<SqliteIndex>);

impl<'a> Question<'a> {
    pub fn new(index: &'a Mutex<SqliteIndex>) -> Question<'a> {
        lock(index).begin_question();
        Question(index)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        lock(self.0).end_question();
    }
}

fn lock(index: &Mutex<SqliteIndex>) -> MutexGuard<'_, SqliteIndex> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer<T> = Result<T, IndexError>;

impl<'a> Catalog<'a> {
    pub fn new(index: &'a Mutex<SqliteIndex>, mark: u64, layers: Vec<&'a Recent>) -> Catalog<'a> {
        Catalog {
            question: Question::new(index),
            mark,
            layers,
        }
    }
}

impl Catalog<'_> {
    fn sql(&self) -> MutexGuard<'_, SqliteIndex> {
        let mut index = lock(self.question.0);
        index.read();
        index
    }

    fn newest_first(&self) -> impl Iterator<Item = &Recent> {
        self.layers.iter().rev().copied()
    }

    /// Where a commit is.
    pub fn commit(&self, seq: u64) -> Answer<Option<CommitRow>> {
        if seq > self.mark {
            return Ok(self.newest_first().find_map(|layer| layer.commit(seq)));
        }
        self.sql().commit(seq)
    }

    /// Commits whose record is lost, though objects of theirs are not.
    pub fn lost_commits(&self) -> Answer<Vec<u64>> {
        let mut lost = self.sql().lost_commits(self.mark)?;
        for layer in &self.layers {
            lost.extend(layer.lost_commits());
        }
        Ok(lost)
    }

    /// Where an object record is.
    pub fn object(&self, seq: u64, ordinal: u64) -> Answer<Option<RecordPlace>> {
        if seq <= self.mark {
            return self.sql().object(seq, ordinal);
        }
        Ok(self
            .newest_first()
            .find_map(|layer| layer.object(seq, ordinal)))
    }

    /// The newest version of a path.
    pub fn newest(&self, path: &str) -> Answer<Option<VersionRow>> {
        if let Some(row) = self.newest_first().find_map(|layer| layer.newest(path)) {
            return Ok(Some(row));
        }
        self.sql().newest(path, self.mark)
    }

    /// The newest version of a path, where what was newest in the log up to the commit `seq` is known: `None` where
    /// that may not be told from the newer commits alone.
    pub fn newest_since(&self, path: &str, seq: u64) -> Option<Option<VersionRow>> {
        if self.mark > seq {
            return None;
        }
        let row = self.newest_first().find_map(|layer| layer.newest(path));
        Some(row.filter(|row| row.seq > seq))
    }

    /// One version of a path.
    pub fn version(&self, path: &str, version: u64) -> Answer<Option<VersionRow>> {
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version(path, version))
        {
            return Ok(Some(row));
        }
        self.sql().version(path, version, self.mark)
    }

    /// Versions of a path below `below`, newest first, at most `limit`.
    pub fn versions(&self, path: &str, below: u64, limit: usize) -> Answer<Vec<VersionRow>> {
        let mut rows = Vec::new();
        for layer in self.newest_first() {
            rows.extend(layer.versions(path, below).take(limit - rows.len()));
        }
        if rows.len() < limit {
            let below = rows.last().map_or(below, |row: &VersionRow| row.version);
            rows.extend(
                self.sql()
                    .versions(path, below, limit - rows.len(), self.mark)?,
            );
        }
        Ok(rows)
    }

    /// The newest version of a path, by number, whose time is not later than `time`.
    pub fn version_at(&self, path: &str, time: i64) -> Answer<Option<VersionRow>> {
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version_at(path, time))
        {
            return Ok(Some(row));
        }
        self.sql().version_at(path, time, self.mark)
    }

    /// The newest version of a path made by the commit `seq` or before.
    pub fn version_as_of(&self, path: &str, seq: u64) -> Answer<Option<VersionRow>> {
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version_as_of(path, seq))
        {
            return Ok(Some(row));
        }
        self.sql().version_as_of(path, self.mark.min(seq))
    }

    /// Versions whose object or source has a key in this range, in the order they were made.
    pub fn by_key(&self, low: i64, high: i64) -> Answer<Vec<VersionRow>> {
        let mut rows = self.sql().by_key(low, high, self.mark)?;
        rows.sort_by_key(|row| (row.seq, row.change));
        for layer in &self.layers {
            rows.extend(layer.by_key(low, high));
        }
        Ok(rows)
    }

    /// As [`Catalog::first_by_key`], where no commit up to `seq` has the key; `None` where the mark has gone on since.
    pub fn first_by_key_since(&self, key: i64, seq: u64) -> Option<Option<VersionRow>> {
        if self.mark > seq {
            return None;
        }
        Some(self.layers.iter().find_map(|layer| layer.first_by_key(key)))
    }

    /// The first version whose object or source has this key: but for damage the one that stored it.
    pub fn first_by_key(&self, key: i64) -> Answer<Option<VersionRow>> {
        if let Some(row) = self.sql().first_by_key(key, self.mark)? {
            return Ok(Some(row));
        }
        Ok(self.layers.iter().find_map(|layer| layer.first_by_key(key)))
    }

    /// The paths from `from` on, in order, at most `limit`.
    pub fn paths(&self, prefix: &str, after: Option<&str>, limit: usize) -> Answer<Vec<String>> {
        let mut paths = self.sql().paths(prefix, after, limit, self.mark)?;
        for layer in &self.layers {
            paths.extend(layer.paths(prefix, after));
        }
        paths.sort();
        paths.dedup();
        paths.truncate(limit);
        Ok(paths)
    }

    /// What was last said of a tag.
    pub fn tag(&self, name: &str) -> Answer<Option<TagRow>> {
        self.tag_as_of(name, u64::MAX)
    }

    /// What was last said of a tag by the commit `seq` or before.
    pub fn tag_as_of(&self, name: &str, seq: u64) -> Answer<Option<TagRow>> {
        if let Some(row) = self.newest_first().find_map(|layer| layer.tag(name, seq)) {
            return Ok(Some(row));
        }
        self.sql().tag(name, self.mark.min(seq))
    }

    /// What was last said of every tag, by name.
    pub fn tags(&self) -> Answer<Vec<TagRow>> {
        let mut newest = std::collections::BTreeMap::new();
        for row in self.sql().tags(self.mark)? {
            newest.insert(row.name.clone(), row);
        }
        for layer in &self.layers {
            for row in layer.tags() {
                newest.insert(row.name.clone(), row.clone());
            }
        }
        Ok(newest.into_values().collect())
    }

    /// Sequence numbers of commits whose id starts with these eight bytes, or lies between them.
    pub fn commits_by_key(&self, low: i64, high: i64) -> Answer<Vec<u64>> {
        let mut found = self.sql().commits_by_key(low, high, self.mark)?;
        for layer in &self.layers {
            found.extend(layer.commits_by_key(low, high));
        }
        Ok(found)
    }

    /// How many there are of each.
    pub fn counts(&self) -> Answer<Counts> {
        let mut counts = self.sql().counts(self.mark)?;
        let mut new_paths = std::collections::BTreeSet::new();
        for layer in &self.layers {
            let more = layer.counts();
            counts.versions += more.versions;
            counts.commits += more.commits;
            counts.objects += more.objects;
            new_paths.extend(layer.paths("", None));
        }
        for path in new_paths {
            if self.sql().newest(&path, self.mark)?.is_none() {
                counts.paths += 1;
            }
        }
        Ok(counts)
    }
}

impl CommitRow {
    /// Where the batch is.
    pub fn place(&self) -> BatchPlace {
        BatchPlace {
            segment: self.segment,
            offset: self.offset,
            before: self.before,
            record_len: self.record_len,
        }
    }
}

/// Is `path` the path `prefix`, or below it? The empty prefix has everything below it.
pub(crate) fn rows_under(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
