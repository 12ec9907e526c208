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
//! Deadlines nest. In a batch a write is stopped halfway to the earliest deadline of all, so that what is left is enough to run the others
//! alone; who was stopped there runs last, alone, up to its own deadline.

mod answer;
mod checkpoint;
mod control;
mod engine;
mod group;
mod idempotency;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, LogSize};
pub use control::Control;
pub use idempotency::OWN_SCHEMA;

use self::engine::Engine;
use self::group::{Group, Ran};
use super::constraint::{self, Fault, fault};
use super::run::{Back, schema_problem};
use super::turns::{Turn, Turns, with_turns};
use crate::api::problem::Problem;
use crate::api::table_query::Format;
use crate::api::value::Value;
use crate::config::Config;
use crate::job::{Batch, BatchEnd, Commit, Go, Item, Micros, Outcome, Reply, TableSet, Written};

/// How often a batch starts over because the schema changed under it.
const SCHEMA_RETRIES: usize = 3;

/// The work of one write: which route's statements, how often, with which values.
pub trait Work {
    /// The route's place in the configuration.
    fn route(&self) -> usize;

    /// Whether the body was an array: the answer is then one, also for one element.
    fn is_array(&self) -> bool;

    /// How often the statements run: once for each element of an array, else once.
    fn elements(&self) -> usize;

    /// Binds the next element's values; called once for each.
    ///
    /// # Errors
    /// A problem when a value is missing or not what it should be.
    fn bind_next(&mut self) -> Result<(), Problem>;

    /// The format that the query asked for; known from the first element on.
    fn format(&self) -> Option<Format> {
        None
    }

    /// The current element's value for the parameter at this place among the route's.
    fn value(&self, parameter: usize) -> Value<'_>;
}

/// Finds the work in a request.
pub trait Works {
    /// What one request asks for.
    type Work<'w>: Work
    where
        Self: 'w;

    /// Begins the work of `item`. May be called more than once for the same item.
    ///
    /// # Errors
    /// A problem when the request means nothing.
    fn begin<'w>(&'w mut self, item: &'w Item, config: &'w Config) -> Result<Self::Work<'w>, Problem>;
}

impl<'c> Back<'c> {
    /// Makes the connection ready for the configuration's writes: our own table, where a route is idempotent. At start, and before a new
    /// configuration is used; outside of jobs.
    ///
    /// # Errors
    /// What SQLite said, BUSY when another process writes.
    pub fn prepare_writes(&mut self, config: &Config) -> rusqlite::Result<()> {
        if self.control.is_none() {
            self.control = Some(Control::new(self.conn)?);
        }
        if config.routes().iter().any(|route| route.idempotent) {
            self.conn.execute_batch(OWN_SCHEMA)?;
        }
        Ok(())
    }

    /// Runs the writes of a batch to their outcomes; their answers' bodies are then in `reply`, which is emptied before. `turn` is called
    /// meanwhile; when it says stop, a batch of one is interrupted, and a larger one runs to its end.
    pub fn write_with<W: Works>(
        &mut self, batch: &mut Batch, config: &Config, works: &mut W, reply: &mut Reply, turn: Turn<'_>,
    ) -> BatchEnd {
        let (conn, started) = (self.conn, self.started);
        let alone = batch.items.len() < 2;
        let mut patient = |wait: Micros| match turn(wait) {
            Go::Stop if alone => Go::Stop,
            _ => Go::On,
        };
        reply.clear();
        let (end, gap) = with_turns(conn, started, Micros::MAX, &mut patient, |turns| {
            let end = self.write_in_turns(batch, config, works, reply, turns);
            // No statement may be prepared under the last one's list.
            self.held.begin();
            if self.snapshot.is_lost() {
                self.snapshot.examine();
            }
            end
        });
        self.longest_gap = self.longest_gap.max(gap);
        end
    }

    fn write_in_turns<W: Works>(
        &mut self, batch: &mut Batch, config: &Config, works: &mut W, reply: &mut Reply, turns: &Turns<'_>,
    ) -> BatchEnd {
        let mut commit = Commit::NONE;
        self.held.begin();
        for _ in 0..SCHEMA_RETRIES {
            let ran = match self.ready(turns) {
                Err(problem) => Ran::Refused(problem),
                Ok(()) => self.run_group(batch, config, works, reply, turns, &mut commit),
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

    fn run_group<W: Works>(
        &mut self, batch: &mut Batch, config: &Config, works: &mut W, reply: &mut Reply, turns: &Turns<'_>, commit: &mut Commit,
    ) -> Ran {
        let Some(control) = &mut self.control else { return Ran::Refused(constraint::out_of_memory()) };
        let (conn, held, shape) = (self.conn, &mut self.held, &mut self.work.shape);
        let engine = Engine { conn, held, shape, turns, config, reply };
        Group { engine, control, snapshot: &self.snapshot, works, schema: self.schema_version, commit }.run(batch)
    }

    /// A connection outside of any transaction, with what transactions need.
    fn ready(&mut self, turns: &Turns<'_>) -> Result<(), Problem> {
        let told = |error: rusqlite::Error| match fault(&error) {
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
