//! Questions in SQL about an archive.
//!
//! The views are filled from the log into a SQLite database in memory, and only those that a query names. Nothing that
//! a query says can write, open a file or change a setting. [`VIEWS`] describes the views; `doc(id)` is the canonical
//! form of a document, for SQLite's JSON functions.
//!
//! ```
//! # fn main() -> Result<(), backstory::Error> {
//! use backstory::sql::Query;
//! use backstory::{Archive, Document};
//!
//! let archive = Archive::in_memory()?;
//! let mut save = archive.save();
//! save.add("runs/1.json", Document::source("{\"loss\": 0.5}"))?;
//! save.commit()?;
//! let query = Query::new(&archive, "SELECT path, doc(id)->>'$.loss' AS loss FROM versions")?;
//! assert_eq!(query.columns(), ["path", "loss"]);
//! let rows = query.rows()?;
//! assert_eq!(rows[0][1].to_string(), "0.5");
//! # Ok(())
//! # }
//! ```

mod doc;
mod fill;
mod guard;
mod value;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::{Batch, Connection};

pub use value::Value;

use crate::archive::Archive;
use crate::error::{Error, Result};

/// The views and their columns, a line each, and the functions.
pub const VIEWS: &str = "\
paths(path, version, id, time, deleted)
versions(path, version, id, commit_id, seq, time, recorded, author, op, message, meta)
commits(id, seq, time, recorded, author, message, meta)
tags(name, path, version, commit_id)
doc(id), doc('PATH@REV')";

/// A failure inside a function that SQLite can only pass on as text.
type Slot = Arc<Mutex<Option<Error>>>;

/// A query about an archive: checked, and the views that it needs are filled.
#[derive(Debug)]
pub struct Query {
    connection: Connection,
    sql: String,
    columns: Vec<String>,
    failed: Slot,
}

impl Query {
    /// Checks a query and fills what it needs.
    ///
    /// Memory: about 600 bytes for each version of the archive where `versions` or `commits` is asked, what is in
    /// messages and metadata, what SQLite sorts, and 16 MiB of documents. There is no limit of time.
    ///
    /// # Errors
    /// `Usage` with SQLite's message where the text is not one query, or would do anything but read.
    pub fn new(archive: &Archive, sql: &str) -> Result<Query> {
        let failed = Slot::default();
        let mut connection = fill::database().map_err(|error| refused(&error))?;
        doc::register(&connection, archive, &failed).map_err(|error| refused(&error))?;
        // A first look, at empty tables: is it allowed, and what does it read?
        let needs = Arc::new(Mutex::new(fill::Needs::default()));
        let noted = needs.clone();
        let authorizer = move |context: AuthContext<'_>| {
            noted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(&context.action);
            guard::authorize(&context.action)
        };
        connection
            .authorizer(Some(authorizer))
            .map_err(|error| refused(&error))?;
        let columns = columns_of(&connection, sql)?;
        let needs = *needs.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody: Option<fn(AuthContext<'_>) -> Authorization> = None;
        connection
            .authorizer(nobody)
            .map_err(|error| refused(&error))?;
        fill::fill(&connection, archive, needs)?;
        guard::close(&mut connection).map_err(|error| refused(&error))?;
        Ok(Query {
            connection,
            sql: sql.to_owned(),
            columns,
            failed,
        })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Runs the query and hands over each row, until `row` breaks it off.
    ///
    /// # Errors
    /// `Usage` with SQLite's message; what `doc()` could not load as the archive says it.
    pub fn for_each(&self, mut row: impl FnMut(&[Value]) -> ControlFlow<()>) -> Result<()> {
        let mut run = || -> rusqlite::Result<()> {
            let Some(mut statement) = Batch::new(&self.connection, &self.sql).next()? else {
                return Ok(());
            };
            let mut rows = statement.query([])?;
            let mut values = Vec::with_capacity(self.columns.len());
            while let Some(found) = rows.next()? {
                values.clear();
                for column in 0..self.columns.len() {
                    values.push(Value::from(found.get_ref(column)?));
                }
                if row(&values).is_break() {
                    break;
                }
            }
            Ok(())
        };
        run().map_err(|error| {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.take().unwrap_or_else(|| refused(&error))
        })
    }

    /// Runs the query; all of its rows.
    ///
    /// # Errors
    /// As [`Query::for_each`].
    pub fn rows(&self) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::new();
        self.for_each(|row| {
            rows.push(row.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }
}

/// The columns of a query, which is prepared and not run.
fn columns_of(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut batch = Batch::new(connection, sql);
    let statement = batch.next().map_err(|error| refused(&error))?;
    let statement = statement.ok_or_else(|| Error::invalid("there is no query in this text"))?;
    // Not by `prepare`, which looks for a second statement by recursion.
    if batch.next().map_err(|error| refused(&error))?.is_some() {
        return Err(Error::invalid("only one statement can be asked at a time"));
    }
    if !statement.readonly() {
        return Err(Error::invalid(
            "only queries are allowed: SELECT, WITH or VALUES",
        ));
    }
    if statement.parameter_count() > 0 {
        return Err(Error::invalid(
            "the query has parameters, and there is nothing to put in",
        ));
    }
    let mut columns: Vec<String> = Vec::new();
    for name in statement.column_names() {
        // Two of a name would be one in JSON: told apart as SQLite does it in subqueries.
        let mut unique = name.to_owned();
        let mut number = 0;
        while columns.contains(&unique) {
            number += 1;
            unique = format!("{name}:{number}");
        }
        columns.push(unique);
    }
    Ok(columns)
}

fn refused(error: &rusqlite::Error) -> Error {
    Error::invalid(match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) => match code.code {
            rusqlite::ErrorCode::AuthorizationForStatementDenied => {
                format!("SQL: {message}; only queries are allowed: SELECT, WITH or VALUES")
            }
            _ => format!("SQL: {message}"),
        },
        rusqlite::Error::SqlInputError { msg, offset, .. } if *offset >= 0 => {
            format!("SQL: {msg}, at byte {offset} of the query")
        }
        other => format!("SQL: {other}"),
    })
}
