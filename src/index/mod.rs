//! The index: what the log says, arranged for asking. It is derived, and its rows are hints.
//!
//! Commits that were read from the log and are not in the SQLite file yet stand in [`Recent`]; [`Catalog`] asks
//! both. A row with a sequence number up to the mark never changes, so a reader that knows its mark has a
//! consistent view whatever others append.

mod asked;
mod newest;
mod queries;
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

use asked::Asked;

use crate::commit::{ArchiveKeys, Change};
use crate::id::PathKey;
use crate::log::reader::{BatchPlace, RecordPlace};

/// The SQLite file up to a mark, and layers of newer commits on top of it, oldest first.
pub(crate) struct Catalog<'a> {
    keys: &'a ArchiveKeys,
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
    pub fn new(
        keys: &'a ArchiveKeys,
        index: &'a Mutex<SqliteIndex>,
        mark: u64,
        layers: Vec<&'a Recent>,
    ) -> Catalog<'a> {
        Catalog {
            keys,
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

    /// The number of the newest commit.
    pub fn newest_seq(&self) -> u64 {
        let newest = self.layers.iter().filter_map(|layer| layer.newest_seq());
        newest.fold(self.mark, u64::max)
    }

    /// Where a commit is.
    pub fn commit(&self, seq: u64) -> Answer<Option<CommitRow>> {
        if seq > self.mark {
            return Ok(self.newest_first().find_map(|layer| layer.commit(seq)));
        }
        self.sql().commit(seq)
    }

    /// The number of the first commit behind this one that the log has.
    pub fn commit_after(&self, seq: u64) -> Answer<Option<u64>> {
        if seq < self.mark
            && let Some(next) = self.sql().commit_after(seq, self.mark)?
        {
            return Ok(Some(next));
        }
        let behind = seq.max(self.mark);
        let next = self
            .layers
            .iter()
            .filter_map(|layer| layer.commit_after(behind));
        Ok(next.min())
    }

    /// The commits below this number that the log has, newest first, at most `limit`. Numbers may be missing, any
    /// number of them: who counts down from the newest may never come to an end.
    pub fn commits_below(&self, below: u64, limit: usize) -> Answer<Vec<CommitRow>> {
        let mut rows: Vec<CommitRow> = Vec::new();
        for layer in self.newest_first() {
            let below = rows.last().map_or(below, |row| row.seq);
            rows.extend(layer.commits_below(below).take(limit - rows.len()));
        }
        if rows.len() < limit {
            let below = rows.last().map_or(below, |row| row.seq);
            let below = below.min(self.mark.saturating_add(1));
            rows.extend(self.sql().commits_below(below, limit - rows.len())?);
        }
        Ok(rows)
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

    fn asked<'p>(&'p self, path: &'p str) -> Asked<'p> {
        Asked::new(path, self.keys)
    }

    /// The name of a path; none where damage has taken every spelling of it.
    pub fn name(&self, path: PathKey) -> Answer<Option<String>> {
        if let Some(name) = self.newest_first().find_map(|layer| layer.name(path)) {
            return Ok(Some(name.to_owned()));
        }
        self.sql().name(path, self.keys)
    }

    /// The name of another path that has the key of this one.
    pub fn other_name(&self, path: &str) -> Answer<Option<String>> {
        let name = self.name(self.keys.path_key(path))?;
        Ok(name.filter(|name| name != path))
    }

    /// Fills in the path of a change that stands in the log by its key.
    pub fn fill(&self, change: &mut Change) -> Answer<()> {
        if let Some(key) = change.key
            && change.path.is_empty()
        {
            change.path = self.name(key)?.unwrap_or_else(|| key.stand_in());
        }
        Ok(())
    }

    /// Fills in the path of a row that was not asked for by it.
    fn named(&self, mut row: VersionRow) -> Answer<VersionRow> {
        if row.path.is_empty() {
            row.path = self.name(row.key)?.unwrap_or_else(|| row.key.stand_in());
        } else if self.keys.path_key(&row.path) != row.key {
            return Err(IndexError::Contradiction);
        }
        Ok(row)
    }

    /// A row out of a layer, where it is of the path asked for.
    fn of(&self, path: Asked<'_>, row: VersionRow) -> Answer<Option<VersionRow>> {
        let name = match row.path.is_empty() {
            true => self.name(row.key)?,
            false => Some(row.path.clone()),
        };
        Ok(path.is(name.as_deref())?.then(|| VersionRow {
            path: path.path.to_owned(),
            ..row
        }))
    }

    /// The newest version of a path.
    pub fn newest(&self, path: &str) -> Answer<Option<VersionRow>> {
        let path = self.asked(path);
        if let Some(row) = self.newest_first().find_map(|layer| layer.newest(path.key)) {
            return self.of(path, row);
        }
        self.sql().newest(path, self.mark)
    }

    /// Has a commit behind `seq` made a version of this path? `None` where the mark has gone on since.
    pub fn has_changed_since(&self, path: &str, seq: u64) -> Option<bool> {
        if self.mark > seq {
            return None;
        }
        let key = self.keys.path_key(path);
        let newest = self.newest_first().find_map(|layer| layer.newest(key));
        Some(newest.is_some_and(|row| row.seq > seq))
    }

    /// One version of a path.
    pub fn version(&self, path: &str, version: u64) -> Answer<Option<VersionRow>> {
        let path = self.asked(path);
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version(path.key, version))
        {
            return self.of(path, row);
        }
        self.sql().version(path, version, self.mark)
    }

    /// Versions of a path below `below`, newest first, at most `limit`.
    pub fn versions(&self, path: &str, below: u64, limit: usize) -> Answer<Vec<VersionRow>> {
        let path = self.asked(path);
        let mut rows = Vec::new();
        for layer in self.newest_first() {
            for row in layer.versions(path.key, below).take(limit - rows.len()) {
                match self.of(path, row)? {
                    Some(row) => rows.push(row),
                    None => return Ok(rows),
                }
            }
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

    /// The versions of every path that no commit spells any more, newest first, a list a path.
    pub fn nameless(&self) -> Answer<Vec<Vec<VersionRow>>> {
        let mut paths = self.sql().nameless()?;
        for layer in &self.layers {
            paths.extend(layer.path_keys());
        }
        paths.sort_unstable();
        paths.dedup();
        let mut found = Vec::new();
        for key in paths {
            if self.name(key)?.is_some() {
                continue;
            }
            let path = Asked::nameless(key, self.keys);
            let mut rows: Vec<VersionRow> = Vec::new();
            for layer in self.newest_first() {
                rows.extend(layer.versions(key, u64::MAX));
            }
            let below = rows.last().map_or(u64::MAX, |row| row.version);
            rows.extend(self.sql().versions(path, below, usize::MAX, self.mark)?);
            for row in &mut rows {
                row.path = key.stand_in();
            }
            found.push(rows);
        }
        Ok(found)
    }

    /// The newest version of a path, by number, whose time is not later than `time`.
    pub fn version_at(&self, path: &str, time: i64) -> Answer<Option<VersionRow>> {
        let path = self.asked(path);
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version_at(path.key, time))
        {
            return self.of(path, row);
        }
        self.sql().version_at(path, time, self.mark)
    }

    /// The newest version of a path made by the commit `seq` or before.
    pub fn version_as_of(&self, path: &str, seq: u64) -> Answer<Option<VersionRow>> {
        let path = self.asked(path);
        if let Some(row) = self
            .newest_first()
            .find_map(|layer| layer.version_as_of(path.key, seq))
        {
            return self.of(path, row);
        }
        self.sql().version_as_of(path, self.mark.min(seq))
    }

    /// Versions whose object, source or layout has a key in this range, in the order they were made.
    pub fn by_key(&self, low: i64, high: i64) -> Answer<Vec<VersionRow>> {
        let mut rows = self.sql().by_key(low, high, self.mark)?;
        rows.sort_by_key(|row| (row.seq, row.change));
        for layer in &self.layers {
            rows.extend(layer.by_key(low, high));
        }
        rows.into_iter().map(|row| self.named(row)).collect()
    }

    /// As [`Catalog::first_by_key`], where no commit up to `seq` has the key; `None` where the mark has gone on since.
    pub fn first_by_key_since(&self, key: i64, seq: u64) -> Answer<Option<Option<VersionRow>>> {
        if self.mark > seq {
            return Ok(None);
        }
        let row = self.layers.iter().find_map(|layer| layer.first_by_key(key));
        row.map(|row| self.named(row)).transpose().map(Some)
    }

    /// The first version whose object, source or layout has this key: but for damage the one that stored it.
    pub fn first_by_key(&self, key: i64) -> Answer<Option<VersionRow>> {
        let known = self.sql().first_by_key(key, self.mark)?;
        known
            .or_else(|| self.layers.iter().find_map(|layer| layer.first_by_key(key)))
            .map(|row| self.named(row))
            .transpose()
    }

    /// The paths from `from` on, in order, at most `limit`.
    pub fn paths(&self, prefix: &str, after: Option<&str>, limit: usize) -> Answer<Vec<String>> {
        let mut paths = self
            .sql()
            .paths(prefix, after, limit, self.mark, self.keys)?;
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
            new_paths.extend(layer.path_keys());
        }
        for path in new_paths {
            if !self.sql().has_path(path, self.mark)? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ArchiveId;

    fn row(path: &str, key: PathKey, version: u64) -> VersionRow {
        VersionRow {
            path: path.to_owned(),
            key,
            version,
            seq: version,
            change: 0,
            object_key: None,
            source_key: None,
            layout_key: None,
            place: None,
        }
    }

    #[test]
    fn another_path_of_the_same_key_is_not_taken_for_this_one() {
        let keys = ArchiveKeys::new(ArchiveId([7; 16]));
        let index = Mutex::new(SqliteIndex::open(None).unwrap());
        let binding = Binding {
            archive: ArchiveId([7; 16]),
            place: String::new(),
            device: 0,
            inode: 0,
        };
        let mark = Mark {
            generation: 0,
            segment: 1,
            offset: 0,
            head: crate::log::cursor::Head {
                seq: 0,
                commit: crate::id::CommitId([0; 32]),
                recorded: 0,
                place: None,
                synced_before: 0,
            },
        };
        let built = index
            .lock()
            .unwrap()
            .rebuild::<IndexError>(&binding, None, |_| Ok(mark));
        built.unwrap();
        // As if `first` had the key of `second`: no two names are known that have the same one.
        let key = keys.path_key("second");
        let mut recent = Recent::default();
        recent.add(Rows {
            versions: vec![row("first", key, 1), row("", key, 2)],
            ..Rows::default()
        });
        let catalog = Catalog::new(&keys, &index, 0, vec![&recent]);
        assert_eq!(
            catalog.other_name("second").unwrap().as_deref(),
            Some("first")
        );
        assert_eq!(catalog.other_name("third").unwrap(), None);
        // The name contradicts the key: what a hash cannot make is an index that is wrong.
        assert!(catalog.newest("second").is_err());
        // A name that is lost may be the one that is asked for.
        let mut nameless = Recent::default();
        nameless.add(Rows {
            versions: vec![row("", key, 2)],
            ..Rows::default()
        });
        let catalog = Catalog {
            layers: vec![&nameless],
            ..catalog
        };
        assert_eq!(catalog.newest("second").unwrap().unwrap().path, "second");
        assert_eq!(catalog.newest("first").unwrap(), None);
        assert_eq!(catalog.other_name("second").unwrap(), None);
        assert_eq!(catalog.nameless().unwrap()[0][0].path, key.stand_in());
    }
}
