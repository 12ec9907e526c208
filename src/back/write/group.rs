//! Transactions: which writes share one, what ends one, and who runs again alone.

use super::barrier::Fallen;
use super::control::Control;
use super::engine::Engine;
use crate::api::problem::Problem;
use crate::back::constraint::{self, Fault, fault};
use crate::back::describe::{SCHEMA_VERSION, schema_version};
use crate::back::snapshot::Snapshot;
use crate::back::turns::Stopped;
use crate::job::{Batch, Commit, Item, Micros, Stamp, Written};

/// How a run of a batch ended.
pub enum Ran {
    /// Every item has its outcome.
    Ended,
    /// Another process holds the lock, and nothing has an outcome.
    Busy,
    /// What is on disk is not known; every item has its outcome.
    Lost,
    /// No transaction can be begun; the rest is to be told this.
    Refused(Problem),
    /// The schema is not the one that was read; the rest has no outcome yet.
    Schema,
}

/// How an item of a shared transaction ended.
enum Kept {
    /// With this, or to be run alone; the transaction goes on.
    Settled(Option<Written>),
    /// The transaction is over, with all that was in it.
    Lost(Fault),
}

/// A batch on its way.
pub struct Group<'g, 'c, 't> {
    pub engine: Engine<'g, 'c, 't>,
    pub control: &'g mut Control<'c>,
    pub snapshot: &'g Snapshot<'c>,
    /// The schema's version that the catalog is of.
    pub schema: i64,
    pub commit: &'g mut Commit,
    /// From a COMMIT on, until it is known to have failed or another transaction begins: a panic then leaves it unknown.
    pub committing: bool,
    /// Panics that were caught.
    pub fallen: &'g mut Fallen,
    /// A drill wants the next transaction to panic.
    pub strike: bool,
}

/// Outcomes that are promises until the commit: however the transaction ends without one, also by a panic, they are gone.
struct Tentative<'b> {
    items: &'b mut [Item],
    /// A bit for each that had its outcome before.
    settled: u128,
    kept: bool,
}

const _: () = assert!(crate::budget::BATCH <= u128::BITS as usize, "a bit for each item");

impl<'b> Tentative<'b> {
    fn new(items: &'b mut [Item]) -> Tentative<'b> {
        let settled = items.iter().enumerate().map(|(at, item)| u128::from(item.outcome.is_some()) << at).sum();
        Tentative { items, settled, kept: false }
    }

    fn is_settled(&self, at: usize) -> bool {
        self.settled >> at & 1 == 1
    }
}

impl Drop for Tentative<'_> {
    fn drop(&mut self) {
        for at in 0..self.items.len() {
            if !self.kept && !self.is_settled(at) {
                self.items[at].outcome = None;
            }
        }
    }
}

impl Group<'_, '_, '_> {
    /// Runs all items that have no outcome: together, and those alone that this leaves without one.
    pub fn run(&mut self, batch: &mut Batch) -> Ran {
        let items = &mut batch.items[..];
        let now = self.engine.turns.now();
        for item in items.iter_mut().filter(|item| item.outcome.is_none() && item.deadline <= now) {
            item.outcome = Some(Written::Problem(constraint::too_late()));
        }
        let mut last = None;
        if waiting(items) > 1 {
            match self.together_or_alone(items) {
                Ok(slow) => last = slow,
                Err(ran) => return settle(items, ran),
            }
            self.commit.replays += waiting(items) as u16;
        }
        for at in (0..items.len()).filter(|&at| Some(at) != last).chain(last) {
            if items[at].outcome.is_none()
                && let Err(ran) = self.alone_or_told(&mut items[at])
            {
                return settle(items, ran);
            }
        }
        Ran::Ended
    }

    /// One transaction for all. What it leaves without an outcome must run alone; the place of the one that must come last, because it is slow.
    pub(super) fn together(&mut self, items: &mut [Item]) -> Result<Option<usize>, Ran> {
        let now = self.engine.turns.now();
        let earliest = items.iter().filter(|item| item.outcome.is_none()).map(|item| item.deadline).min().unwrap_or(now);
        let limit = now + earliest.saturating_sub(now) / 2;
        let before = self.begin()?;
        let start = self.engine.reply.len();
        let mut tentative = Tentative::new(items);
        let mut slow = None;
        for at in 0..tentative.items.len() {
            if tentative.is_settled(at) {
                continue;
            }
            if self.engine.turns.now() >= limit {
                break;
            }
            let kept = self.in_savepoint(&tentative.items[at], limit);
            self.panic_if_ordered();
            match kept {
                Kept::Settled(written) => {
                    slow = if written.is_none() { Some(at) } else { slow };
                    tentative.items[at].outcome = written;
                }
                Kept::Lost(fault) => {
                    drop(tentative);
                    self.engine.reply.truncate(start);
                    return self.blame(at, &mut items[at], fault);
                }
            }
        }
        match self.commit(before) {
            Ok(()) => tentative.kept = true,
            // They are told that nobody knows; whoever failed beside them may have failed by what is not there.
            Err(Fault::Sync) => {
                tentative.kept = true;
                for at in 0..tentative.items.len() {
                    if !tentative.is_settled(at) {
                        let item = &mut tentative.items[at];
                        let done = matches!(item.outcome, Some(Written::Done(_)));
                        item.outcome = done.then(|| Written::Problem(constraint::not_known()));
                    }
                }
                return Err(Ran::Lost);
            }
            Err(Fault::Busy) => return Err(Ran::Busy),
            // Alone each has its own commit, and its own error.
            Err(_) => self.engine.reply.truncate(start),
        }
        Ok(slow)
    }

    /// Gives whoever ended a shared transaction its outcome; the place of the one that runs last.
    fn blame(&mut self, at: usize, item: &mut Item, fault: Fault) -> Result<Option<usize>, Ran> {
        item.outcome = match fault {
            Fault::Problem(problem) => Some(Written::Problem(problem)),
            Fault::Later => Some(Written::Later),
            // Its neighbours' pages may have been what filled the memory.
            Fault::Memory => None,
            Fault::Interrupted if self.engine.turns.stopped() == Some(Stopped::Panicked) => return Err(Ran::Ended),
            Fault::Interrupted if self.engine.turns.now() < item.deadline => return Ok(Some(at)),
            Fault::Interrupted => Some(Written::Problem(constraint::too_late())),
            Fault::Busy => return Err(Ran::Busy),
            Fault::Schema => return Err(Ran::Schema),
            Fault::Sync => {
                item.outcome = Some(Written::Problem(constraint::not_known()));
                return Err(Ran::Lost);
            }
        };
        Ok(None)
    }

    fn in_savepoint(&mut self, item: &Item, limit: Micros) -> Kept {
        let turns = self.engine.turns;
        let mark = self.engine.reply.len();
        if let Err(error) = self.control.savepoint(turns) {
            self.roll_back();
            return Kept::Lost(fault(&error));
        }
        let mut freed = false;
        loop {
            turns.limit(limit);
            let ran = self.engine.execute(item);
            let fault = match ran.and_then(|done| self.control.release(turns).map(|()| done).map_err(|error| fault(&error))) {
                Ok(done) => return Kept::Settled(Some(Written::Done(done))),
                Err(fault) => fault,
            };
            self.engine.reply.truncate(mark);
            if matches!(fault, Fault::Memory) {
                self.engine.free();
            }
            let ends = matches!(fault, Fault::Busy | Fault::Schema | Fault::Sync);
            // Whose rollback fails has left the savepoint's state unknown.
            if ends || self.engine.conn.is_autocommit() || self.control.rollback_to(turns).is_err() {
                self.roll_back();
                return Kept::Lost(fault);
            }
            if matches!(fault, Fault::Memory) && !freed {
                freed = true;
                continue;
            }
            if self.control.release(turns).is_err() || turns.stopped() == Some(Stopped::Panicked) {
                self.roll_back();
                return Kept::Lost(fault);
            }
            return Kept::Settled(match fault {
                Fault::Problem(problem) => Some(Written::Problem(problem)),
                Fault::Later => Some(Written::Later),
                Fault::Interrupted if turns.now() < item.deadline => None,
                Fault::Interrupted => Some(Written::Problem(constraint::too_late())),
                _ => Some(Written::Problem(constraint::out_of_memory())),
            });
        }
    }

    /// A transaction of its own.
    pub(super) fn alone(&mut self, item: &mut Item) -> Result<(), Ran> {
        let turns = self.engine.turns;
        let mark = self.engine.reply.len();
        let mut freed = false;
        let written = loop {
            if turns.now() >= item.deadline {
                break Written::Problem(constraint::too_late());
            }
            let before = self.begin()?;
            turns.limit(item.deadline);
            let ran = self.engine.execute(item);
            self.panic_if_ordered();
            let ran = ran.and_then(|done| self.commit(before).map(|()| done));
            let fault = match ran {
                Ok(done) => break Written::Done(done),
                Err(fault) => fault,
            };
            self.roll_back();
            self.engine.reply.truncate(mark);
            break match fault {
                Fault::Problem(problem) => Written::Problem(problem),
                Fault::Later => Written::Later,
                Fault::Memory if !freed => {
                    freed = true;
                    self.engine.free();
                    continue;
                }
                Fault::Memory => Written::Problem(constraint::out_of_memory()),
                Fault::Interrupted => match turns.stopped() {
                    Some(Stopped::Abandoned) => Written::Abandoned,
                    Some(Stopped::Panicked) => return Err(Ran::Ended),
                    _ => Written::Problem(constraint::too_late()),
                },
                Fault::Busy => return Err(Ran::Busy),
                Fault::Schema => return Err(Ran::Schema),
                Fault::Sync => {
                    item.outcome = Some(Written::Problem(constraint::not_known()));
                    return Err(Ran::Lost);
                }
            };
        };
        item.outcome = Some(written);
        Ok(())
    }

    /// Takes the write lock; the state's name under it.
    fn begin(&mut self) -> Result<Option<Stamp>, Ran> {
        let turns = self.engine.turns;
        self.committing = false;
        let mut freed = false;
        loop {
            let began = self.control.begin(turns).and_then(|()| self.engine.held.get(SCHEMA_VERSION).and_then(schema_version));
            let error = match began {
                Ok(version) if version == self.schema => return Ok(self.snapshot.locked()),
                Ok(_) => {
                    self.roll_back();
                    return Err(Ran::Schema);
                }
                Err(error) => error,
            };
            self.roll_back();
            return Err(match fault(&error) {
                Fault::Memory if !freed => {
                    freed = true;
                    self.engine.free();
                    continue;
                }
                Fault::Problem(problem) => Ran::Refused(problem),
                Fault::Busy => Ran::Busy,
                Fault::Schema => Ran::Schema,
                Fault::Sync => Ran::Lost,
                Fault::Memory | Fault::Later | Fault::Interrupted => Ran::Refused(constraint::out_of_memory()),
            });
        }
    }

    /// Makes the transaction durable, or leaves none.
    fn commit(&mut self, before: Option<Stamp>) -> Result<(), Fault> {
        self.committing = true;
        match self.control.commit(self.engine.turns) {
            Ok(()) => {
                self.commit.add(before, self.snapshot.before());
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                self.committing = false;
                Err(fault(&error))
            }
        }
    }

    /// In the middle of a transaction, with a write done and none committed.
    fn panic_if_ordered(&mut self) {
        if std::mem::take(&mut self.strike) {
            panic!("a drill");
        }
    }

    /// Ends a transaction that is open still.
    pub(super) fn roll_back(&mut self) {
        if !self.engine.conn.is_autocommit()
            && let Err(error) = self.control.rollback(self.engine.turns)
        {
            log::error!("a transaction was rolled back with an error: {error}");
        }
    }
}

fn waiting(items: &[Item]) -> usize {
    items.iter().filter(|item| item.outcome.is_none()).count()
}

/// What an early end means for those that had no turn: back into the queue, unless nothing has happened yet at all.
fn settle(items: &mut [Item], ran: Ran) -> Ran {
    let untouched = waiting(items) == items.len();
    match ran {
        Ran::Busy if untouched => return Ran::Busy,
        Ran::Busy | Ran::Lost => {}
        other => return other,
    }
    for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
        item.outcome = Some(Written::Later);
    }
    if matches!(ran, Ran::Lost) { Ran::Lost } else { Ran::Ended }
}
