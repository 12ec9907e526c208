//! SQLite's errors as answers: each with a status that says whose it is and a hint that says what to do.

use rusqlite::ffi;

use super::sqlite_error::SqliteError;
use super::turns::Stopped;
use crate::api::problem::Problem;
use crate::budget::{SQLITE_LENGTH_KIB, WAL_INDEX_KIB};
use crate::job::Outcome;

/// What the caller does about a failed statement.
pub enum Failed {
    /// Tell the client, or put the job back.
    End(Outcome),
    /// SQLite's heap is full of held statements, perhaps: drop them and try once more.
    Memory,
    /// The schema changed more often than SQLite tries by itself.
    Schema,
}

/// Sorts an error.
pub fn failed(error: &SqliteError, stopped: Option<Stopped>) -> Failed {
    let (code, message) = (error.code, error.message.as_str());
    let problem = match error.primary() {
        ffi::SQLITE_NOMEM => return Failed::Memory,
        ffi::SQLITE_SCHEMA => return Failed::Schema,
        _ if error.is_busy() => return Failed::End(Outcome::Busy),
        ffi::SQLITE_INTERRUPT => return Failed::End(interrupted(stopped)),
        ffi::SQLITE_TOOBIG => Problem::new(500, "value-too-large", "A value is too large")
            .detail(format_args!("A value or row is longer than {SQLITE_LENGTH_KIB} KiB."))
            .hint(format_args!("leave the column out with select=, or build with a larger FLAGSTONE_SQLITE_LENGTH_KIB")),
        ffi::SQLITE_FULL => Problem::new(507, "disk-full", "No space for a large sort")
            .detail(format_args!("A temporary file could not grow."))
            .hint(format_args!("narrow the query with a filter, or free space in the state directory")),
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => {
            log::error!("the database is damaged: {error}");
            Problem::new(500, "database-corrupt", "The database is damaged")
                .detail(format_args!("{}", message))
                .hint(format_args!("run PRAGMA integrity_check on a copy"))
        }
        ffi::SQLITE_IOERR if code == ffi::SQLITE_IOERR_SHMMAP => return Failed::End(no_wal_index()),
        ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR => {
            log::error!("the database cannot be read: {error} ({code})");
            Problem::new(500, "database-io", "The database cannot be read")
                .detail(format_args!("{}", message))
                .hint(format_args!("look at the disk and at the server's log"))
        }
        _ if code == ffi::SQLITE_READONLY_ROLLBACK => return Failed::End(half_written()),
        _ if code == ffi::SQLITE_ERROR => {
            return Failed::End(internal("query-failed", "The query failed", message, None));
        }
        _ => {
            log::error!("SQLite: {error} ({code})");
            return Failed::End(internal("database-error", "The query failed", message, Some(code)));
        }
    };
    Failed::End(Outcome::Problem(problem))
}

/// The 503 for a query that needs more memory than SQLite has.
pub fn out_of_memory() -> Outcome {
    let mut problem = Problem::new(503, "sqlite-memory", "The query needs too much memory")
        .detail(format_args!("SQLite's fixed heap is too small for this query."))
        .hint(format_args!("ask for less at once, or build with a larger FLAGSTONE_SQLITE_HEAP_KIB"));
    problem.retry_after = Some(1);
    Outcome::Problem(problem)
}

/// The 503 when the WAL has outgrown what may be mapped of its index: the next checkpoint that finds no reader in its way makes it short again.
fn no_wal_index() -> Outcome {
    log::error!("the WAL is longer than its index may be here ({WAL_INDEX_KIB} KiB): whoever writes should checkpoint");
    let mut problem = Problem::new(503, "wal-too-long", "The database's WAL is too long")
        .detail(format_args!("Its index is larger than the {WAL_INDEX_KIB} KiB that this server may map."))
        .hint(format_args!("checkpoint it, end readers that hold it, or build with a larger FLAGSTONE_WAL_INDEX_KIB"));
    problem.retry_after = Some(1);
    Outcome::Problem(problem)
}

/// The 503 when a writer ended in the middle of a transaction: what it left must be rolled back, and we do not write.
fn half_written() -> Outcome {
    log::error!(
        "a writer was cut off: its -journal must be rolled back, which the next program that opens the database to write does"
    );
    let mut problem = Problem::new(503, "hot-journal", "A write was cut off")
        .detail(format_args!("Its journal must be rolled back first, and this server does not write."))
        .hint(format_args!("open the database with a program that writes, for example sqlite3"));
    problem.retry_after = Some(1);
    Outcome::Problem(problem)
}

/// The outcome of a statement that was stopped.
pub fn interrupted(stopped: Option<Stopped>) -> Outcome {
    let problem = Problem::new(504, "query-timeout", "The query took too long");
    let problem = match stopped {
        Some(Stopped::Abandoned) => return Outcome::Abandoned,
        Some(Stopped::Deadline(limit)) => problem.detail(format_args!("It was stopped after {} ms.", limit / 1000)),
        _ => problem.detail(format_args!("It was stopped.")),
    };
    let problem = problem.hint(format_args!("filter or order by an indexed column, or ask for fewer rows"));
    Outcome::Problem(problem)
}

fn internal(slug: &'static str, title: &'static str, message: &str, code: Option<i32>) -> Outcome {
    let problem = Problem::new(500, slug, title).hint(format_args!("ask the same of the database with the sqlite3 shell"));
    Outcome::Problem(match code {
        Some(code) => problem.detail(format_args!("SQLite says ({code}): {message}")),
        None => problem.detail(format_args!("SQLite says: {message}")),
    })
}
