//! The queue before the back: which waiting request runs next, so that one client's heavy queries do not starve another's light ones.
//!
//! Start-time fair queueing over the back's time: each client has used so much of it, the next job is the oldest of the client that has
//! used least, and a client that comes (back) starts no lower than the job that was started last, so that absence buys no lead.

use heapless::Vec;

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// One waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The connection slot that waits.
    pub slot: u16,
    /// Whose it is: a client address, or the connection itself where addresses say nothing.
    pub client: u64,
    /// When it was queued first.
    pub since: Micros,
    /// Not to be run before: later than `since` after a busy database.
    pub not_before: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    client: u64,
    used: Micros,
}

/// At most `N` waiting requests, one a slot.
#[derive(Debug, Default)]
pub struct FairQueue<const N: usize> {
    waiting: Vec<Waiting, N>,
    accounts: Vec<Account, N>,
    /// What the client of the job that was started last had used: the queue's virtual time.
    level: Micros,
}

impl<const N: usize> FairQueue<N> {
    /// An empty queue.
    pub const fn new() -> FairQueue<N> {
        FairQueue { waiting: Vec::new(), accounts: Vec::new(), level: 0 }
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues a request.
    ///
    /// # Errors
    /// The request itself when `N` wait already.
    pub fn push(&mut self, entry: Waiting) -> Result<(), Waiting> {
        if self.waiting.is_full() {
            return Err(entry);
        }
        self.open_account(entry.client);
        self.waiting.push(entry)
    }

    /// Takes the request that should run now, if one may.
    pub fn pop(&mut self, now: Micros) -> Option<Waiting> {
        let best = (0..self.waiting.len())
            .filter(|&at| self.waiting[at].not_before <= now)
            .min_by_key(|&at| (self.used(self.waiting[at].client), self.waiting[at].since))?;
        self.level = self.used(self.waiting[best].client);
        // Order among the rest is by `since`, not by place, so the last may fill the gap.
        Some(self.waiting.swap_remove(best))
    }

    /// The slots that wait.
    pub fn slots(&self) -> impl Iterator<Item = u16> + '_ {
        self.waiting.iter().map(|entry| entry.slot)
    }

    /// The earliest time at which `pop` gives something; `None` when nothing waits.
    pub fn next_at(&self) -> Option<Micros> {
        self.waiting.iter().map(|entry| entry.not_before).min()
    }

    /// When the request that has waited longest was queued.
    pub fn oldest(&self) -> Option<Micros> {
        self.waiting.iter().map(|entry| entry.since).min()
    }

    /// Books the back's time to the client that used it, also when its account was given up while its job ran.
    pub fn charge(&mut self, client: u64, spent: Micros) {
        if let Some(account) = self.accounts.iter_mut().find(|account| account.client == client) {
            account.used += spent;
            return;
        }
        self.make_room();
        // Full again only when N other clients wait: then this one begins anew.
        let _ = self.accounts.push(Account { client, used: self.level + spent });
    }

    /// Takes a slot's request out because its client is gone or its time is over.
    pub fn remove(&mut self, slot: u16) -> Option<Waiting> {
        let at = self.waiting.iter().position(|entry| entry.slot == slot)?;
        Some(self.waiting.swap_remove(at))
    }

    /// Takes out one request that was queued before `since`, whatever its turn.
    pub fn pop_older(&mut self, since: Micros) -> Option<Waiting> {
        let at = self.waiting.iter().position(|entry| entry.since < since)?;
        Some(self.waiting.swap_remove(at))
    }

    fn used(&self, client: u64) -> Micros {
        self.accounts.iter().find(|account| account.client == client).map_or(0, |account| account.used)
    }

    fn open_account(&mut self, client: u64) {
        let level = self.level;
        if let Some(account) = self.accounts.iter_mut().find(|account| account.client == client) {
            account.used = account.used.max(level);
            return;
        }
        self.make_room();
        let opened = self.accounts.push(Account { client, used: level });
        debug_assert!(opened.is_ok(), "no more than N - 1 others wait, so at most N - 1 accounts were kept");
    }

    fn make_room(&mut self) {
        if self.accounts.is_full() {
            let waiting = &self.waiting;
            self.accounts.retain(|account| waiting.iter().any(|entry| entry.client == account.client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(slot: u16, client: u64, since: Micros) -> Waiting {
        Waiting { slot, client, since, not_before: since }
    }

    #[test]
    fn a_client_with_heavy_queries_does_not_starve_a_light_one() {
        let mut queue: FairQueue<4> = FairQueue::new();
        for slot in 0..3 {
            queue.push(entry(slot, 1, u64::from(slot))).unwrap();
        }
        assert_eq!(queue.pop(10).unwrap().slot, 0);
        queue.charge(1, 1_000_000);
        queue.push(entry(7, 2, 10)).unwrap();
        for round in 0..50 {
            assert_eq!(queue.pop(11 + round).unwrap().slot, 7, "round {round}");
            queue.charge(2, 10);
            queue.push(entry(7, 2, 11 + round)).unwrap();
        }
        queue.remove(7);
        assert_eq!(queue.pop(99).unwrap().slot, 1);
        queue.charge(1, 1_000_000);
        // Back after a while: level with the job that was started last, no lower.
        queue.push(entry(7, 2, 100)).unwrap();
        assert_eq!(queue.used(2), 1_000_000);
        assert_eq!(queue.pop(101).unwrap().slot, 7);
        assert_eq!(queue.pop(102).unwrap().slot, 2);
        assert_eq!(queue.pop(103), None);
    }

    #[test]
    fn a_job_is_charged_though_its_client_lost_its_account_meanwhile() {
        let mut queue: FairQueue<2> = FairQueue::new();
        queue.push(entry(0, 1, 0)).unwrap();
        assert_eq!(queue.pop(1).unwrap().client, 1);
        for client in [2, 3] {
            queue.push(entry(0, client, 2)).unwrap();
            queue.remove(0);
        }
        queue.charge(1, 1000);
        assert_eq!(queue.used(1), 1000);
    }

    #[test]
    fn one_client_is_served_in_order() {
        let mut queue: FairQueue<4> = FairQueue::new();
        for (slot, since) in [(3, 5), (1, 2), (2, 9)] {
            queue.push(entry(slot, 1, since)).unwrap();
        }
        assert_eq!(queue.oldest(), Some(2));
        let order: std::vec::Vec<u16> = std::iter::from_fn(|| queue.pop(10)).map(|entry| entry.slot).collect();
        assert_eq!(order, [1, 3, 2]);
    }

    #[test]
    fn full_is_an_error_and_many_clients_never_overflow_the_accounts() {
        let mut queue: FairQueue<2> = FairQueue::new();
        for round in 0..100_u64 {
            queue.push(entry(0, 2 * round, round)).unwrap();
            queue.push(entry(1, 2 * round + 1, round)).unwrap();
            assert!(queue.push(entry(2, 9, round)).is_err());
            assert!(queue.pop(round).is_some() && queue.pop(round).is_some());
        }
    }

    #[test]
    fn a_busy_database_holds_a_request_back_until_its_time() {
        let mut queue: FairQueue<2> = FairQueue::new();
        queue.push(Waiting { not_before: 50, ..entry(0, 1, 1) }).unwrap();
        assert_eq!((queue.pop(49), queue.next_at()), (None, Some(50)));
        assert_eq!(queue.pop(50).map(|entry| entry.slot), Some(0));
    }

    #[test]
    fn what_is_removed_does_not_run() {
        let mut queue: FairQueue<2> = FairQueue::new();
        queue.push(entry(0, 1, 1)).unwrap();
        queue.push(entry(1, 1, 2)).unwrap();
        assert!(queue.remove(0).is_some() && queue.remove(0).is_none());
        assert_eq!(queue.pop_older(2), None);
        assert_eq!(queue.pop_older(3).map(|entry| entry.slot), Some(1));
        assert!(queue.is_empty());
    }
}
