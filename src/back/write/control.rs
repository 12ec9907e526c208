//! The words that begin and end transactions, prepared once: a ROLLBACK must not need memory when there is none.

use rusqlite::Connection;

use crate::back::sqlite_error::SqliteError;
use crate::back::statement::Statement;
use crate::back::turns::Turns;

/// Statements that are held for as long as the connection is written through.
pub struct Control<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    rollback_to: Statement<'c>,
}

impl<'c> Control<'c> {
    /// Prepares them.
    ///
    /// # Errors
    /// What SQLite said, for want of memory only.
    pub fn new(conn: &'c Connection) -> Result<Control<'c>, SqliteError> {
        Ok(Control {
            begin: Statement::prepare(conn, "BEGIN IMMEDIATE")?,
            commit: Statement::prepare(conn, "COMMIT")?,
            rollback: Statement::prepare(conn, "ROLLBACK")?,
            savepoint: Statement::prepare(conn, "SAVEPOINT item")?,
            release: Statement::prepare(conn, "RELEASE item")?,
            rollback_to: Statement::prepare(conn, "ROLLBACK TO item")?,
        })
    }

    /// Takes the write lock.
    ///
    /// # Errors
    /// BUSY when another process has it.
    pub fn begin(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.begin, turns)
    }

    /// Makes the transaction durable.
    ///
    /// # Errors
    /// Then nothing of it is there, or it is open still: the connection's autocommit says which.
    pub fn commit(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.commit, turns)
    }

    /// Ends the transaction without a trace.
    ///
    /// # Errors
    /// What SQLite said; the transaction is over all the same.
    pub fn rollback(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.rollback, turns)
    }

    /// Begins one item.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn savepoint(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.savepoint, turns)
    }

    /// Ends one item; what it did stays, until the transaction's end.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn release(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.release, turns)
    }

    /// Takes back what the item did; its savepoint stays.
    ///
    /// # Errors
    /// What SQLite said; the transaction must then be rolled back.
    pub fn rollback_to(&mut self, turns: &Turns<'_>) -> Result<(), SqliteError> {
        run(&mut self.rollback_to, turns)
    }
}

fn run(statement: &mut Statement<'_>, turns: &Turns<'_>) -> Result<(), SqliteError> {
    turns.shielded(|| statement.run())
}
