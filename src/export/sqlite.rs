//! A SQLite database: every version, and what each changed.

use std::io;
use std::path::Path;

use rusqlite::{Connection, Statement, params};

use super::{Export, Tell, Told};
use crate::archive::Version;
use crate::commit::SourceForm;
use crate::diff::ChangeKind;
use crate::error::{Error, Result};
use crate::storage::output::OutputFile;
use crate::time::format_utc;

/// Times are RFC 3339 in UTC. `document` is in canonical form, `pointer` a JSON Pointer; `old` and `new` are JSON.
const SCHEMA: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE versions(
        path TEXT NOT NULL, version INTEGER NOT NULL, op TEXT NOT NULL, id TEXT, time TEXT NOT NULL,
        recorded TEXT NOT NULL, author TEXT, message TEXT, meta TEXT NOT NULL, commit_id TEXT NOT NULL,
        seq INTEGER NOT NULL, restored INTEGER, other TEXT, nan INTEGER NOT NULL, document TEXT, source BLOB,
        PRIMARY KEY (path, version));
    CREATE TABLE changes(
        path TEXT NOT NULL, version INTEGER NOT NULL, pointer TEXT NOT NULL, kind TEXT NOT NULL, moved_from TEXT,
        old TEXT, new TEXT);
    BEGIN";

const INDEXES: &str = "
    CREATE INDEX changes_by_version ON changes(path, version);
    CREATE INDEX changes_by_pointer ON changes(pointer);
    CREATE INDEX versions_by_seq ON versions(seq);
    COMMIT";

impl Export<'_> {
    /// Writes a database with the tables `versions` and `changes` to a file, which gets its name once it is whole; how
    /// many versions. With `source` the bytes as they were saved are in it, where no form of the document gives them
    /// back. `docs/cli.md`, "export", has the columns.
    ///
    /// # Errors
    /// `Usage` where the file is there, unless `replace`; where the archive cannot be read or the file not be written.
    pub fn sqlite(&self, file: &Path, replace: bool, source: bool, tell: Tell<'_>) -> Result<u64> {
        let output = OutputFile::create(file, replace)?;
        let Some(temporary) = output.temporary_path() else {
            return Err(Error::invalid("a database cannot be written to a pipe"));
        };
        let failed = |error: rusqlite::Error| {
            Error::io(format!("write {}", file.display()), io::Error::other(error))
        };
        let connection = Connection::open(temporary).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let mut tables = Tables::new(&connection).map_err(failed)?;
        let mut written = 0;
        for commit in self.commits()? {
            for version in &commit?.changes {
                let Some(row) = self.row(version, source, tell)? else {
                    continue;
                };
                tables.version(version, &row).map_err(failed)?;
                let changes = match self.archive.changes_of(version) {
                    Ok(diff) => diff.changes,
                    Err(error) if error.is_corrupt() => {
                        let rev = version.rev();
                        tell(Told::LeftOut { rev, error });
                        Vec::new()
                    }
                    Err(error) => return Err(error),
                };
                for change in &changes {
                    let moved_from = change.moved_from.as_ref().map(|pointer| pointer.as_str());
                    let pointer = change.pointer.as_str();
                    let values = kind_and_values(&change.kind);
                    tables
                        .change(version, pointer, moved_from, values)
                        .map_err(failed)?;
                }
                written += 1;
                tell(Told::Written(written));
            }
        }
        drop(tables);
        connection.execute_batch(INDEXES).map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        output.finish()?;
        Ok(written)
    }

    fn row(&self, version: &Version, source: bool, tell: Tell<'_>) -> Result<Option<Row>> {
        if version.is_deleted() {
            return Ok(Some(Row::default()));
        }
        let Some(loaded) = self.load(version, tell)? else {
            return Ok(None);
        };
        let own = matches!(
            version.form,
            SourceForm::Object(_) | SourceForm::LaidOut { .. }
        );
        Ok(Some(Row {
            // Canonical bytes are text.
            document: Some(String::from_utf8_lossy(loaded.canonical()).into_owned()),
            source: (source && own).then(|| loaded.into_source()),
        }))
    }
}

/// What a version holds.
#[derive(Default)]
struct Row {
    document: Option<String>,
    source: Option<Vec<u8>>,
}

struct Tables<'c> {
    versions: Statement<'c>,
    changes: Statement<'c>,
}

impl<'c> Tables<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Tables<'c>> {
        Ok(Tables {
            versions: connection.prepare(
                "INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?,
            changes: connection.prepare("INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?,
        })
    }

    fn version(&mut self, version: &Version, row: &Row) -> rusqlite::Result<()> {
        self.versions.execute(params![
            version.path,
            number(version.version),
            version.op.to_string(),
            version.id.map(|id| id.to_string()),
            format_utc(version.time),
            format_utc(version.recorded),
            version.author,
            version.message,
            serde_json::Value::Object(version.meta.clone()).to_string(),
            version.commit.to_string(),
            number(version.seq),
            version.of.map(number),
            version.other,
            version.nan,
            row.document,
            row.source,
        ])?;
        Ok(())
    }

    fn change(
        &mut self,
        version: &Version,
        pointer: &str,
        moved_from: Option<&str>,
        (kind, old, new): (&str, Option<&str>, Option<&str>),
    ) -> rusqlite::Result<()> {
        let (path, number) = (&version.path, number(version.version));
        self.changes
            .execute(params![path, number, pointer, kind, moved_from, old, new])?;
        Ok(())
    }
}

fn kind_and_values(kind: &ChangeKind) -> (&'static str, Option<&str>, Option<&str>) {
    match kind {
        ChangeKind::Added { new } => ("added", None, Some(new)),
        ChangeKind::Removed { old } => ("removed", Some(old), None),
        ChangeKind::Changed { old, new } => ("changed", Some(old), Some(new)),
        ChangeKind::Moved { new } => ("moved", None, Some(new)),
    }
}

/// SQLite's numbers are signed.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
