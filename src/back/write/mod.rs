//! Group commit: waiting writes become one transaction, each in its savepoint, and each gets an answer as if it had run alone.
//!
//! ```text
//! BEGIN IMMEDIATE                      BUSY: nothing happened, the front tries again
//!   SAVEPOINT item ... RELEASE         an error takes back its own item only,
//!   SAVEPOINT item ... RELEASE         unless SQLite has ended the whole transaction
//! COMMIT                               one sync for all of them
//! ```
//!
//! An error of the ROLLBACK class (RAISE(ROLLBACK), ON CONFLICT ROLLBACK, an interrupt, an I/O error, no memory, no space) ends the
//! transaction, savepoints and all: after each error `sqlite3_get_autocommit` is asked. Then whoever caused it has its error, and the others
//! run singly, in their order, each in a transaction of its own: a lost batch costs its neighbours a retry and never an error.
//!
//! The only reads inside are those of the writes themselves: RETURNING, a SELECT among a route's statements, our own table. What they see of
//! others is told when those are committed too, or not at all.
//!
//! Deadlines nest. In a batch a write is stopped halfway to the earliest deadline of all, so that what is left is enough to run the others
//! alone; who was stopped there runs last, alone, up to its own deadline.

mod answer;
mod barrier;
mod checkpoint;
mod control;
mod engine;
mod group;
mod idempotency;
#[cfg(test)]
mod tests;
mod work;

pub use barrier::Fallen;
pub use checkpoint::{Checkpoint, LogSize};
pub use control::Control;
pub use idempotency::OWN_SCHEMA;

use std::rc::Rc;

use self::engine::Engine;
use self::group::{Group, Ran};
use super::constraint::{self, Fault, fault};
use super::run::{Back, schema_problem};
use super::sqlite_error::SqliteError;
use super::turns::{Turn, Turns, with_turns};
use crate::api::problem::Problem;
use crate::config::Config;
use crate::job::{Batch, BatchEnd, Commit, Go, Micros, Outcome, Reply, TableSet, Written};

/// How often a batch starts over because the schema changed under it.
const SCHEMA_RETRIES: usize = 3;

impl<'c> Back<'c> {
    /// Makes the connection ready for the configuration's writes: our own table, where a route is idempotent. At start, and before a new
    /// configuration is used; outside of jobs.
    ///
    /// # Errors
    /// What SQLite said, BUSY when another process writes.
    pub fn prepare_writes(&mut self, config: &Config) -> Result<(), SqliteError> {
        self.end_sharing();
        if self.control.is_none() {
            self.control = Some(Control::new(self.conn)?);
        }
        if config.routes().iter().any(|route| route.idempotent) {
            self.conn.execute_batch(OWN_SCHEMA)?;
        }
        Ok(())
    }

    /// Runs the writes of a batch to their outcomes, by the running configuration; their answers' bodies are then in `reply`, which is emptied before. `turn` is called
    /// meanwhile; when it says stop, a batch of one is interrupted, and a larger one runs to its end.
    pub fn write(&mut self, batch: &mut Batch, reply: &mut Reply, turn: Turn<'_>) -> BatchEnd {
        self.end_sharing();
        let config = Rc::clone(&self.config);
        let (conn, started) = (self.conn, self.started);
        let alone = batch.items.len() < 2;
        let mut patient = |wait: Micros| match turn(wait) {
            Go::Stop if alone => Go::Stop,
            _ => Go::On,
        };
        reply.clear();
        let (end, took) = with_turns(conn, started, Micros::MAX, &mut patient, |turns| {
            let end = self.write_in_turns(batch, &config, reply, turns);
            // No statement may be prepared under the last one's list.
            self.held.begin();
            if self.snapshot.is_lost() {
                self.snapshot.examine();
            }
            end
        });
        self.longest_gap = self.longest_gap.max(took.longest_gap);
        end
    }

    fn write_in_turns(&mut self, batch: &mut Batch, config: &Config, reply: &mut Reply, turns: &Turns<'_>) -> BatchEnd {
        let mut commit = Commit::NONE;
        self.held.begin();
        for _ in 0..SCHEMA_RETRIES {
            let ran = match self.ready(turns) {
                Err(problem) => Ran::Refused(problem),
                Ok(()) => self.run_group(batch, config, reply, turns, &mut commit),
            };
            commit.tables = commit.tables.or(&self.held.job_uses().writes);
            let problem = match ran {
                Ran::Ended => return BatchEnd::Ended(commit),
                Ran::Busy => return BatchEnd::Busy,
                Ran::Lost => return BatchEnd::Lost,
                Ran::Refused(problem) => problem,
                Ran::Schema => match self.read_schema() {
                    Ok(()) => {
                        // What was written so far is told by places that mean other tables now.
                        commit.tables = if commit.commits > 0 { TableSet::EVERYTHING } else { TableSet::NONE };
                        self.held.begin();
                        continue;
                    }
                    Err(error) => match schema_problem(&error, turns) {
                        Outcome::Problem(problem) => problem,
                        _ => constraint::schema_changing(),
                    },
                },
            };
            give_up(batch, &problem);
            return BatchEnd::Ended(commit);
        }
        give_up(batch, &constraint::schema_changing());
        BatchEnd::Ended(commit)
    }

    fn run_group(
        &mut self, batch: &mut Batch, config: &Config, reply: &mut Reply, turns: &Turns<'_>, commit: &mut Commit,
    ) -> Ran {
        let Some(control) = &mut self.control else { return Ran::Refused(constraint::out_of_memory()) };
        let (conn, held, work) = (self.conn, &mut self.held, &mut *self.work);
        let bound = work.bound.get_or_insert_with(Box::default);
        let engine = Engine { conn, held, shape: &mut work.shape, bound, turns, config, reply };
        let strike = std::mem::take(&mut self.strike);
        let (snapshot, schema, fallen) = (&self.snapshot, self.schema_version, &mut self.fallen);
        Group { engine, control, snapshot, schema, commit, committing: false, fallen, strike }.run(batch)
    }

    /// A connection outside of any transaction, with what transactions need.
    fn ready(&mut self, turns: &Turns<'_>) -> Result<(), Problem> {
        let told = |error: SqliteError| match fault(&error) {
            Fault::Problem(problem) => problem,
            _ => constraint::out_of_memory(),
        };
        if self.control.is_none() {
            self.control = Some(Control::new(self.conn).map_err(told)?);
        }
        match &mut self.control {
            Some(control) if !self.conn.is_autocommit() => control.rollback(turns).map_err(told),
            _ => Ok(()),
        }
    }
}

/// Tells all that have no outcome the same.
fn give_up(batch: &mut Batch, problem: &Problem) {
    for item in batch.items.iter_mut().filter(|item| item.outcome.is_none()) {
        item.outcome = Some(Written::Problem(problem.clone()));
    }
}
