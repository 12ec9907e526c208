//! Which reads share a read transaction, so that its locks are paid for once: those that had all arrived when it began. Whoever came later may
//! know of a commit that it does not show.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// For how long others may join, in microseconds: an open read transaction holds up checkpoints.
const LONGEST: Micros = 5_000;

/// The read transaction of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Its own.
    Alone,
    /// One that it begins for those behind it.
    Begin,
    /// The one that is open.
    Join,
}

/// Decides; `S` is what a state of the database is known by.
#[derive(Debug)]
pub struct Sharing<S> {
    /// Requests that have arrived.
    arrived: u64,
    open: Option<Open<S>>,
}

#[derive(Clone, Copy, Debug)]
struct Open<S> {
    /// The first arrival that came too late for it.
    first_late: u64,
    until: Micros,
    state: S,
}

impl<S: Copy> Sharing<S> {
    /// Nobody yet.
    pub const fn new() -> Sharing<S> {
        Sharing { arrived: 0, open: None }
    }

    /// A request has arrived; the number that it is known by here.
    pub fn arrive(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// What the next job does, that of arrival `number`, and the state that its rows are of, or an older one. `follows` says whether another
    /// waits behind it; `state` reads the present one.
    pub fn next(&mut self, number: u64, follows: bool, now: Micros, state: impl FnOnce() -> S) -> (Share, S) {
        if let Some(open) = self.open.filter(|open| number < open.first_late && now < open.until) {
            return (Share::Join, open.state);
        }
        let state = state();
        self.open = follows.then_some(Open { first_late: self.arrived + 1, until: now + LONGEST, state });
        (if follows { Share::Begin } else { Share::Alone }, state)
    }

    /// Nobody joins any more: something else comes first, or nobody waits.
    pub fn end(&mut self) {
        self.open = None;
    }
}

impl<S: Copy> Default for Sharing<S> {
    fn default() -> Self {
        Sharing::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_had_arrived_when_it_began_joins() {
        let mut sharing = Sharing::new();
        let [one, two, three] = [(); 3].map(|()| sharing.arrive());
        assert_eq!(sharing.next(one, true, 100, || 'a'), (Share::Begin, 'a'));
        let late = sharing.arrive();
        assert_eq!(sharing.next(three, true, 101, || 'b'), (Share::Join, 'a'), "in any order, and of the state that it began in");
        assert_eq!(sharing.next(late, true, 102, || 'b'), (Share::Begin, 'b'));
        assert_eq!(sharing.next(two, false, 103, || 'c'), (Share::Join, 'b'), "who was there before joins the newer one too");
    }

    #[test]
    fn nothing_is_begun_for_nobody() {
        let mut sharing = Sharing::new();
        let [one, two] = [(); 2].map(|()| sharing.arrive());
        assert_eq!(sharing.next(one, false, 100, || 'a'), (Share::Alone, 'a'));
        assert_eq!(sharing.next(two, false, 101, || 'b'), (Share::Alone, 'b'));
    }

    #[test]
    fn it_ends_by_its_time_and_by_what_comes_between() {
        let mut sharing = Sharing::new();
        let [one, two, three] = [(); 3].map(|()| sharing.arrive());
        assert_eq!(sharing.next(one, true, 100, || 'a').0, Share::Begin);
        assert_eq!(sharing.next(two, true, 100 + LONGEST, || 'b'), (Share::Begin, 'b'));
        sharing.end();
        assert_eq!(sharing.next(three, false, 101 + LONGEST, || 'c'), (Share::Alone, 'c'));
    }
}
