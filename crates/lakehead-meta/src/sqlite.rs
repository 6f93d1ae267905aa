//! [`Records`] in SQLite: one file, write-ahead journal, every commit synced.
//!
//! ```text
//!   record(space, key, version, checksum, value)   checksum = CRC32C over space 0 key 0 version(8, LE) value
//!   revision(only one row)
//! ```
//!
//! The file is held exclusively, so that two servers cannot share a data directory by mistake. After a write that failed
//! at the disk the store refuses further writes: what a failed sync left behind is unknown until the file is opened again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::records::{Record, Records, Space, Write};
use crate::{Error, ErrorKind};

/// "LAKE": tells the file from other SQLite files.
const APPLICATION_ID: i64 = 0x4C41_4B45;
/// How long to wait for another process that is just letting go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);
/// Version of the tables below.
const FORMAT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE record (
        space TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (space, key)
    ) WITHOUT ROWID;
    CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
    INSERT INTO revision VALUES (1, 0);
";

/// The embedded engine.
#[derive(Debug)]
pub struct SqliteRecords {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// A write failed at the disk.
    poisoned: bool,
}

impl SqliteRecords {
    /// Opens the file, or makes it. The name of a new file is durable once its directory has been synced, which is the
    /// caller's part.
    ///
    /// # Errors
    /// `Busy` if another process has it open, `Corrupt` if it is not a whole store of this format, `Storage`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |doing: &'static str| move |e| Error::sqlite(path, doing, e);
        let mut connection = Connection::open(path).map_err(failed("open the metadata store"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("open the metadata store"))?;
        let in_use = "open the metadata store (is another server running on this data directory?)";
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
            )
            .map_err(failed(in_use))?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(failed(in_use))?;
        if !mode.eq_ignore_ascii_case("wal") {
            let text = format!(
                "{}: cannot keep a write-ahead journal, mode {mode} stays; is the disk in order?",
                path.display()
            );
            return Err(Error::new(ErrorKind::Storage, text));
        }
        prepare(path, &mut connection)?;
        check_journal(path, &connection)?;
        Ok(SqliteRecords { path: path.to_owned(), inner: Mutex::new(Inner { connection, poisoned: false }) })
    }

    fn failed(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
        let path = self.path.clone();
        move |e| Error::sqlite(&path, doing, e)
    }
}

/// Refuses a store without a write-ahead journal. SQLite says `wal` before it changes the mode, and tells nobody if the change then
/// fails at the disk; but a checkpoint knows of -1 pages where there is no such journal.
fn check_journal(path: &Path, connection: &Connection) -> Result<(), Error> {
    let pages: i64 = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(|e| Error::sqlite(path, "look at the journal of", e))?;
    if pages < 0 {
        let text = format!("{}: cannot keep a write-ahead journal; is the disk in order?", path.display());
        return Err(Error::new(ErrorKind::Storage, text));
    }
    Ok(())
}

/// Makes the tables of a new file; checks an old one.
fn prepare(path: &Path, connection: &mut Connection) -> Result<(), Error> {
    let failed = |doing: &'static str| move |e| Error::sqlite(path, doing, e);
    let corrupt = |text: String| Error::new(ErrorKind::Corrupt, format!("{}: {text}", path.display()));
    let number = |c: &Connection, pragma: &str| c.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(failed("lock the metadata store (is another server running on this data directory?)"))?;
    let application = number(&transaction, "PRAGMA application_id").map_err(failed("read"))?;
    let format = number(&transaction, "PRAGMA user_version").map_err(failed("read"))?;
    let tables =
        number(&transaction, "SELECT count(*) FROM sqlite_schema").map_err(failed("read the tables"))?;
    match (application, format) {
        (0, 0) if tables == 0 => {
            transaction.execute_batch(TABLES).map_err(failed("make the tables"))?;
            transaction
                .execute_batch(&format!(
                    "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
                ))
                .map_err(failed("mark the file"))?;
        }
        (APPLICATION_ID, FORMAT) => {
            let verdict: String = transaction
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
                .map_err(failed("check the file"))?;
            if verdict != "ok" {
                return Err(corrupt(format!("is damaged ({verdict}); restore it from a backup")));
            }
        }
        (APPLICATION_ID, newer) => {
            return Err(corrupt(format!(
                "has format {newer}, this program knows {FORMAT}; run the version that wrote it"
            )));
        }
        _ => return Err(corrupt("is not a metadata store; move it away".to_owned())),
    }
    transaction.commit().map_err(failed("prepare the metadata store"))
}

fn checksum(space: Space, key: &str, version: u64, value: &[u8]) -> i64 {
    let mut sum = crc32c::crc32c(space.name().as_bytes());
    for part in [&[0][..], key.as_bytes(), &[0], &version.to_le_bytes(), value] {
        sum = crc32c::crc32c_append(sum, part);
    }
    i64::from(sum)
}

/// A row as it stands: version, checksum, value.
type Row = (i64, i64, Vec<u8>);

impl SqliteRecords {
    fn record(&self, space: Space, key: String, (version, sum, value): Row) -> Result<Record, Error> {
        let version = u64::try_from(version).unwrap_or(0);
        if sum != checksum(space, &key, version, &value) {
            let text = format!(
                "{}: record {}/{key} is damaged; restore a backup",
                self.path.display(),
                space.name()
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Record { key, version, value })
    }

    fn get_in(&self, connection: &Connection, space: Space, key: &str) -> Result<Option<Record>, Error> {
        let row = connection
            .prepare_cached("SELECT version, checksum, value FROM record WHERE space = ? AND key = ?")
            .and_then(|mut s| {
                s.query_row(params![space.name(), key], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()
            })
            .map_err(self.failed("read a record"))?;
        row.map(|row| self.record(space, key.to_owned(), row)).transpose()
    }

    fn write_in(&self, connection: &Connection, write: &Write) -> Result<(), Error> {
        let Write { space, key, value, .. } = write;
        let version = self.get_in(connection, *space, key)?.map(|r| r.version);
        write.check(version)?;
        let done = match value {
            None => connection
                .prepare_cached("DELETE FROM record WHERE space = ? AND key = ?")
                .and_then(|mut s| s.execute(params![space.name(), key])),
            Some(value) => {
                let version = version.unwrap_or(0) + 1;
                let sum = checksum(*space, key, version, value);
                connection
                    .prepare_cached(
                        "INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (space, key)
                         DO UPDATE SET version = ?3, checksum = ?4, value = ?5",
                    )
                    .and_then(|mut s| {
                        s.execute(params![space.name(), key, version.cast_signed(), sum, value])
                    })
            }
        };
        done.map(|_| ()).map_err(self.failed("write a record"))
    }

    fn revision_in(&self, connection: &Connection) -> Result<u64, Error> {
        connection
            .prepare_cached("SELECT value FROM revision")
            .and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::cast_unsigned)
            .map_err(self.failed("read the revision"))
    }
}

impl Records for SqliteRecords {
    fn get(&self, space: Space, key: &str) -> Result<Option<Record>, Error> {
        self.get_in(&self.inner.lock().connection, space, key)
    }

    fn list(&self, spaces: &[Space], prefix: &str) -> Result<(u64, Vec<(Space, Record)>), Error> {
        let mut inner = self.inner.lock();
        let transaction = inner.connection.transaction().map_err(self.failed("read"))?;
        let revision = self.revision_in(&transaction)?;
        let mut found = Vec::new();
        for &space in spaces {
            let rows: Vec<(String, Row)> = transaction
                .prepare_cached(
                    "SELECT key, version, checksum, value FROM record
                     WHERE space = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key",
                )
                .and_then(|mut s| {
                    s.query_map(params![space.name(), prefix], |r| {
                        Ok((r.get(0)?, (r.get(1)?, r.get(2)?, r.get(3)?)))
                    })?
                    .collect()
                })
                .map_err(self.failed("list records"))?;
            for (key, row) in rows {
                found.push((space, self.record(space, key, row)?));
            }
        }
        Ok((revision, found))
    }

    fn write(&self, at_revision: Option<u64>, writes: &[Write]) -> Result<u64, Error> {
        let mut inner = self.inner.lock();
        if inner.poisoned {
            let text =
                format!("{}: an earlier write failed at the disk; restart the server", self.path.display());
            return Err(Error::new(ErrorKind::Storage, text));
        }
        let written = self.write_all(&mut inner.connection, at_revision, writes);
        if written.as_ref().is_err_and(|e| e.kind() == ErrorKind::Storage) {
            inner.poisoned = true;
        }
        written
    }
}

impl SqliteRecords {
    fn write_all(
        &self,
        connection: &mut Connection,
        at_revision: Option<u64>,
        writes: &[Write],
    ) -> Result<u64, Error> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(self.failed("begin a write"))?;
        let mut revision = self.revision_in(&transaction)?;
        if let Some(expected) = at_revision {
            if revision != expected {
                let text = format!("revision is {revision}, {expected} was expected");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            revision += 1;
            transaction
                .execute("UPDATE revision SET value = ?", [revision.cast_signed()])
                .map_err(self.failed("write the revision"))?;
        }
        for write in writes {
            self.write_in(&transaction, write)?;
        }
        transaction.commit().map_err(self.failed("commit"))?;
        Ok(revision)
    }
}

#[cfg(test)]
mod tests;
