//! What the SQLite index is asked. Its rows are hints: whoever asks confirms them in the log.

use rusqlite::{OptionalExtension, Row, params};

use super::asked::Asked;
use super::rows::*;
use super::schema::{number, to_sql};
use super::sqlite::{Answer, IndexError, SqliteIndex};
use crate::commit::ArchiveKeys;
use crate::id::PathKey;
use crate::log::reader::{BatchPlace, RecordPlace};

/// Names of paths kept; when there are more, all are forgotten.
const MAX_NAMES: usize = 8192;

impl SqliteIndex {
    pub fn commit(&self, seq: u64) -> Answer<Option<CommitRow>> {
        let sql =
            "SELECT segment, offset, before, record_len, time, key FROM commits WHERE seq = ?1";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([to_sql(seq)], |row| commit_row(seq, row));
        Ok(row.optional()?)
    }

    /// The number of the first commit behind this one, up to the mark.
    pub fn commit_after(&self, seq: u64, mark: u64) -> Answer<Option<u64>> {
        let sql = "SELECT seq FROM commits WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1";
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(params![to_sql(seq), to_sql(mark)], |row| number(row, 0))
            .optional()?)
    }

    /// Commits below this number, newest first.
    pub fn commits_below(&self, below: u64, limit: usize) -> Answer<Vec<CommitRow>> {
        let sql = "SELECT segment, offset, before, record_len, time, key, seq FROM commits
                   WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![to_sql(below), limit as i64], |row| {
            commit_row(number(row, 6)?, row)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn lost_commits(&self, mark: u64) -> Answer<Vec<u64>> {
        let sql = "SELECT seq FROM commits WHERE record_len = 0 AND seq <= ?1 ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([to_sql(mark)], |row| number(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn object(&self, seq: u64, ordinal: u64) -> Answer<Option<RecordPlace>> {
        let sql = "SELECT c.segment, c.offset, o.offset, o.len FROM objects o JOIN commits c ON c.seq = o.seq
                   WHERE o.seq = ?1 AND o.ordinal = ?2";
        let row =
            self.connection
                .prepare_cached(sql)?
                .query_row([to_sql(seq), to_sql(ordinal)], |row| {
                    Ok(RecordPlace {
                        segment: number(row, 0)?,
                        // Objects of a packed segment stand in front of their commit.
                        offset: number(row, 1)?.wrapping_add(number(row, 2)?),
                        len: number(row, 3)?,
                    })
                });
        Ok(row.optional()?)
    }

    pub fn newest(&self, path: Asked<'_>, mark: u64) -> Answer<Option<VersionRow>> {
        if let Some(row) = self.newest.borrow().get(path, mark) {
            return Ok(Some(row));
        }
        let row = self
            .versions(path, i64::MAX.cast_unsigned(), 1, mark)?
            .pop();
        if let Some(row) = &row {
            self.newest.borrow_mut().put(row, mark);
        }
        Ok(row)
    }

    /// What the index knows of a path. A row that is missing can be confirmed by nothing in the log, and a version
    /// number must never be given out twice: so the index says twice what versions there are, and by what the path
    /// is known.
    fn path(&self, path: Asked<'_>) -> Answer<Option<PathRow>> {
        let sql = "SELECT id, newest, count, path FROM paths WHERE key = ?1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([path.key.number()], |row| {
                let known = PathRow {
                    id: row.get(0)?,
                    newest: number(row, 1)?,
                    count: number(row, 2)?,
                };
                Ok((known, row.get::<_, Option<String>>(3)?))
            })
            .optional()?;
        if let Some((known, name)) = found {
            return Ok(path.is(name.as_deref())?.then_some(known));
        }
        let sql = "SELECT 1 FROM paths WHERE path = ?1";
        match self.connection.prepare_cached(sql)?.exists([path.path])? {
            true => Err(IndexError::Contradiction),
            false => Ok(None),
        }
    }

    /// The name of a path, where the log spells it.
    pub fn name(&self, path: PathKey, keys: &ArchiveKeys) -> Answer<Option<String>> {
        if let Some(name) = self.names.borrow().get(&path) {
            return Ok(Some(name.clone()));
        }
        let sql = "SELECT path FROM paths WHERE key = ?1";
        let name: Option<String> = self
            .connection
            .prepare_cached(sql)?
            .query_row([path.number()], |row| row.get(0))
            .optional()?
            .flatten();
        let Some(name) = name else { return Ok(None) };
        if keys.path_key(&name) != path {
            return Err(IndexError::Contradiction);
        }
        let mut names = self.names.borrow_mut();
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.insert(path, name.clone());
        Ok(Some(name))
    }

    /// Keys of paths that no commit spells, as far as damage has left them.
    pub fn nameless(&self) -> Answer<Vec<PathKey>> {
        let sql = "SELECT key FROM paths WHERE path IS NULL ORDER BY key";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok(PathKey::of_number(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Has the path a version up to the mark?
    pub fn has_path(&self, path: PathKey, mark: u64) -> Answer<bool> {
        let sql = "SELECT 1 FROM paths p JOIN versions v ON v.path = p.id
                   WHERE p.key = ?1 AND v.seq <= ?2";
        Ok(self
            .connection
            .prepare_cached(sql)?
            .exists(params![path.number(), to_sql(mark)])?)
    }

    /// Damage of the log may have taken versions. Is that why one is missing here?
    fn check_gap(&self, path: &PathRow) -> Answer<()> {
        let sql = "SELECT count(*), coalesce(max(version), 0) FROM versions WHERE path = ?1";
        let there = self
            .connection
            .prepare_cached(sql)?
            .query_row([path.id], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
        match there == (path.count, path.newest) {
            true => Ok(()),
            false => Err(IndexError::Contradiction),
        }
    }

    /// Is this row of a commit up to `mark`? Rows behind it are another process's, which has read further.
    fn within(&self, row: &VersionRow, mark: u64) -> Answer<bool> {
        if row.seq <= mark {
            return Ok(true);
        }
        let sql = "SELECT seq FROM mark";
        let read = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| number(row, 0))?;
        match row.seq <= read {
            true => Ok(false),
            false => Err(IndexError::Contradiction),
        }
    }

    pub fn version(&self, path: Asked<'_>, version: u64, mark: u64) -> Answer<Option<VersionRow>> {
        let Some(known) = self.path(path)? else {
            return Ok(None);
        };
        let sql = "SELECT v.version, v.seq, v.change, v.object, c.segment, c.offset, c.before, c.record_len
                   FROM versions v LEFT JOIN commits c ON c.seq = v.seq WHERE v.path = ?1 AND v.version = ?2";
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![known.id, to_sql(version)], |row| {
                placed_row(path, row)
            })
            .optional()?;
        match row {
            Some(row) => Ok(self.within(&row, mark)?.then_some(row)),
            None => {
                if version <= known.newest {
                    self.check_gap(&known)?;
                }
                Ok(None)
            }
        }
    }

    pub fn versions(
        &self,
        path: Asked<'_>,
        below: u64,
        limit: usize,
        mark: u64,
    ) -> Answer<Vec<VersionRow>> {
        let Some(known) = self.path(path)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT v.version, v.seq, v.change, v.object, c.segment, c.offset, c.before, c.record_len
                   FROM versions v LEFT JOIN commits c ON c.seq = v.seq
                   WHERE v.path = ?1 AND v.version < ?2 ORDER BY v.version DESC";
        let mut expected = known.newest.min(below.saturating_sub(1));
        let below = below.min(i64::MAX.cast_unsigned());
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![known.id, to_sql(below)])?;
        let mut found = Vec::new();
        let mut gap = false;
        while found.len() < limit {
            let Some(row) = rows.next()? else {
                gap |= expected > 0;
                break;
            };
            let row = placed_row(path, row)?;
            gap |= row.version != expected;
            expected = row.version.saturating_sub(1);
            if self.within(&row, mark)? {
                found.push(row);
            }
        }
        if gap {
            self.check_gap(&known)?;
        }
        Ok(found)
    }

    pub fn version_as_of(&self, path: Asked<'_>, mark: u64) -> Answer<Option<VersionRow>> {
        let sql = "SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
                   FROM paths p JOIN versions v ON v.path = p.id
                   WHERE p.key = ?1 AND v.seq <= ?2 ORDER BY v.version DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement
            .query_row(params![path.key.number(), to_sql(mark)], version_row)
            .optional()?;
        asked(path, row)
    }

    pub fn version_at(&self, path: Asked<'_>, time: i64, mark: u64) -> Answer<Option<VersionRow>> {
        let sql = "SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
                   FROM paths p JOIN versions v ON v.path = p.id JOIN commits c ON c.seq = v.seq
                   WHERE p.key = ?1 AND v.seq <= ?2 AND c.time <= ?3 ORDER BY v.version DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement
            .query_row(params![path.key.number(), to_sql(mark), time], version_row)
            .optional()?;
        asked(path, row)
    }

    pub fn by_key(&self, low: i64, high: i64, mark: u64) -> Answer<Vec<VersionRow>> {
        let sql = "SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
                   FROM versions v JOIN paths p ON p.id = v.path
                   WHERE v.object BETWEEN ?1 AND ?2 AND v.seq <= ?3
                   UNION SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
                   FROM versions v JOIN paths p ON p.id = v.path
                   WHERE v.source BETWEEN ?1 AND ?2 AND v.seq <= ?3
                   UNION SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
                   FROM versions v JOIN paths p ON p.id = v.path
                   WHERE v.layout BETWEEN ?1 AND ?2 AND v.seq <= ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![low, high, to_sql(mark)], version_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first version whose object, source or layout has this key.
    pub fn first_by_key(&self, key: i64, mark: u64) -> Answer<Option<VersionRow>> {
        let sql = "SELECT p.path, p.key, v.version, v.seq, v.change, v.object, v.source, v.layout
             FROM (SELECT * FROM (SELECT path, version, seq, change FROM versions
                                  WHERE object = ?1 AND seq <= ?2 ORDER BY seq, change LIMIT 1)
                   UNION ALL
                   SELECT * FROM (SELECT path, version, seq, change FROM versions
                                  WHERE source = ?1 AND seq <= ?2 ORDER BY seq, change LIMIT 1)
                   UNION ALL
                   SELECT * FROM (SELECT path, version, seq, change FROM versions
                                  WHERE layout = ?1 AND seq <= ?2 ORDER BY seq, change LIMIT 1)) f
             JOIN versions v ON v.path = f.path AND v.version = f.version JOIN paths p ON p.id = v.path";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![key, to_sql(mark)], version_row)?;
        let mut first: Option<VersionRow> = None;
        for row in rows {
            let order = |row: &VersionRow| (row.seq, row.change);
            first = first.into_iter().chain([row?]).min_by_key(order);
        }
        Ok(first)
    }

    pub fn paths(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        mark: u64,
        keys: &ArchiveKeys,
    ) -> Answer<Vec<String>> {
        // '0' is the character behind '/'.
        let sql = "SELECT p.path, p.key FROM paths p
                   WHERE p.path > ?1 AND (?2 = '' OR p.path = ?2 OR (p.path > ?2 || '/' AND p.path < ?2 || '0'))
                   AND (EXISTS (SELECT 1 FROM versions v WHERE v.path = p.id AND v.seq <= ?3)
                        OR NOT EXISTS (SELECT 1 FROM versions v WHERE v.path = p.id
                                       AND v.seq <= (SELECT seq FROM mark)))
                   ORDER BY p.path LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(
            params![after.unwrap_or(""), prefix, to_sql(mark), limit],
            |row| Ok((row.get::<_, String>(0)?, PathKey::of_number(row.get(1)?))),
        )?;
        rows.map(|row| match row? {
            (path, key) if keys.path_key(&path) == key => Ok(path),
            _ => Err(IndexError::Contradiction),
        })
        .collect()
    }

    pub fn tag(&self, name: &str, mark: u64) -> Answer<Option<TagRow>> {
        let sql = "SELECT name, seq, change FROM tags WHERE name = ?1 AND seq <= ?2
                   ORDER BY seq DESC, change DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement
            .query_row(params![name, to_sql(mark)], tag_row)
            .optional()?)
    }

    /// Every change of every tag, in order.
    pub fn tags(&self, mark: u64) -> Answer<Vec<TagRow>> {
        let sql = "SELECT name, seq, change FROM tags WHERE seq <= ?1 ORDER BY name, seq, change";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([to_sql(mark)], tag_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn commits_by_key(&self, low: i64, high: i64, mark: u64) -> Answer<Vec<u64>> {
        let sql =
            "SELECT seq FROM commits WHERE key BETWEEN ?1 AND ?2 AND seq <= ?3 AND record_len > 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![low, high, to_sql(mark)], |row| number(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn counts(&self, mark: u64) -> Answer<Counts> {
        let count = |sql: &str| {
            self.connection
                .prepare_cached(sql)?
                .query_row([to_sql(mark)], |row| number(row, 0))
        };
        Ok(Counts {
            paths: count(
                "SELECT count(*) FROM paths p
                 WHERE EXISTS (SELECT 1 FROM versions v WHERE v.path = p.id AND v.seq <= ?1)",
            )?,
            versions: count("SELECT count(*) FROM versions WHERE seq <= ?1")?,
            commits: count("SELECT count(*) FROM commits WHERE seq <= ?1 AND record_len > 0")?,
            objects: count("SELECT count(*) FROM objects WHERE seq <= ?1")?,
        })
    }

    /// A hash over every row up to the mark: two indexes of one log have the same.
    pub fn digest(&self, mark: u64) -> Answer<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        for sql in [
            "SELECT * FROM commits WHERE seq <= ?1 ORDER BY seq",
            "SELECT * FROM objects WHERE seq <= ?1 ORDER BY seq, ordinal",
            "SELECT p.key, p.path, v.version, v.seq, v.change, v.object, v.source, v.layout FROM versions v
             JOIN paths p ON p.id = v.path WHERE v.seq <= ?1 ORDER BY v.seq, v.change",
            "SELECT * FROM tags WHERE seq <= ?1 ORDER BY name, seq, change",
        ] {
            let mut statement = self.connection.prepare(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query([to_sql(mark)])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    hasher.update(format!("{:?};", row.get_ref(column)?).as_bytes());
                }
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// SQLite's own check of the file.
    pub fn integrity(&self) -> Answer<Option<String>> {
        let answer: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((answer != "ok").then_some(answer))
    }
}

/// A path, and what versions the index says it has.
struct PathRow {
    id: i64,
    newest: u64,
    count: u64,
}

fn commit_row(seq: u64, row: &Row<'_>) -> rusqlite::Result<CommitRow> {
    Ok(CommitRow {
        seq,
        segment: number(row, 0)?,
        offset: number(row, 1)?,
        before: number(row, 2)?,
        record_len: number(row, 3)?,
        time: row.get(4)?,
        key: row.get(5)?,
    })
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        path: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
        key: PathKey::of_number(row.get(1)?),
        version: number(row, 2)?,
        seq: number(row, 3)?,
        change: number(row, 4)?,
        object_key: row.get(5)?,
        source_key: row.get(6)?,
        layout_key: row.get(7)?,
        place: None,
    })
}

/// A row of a path that was asked for, with the place of the commit. What it says of sources and layouts is left out:
/// it serves to find a version by them, not to confirm one.
fn placed_row(path: Asked<'_>, row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let segment: Option<i64> = row.get(4)?;
    let place = match segment {
        None => None,
        Some(segment) => Some(BatchPlace {
            segment: segment.cast_unsigned(),
            offset: number(row, 5)?,
            before: number(row, 6)?,
            record_len: number(row, 7)?,
        }),
    };
    Ok(VersionRow {
        path: path.path.to_owned(),
        key: path.key,
        version: number(row, 0)?,
        seq: number(row, 1)?,
        change: number(row, 2)?,
        object_key: row.get(3)?,
        source_key: None,
        layout_key: None,
        place,
    })
}

/// A row that was found by the key of a path, where it is the path's.
fn asked(path: Asked<'_>, row: Option<VersionRow>) -> Answer<Option<VersionRow>> {
    let Some(row) = row else { return Ok(None) };
    let name = (!row.path.is_empty()).then_some(row.path.as_str());
    Ok(path.is(name)?.then(|| VersionRow {
        path: path.path.to_owned(),
        ..row
    }))
}

fn tag_row(row: &Row<'_>) -> rusqlite::Result<TagRow> {
    Ok(TagRow {
        name: row.get(0)?,
        seq: number(row, 1)?,
        change: number(row, 2)?,
    })
}
