//! Statements of the server's own that write: each a transaction by itself, with turns for the front like any other.

use super::run::Back;
use super::sqlite_error::SqliteError;
use super::turns::{Turn, with_turns};
use crate::job::Micros;

impl Back<'_> {
    /// Runs one statement of our own to its end.
    ///
    /// # Errors
    /// What SQLite said, BUSY when another process writes; nothing is changed then.
    pub fn run_own(&mut self, sql: &str, turn: Turn<'_>) -> Result<(), SqliteError> {
        self.end_sharing();
        let (conn, started) = (self.conn, self.started);
        let (ran, took) = with_turns(conn, started, Micros::MAX, turn, |turns| turns.shielded(|| self.held.get(sql)?.run()));
        self.longest_gap = self.longest_gap.max(took.longest_gap);
        ran
    }
}
