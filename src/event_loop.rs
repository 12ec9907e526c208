//! The loop: the one place where front and back meet.
//!
//! ```text
//! loop {
//!     front.turn(wait)                                  everything that needs no database
//!     while let Some(work) = front.next_work() {
//!         outcome = back.run(job, || front.turn(no wait))       or back.write(batch, ...)
//!         front.finish(job, outcome)                            or front.finish_batch(batch, ...)
//!     }
//!     one bounded piece of what nobody waits for: a checkpoint
//! }
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::api::problem::Problem;
use crate::back::Back;
use crate::back::turns::GAP;
use crate::front::net::Net;
use crate::front::{Front, Wait, Work};
use crate::job::{Batch, BatchEnd, Change, Commit, Go, Job, Micros, Outcome, Reply, Task, Written};
use crate::ops::metrics::GapCause;

/// How often readings are taken and the database's file is looked at.
const LOOK: Micros = 1_000_000;

/// How long to wait between two attempts to open a database.
const REOPEN: Micros = 100_000;

/// What the loop asks of its surroundings.
pub trait Surroundings {
    /// Called about once a second between jobs: fills in the readings of process and heap.
    fn read<N: Net>(&mut self, front: &mut Front<N>);

    /// Called about once a second between jobs: whether the database's file has been replaced.
    fn database_replaced(&mut self) -> bool;

    /// Called before the loop may sleep: the log's way out.
    fn flush_log(&mut self);

    /// Called about once a second between jobs: whether the configuration's file has been edited.
    fn configuration_edited(&mut self) -> bool;

    /// Called between jobs: work that nobody waits for, at most one bounded piece of it. Whether the connection is lost by it.
    fn background<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) -> bool;

    /// Whether the database is to be opened otherwise than it is, for the running configuration's sake.
    fn wants_reopening(&mut self) -> bool;

    /// Called about once a second between jobs: how the server is, in a line for the service manager.
    fn tell_status(&mut self, _text: &str) {}

    /// Called once, when the server begins to stop.
    fn stopping(&mut self) {}

    /// Changes the running configuration, between jobs.
    ///
    /// # Errors
    /// Why it stays as it is.
    fn change<N: Net>(&mut self, change: Change, front: &mut Front<N>, back: &mut Back<'_>) -> Result<(), Problem>;
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Asked to stop, and every connection has ended.
    Drained,
    /// The database's file is another one, or is to be opened otherwise: open it.
    DatabaseReplaced,
    /// A sync failed, so what is on disk is not known: open it anew, which recovers what was committed.
    ConnectionLost,
}

/// Serves from an open database until the server stops or the file is replaced.
pub fn serve<N: Net, S: Surroundings>(front: &mut Front<N>, back: &mut Back<'_>, reply: &mut Reply, around: &mut S) -> End {
    let mut look_at = 0;
    front.set_freshness(Some(back.freshness()));
    let end = loop {
        turn(front, Wait::UntilEvent);
        tell_of_the_end(front, around);
        if let Some(faults) = front.take_faults() {
            back.obey(faults);
        }
        let mut lost = false;
        while let Some(work) = next_work(front) {
            match work {
                Work::Job(job) => match job.task {
                    Task::Change(change) => {
                        run_change(front, back, reply, around, job, change);
                        // What comes next may need the database opened otherwise.
                        break;
                    }
                    _ => lost |= run_job(front, back, reply, job),
                },
                Work::Batch(batch) => lost |= run_batch(front, back, reply, batch),
            }
            if lost {
                break;
            }
            if front.turn_is_due(GAP) {
                turn(front, Wait::No);
            }
        }
        back.end_sharing();
        let mut reload = front.take_reload();
        if front.now() >= look_at {
            look_at = front.now() + LOOK;
            let (edited, replaced) = look(front, back, around);
            reload |= edited;
            if replaced {
                front.metrics.reopens += 1;
                break End::DatabaseReplaced;
            }
        }
        lost |= background(front, back, around);
        if front.is_idle()
            && !lost
            && let Some(job) = front.next_warming()
        {
            lost |= run_job(front, back, reply, job);
        }
        if lost {
            front.metrics.reopens += 1;
            break End::ConnectionLost;
        }
        if reload {
            // The surroundings have told why, if it stays as it is.
            let _ = change(front, back, around, Change::Reload);
        }
        if around.wants_reopening() {
            break End::DatabaseReplaced;
        }
        // Also of one that began within a job.
        tell_of_the_end(front, around);
        around.flush_log();
        if front.drained() {
            break End::Drained;
        }
    };
    front.set_freshness(None);
    end
}

/// Takes the readings and does what is done once a second; whether the configuration's file was edited, and the database's replaced. A panic
/// in one reading leaves the others for the next second.
fn look<N: Net, S: Surroundings>(front: &mut Front<N>, back: &mut Back<'_>, around: &mut S) -> (bool, bool) {
    let mut seen = (false, false);
    let looked = catch_unwind(AssertUnwindSafe(|| {
        seen = (around.configuration_edited(), around.database_replaced());
        back.read(&mut front.readings.database);
        front.readings.disk = back.disk();
        front.readings.database.ready = true;
        around.read(front);
        around.tell_status(if front.is_draining() { "stopping" } else { "serving" });
        front.tick();
    }));
    if looked.is_err() {
        log::error!("a panic while readings were taken");
        rescue(front);
    }
    seen
}

/// The next work for the back. After a panic in choosing it those who were chosen are answered, and the others have their turn.
fn next_work<N: Net>(front: &mut Front<N>) -> Option<Work> {
    catch_unwind(AssertUnwindSafe(|| front.next_work())).unwrap_or_else(|_| {
        log::error!("a panic while work was chosen");
        rescue(front);
        front.close_lost();
        None
    })
}

/// Serves what needs no database, and answers the rest with 503, until it is time to try opening it again.
pub fn serve_without<N: Net, S: Surroundings>(front: &mut Front<N>, reply: &Reply, around: &mut S) -> Option<End> {
    front.readings.database.ready = false;
    let until = front.now() + REOPEN;
    while front.now() < until {
        turn(front, Wait::AtMost(until - front.now()));
        tell_of_the_end(front, around);
        while let Some(work) = next_work(front) {
            let mut problem = Problem::new(503, "no-database", "The database cannot be opened")
                .detail(format_args!("Its file is missing or was replaced by one that cannot be served."))
                .hint(format_args!("the server's log says why; it tries again ten times a second"));
            problem.retry_after = Some(1);
            match work {
                Work::Job(job) => finish(front, job, Outcome::Problem(problem), reply),
                Work::Batch(mut batch) => {
                    batch.items.iter_mut().for_each(|item| item.outcome = Some(Written::Problem(problem.clone())));
                    finish_batch(front, batch, BatchEnd::Ended(Commit::NONE), reply);
                }
            }
        }
        // Also of one that began within a job.
        tell_of_the_end(front, around);
        around.flush_log();
        if front.drained() {
            return Some(End::Drained);
        }
    }
    around.read(front);
    around.tell_status("the database cannot be opened");
    None
}

/// Tells the surroundings once that the server has begun to stop.
fn tell_of_the_end<N: Net, S: Surroundings>(front: &mut Front<N>, around: &mut S) {
    if front.take_draining() {
        around.stopping();
    }
}

/// After a panic in the front. A second one, in this, is the end of nothing either.
fn rescue<N: Net>(front: &mut Front<N>) {
    if catch_unwind(AssertUnwindSafe(|| front.rescue())).is_err() {
        log::error!("a panic while another was cleared away");
    }
}

/// A panic in the front ends the connection that was being served, and nothing else.
fn turn<N: Net>(front: &mut Front<N>, wait: Wait) {
    if catch_unwind(AssertUnwindSafe(|| front.turn(wait))).is_err() {
        rescue(front);
    }
}

/// A turn from inside SQLite's work; a panic in it ends the connection that was being served, and not the work.
pub fn nested_turn<N: Net>(front: &mut Front<N>, wait: Micros) -> Go {
    let go = catch_unwind(AssertUnwindSafe(|| front.nested_turn(wait))).unwrap_or_else(|_| {
        rescue(front);
        Go::On
    });
    // What a drill orders meanwhile holds for the work that goes on, too.
    if let Some(faults) = front.ordered_faults() {
        crate::back::vfs::faults::obey(faults);
    }
    go
}

/// Runs one job and hands its outcome to the front; whether the connection is lost. A panic in the back is answered, and what it has left
/// is cleared away; one in the front ends one connection at most.
pub fn run_job<N: Net>(front: &mut Front<N>, back: &mut Back<'_>, reply: &mut Reply, job: Job) -> bool {
    if front.wants_panic(0) {
        back.strike();
    }
    let ran = catch_unwind(AssertUnwindSafe(|| back.run(&job, reply, &mut |wait| nested_turn(front, wait))));
    front.metrics.gap(GapCause::Opcode, back.take_longest_gap());
    let sound = ran.is_ok() || recover(back);
    match ran {
        Ok(outcome) => finish(front, job, outcome, reply),
        Err(_) => front.job_panicked(job.slot, job.exchange),
    }
    !sound
}

/// Hands a job's outcome to the front; what a panic in that leaves without an answer is closed.
fn finish<N: Net>(front: &mut Front<N>, job: Job, outcome: Outcome, reply: &Reply) {
    if catch_unwind(AssertUnwindSafe(|| front.finish(job, outcome, reply))).is_err() {
        log::error!("a panic while a job was answered");
        rescue(front);
        front.close_lost();
    }
}

/// After a panic in a job: whether the connection can still be used.
fn recover(back: &mut Back<'_>) -> bool {
    let sound = catch_unwind(AssertUnwindSafe(|| back.recover())).unwrap_or(false);
    if !sound {
        log::error!("a job panicked, and nobody knows where the connection stands: the database is opened anew");
    }
    sound
}

/// Runs one batch and hands its outcomes to the front; whether the connection is lost.
fn run_batch<N: Net>(front: &mut Front<N>, back: &mut Back<'_>, reply: &mut Reply, mut batch: Box<Batch>) -> bool {
    if front.wants_panic(batch.items.len()) {
        back.strike();
    }
    let ran = catch_unwind(AssertUnwindSafe(|| back.write(&mut batch, reply, &mut |wait| nested_turn(front, wait))));
    front.metrics.gap(GapCause::Fsync, back.take_longest_gap());
    front.readings.disk = back.disk();
    let mut fallen = back.take_fallen();
    let end = ran.unwrap_or_else(|_| {
        // Nobody knows how far it came: whoever has no outcome is told so, and the connection is opened anew.
        fallen.alone += 1;
        let unknown = Written::Problem(crate::back::not_known());
        let open = batch.items.iter_mut().filter(|item| item.outcome.is_none());
        open.for_each(|item| item.outcome = Some(unknown.clone()));
        BatchEnd::Lost
    });
    if end == BatchEnd::Lost {
        log::error!("a sync failed, or a batch came to no end: the database is opened anew");
    }
    front.batch_panicked(fallen.shared, fallen.alone);
    finish_batch(front, batch, end, reply);
    end == BatchEnd::Lost
}

/// Hands each write of a batch back; a panic ends one connection at most.
fn finish_batch<N: Net>(front: &mut Front<N>, mut batch: Box<Batch>, end: BatchEnd, reply: &Reply) {
    front.batch_ended(batch.items.len(), end);
    // From the batch itself, one after the other in their order: all at once they are too much for the stack.
    batch.items.reverse();
    while let Some(item) = batch.items.pop() {
        let slot = item.slot;
        if catch_unwind(AssertUnwindSafe(|| front.finish_write(item, end, reply))).is_err() {
            log::error!("answering slot {} failed", slot.index);
            rescue(front);
        }
    }
    front.put_batch_back(batch);
}

/// Changes the configuration for an operator who waits for the answer.
fn run_change<N: Net, S: Surroundings>(
    front: &mut Front<N>, back: &mut Back<'_>, reply: &mut Reply, around: &mut S, job: Job, wanted: Change,
) {
    let outcome = change(front, back, around, wanted).map_or_else(Outcome::Problem, |()| Outcome::Changed);
    finish(front, job, outcome, reply);
}

/// A panic in a change leaves the running configuration as it is.
fn change<N: Net, S: Surroundings>(
    front: &mut Front<N>, back: &mut Back<'_>, around: &mut S, wanted: Change,
) -> Result<(), Problem> {
    catch_unwind(AssertUnwindSafe(|| around.change(wanted, front, back))).unwrap_or_else(|_| {
        front.metrics.panics += 1;
        log::error!("changing the configuration failed, the running one stays");
        Err(Problem::internal())
    })
}

/// After a panic nobody knows where the connection stands: it is opened anew.
fn background<N: Net, S: Surroundings>(front: &mut Front<N>, back: &mut Back<'_>, around: &mut S) -> bool {
    catch_unwind(AssertUnwindSafe(|| around.background(front, back))).unwrap_or_else(|_| {
        front.metrics.panics += 1;
        log::error!("work in the background failed: the database is opened anew");
        true
    })
}
