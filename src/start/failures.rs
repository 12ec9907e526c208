//! Why a database cannot be served, in words that end with something to type.

use rusqlite::ffi;

use super::inspect::{self, Facts};
use super::{Exit, StartError, shell_word};
use crate::back::heap::HeapError;
use crate::back::{DescribeError, SqliteError};

pub(super) fn internal(what: &str) -> StartError {
    StartError::new(Exit::Internal, what, &["flagstone --version".to_string()])
}

pub(super) fn no_heap(error: HeapError) -> StartError {
    match error {
        HeapError::Option(option) => internal(&format!(
            "SQLite refused its fixed memory ({option}): this binary was built without the flags in .cargo/config.toml"
        )),
        HeapError::PagesTooLarge { page, least_kib } => StartError::new(
            Exit::Database,
            format!("the database has pages of {page} bytes, of which this build's page cache holds too few"),
            &[format!("FLAGSTONE_SQLITE_PAGES_KIB={least_kib} cargo build --release")],
        ),
    }
}

pub(super) fn cannot_open(facts: &Facts, error: &SqliteError) -> StartError {
    let path = facts.path.as_path();
    let path_word = shell_word(path);
    if error.is_busy() {
        let what = format!("{}: another process has locked it for writing; it can be opened when that is done", path.display());
        return StartError::new(Exit::Database, what, &[format!("fuser -v {path_word}   # who has it open")]);
    }
    if error.code == ffi::SQLITE_READONLY_ROLLBACK {
        return inspect::hot_journal(facts);
    }
    if error.primary() == ffi::SQLITE_NOMEM {
        let what = format!(
            "{}: its schema needs more memory than the {} KiB that this build gives SQLite (its tables and views may number {})",
            path.display(),
            crate::budget::SQLITE_HEAP_LIMIT_BYTES / 1024,
            crate::budget::TABLES,
        );
        let larger = 4 * crate::budget::SQLITE_HEAP_KIB;
        return StartError::new(Exit::Database, what, &[format!("FLAGSTONE_SQLITE_HEAP_KIB={larger} cargo build --release")]);
    }
    StartError::new(
        Exit::Database,
        format!("{}: SQLite cannot open it: {error}", path.display()),
        &[format!("ls -l {path_word}*"), format!("sqlite3 {path_word} 'PRAGMA integrity_check'")],
    )
}

pub(super) fn cannot_read(facts: &Facts, error: &DescribeError) -> StartError {
    match error {
        DescribeError::Sqlite(error) => cannot_open(facts, error),
        DescribeError::Full(full) => StartError::new(
            Exit::Database,
            format!(
                "{}: has more than {} {}, which is what this build's catalog holds",
                facts.path.display(),
                full.limit,
                full.what
            ),
            &["FLAGSTONE_PRESET=pi-4 cargo build --release".to_string()],
        ),
    }
}
