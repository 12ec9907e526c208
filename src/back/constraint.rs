//! A write's errors as answers: a violated constraint by its name, and what the disk or the schema refused.
#![allow(unsafe_code)]

use std::ffi::c_int;

use rusqlite::{Connection, ffi};

use super::sqlite_error::SqliteError;
use crate::api::problem::Problem;
use crate::budget::SQLITE_LENGTH_KIB;

/// Why a write failed, as far as the next step depends on it.
#[derive(Debug)]
pub enum Fault {
    /// It is to be told this.
    Problem(Problem),
    /// Its answer does not fit in what is left of the reply.
    Later,
    /// SQLite's heap is full.
    Memory,
    /// It was stopped; why, the turns know.
    Interrupted,
    /// Another process holds a lock.
    Busy,
    /// The schema changed.
    Schema,
    /// The disk may or may not hold what was to be synced.
    Sync,
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault::Problem(problem)
    }
}

/// Whether an error says that a sync failed: what is on disk is then not known, and a second sync would not tell (Linux reports a failed
/// writeback once).
pub fn is_failed_sync(error: &SqliteError) -> bool {
    matches!(error.code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
}

/// Sorts an error of a statement that writes, or of BEGIN and COMMIT.
pub fn fault(error: &SqliteError) -> Fault {
    let (code, message) = (error.code, error.message.as_str());
    if is_failed_sync(error) {
        return Fault::Sync;
    }
    let problem = match error.primary() {
        ffi::SQLITE_NOMEM => return Fault::Memory,
        ffi::SQLITE_INTERRUPT => return Fault::Interrupted,
        ffi::SQLITE_SCHEMA => return Fault::Schema,
        _ if error.is_busy() => return Fault::Busy,
        ffi::SQLITE_CONSTRAINT => violated(code).detail(format_args!("{message}")),
        ffi::SQLITE_MISMATCH => type_mismatch().detail(format_args!("{message}")),
        ffi::SQLITE_TOOBIG => Problem::new(422, "value-too-large", "A value is too large")
            .detail(format_args!("A value or row is longer than {SQLITE_LENGTH_KIB} KiB.")),
        ffi::SQLITE_AUTH => Problem::new(500, "sql-not-allowed", "The route's SQL is not allowed")
            .detail(format_args!("{message}"))
            .hint(format_args!("a write may SELECT, INSERT, UPDATE and DELETE, and nothing else")),
        ffi::SQLITE_FULL => {
            log::error!("the database cannot grow: {message}");
            Problem::new(507, "disk-full", "No space to write")
                .detail(format_args!("{message}"))
                .hint(format_args!("free space where the database lies; nothing was written"))
        }
        ffi::SQLITE_READONLY => Problem::new(503, "database-read-only", "The database cannot be written")
            .detail(format_args!("{message}"))
            .hint(format_args!("look at the rights of the database's file and folder")),
        ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR => {
            log::error!("the database cannot be written: {message} ({code})");
            let mut problem = Problem::new(503, "database-io", "The database cannot be written")
                .detail(format_args!("{message}"))
                .hint(format_args!("look at the disk and at the server's log; nothing was written"));
            problem.retry_after = Some(1);
            problem
        }
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => {
            log::error!("the database is damaged: {message}");
            Problem::new(500, "database-corrupt", "The database is damaged")
                .detail(format_args!("{message}"))
                .hint(format_args!("run PRAGMA integrity_check on a copy"))
        }
        _ => failed(format_args!("SQLite says: {message}")),
    };
    Fault::Problem(problem)
}

/// A violated constraint: 409 where another row is in the way, 422 where the values are wrong by themselves.
fn violated(extended: i32) -> Problem {
    match extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE => Problem::new(409, "constraint-unique", "Already there"),
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Problem::new(409, "constraint-primary-key", "Already there")
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => Problem::new(422, "constraint-not-null", "A value is missing"),
        ffi::SQLITE_CONSTRAINT_CHECK => Problem::new(422, "constraint-check", "A value is not allowed"),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => foreign_key(),
        ffi::SQLITE_CONSTRAINT_DATATYPE => type_mismatch(),
        ffi::SQLITE_CONSTRAINT_TRIGGER => Problem::new(422, "constraint-trigger", "Refused by a rule of the database"),
        _ => Problem::new(422, "constraint", "A constraint is violated"),
    }
}

/// The 422 for rows that would point at nothing, or be pointed at without being there.
pub fn foreign_key() -> Problem {
    Problem::new(422, "constraint-foreign-key", "A row that is referred to is not there")
}

/// Whether a row points at nothing, and would still at COMMIT.
pub fn deferred_violations(conn: &Connection) -> bool {
    let (mut now, mut peak): (c_int, c_int) = (0, 0);
    // SAFETY: the connection is open for as long as it is borrowed; both pointers are to live integers.
    unsafe { ffi::sqlite3_db_status(conn.handle(), ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &raw mut now, &raw mut peak, 0) };
    now != 0
}

fn type_mismatch() -> Problem {
    Problem::new(422, "constraint-type", "A value is of the wrong type")
}

fn failed(detail: core::fmt::Arguments) -> Problem {
    Problem::new(500, "query-failed", "The statement failed")
        .detail(detail)
        .hint(format_args!("ask the same of a copy of the database with the sqlite3 shell"))
}

/// The 503 for a write that needs more memory than SQLite has.
pub fn out_of_memory() -> Problem {
    let mut problem = Problem::new(503, "sqlite-memory", "The write needs too much memory")
        .detail(format_args!("SQLite's fixed heap is too small for it; nothing was written."))
        .hint(format_args!("write less at once, or build with a larger FLAGSTONE_SQLITE_HEAP_KIB"));
    problem.retry_after = Some(1);
    problem
}

/// The 504 for a write that was stopped at its deadline.
pub fn too_late() -> Problem {
    Problem::new(504, "write-timeout", "The write took too long")
        .detail(format_args!("It was stopped at its deadline; nothing was written."))
        .hint(format_args!("write less at once"))
}

/// The 503 for a write whose sync failed: it may be there, or not.
pub fn not_known() -> Problem {
    let mut problem = Problem::new(503, "write-uncertain", "The write may or may not be there")
        .detail(format_args!("Something failed while the write was on its way to the disk."))
        .hint(format_args!("look whether it is there; an Idempotency-Key makes trying again safe"));
    problem.retry_after = Some(1);
    problem
}

/// The 503 when the schema does not stand still.
pub fn schema_changing() -> Problem {
    let mut problem = Problem::new(503, "schema-changing", "The schema keeps changing");
    problem.retry_after = Some(1);
    problem
}
