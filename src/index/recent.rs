//! Commits that are not in the SQLite file yet, in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::rows::*;
use crate::id::PathKey;
use crate::log::reader::RecordPlace;

/// Rows of the newest commits.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    commits: BTreeMap<u64, CommitRow>,
    objects: HashMap<(u64, u64), ObjectRow>,
    versions: HashMap<PathKey, Vec<VersionRow>>,
    /// Paths that these commits spell.
    paths: BTreeMap<String, PathKey>,
    names: HashMap<PathKey, String>,
    /// Key, and which row of which path has it.
    keys: BTreeMap<i64, Vec<(PathKey, usize)>>,
    tags: Vec<TagRow>,
    version_count: u64,
    /// Bytes of log that these rows stand for.
    pub log_bytes: u64,
}

impl Recent {
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    pub fn len(&self) -> usize {
        self.commits.len()
    }

    pub fn newest_seq(&self) -> Option<u64> {
        self.commits.last_key_value().map(|(seq, _)| *seq)
    }

    pub fn add(&mut self, rows: Rows) {
        for row in rows.commits {
            self.commits.insert(row.seq, row);
        }
        for row in rows.objects {
            self.objects.insert((row.seq, row.ordinal), row);
        }
        for row in rows.versions {
            self.version_count += 1;
            if !row.path.is_empty() && !self.names.contains_key(&row.key) {
                self.paths.insert(row.path.clone(), row.key);
                self.names.insert(row.key, row.path.clone());
            }
            let list = self.versions.entry(row.key).or_default();
            for key in [row.object_key, row.source_key, row.layout_key]
                .into_iter()
                .flatten()
            {
                let places = self.keys.entry(key).or_default();
                places.push((row.key, list.len()));
            }
            list.push(row);
        }
        self.tags.extend(rows.tags);
    }

    /// Takes over the rows of later commits.
    pub fn append(&mut self, later: Recent) {
        if self.is_empty() && self.log_bytes == 0 {
            *self = later;
        } else {
            self.log_bytes += later.log_bytes;
            self.add(later.rows());
        }
    }

    /// All rows, for the SQLite file.
    pub fn rows(&self) -> Rows {
        let mut versions: Vec<VersionRow> = self.versions.values().flatten().cloned().collect();
        versions.sort_by_key(|row| (row.seq, row.change));
        let mut objects: Vec<ObjectRow> = self.objects.values().copied().collect();
        objects.sort_by_key(|row| (row.seq, row.ordinal));
        Rows {
            commits: self.commits.values().copied().collect(),
            versions,
            objects,
            tags: self.tags.clone(),
        }
    }

    pub fn commit(&self, seq: u64) -> Option<CommitRow> {
        self.commits.get(&seq).copied()
    }

    /// The number of the first commit behind this one.
    pub fn commit_after(&self, seq: u64) -> Option<u64> {
        let behind = (Bound::Excluded(seq), Bound::Unbounded);
        self.commits.range(behind).next().map(|(seq, _)| *seq)
    }

    /// Commits below this number, newest first.
    pub fn commits_below(&self, below: u64) -> impl Iterator<Item = &CommitRow> {
        self.commits.range(..below).rev().map(|(_, row)| row)
    }

    pub fn lost_commits(&self) -> impl Iterator<Item = u64> + '_ {
        let lost = |row: &&CommitRow| row.record_len == 0;
        self.commits.values().filter(lost).map(|row| row.seq)
    }

    pub fn object(&self, seq: u64, ordinal: u64) -> Option<RecordPlace> {
        let row = self.objects.get(&(seq, ordinal))?;
        let commit = self.commits.get(&seq)?;
        // Objects of a packed segment stand in front of their commit.
        let offset = commit.offset.wrapping_add(row.offset);
        Some(RecordPlace {
            segment: commit.segment,
            offset,
            len: row.len,
        })
    }

    pub fn newest(&self, path: PathKey) -> Option<VersionRow> {
        self.versions
            .get(&path)?
            .iter()
            .max_by_key(|row| row.version)
            .cloned()
    }

    pub fn version(&self, path: PathKey, version: u64) -> Option<VersionRow> {
        self.versions
            .get(&path)?
            .iter()
            .find(|row| row.version == version)
            .cloned()
    }

    /// Newest first.
    pub fn versions(&self, path: PathKey, below: u64) -> impl Iterator<Item = VersionRow> + '_ {
        let rows = self.versions.get(&path).map_or(&[][..], Vec::as_slice);
        rows.iter()
            .rev()
            .filter(move |row| row.version < below)
            .cloned()
    }

    pub fn version_at(&self, path: PathKey, time: i64) -> Option<VersionRow> {
        let rows = self.versions.get(&path)?;
        let in_time =
            |row: &&VersionRow| self.commits.get(&row.seq).is_some_and(|c| c.time <= time);
        rows.iter().rev().find(in_time).cloned()
    }

    pub fn version_as_of(&self, path: PathKey, seq: u64) -> Option<VersionRow> {
        self.versions
            .get(&path)?
            .iter()
            .rev()
            .find(|row| row.seq <= seq)
            .cloned()
    }

    pub fn by_key(&self, low: i64, high: i64) -> Vec<VersionRow> {
        let mut rows: Vec<VersionRow> = self
            .keys
            .range(low..=high)
            .flat_map(|(_, places)| places)
            .filter_map(|(path, index)| self.versions.get(path)?.get(*index).cloned())
            .collect();
        rows.sort_by_key(|row| (row.seq, row.change));
        rows.dedup();
        rows
    }

    /// The first version whose object, source or layout has this key.
    pub fn first_by_key(&self, key: i64) -> Option<VersionRow> {
        let (path, index) = self.keys.get(&key)?.first()?;
        self.versions.get(path)?.get(*index).cloned()
    }

    pub fn paths(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let under = |path: &&String| {
            super::rows_under(path, prefix) && after.is_none_or(|a| path.as_str() > a)
        };
        self.paths.keys().filter(under).cloned().collect()
    }

    /// The name of a path, where these commits spell it.
    pub fn name(&self, path: PathKey) -> Option<&str> {
        self.names.get(&path).map(String::as_str)
    }

    /// The paths that have versions here, spelled or not.
    pub fn path_keys(&self) -> impl Iterator<Item = PathKey> + '_ {
        self.versions.keys().copied()
    }

    pub fn tag(&self, name: &str, seq: u64) -> Option<TagRow> {
        self.tags
            .iter()
            .rev()
            .find(|row| row.name == name && row.seq <= seq)
            .cloned()
    }

    pub fn tags(&self) -> &[TagRow] {
        &self.tags
    }

    pub fn commits_by_key(&self, low: i64, high: i64) -> Vec<u64> {
        let within = |row: &&CommitRow| row.record_len > 0 && (low..=high).contains(&row.key);
        self.commits
            .values()
            .filter(within)
            .map(|row| row.seq)
            .collect()
    }

    pub fn counts(&self) -> Counts {
        Counts {
            paths: 0,
            versions: self.version_count,
            commits: self
                .commits
                .values()
                .filter(|row| row.record_len > 0)
                .count() as u64,
            objects: self.objects.len() as u64,
        }
    }
}
