//! SQLite as one would use it for the same: a table of documents, write-ahead log, a sync for each transaction.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, params};

use crate::Result;
use crate::corpus::{Corpus, Entry};
use crate::room::{Room, settle};

pub const FILE: &str = "docs.sqlite";

pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens the database of a folder, or makes one.
    pub fn open(folder: &Path) -> Result<Sqlite> {
        let connection = Connection::open(folder.join(FILE))?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS docs(path text, version int, body text, primary key(path, version))",
        )?;
        Ok(Sqlite { connection })
    }

    /// One transaction, durable.
    pub fn insert(&self, entry: &Entry) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO docs VALUES(?, ?, ?)")?
            .execute(params![entry.path, entry.version as i64, entry.text])?;
        Ok(())
    }

    /// All in one transaction.
    pub fn insert_all(&self, entries: &[Entry]) -> Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        entries.iter().try_for_each(|entry| self.insert(entry))?;
        Ok(transaction.commit()?)
    }

    pub fn body(&self, path: &str, version: u64) -> Result<String> {
        Ok(self
            .connection
            .prepare_cached("SELECT body FROM docs WHERE path = ? AND version = ?")?
            .query_row(params![path, version as i64], |row| row.get(0))?)
    }

    pub fn newest(&self, path: &str) -> Result<String> {
        Ok(self
            .connection
            .prepare_cached("SELECT body FROM docs WHERE path = ? ORDER BY version DESC LIMIT 1")?
            .query_row([path], |row| row.get(0))?)
    }

    /// The newest versions of a path, without their bodies.
    pub fn history(&self, path: &str, limit: usize) -> Result<Vec<i64>> {
        let mut select = self.connection.prepare_cached(
            "SELECT version FROM docs WHERE path = ? ORDER BY version DESC LIMIT ?",
        )?;
        let rows = select.query_map(params![path, limit as i64], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The folder of a database of the whole history, to read from.
pub fn database_of(room: &Room, corpus: &Corpus) -> Result<PathBuf> {
    room.shared(&format!("sqlite-{}", corpus.name), |folder| {
        let sqlite = Sqlite::open(folder)?;
        for batch in corpus.entries.chunks(1000) {
            sqlite.insert_all(batch)?;
        }
        settle();
        Ok(())
    })
}

/// A call of the sqlite3 program that inserts the content of a file. The database remembers its write-ahead log.
pub fn insert_file(folder: &Path, file: &str, path: &str, version: u64) -> Command {
    let mut command = Command::new("sqlite3");
    command.current_dir(folder).args([
        "-batch",
        FILE,
        &format!(
            "PRAGMA synchronous=FULL; INSERT INTO docs VALUES('{path}', {version}, CAST(readfile('{file}') AS TEXT));"
        ),
    ]);
    command
}
