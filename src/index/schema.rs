//! The tables of the SQLite file, and writing to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Mark, Rows, VersionRow};
use crate::id::PathKey;

/// Changes with the tables below: an index of another schema is built anew.
pub(super) const SCHEMA: i64 = 5;
pub(super) const TABLES: &str = "
    CREATE TABLE mark(
        one INTEGER PRIMARY KEY CHECK (one = 1),
        archive BLOB NOT NULL, place TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
        generation INTEGER NOT NULL, segment INTEGER NOT NULL, end INTEGER NOT NULL,
        seq INTEGER NOT NULL, id BLOB NOT NULL, recorded INTEGER NOT NULL, synced_before INTEGER NOT NULL,
        batch_segment INTEGER, batch INTEGER, before INTEGER, record_len INTEGER,
        lost TEXT);
    CREATE TABLE commits(
        seq INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, before INTEGER NOT NULL,
        record_len INTEGER NOT NULL, time INTEGER NOT NULL, key INTEGER NOT NULL);
    CREATE TABLE objects(
        seq INTEGER NOT NULL, ordinal INTEGER NOT NULL, offset INTEGER NOT NULL, len INTEGER NOT NULL,
        PRIMARY KEY (seq, ordinal)) WITHOUT ROWID;
    CREATE TABLE paths(
        id INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, path TEXT UNIQUE,
        newest INTEGER NOT NULL, count INTEGER NOT NULL);
    CREATE TABLE versions(
        path INTEGER NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL, change INTEGER NOT NULL,
        object INTEGER, source INTEGER, layout INTEGER,
        PRIMARY KEY (path, version)) WITHOUT ROWID;
    CREATE INDEX versions_by_object ON versions(object, seq, change) WHERE object IS NOT NULL;
    CREATE INDEX versions_by_source ON versions(source, seq, change) WHERE source IS NOT NULL;
    CREATE INDEX versions_by_layout ON versions(layout, seq, change) WHERE layout IS NOT NULL;
    CREATE TABLE tags(
        name TEXT NOT NULL, seq INTEGER NOT NULL, change INTEGER NOT NULL,
        PRIMARY KEY (name, seq, change)) WITHOUT ROWID;
";

pub(super) fn to_sql(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn write_mark(connection: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    let place = mark.head.place;
    connection
        .prepare_cached(
            "UPDATE mark SET generation = ?1, segment = ?2, end = ?3, seq = ?4, id = ?5, recorded = ?6,
                synced_before = ?7, batch = ?8, before = ?9, record_len = ?10, batch_segment = ?11",
        )?
        .execute(params![
            to_sql(mark.generation),
            to_sql(mark.segment),
            to_sql(mark.offset),
            to_sql(mark.head.seq),
            mark.head.commit.0.as_slice(),
            mark.head.recorded,
            to_sql(mark.head.synced_before),
            place.map(|p| to_sql(p.offset)),
            place.map(|p| to_sql(p.before)),
            place.map(|p| to_sql(p.record_len)),
            // Not always the segment that was read last: a new one has no commit yet.
            place.map(|p| to_sql(p.segment)),
        ])?;
    Ok(())
}

/// Inserts rows, knowing the ids of paths it has met.
pub(super) struct RowWriter<'a> {
    connection: &'a Connection,
    paths: HashMap<PathKey, WrittenPath>,
}

/// A path that has rows in this turn: its id, the newest of its new versions, and how many there are.
struct WrittenPath {
    id: i64,
    named: bool,
    newest: u64,
    count: u64,
}

impl<'a> RowWriter<'a> {
    pub fn new(connection: &'a Connection) -> RowWriter<'a> {
        RowWriter {
            connection,
            paths: Default::default(),
        }
    }

    fn path(&mut self, row: &VersionRow) -> rusqlite::Result<&mut WrittenPath> {
        let connection = self.connection;
        let path = match self.paths.entry(row.key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (id, named) = path_id(connection, row)?;
                entry.insert(WrittenPath {
                    id,
                    named,
                    newest: 0,
                    count: 0,
                })
            }
        };
        if !path.named && !row.path.is_empty() {
            connection
                .prepare_cached("UPDATE paths SET path = ?2 WHERE id = ?1 AND path IS NULL")?
                .execute(params![path.id, row.path])?;
            path.named = true;
        }
        Ok(path)
    }

    /// Writes beside each path what versions it has.
    pub fn finish(self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE paths SET newest = max(newest, ?2), count = count + ?3 WHERE id = ?1",
        )?;
        for path in self.paths.values() {
            statement.execute(params![path.id, to_sql(path.newest), to_sql(path.count)])?;
        }
        Ok(())
    }

    pub fn insert(&mut self, rows: &Rows) -> rusqlite::Result<()> {
        let connection = self.connection;
        let mut commit = connection
            .prepare_cached("INSERT OR REPLACE INTO commits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for row in &rows.commits {
            commit.execute(params![
                to_sql(row.seq),
                to_sql(row.segment),
                to_sql(row.offset),
                to_sql(row.before),
                to_sql(row.record_len),
                row.time,
                row.key
            ])?;
        }
        let mut object =
            connection.prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4)")?;
        for row in &rows.objects {
            object.execute(params![
                to_sql(row.seq),
                to_sql(row.ordinal),
                to_sql(row.offset),
                to_sql(row.len)
            ])?;
        }
        let mut version = connection
            .prepare_cached("INSERT OR IGNORE INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for row in &rows.versions {
            let path = self.path(row)?;
            let inserted = version.execute(params![
                path.id,
                to_sql(row.version),
                to_sql(row.seq),
                to_sql(row.change),
                row.object_key,
                row.source_key,
                row.layout_key
            ])?;
            path.newest = path.newest.max(row.version);
            path.count += inserted as u64;
        }
        let mut tag =
            connection.prepare_cached("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)")?;
        for row in &rows.tags {
            tag.execute(params![row.name, to_sql(row.seq), to_sql(row.change)])?;
        }
        Ok(())
    }
}

/// The id of a row's path, a new one where the path has none, and whether the path has its name.
fn path_id(connection: &Connection, row: &VersionRow) -> rusqlite::Result<(i64, bool)> {
    let known = connection
        .prepare_cached("SELECT id, path IS NOT NULL FROM paths WHERE key = ?1")?
        .query_row([row.key.number()], |found| {
            Ok((found.get(0)?, found.get(1)?))
        })
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let name = (!row.path.is_empty()).then_some(&row.path);
    connection
        .prepare_cached("INSERT INTO paths(key, path, newest, count) VALUES (?1, ?2, 0, 0)")?
        .execute(params![row.key.number(), name])?;
    Ok((connection.last_insert_rowid(), name.is_some()))
}
