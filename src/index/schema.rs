//! The tables of the SQLite file, and writing to them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Mark, Rows};

/// Changes with the tables below: an index of another schema is built anew.
pub(super) const SCHEMA: i64 = 1;
pub(super) const TABLES: &str = "
    CREATE TABLE mark(
        one INTEGER PRIMARY KEY CHECK (one = 1),
        archive BLOB NOT NULL, place TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
        generation INTEGER NOT NULL, segment INTEGER NOT NULL, end INTEGER NOT NULL,
        seq INTEGER NOT NULL, id BLOB NOT NULL, recorded INTEGER NOT NULL, synced_before INTEGER NOT NULL,
        batch INTEGER, before INTEGER, record_len INTEGER,
        lost TEXT);
    CREATE TABLE commits(
        seq INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, before INTEGER NOT NULL,
        record_len INTEGER NOT NULL, time INTEGER NOT NULL, key INTEGER NOT NULL);
    CREATE TABLE objects(
        seq INTEGER NOT NULL, ordinal INTEGER NOT NULL, offset INTEGER NOT NULL, len INTEGER NOT NULL,
        PRIMARY KEY (seq, ordinal)) WITHOUT ROWID;
    CREATE TABLE paths(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
    CREATE TABLE versions(
        path INTEGER NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL, change INTEGER NOT NULL,
        object INTEGER, source INTEGER,
        PRIMARY KEY (path, version)) WITHOUT ROWID;
    CREATE INDEX versions_by_object ON versions(object) WHERE object IS NOT NULL;
    CREATE INDEX versions_by_source ON versions(source) WHERE source IS NOT NULL;
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
                synced_before = ?7, batch = ?8, before = ?9, record_len = ?10",
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
        ])?;
    Ok(())
}

/// Inserts rows, knowing the ids of paths it has met.
pub(super) struct RowWriter<'a> {
    connection: &'a Connection,
    paths: HashMap<String, i64>,
}

impl<'a> RowWriter<'a> {
    pub fn new(connection: &'a Connection) -> RowWriter<'a> {
        RowWriter {
            connection,
            paths: Default::default(),
        }
    }

    fn path(&mut self, path: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.paths.get(path) {
            return Ok(*id);
        }
        let known = self
            .connection
            .prepare_cached("SELECT id FROM paths WHERE path = ?1")?
            .query_row([path], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO paths(path) VALUES (?1)")?
                    .execute([path])?;
                self.connection.last_insert_rowid()
            }
        };
        self.paths.insert(path.to_owned(), id);
        Ok(id)
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
            version.execute(params![
                path,
                to_sql(row.version),
                to_sql(row.seq),
                to_sql(row.change),
                row.object_key,
                row.source_key
            ])?;
        }
        let mut tag =
            connection.prepare_cached("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)")?;
        for row in &rows.tags {
            tag.execute(params![row.name, to_sql(row.seq), to_sql(row.change)])?;
        }
        Ok(())
    }
}
