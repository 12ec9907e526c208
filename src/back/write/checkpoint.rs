//! Checkpoints as jobs of their own: by SQLite's own rule they would sit in some client's commit.

use rusqlite::types::ValueRef;

use crate::back::run::Back;
use crate::back::sqlite_error::SqliteError;
use crate::back::turns::{Turn, with_turns};
use crate::job::Micros;

/// What a checkpoint is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Copy what no reader is in the way of.
    Passive,
    /// That, and then cut the WAL to nothing, unless somebody reads or writes.
    Truncate,
}

/// What a checkpoint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// Whether somebody was in the way of a truncation, or of another process's checkpoint.
    pub busy: bool,
    /// Frames in the WAL.
    pub frames: u32,
    /// Those of them that are in the database's file.
    pub copied: u32,
}

impl Back<'_> {
    /// Copies the WAL into the database's file, in one bounded step: the WAL is as long as the last checkpoint left it grow. `None` outside
    /// of WAL mode.
    ///
    /// # Errors
    /// What SQLite said; nothing is lost by it, the WAL stays.
    pub fn checkpoint(&mut self, what: Checkpoint, turn: Turn<'_>) -> Result<Option<LogSize>, SqliteError> {
        let pragma = match what {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        self.end_sharing();
        let (conn, started) = (self.conn, self.started);
        let (size, took) = with_turns(conn, started, Micros::MAX, turn, |turns| {
            turns.shielded(|| {
                let mut rows = self.held.get(pragma)?.rows();
                let Some(row) = rows.next()? else { return Ok(None) };
                let number = |column| if let ValueRef::Integer(number) = row.value(column) { number } else { -1 };
                let (busy, frames, copied) = (number(0), number(1), number(2));
                // Outside of WAL mode they are -1.
                let frames = u32::try_from(frames).ok();
                Ok(frames.map(|frames| LogSize { busy: busy != 0, frames, copied: u32::try_from(copied).unwrap_or(0) }))
            })
        });
        self.longest_gap = self.longest_gap.max(took.longest_gap);
        size
    }
}
