//! The views and what is in them.

use rusqlite::hooks::AuthAction;
use rusqlite::{Connection, params};

use super::refused;
use crate::archive::{Archive, CommitView};
use crate::error::Result;
use crate::time::format_utc;

/// `versions` is ordered by path and version, so that documents are asked for in the order in which each rests on the
/// one before it. What a commit says stands once, however many versions it has.
const SCHEMA: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE TABLE paths(
        path TEXT PRIMARY KEY, version INTEGER NOT NULL, id TEXT, time TEXT NOT NULL, deleted INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE version_rows(
        path TEXT NOT NULL, version INTEGER NOT NULL, id TEXT, seq INTEGER NOT NULL, op TEXT NOT NULL,
        PRIMARY KEY (path, version)) WITHOUT ROWID;
    CREATE TABLE commits(
        id TEXT NOT NULL, seq INTEGER PRIMARY KEY, time TEXT NOT NULL, recorded TEXT NOT NULL, author TEXT,
        message TEXT, meta TEXT NOT NULL);
    CREATE TABLE tags(
        name TEXT PRIMARY KEY, path TEXT, version INTEGER, commit_id TEXT NOT NULL) WITHOUT ROWID;
    CREATE VIEW versions AS
        SELECT v.path, v.version, v.id, c.id AS commit_id, v.seq, c.time, c.recorded, c.author, v.op, c.message, c.meta
        FROM version_rows AS v LEFT JOIN commits AS c ON c.seq = v.seq;
";

/// Which tables a query reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    paths: bool,
    versions: bool,
    commits: bool,
    tags: bool,
}

impl Needs {
    /// Takes note of what SQLite says a query does. It names the tables behind a view, too.
    pub fn note(&mut self, action: &AuthAction<'_>) {
        let AuthAction::Read { table_name, .. } = action else {
            return;
        };
        match *table_name {
            "paths" => self.paths = true,
            "versions" | "version_rows" => self.versions = true,
            "commits" => self.commits = true,
            "tags" => self.tags = true,
            _ => {}
        }
    }
}

/// A database in memory with empty tables.
pub(super) fn database() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Fills the tables that are needed.
pub(super) fn fill(connection: &Connection, archive: &Archive, needs: Needs) -> Result<()> {
    sql(connection.execute_batch("BEGIN"))?;
    if needs.versions || needs.commits {
        for commit in archive.commits()? {
            let commit = commit?;
            if needs.commits {
                sql(insert_commit(connection, &commit))?;
            }
            if needs.versions {
                sql(insert_versions(connection, &commit))?;
            }
        }
    }
    if needs.paths {
        fill_paths(connection, archive)?;
    }
    if needs.tags {
        fill_tags(connection, archive)?;
    }
    sql(connection.execute_batch("COMMIT"))
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| refused(&error))
}

fn insert_commit(connection: &Connection, commit: &CommitView) -> rusqlite::Result<()> {
    let time = format_utc(commit.time);
    let recorded = match commit.recorded == commit.time {
        true => time.clone(),
        false => format_utc(commit.recorded),
    };
    connection
        .prepare_cached("INSERT INTO commits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            commit.commit.to_string(),
            commit.seq.cast_signed(),
            time,
            recorded,
            commit.author,
            commit.message,
            serde_json::Value::Object(commit.meta.clone()).to_string(),
        ])?;
    Ok(())
}

fn insert_versions(connection: &Connection, commit: &CommitView) -> rusqlite::Result<()> {
    // A forged archive may have a version twice: the newer one came first.
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO version_rows VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for version in &commit.changes {
        insert.execute(params![
            version.path,
            version.version.cast_signed(),
            version.id.map(|id| id.to_string()),
            version.seq.cast_signed(),
            version.op.to_string(),
        ])?;
    }
    Ok(())
}

fn fill_paths(connection: &Connection, archive: &Archive) -> Result<()> {
    let mut insert =
        sql(connection.prepare("INSERT OR REPLACE INTO paths VALUES (?1, ?2, ?3, ?4, ?5)"))?;
    for version in archive.list("")? {
        sql(insert.execute(params![
            version.path,
            version.version.cast_signed(),
            version.id.map(|id| id.to_string()),
            format_utc(version.time),
            version.is_deleted(),
        ]))?;
    }
    Ok(())
}

fn fill_tags(connection: &Connection, archive: &Archive) -> Result<()> {
    let mut insert =
        sql(connection.prepare("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3, ?4)"))?;
    for tag in archive.tags()? {
        sql(insert.execute(params![
            tag.name,
            tag.path,
            tag.version.map(u64::cast_signed),
            tag.commit.to_string(),
        ]))?;
    }
    Ok(())
}
