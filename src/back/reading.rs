//! A read transaction around several statements: rows, and what is said of them, are then of one state of the database.

use rusqlite::Connection;

use super::sqlite_error::SqliteError;
use super::statement::Statement;

/// The words that begin and end one, prepared once.
pub struct Reading<'c> {
    conn: &'c Connection,
    begin: Statement<'c>,
    end: Statement<'c>,
}

impl<'c> Reading<'c> {
    /// Prepares them.
    ///
    /// # Errors
    /// What SQLite said, for want of memory only.
    pub fn new(conn: &'c Connection) -> Result<Reading<'c>, SqliteError> {
        Ok(Reading { conn, begin: Statement::prepare(conn, "BEGIN")?, end: Statement::prepare(conn, "COMMIT")? })
    }

    /// Begins one; the first statement that reads takes its lock.
    ///
    /// # Errors
    /// What SQLite said: one is open already.
    pub fn begin(&mut self) -> Result<(), SqliteError> {
        self.begin.run()
    }

    /// Ends it, unless an error has ended it already. What its end could report its statements have reported before; if it stays open, for
    /// want of memory, the next job ends it.
    pub fn end(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.end.run()
        {
            log::warn!("a read transaction stays open: {error}");
        }
    }
}
