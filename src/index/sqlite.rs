//! The SQLite file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params,
};

use super::newest::NewestRows;
use super::rows::*;
use super::schema::{RowWriter, SCHEMA, TABLES, number, to_sql, write_mark};
use crate::id::{ArchiveId, CommitId, PathKey};
use crate::log::cursor::Head;
use crate::log::reader::BatchPlace;
use crate::storage::{self, FileIdentity};

/// How long to wait for another process that writes the index.
const BUSY: Duration = Duration::from_secs(5);
/// How many pages of the file are kept in memory at most (32 MiB); what is kept grows with use.
const CACHE_PAGES: i64 = 8192;
/// From so many questions on a larger cache pays.
const MANY_QUESTIONS: usize = 16;
/// A read transaction is begun anew after this time.
const LONGEST_READ: Duration = Duration::from_secs(1);

/// What the index could not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("could not remove {0}: {1}")]
    Remove(PathBuf, std::io::Error),
    #[error("it was rebuilt by another process")]
    Replaced,
    #[error("it contradicts itself")]
    Contradiction,
}

impl IndexError {
    /// Another process held the file for too long.
    pub fn is_busy(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    /// The file cannot be written here.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
                    | ErrorCode::DiskFull
            )
        )
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            IndexError::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

/// What an index belongs to: copies of an archive never share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub archive: ArchiveId,
    pub place: String,
    pub device: u64,
    pub inode: u64,
}

pub(super) type Answer<T> = Result<T, IndexError>;

/// An open index.
#[derive(Debug)]
pub(crate) struct SqliteIndex {
    pub(super) connection: Connection,
    file: Option<PathBuf>,
    /// Which file had the name when it was opened.
    identity: Option<FileIdentity>,
    /// How many questions are under way, and how many there were.
    questions: usize,
    asked: usize,
    /// When the read transaction was begun that they share.
    reading: Option<Instant>,
    /// The connection is set up for writing, and for more than a few questions.
    settled: bool,
    pub(super) names: RefCell<HashMap<PathKey, String>>,
    pub(super) newest: RefCell<NewestRows>,
}

impl SqliteIndex {
    /// Opens or makes the file; `None` is an index in memory.
    pub fn open(file: Option<&Path>) -> Answer<SqliteIndex> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match file {
            Some(file) => Connection::open_with_flags(file, flags)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(BUSY)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Otherwise a partial index makes SQLite plan a statement anew whenever another value is bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(SqliteIndex {
            connection,
            identity: file.and_then(storage::file_identity),
            file: file.map(Path::to_owned),
            questions: 0,
            asked: 0,
            reading: None,
            settled: false,
            names: RefCell::default(),
            newest: RefCell::default(),
        })
    }

    /// What only a writer needs, or one who asks much: each setting is a statement to be read, and many processes ask
    /// one question. The journal's mode stands in the file.
    fn settle(&mut self) -> rusqlite::Result<()> {
        if self.settled {
            return Ok(());
        }
        if self.file.is_some() {
            self.connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        }
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")?;
        self.connection
            .pragma_update(None, "wal_autocheckpoint", 0)?;
        self.connection
            .pragma_update(None, "cache_size", CACHE_PAGES)?;
        self.settled = true;
        Ok(())
    }

    /// Forgets what is kept of answers: the log may be another one.
    pub fn forget(&mut self) {
        self.newest = RefCell::default();
        self.names = RefCell::default();
    }

    pub fn begin_question(&mut self) {
        self.questions += 1;
        self.asked += 1;
        // Not inside a read transaction, and failing is no harm: a writer tries again.
        if self.asked == MANY_QUESTIONS && self.reading.is_none() {
            let _ = self
                .connection
                .pragma_update(None, "cache_size", CACHE_PAGES);
        }
    }

    pub fn end_question(&mut self) {
        // The file may have been opened anew in the meantime.
        self.questions = self.questions.saturating_sub(1);
        if self.questions == 0 {
            self.stop_reading();
        }
    }

    /// Begins the read transaction of the questions under way. Rows up to a mark never change, so an older state is
    /// as good as a newer one; but one that is held for long keeps the write-ahead log from being used again.
    pub fn read(&mut self) {
        if self.questions == 0 {
            return;
        }
        match self.reading {
            Some(since) if since.elapsed() < LONGEST_READ => return,
            Some(_) => self.stop_reading(),
            None => {}
        }
        // Where this fails each statement takes its own locks.
        if self.run("BEGIN") {
            self.reading = Some(Instant::now());
        }
    }

    fn stop_reading(&mut self) {
        if self.reading.take().is_some() {
            self.run("COMMIT");
        }
    }

    fn run(&self, sql: &str) -> bool {
        let statement = self.connection.prepare_cached(sql);
        statement
            .and_then(|mut statement| statement.execute([]))
            .is_ok()
    }

    /// Removes the file and what SQLite keeps beside it.
    pub fn remove(file: &Path) -> Answer<()> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            let path = PathBuf::from(name);
            storage::remove_if_there(&path).map_err(|error| IndexError::Remove(path, error))?;
        }
        Ok(())
    }

    /// Is the open file still the one that has its name? Where another process has removed it, or begun a new one, what
    /// it says is of no account.
    pub fn is_named(&self) -> bool {
        match &self.file {
            Some(file) => self.identity.is_some() && storage::file_identity(file) == self.identity,
            None => true,
        }
    }

    /// How many bytes the index takes on disk.
    pub fn size(&self) -> u64 {
        let Some(file) = &self.file else { return 0 };
        let mut wal = file.as_os_str().to_owned();
        wal.push("-wal");
        storage::file_len(file).unwrap_or(0) + storage::file_len(Path::new(&wal)).unwrap_or(0)
    }

    /// How far the index has read the log, where it is an index of this schema for this archive at this place. The
    /// other answer says why it is not.
    pub fn mark(&self, binding: &Binding) -> Answer<Result<Mark, &'static str>> {
        let schema: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if schema == 0 {
            return Ok(Err("it is missing or empty"));
        }
        if schema != SCHEMA {
            return Ok(Err("it is of another version"));
        }
        let sql = "SELECT generation, segment, end, seq, id, recorded, synced_before, batch, before, record_len,
                   batch_segment, archive, place, device, inode FROM mark";
        let found = self
            .connection
            .prepare(sql)?
            .query_row([], |row| {
                let bound = (
                    row.get::<_, Vec<u8>>(11)?,
                    row.get::<_, String>(12)?,
                    number(row, 13)?,
                    number(row, 14)?,
                );
                Ok((bound, mark_row(row)?))
            })
            .optional()?;
        let ours = (
            binding.archive.0.to_vec(),
            binding.place.clone(),
            binding.device,
            binding.inode,
        );
        match found {
            None => Ok(Err("it is not finished")),
            Some((theirs, _)) if theirs != ours => {
                Ok(Err("it belongs to another archive or another place"))
            }
            Some((_, mark)) => Ok(Ok(mark)),
        }
    }

    /// What an earlier rebuild found missing from the log that the index before it had known.
    pub fn lost(&self) -> Answer<Option<String>> {
        Ok(self
            .connection
            .query_row("SELECT lost FROM mark", [], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// Makes the tables anew and lets `fill` hand over all rows; one transaction. `lost` is kept beside the mark.
    pub fn rebuild<E: From<IndexError>>(
        &mut self,
        binding: &Binding,
        lost: Option<&str>,
        fill: impl FnOnce(&mut dyn FnMut(Rows) -> Result<(), E>) -> Result<Mark, E>,
    ) -> Result<Mark, E> {
        let fault = |error: rusqlite::Error| E::from(IndexError::from(error));
        self.forget();
        self.stop_reading();
        self.settle().map_err(fault)?;
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(fault)?;
        let result = (|| {
            self.clear().map_err(fault)?;
            let mark = {
                let mut writer = RowWriter::new(&self.connection);
                let mark = fill(&mut |rows| writer.insert(&rows).map_err(fault))?;
                writer.finish().map_err(fault)?;
                mark
            };
            self.connection
                .execute(
                    "INSERT INTO mark(one, archive, place, device, inode, generation, segment, end, seq, id, recorded,
                        synced_before, lost) VALUES (1, ?1, ?2, ?3, ?4, 0, 0, 0, 0, x'', 0, 0, ?5)",
                    params![
                        binding.archive.0.as_slice(),
                        binding.place,
                        to_sql(binding.device),
                        to_sql(binding.inode),
                        lost
                    ],
                )
                .map_err(fault)?;
            write_mark(&self.connection, &mark).map_err(fault)?;
            self.connection
                .pragma_update(None, "user_version", SCHEMA)
                .map_err(fault)?;
            Ok(mark)
        })();
        match result {
            Ok(mark) => {
                self.connection.execute_batch("COMMIT").map_err(fault)?;
                self.connection.flush_prepared_statement_cache();
                self.fold();
                Ok(mark)
            }
            Err(error) => {
                let _ = self.connection.execute_batch("ROLLBACK");
                Err(error)
            }
        }
    }

    fn clear(&self) -> rusqlite::Result<()> {
        let names: Vec<(String, String)> = self
            .connection
            .prepare("SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (kind, name) in names {
            self.connection
                .execute_batch(&format!("DROP {kind} \"{}\"", name.replace('"', "\"\"")))?;
        }
        self.connection.execute_batch(TABLES)
    }

    /// Adds the rows of newer commits. `base` is the mark that the rows follow on. Does nothing where another
    /// process has already gone as far.
    pub fn absorb(&mut self, base: u64, rows: &Rows, mark: &Mark) -> Answer<()> {
        self.stop_reading();
        self.settle()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now: u64 = transaction.query_row("SELECT seq FROM mark", [], |row| number(row, 0))?;
        if now < base {
            return Err(IndexError::Replaced);
        }
        if now >= mark.head.seq {
            return Ok(());
        }
        // What another process has put there must be of the same history.
        let id: Vec<u8> = transaction.query_row("SELECT id FROM mark", [], |row| row.get(0))?;
        let key = <[u8; 32]>::try_from(id).map(|id| commit_key(&CommitId(id)));
        if let Some(row) = rows.commits.iter().find(|row| row.seq == now)
            && row.record_len > 0
            && key != Ok(row.key)
        {
            return Err(IndexError::Replaced);
        }
        let mut newer = rows.clone();
        newer.commits.retain(|row| row.seq > now);
        newer.objects.retain(|row| row.seq > now);
        newer.versions.retain(|row| row.seq > now);
        newer.tags.retain(|row| row.seq > now);
        let mut writer = RowWriter::new(&transaction);
        writer.insert(&newer)?;
        writer.finish()?;
        write_mark(&transaction, mark)?;
        transaction.commit()?;
        self.newest.borrow_mut().follow(base, rows, mark.head.seq);
        self.fold();
        Ok(())
    }

    /// Folds the write-ahead log into the file and empties it. Who opens an index first reads the write-ahead log
    /// from front to back, so a long one would cost every process more than it spares this one.
    fn fold(&self) {
        if self.file.is_some() {
            // Failing, because another process reads, is no harm: the write-ahead log stays longer. Nobody waits for
            // it, for the writer's lock is held.
            let _ = self.connection.busy_timeout(Duration::ZERO);
            let _ = self
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            let _ = self.connection.busy_timeout(BUSY);
        }
    }
}

fn mark_row(row: &Row<'_>) -> rusqlite::Result<Mark> {
    let id: [u8; 32] = row.get(4)?;
    let place = match row.get::<_, Option<i64>>(7)? {
        None => None,
        Some(offset) => Some(BatchPlace {
            segment: number(row, 10)?,
            offset: offset.cast_unsigned(),
            before: number(row, 8)?,
            record_len: number(row, 9)?,
        }),
    };
    Ok(Mark {
        generation: number(row, 0)?,
        segment: number(row, 1)?,
        offset: number(row, 2)?,
        head: Head {
            seq: number(row, 3)?,
            commit: CommitId(id),
            recorded: row.get(5)?,
            place,
            synced_before: number(row, 6)?,
        },
    })
}
