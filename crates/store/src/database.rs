//! The database file: opening, reading and writing.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, SqlSafeStr, Sqlite};

use crate::StoreError;
use crate::row::RawConnection;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before such a wait is begun again where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long a task waits for its turn to write or read in this process.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
const READERS: u32 = 4;

/// A database file that is open. Cheap to clone.
///
/// One task writes at a time: [`Store::begin`] waits for its turn, in order of asking. A task that holds a
/// [`Transaction`] must not begin another, or it waits for itself until the wait times out. Readers never wait for
/// writers and see what was committed before each statement.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<PathBuf>,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens the file, creates it where it does not exist, and brings its schema to this program's.
    ///
    /// Every commit is on the disk when it returns (write-ahead log, `synchronous = FULL`). Several processes may have
    /// the file open.
    ///
    /// # Errors
    /// The file cannot be opened or written, is damaged, is no database, the disk is full, or its schema is newer than
    /// this program.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = Arc::new(path.as_ref().to_owned());
        let options = SqliteConnectOptions::new()
            .filename(path.as_ref())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
        };
        let writer = connect(&path, || pool(1).connect_with(options.clone())).await?;
        let readers = pool(READERS).connect_lazy_with(options);
        let store = Self {
            path,
            writer,
            readers,
        };
        store.migrate().await?;
        tracing::debug!(path = %store.path.display(), "database is open");
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that reads.
    ///
    /// # Errors
    /// The file cannot be read, or too many tasks read at once.
    pub async fn read(&self) -> Result<Connection, StoreError> {
        let connection = self
            .readers
            .acquire()
            .await
            .map_err(|error| StoreError::from_driver(&self.path, error))?;
        Ok(Connection {
            path: self.path.clone(),
            inner: Inner::Reader(connection),
            aborted: false,
        })
    }

    /// Begins a transaction that may write. It alone writes until it ends, so that what it read still holds when it
    /// commits. Dropped without a commit, it changes nothing.
    ///
    /// # Errors
    /// Another transaction does not end in time, or the file cannot be written.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        // IMMEDIATE takes the write lock now: a transaction never fails halfway because another one wrote in between.
        let begun = match self.idle_writer().await {
            Ok(writer) => sqlx::Transaction::begin(writer, Some("BEGIN IMMEDIATE".into_sql_str())).await,
            Err(error) => Err(error),
        };
        let inner = Inner::Writer(begun.map_err(|error| StoreError::from_driver(&self.path, error))?);
        Ok(Transaction {
            connection: Connection {
                path: self.path.clone(),
                inner,
                aborted: false,
            },
        })
    }

    /// SQLite ends a transaction by itself when the disk is full. The driver does not notice and would take the
    /// connection to be within that transaction for ever, so such a connection is replaced.
    async fn idle_writer(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        let writer = self.writer.acquire().await?;
        if !writer.is_in_transaction() {
            return Ok(writer);
        }
        writer.close().await?;
        self.writer.acquire().await
    }

    /// Closes all connections, after those in use are given back. What was committed is in the file alone then.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        // In one transaction: two processes that open an empty file at once take turns, and a failure changes nothing.
        let mut transaction = self.begin().await?;
        let nested = sqlx::Connection::begin(transaction.raw()).await;
        let mut nested = nested.map_err(|error| StoreError::from_driver(&self.path, error))?;
        MIGRATIONS
            .run_direct(None, &mut *nested, false)
            .await
            .map_err(|error| self.migration_error(error))?;
        nested
            .commit()
            .await
            .map_err(|error| StoreError::from_driver(&self.path, error))?;
        transaction.commit().await
    }

    fn migration_error(&self, error: MigrateError) -> StoreError {
        let path = self.path.to_path_buf();
        match error {
            MigrateError::VersionMissing(found) => {
                let known = MIGRATIONS
                    .iter()
                    .map(|migration| migration.version)
                    .max()
                    .unwrap_or(0);
                StoreError::NewerSchema { path, found, known }
            }
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                match StoreError::from_driver(&self.path, source) {
                    StoreError::Query { path, source } => StoreError::Migration { path, source },
                    error => error,
                }
            }
            error => StoreError::Migration {
                path,
                source: error.into(),
            },
        }
    }
}

/// Makes the first connection. Switching a file to the write-ahead log does not wait where another process does the same
/// at that moment, whatever the busy timeout; so it is tried again for as long.
async fn connect<F>(path: &Path, attempt: impl Fn() -> F) -> Result<SqlitePool, StoreError>
where
    F: Future<Output = Result<SqlitePool, sqlx::Error>>,
{
    let started = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(pool) => return Ok(pool),
            Err(error @ sqlx::Error::Database(_)) => StoreError::from_driver(path, error),
            Err(error) => StoreError::Open {
                path: path.to_owned(),
                source: error.into(),
            },
        };
        if !matches!(error, StoreError::Busy { .. }) || started.elapsed() > BUSY_TIMEOUT {
            return Err(error);
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Reads rows. All questions that can be asked of the database are methods here.
#[derive(Debug)]
pub struct Connection {
    path: Arc<PathBuf>,
    inner: Inner,
    /// After a failure of the disk SQLite may have rolled back already: what came next would stand alone.
    aborted: bool,
}

#[derive(Debug)]
enum Inner {
    Reader(PoolConnection<Sqlite>),
    Writer(sqlx::Transaction<'static, Sqlite>),
}

impl Connection {
    pub(crate) fn raw(&mut self) -> &mut RawConnection {
        match &mut self.inner {
            Inner::Reader(connection) => connection,
            Inner::Writer(transaction) => transaction,
        }
    }

    /// Sorts an error of the driver and remembers those after which nothing more may be written.
    pub(crate) fn error(&mut self, source: sqlx::Error) -> StoreError {
        let error = StoreError::from_driver(&self.path, source);
        self.aborted |= !matches!(error, StoreError::Taken { .. });
        error
    }

    pub(crate) fn expect_sound(&self) -> Result<(), StoreError> {
        if self.aborted {
            Err(StoreError::Aborted {
                path: self.path.to_path_buf(),
            })
        } else {
            Ok(())
        }
    }
}

/// Writes rows, all or none. It reads as a [`Connection`] does, and sees what it wrote.
#[derive(Debug)]
pub struct Transaction {
    connection: Connection,
}

impl Transaction {
    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// The disk is full or fails; then nothing of it was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.connection.expect_sound()?;
        let Connection { path, inner, .. } = self.connection;
        match inner {
            Inner::Writer(transaction) => transaction
                .commit()
                .await
                .map_err(|error| StoreError::from_driver(&path, error)),
            Inner::Reader(_) => Ok(()),
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests;
