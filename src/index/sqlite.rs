//! The SQLite file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params,
};

use super::asked::Asked;
use super::newest::NewestRows;
use super::rows::*;
use super::schema::{RowWriter, SCHEMA, TABLES, number, to_sql, write_mark};
use crate::commit::ArchiveKeys;
use crate::id::{ArchiveId, CommitId, PathKey};
use crate::log::cursor::Head;
use crate::log::reader::{BatchPlace, RecordPlace};
use crate::storage::{self, FileIdentity};

/// How long to wait for another process that writes the index.
const BUSY: Duration = Duration::from_secs(5);
/// How many pages of the file are kept in memory at most (32 MiB); what is kept grows with use.
const CACHE_PAGES: i64 = 8192;
/// From so many questions on a larger cache pays.
const MANY_QUESTIONS: usize = 16;
/// A read transaction is begun anew after this time.
const LONGEST_READ: Duration = Duration::from_secs(1);
/// Names of paths kept; when there are more, all are forgotten.
const MAX_NAMES: usize = 8192;

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

type Answer<T> = Result<T, IndexError>;

/// An open index.
#[derive(Debug)]
pub(crate) struct SqliteIndex {
    connection: Connection,
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
    names: RefCell<HashMap<PathKey, String>>,
    newest: RefCell<NewestRows>,
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
