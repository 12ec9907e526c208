//! How long a request would wait for the back, and how long until what waits is worked off: measured service times times what stands before it.
//!
//! Little's law with measured times, as in PIE (RFC 8033 §5.2), and not the waits of those who have just been served (CoDel, RFC 8289): those
//! waits tell of decisions that were made one wait ago, and what reacts to them swings. The length of our queue is known exactly. CoDel's lesson is
//! kept by `admission`: a queue that is short is left alone however slow its jobs are.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// A new measurement counts for one part in so many: a dozen jobs make a mean anew, one odd job does not.
const WEIGHT: u64 = 8;

/// A mean that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mean(Micros);

impl Mean {
    fn add(&mut self, measured: Micros) {
        self.0 = if self.0 == 0 { measured } else { (self.0 * (WEIGHT - 1) + measured).div_ceil(WEIGHT) };
    }
}

/// What the back works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Read(usize),
    Batch,
}

/// The back's service times: of reads by `N` kinds (a named route each, and one for the tables), of batches of writes, and what it is at now.
#[derive(Clone, Debug)]
pub struct Load<const N: usize> {
    reads: [Mean; N],
    batch: Mean,
    /// What batches take between one read and the next.
    between: Mean,
    since_read: Micros,
    work: Work,
    started: Micros,
    /// When the work is stopped at the latest.
    deadline: Micros,
    /// Since when another process's lock has kept work from ending.
    locked: Option<Micros>,
}

impl<const N: usize> Load<N> {
    /// Nothing measured yet.
    pub const fn new() -> Self {
        Load {
            reads: [Mean(0); N],
            batch: Mean(0),
            between: Mean(0),
            since_read: 0,
            work: Work::Nothing,
            started: 0,
            deadline: 0,
            locked: None,
        }
    }

    /// Other kinds stand in the places of these.
    pub fn forget_reads(&mut self) {
        self.reads = [Mean(0); N];
    }

    /// What a read of this kind is expected to take; 0 as long as none was measured.
    pub fn read(&self, kind: usize) -> Micros {
        self.reads[kind].0
    }

    /// A read begins, which is stopped at `deadline`.
    pub fn begin_read(&mut self, kind: usize, deadline: Micros, now: Micros) {
        self.between.add(std::mem::take(&mut self.since_read));
        (self.work, self.started, self.deadline) = (Work::Read(kind), now, deadline);
    }

    /// A batch begins, whose writes are stopped at `deadline`.
    pub fn begin_batch(&mut self, deadline: Micros, now: Micros) {
        (self.work, self.started, self.deadline) = (Work::Batch, now, deadline);
    }

    /// The work has ended. One that a lock sent away tells nothing of how long it takes, and is not over.
    pub fn end(&mut self, locked: bool, now: Micros) {
        let spent = now.saturating_sub(self.started);
        match self.work {
            _ if locked => {
                self.locked.get_or_insert(self.started);
            }
            Work::Nothing => {}
            Work::Read(kind) => {
                self.locked = None;
                self.reads[kind].add(spent);
            }
            Work::Batch => {
                self.locked = None;
                self.batch.add(spent);
                self.since_read += spent;
            }
        }
        self.work = Work::Nothing;
    }

    /// Nobody waits any more: a lock that nobody has asked for since tells nothing.
    pub fn forget_lock(&mut self) {
        self.locked = None;
    }

    /// What is left of the work that runs.
    ///
    /// One that has taken longer than expected is taken to be half done, and so is a lock: of durations whose scale is not known that is
    /// the best guess (Gott 1993), and no work outlives its deadline.
    pub fn rest(&self, now: Micros) -> Micros {
        let spent = now.saturating_sub(self.started);
        let expected = match self.work {
            Work::Nothing => return self.locked.map_or(0, |since| now.saturating_sub(since)),
            Work::Read(kind) => self.reads[kind].0,
            Work::Batch => self.batch.0,
        };
        let rest = if spent < expected { expected - spent } else { spent.min(self.deadline.saturating_sub(now)) };
        rest.max(self.locked.map_or(0, |since| now.saturating_sub(since)))
    }

    /// How long a read would wait that has `reads` reads before it, expected to take `ahead` in all.
    pub fn wait_of_read(&self, reads: usize, ahead: Micros, now: Micros) -> Micros {
        self.rest(now) + ahead + reads as Micros * self.between.0
    }

    /// How long a write would wait behind `writes` others when a batch takes `most`, with a read between two batches that takes `read`.
    pub fn wait_of_write(&self, writes: usize, most: usize, read: Micros, now: Micros) -> Micros {
        self.rest(now) + (writes / most.max(1)) as Micros * (self.batch.0 + read) + read
    }
}

impl<const N: usize> Default for Load<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Micros = 1000;
    const NEVER: Micros = Micros::MAX;

    fn measured(read: Micros, batch: Micros) -> Load<2> {
        let mut load = Load::new();
        load.begin_read(0, NEVER, 0);
        load.end(false, read);
        load.begin_batch(NEVER, 0);
        load.end(false, batch);
        load
    }

    #[test]
    fn each_kind_has_its_own_time_and_one_odd_job_moves_it_by_an_eighth() {
        let mut load = measured(8 * MS, 0);
        assert_eq!((load.read(0), load.read(1)), (8 * MS, 0));
        load.begin_read(0, NEVER, 0);
        load.end(false, 800 * MS);
        assert_eq!(load.read(0), 107 * MS);
        for _ in 0..40 {
            load.begin_read(0, NEVER, 0);
            load.end(false, 8 * MS);
        }
        assert!(load.read(0) < 9 * MS, "{}", load.read(0));
    }

    #[test]
    fn what_runs_is_as_long_as_expected_and_then_half_done_and_never_past_its_deadline() {
        let mut load = measured(10 * MS, 0);
        load.begin_read(0, 50 * MS, 0);
        for (now, rest) in [(0, 10), (4, 6), (9, 1), (10, 10), (20, 20), (30, 20), (49, 1), (60, 0)] {
            assert_eq!(load.rest(now * MS), rest * MS, "after {now} ms");
        }
        load.end(false, 12 * MS);
        assert_eq!(load.rest(12 * MS), 0);
    }

    #[test]
    fn a_wait_is_what_runs_and_what_stands_before_with_the_batches_between() {
        let mut load = measured(10 * MS, 6 * MS);
        assert_eq!(load.wait_of_read(0, 0, 0), 0);
        load.begin_read(0, NEVER, 0);
        assert_eq!(load.wait_of_read(3, 30 * MS, 4 * MS), 36 * MS + 3 * 6 * MS);
        assert_eq!(load.wait_of_write(0, 4, 10 * MS, 4 * MS), 16 * MS);
        assert_eq!(load.wait_of_write(9, 4, 10 * MS, 4 * MS), 16 * MS + 2 * 16 * MS);
    }

    #[test]
    fn a_lock_is_waited_for_as_long_again_and_is_no_measurement() {
        let mut load = measured(10 * MS, 0);
        for at in [0, 1, 2] {
            load.begin_read(0, NEVER, at * MS);
            load.end(true, at * MS + 10);
        }
        assert_eq!((load.rest(40 * MS), load.read(0)), (40 * MS, 10 * MS));
        load.begin_read(0, NEVER, 40 * MS);
        assert_eq!(load.rest(41 * MS), 41 * MS);
        load.end(false, 45 * MS);
        assert_eq!(load.rest(45 * MS), 0);
        load.begin_read(0, NEVER, 50 * MS);
        load.end(true, 50 * MS);
        load.forget_lock();
        assert_eq!(load.rest(90 * MS), 0);
    }
}
