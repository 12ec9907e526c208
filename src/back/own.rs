//! Statements of the server's own that write: each a transaction by itself, with turns for the front like any other.

use super::run::Back;
use super::turns::{Turn, with_turns};
use crate::job::Micros;

impl Back<'_> {
    /// Runs one statement of our own to its end.
    ///
    /// # Errors
    /// What SQLite said, BUSY when another process writes; nothing is changed then.
    pub fn run_own(&mut self, sql: &str, turn: Turn<'_>) -> rusqlite::Result<()> {
        let (conn, started) = (self.conn, self.started);
        let (ran, gap) = with_turns(conn, started, Micros::MAX, turn, |turns| {
            turns.shielded(|| {
                let mut rows = self.held.get(sql)?.raw_query();
                while rows.next()?.is_some() {}
                Ok(())
            })
        });
        self.longest_gap = self.longest_gap.max(gap);
        ran
    }
}
