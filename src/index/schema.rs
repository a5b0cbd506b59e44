//! The tables of the SQLite file, and writing to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Mark, Rows};
use crate::id::ObjectId;

/// Changes with the tables below: an index of another schema is built anew.
pub(super) const SCHEMA: i64 = 4;
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
        id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, key INTEGER NOT NULL,
        newest INTEGER NOT NULL, count INTEGER NOT NULL);
    CREATE INDEX paths_by_key ON paths(key);
    CREATE TABLE versions(
        path INTEGER NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL, change INTEGER NOT NULL,
        object INTEGER, source INTEGER,
        PRIMARY KEY (path, version)) WITHOUT ROWID;
    CREATE INDEX versions_by_object ON versions(object, seq, change) WHERE object IS NOT NULL;
    CREATE INDEX versions_by_source ON versions(source, seq, change) WHERE source IS NOT NULL;
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
    paths: HashMap<String, WrittenPath>,
}

/// A path that has rows in this turn: its id, the newest of its new versions, and how many there are.
struct WrittenPath {
    id: i64,
    newest: u64,
    count: u64,
}

/// What tells a path that the index lacks from one whose name in it is wrong.
pub(super) fn path_key(path: &str) -> i64 {
    ObjectId::of(path.as_bytes()).key()
}

impl<'a> RowWriter<'a> {
    pub fn new(connection: &'a Connection) -> RowWriter<'a> {
        RowWriter {
            connection,
            paths: Default::default(),
        }
    }

    fn path(&mut self, path: &str) -> rusqlite::Result<&mut WrittenPath> {
        let connection = self.connection;
        let entry = match self.paths.entry(path.to_owned()) {
            Entry::Occupied(entry) => return Ok(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        let known = connection
            .prepare_cached("SELECT id FROM paths WHERE path = ?1")?
            .query_row([path], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                connection
                    .prepare_cached(
                        "INSERT INTO paths(path, key, newest, count) VALUES (?1, ?2, 0, 0)",
                    )?
                    .execute(params![path, path_key(path)])?;
                connection.last_insert_rowid()
            }
        };
        Ok(entry.insert(WrittenPath {
            id,
            newest: 0,
            count: 0,
        }))
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
            .prepare_cached("INSERT OR IGNORE INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for row in &rows.versions {
            let path = self.path(&row.path)?;
            let inserted = version.execute(params![
                path.id,
                to_sql(row.version),
                to_sql(row.seq),
                to_sql(row.change),
                row.object_key,
                row.source_key
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
