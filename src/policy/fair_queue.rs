//! The queue before the back: which waiting request runs next, so that one client's heavy queries do not starve another's light ones.
//!
//! Start-time fair queueing over the back's time: each client has used so much of it, the next job is the oldest of the client that has
//! used least, and a client that comes (back) starts no lower than the job that was started last, so that absence buys no lead. That level
//! also rises by itself, with the back's time and half as fast as the share of each who waits: else a client that has been served once would wait
//! as long as others come for their first time, which in a crowd is for ever; at full speed a newcomer would stand behind who was served just now.
//!
//! Critical requests go first, by the same rule among themselves; but while others wait, every [`CRITICAL_IN_A_ROW`] of them let one pass.

use heapless::Vec;

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// Critical jobs that may start one after the other while others wait. Four fifths of the back are theirs, so that they need not wait long;
/// the last fifth is not, so that a critical route that is asked too much stops nobody for good.
pub const CRITICAL_IN_A_ROW: u8 = 4;

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
    /// What it is expected to take.
    pub cost: Micros,
    /// It goes before those that are not.
    pub critical: bool,
}

/// What stands before a request that would come now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub reads: usize,
    /// What they are expected to take.
    pub cost: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    client: u64,
    used: Micros,
    /// What its waiting requests that are not critical are expected to take, and how many they are.
    cost: Micros,
    reads: u32,
    /// All its waiting requests.
    entries: u32,
}

impl Account {
    const fn new(client: u64, used: Micros) -> Account {
        Account { client, used, cost: 0, reads: 0, entries: 0 }
    }

    const fn waits(&self) -> Ahead {
        Ahead { reads: self.reads as usize, cost: self.cost }
    }
}

/// A request in the queue, where its client's account stands, and what that has used: all that is looked at to choose the next.
#[derive(Clone, Copy, Debug)]
struct Queued {
    slot: u16,
    account: u16,
    critical: bool,
    since: Micros,
    not_before: Micros,
    cost: Micros,
    used: Micros,
}

// A connection's share of the budget's start-up bytes.
const _: () = assert!(size_of::<Queued>() + size_of::<Account>() <= 72);

/// At most `N` waiting requests, one a slot.
///
/// Every request that needs the back asks for the sums: they are kept, not counted.
#[derive(Debug, Default)]
pub struct FairQueue<const N: usize> {
    waiting: Vec<Queued, N>,
    accounts: Vec<Account, N>,
    /// How many are critical, and what they are expected to take.
    critical: (u32, Micros),
    /// What all are expected to take.
    cost: Micros,
    /// Accounts with waiting requests that are not critical.
    clients: usize,
    /// What the client of the job that was started last had used: the queue's virtual time.
    level: Micros,
    /// Critical jobs that were started since one that is not.
    critical_run: u8,
}

impl<const N: usize> FairQueue<N> {
    /// An empty queue.
    pub const fn new() -> FairQueue<N> {
        FairQueue { waiting: Vec::new(), accounts: Vec::new(), critical: (0, 0), cost: 0, clients: 0, level: 0, critical_run: 0 }
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
        let account = self.open_account(entry.client);
        let Waiting { slot, since, not_before, cost, critical, .. } = entry;
        let used = self.accounts[usize::from(account)].used;
        let queued = Queued { slot, account, critical, since, not_before, cost, used };
        self.waiting.push(queued).map_err(|_| entry)?;
        self.book(queued, true);
        Ok(())
    }

    /// Takes the request that should run now, if one may.
    pub fn pop(&mut self, now: Micros) -> Option<Waiting> {
        let others_turn = self.critical_run >= CRITICAL_IN_A_ROW;
        // In one number each, because every job asks for the least of all that wait.
        let rank = |queued: &Queued| u128::from(queued.used) << u64::BITS | u128::from(queued.since);
        let mut best: Option<(bool, u128, usize)> = None;
        for (at, queued) in self.waiting.iter().enumerate().filter(|(_, queued)| queued.not_before <= now) {
            let (after, rank) = (queued.critical == others_turn, rank(queued));
            if best.is_none_or(|(best_after, best_rank, _)| (after, rank) < (best_after, best_rank)) {
                best = Some((after, rank, at));
            }
        }
        let (_, _, best) = best?;
        let queued = self.waiting[best];
        self.critical_run = if queued.critical { self.critical_run.saturating_add(1) } else { 0 };
        self.level = self.level.max(queued.used);
        Some(self.take(best))
    }

    /// What would stand before a request of `client` that is expected to take `cost`.
    ///
    /// Of another client's requests those count that come before this client has had as much of the back: while it has its turn, the other
    /// has had no more. So whoever asks much finds much before it, and whoever asks little finds little, whatever the first one has waiting.
    pub fn ahead_of(&self, client: u64, cost: Micros, critical: bool) -> Ahead {
        let mut ahead = Ahead { reads: self.critical.0 as usize, cost: self.critical.1 };
        if critical {
            return ahead;
        }
        let own = self.accounts.iter().find(|account| account.client == client).map_or(Ahead::default(), Account::waits);
        for account in self.accounts.iter().filter(|account| account.reads > 0) {
            let Ahead { reads, cost: all } = account.waits();
            let most = if account.client == client { all } else { own.cost + cost };
            ahead.cost += all.min(most);
            ahead.reads += if all <= most { reads } else { (reads as Micros * most).div_ceil(all) as usize };
        }
        ahead
    }

    /// How many wait that are not critical.
    pub fn ordinary(&self) -> usize {
        self.waiting.len() - self.critical.0 as usize
    }

    /// What all that wait are expected to take.
    pub fn cost(&self) -> Micros {
        self.cost
    }

    /// The slots that wait.
    pub fn slots(&self) -> impl Iterator<Item = u16> + '_ {
        self.waiting.iter().map(|queued| queued.slot)
    }

    /// The earliest time at which `pop` gives something; `None` when nothing waits.
    pub fn next_at(&self) -> Option<Micros> {
        self.waiting.iter().map(|queued| queued.not_before).min()
    }

    /// Whether `pop` would give something.
    pub fn is_due(&self, now: Micros) -> bool {
        self.waiting.iter().any(|queued| queued.not_before <= now)
    }

    /// When the request that has waited longest was queued.
    pub fn oldest(&self) -> Option<Micros> {
        self.waiting.iter().map(|queued| queued.since).min()
    }

    /// Books the back's time to the client that used it, also when its account was given up while its job ran.
    pub fn charge(&mut self, client: u64, spent: Micros) {
        self.level += spent / (2 * self.clients.max(1) as Micros);
        if let Some(at) = self.accounts.iter().position(|account| account.client == client) {
            return self.set_used(at, self.accounts[at].used + spent);
        }
        self.make_room();
        // Full again only when N other clients wait: then this one begins anew.
        let _ = self.accounts.push(Account::new(client, self.level + spent));
    }

    /// Takes a slot's request out because its client is gone or its time is over.
    pub fn remove(&mut self, slot: u16) -> Option<Waiting> {
        let at = self.waiting.iter().position(|queued| queued.slot == slot)?;
        Some(self.take(at))
    }

    fn take(&mut self, at: usize) -> Waiting {
        // Order among the rest is by `since`, not by place, so the last may fill the gap.
        let queued = self.waiting.swap_remove(at);
        self.book(queued, false);
        let Queued { slot, account, critical, since, not_before, cost, .. } = queued;
        Waiting { slot, client: self.accounts[usize::from(account)].client, since, not_before, cost, critical }
    }

    /// Adds a request that waits to the sums that it counts in, or takes it off.
    fn book(&mut self, Queued { account, critical, cost, .. }: Queued, comes: bool) {
        let account = &mut self.accounts[usize::from(account)];
        let step = |count: &mut u32, sum: &mut Micros| match comes {
            true => (*count, *sum) = (*count + 1, *sum + cost),
            false => (*count, *sum) = (*count - 1, *sum - cost),
        };
        step(&mut account.entries, &mut self.cost);
        if critical {
            return step(&mut self.critical.0, &mut self.critical.1);
        }
        self.clients -= usize::from(account.reads > 0);
        step(&mut account.reads, &mut account.cost);
        self.clients += usize::from(account.reads > 0);
    }

    #[cfg(test)]
    fn used(&self, client: u64) -> Micros {
        self.accounts.iter().find(|account| account.client == client).map_or(0, |account| account.used)
    }

    /// Where the client's account stands.
    fn open_account(&mut self, client: u64) -> u16 {
        if let Some(at) = self.accounts.iter().position(|account| account.client == client) {
            self.set_used(at, self.accounts[at].used.max(self.level));
            return at as u16;
        }
        self.make_room();
        let opened = self.accounts.push(Account::new(client, self.level));
        assert!(opened.is_ok(), "no more than N - 1 others wait, so at most N - 1 accounts were kept");
        (self.accounts.len() - 1) as u16
    }

    fn set_used(&mut self, at: usize, used: Micros) {
        let account = &mut self.accounts[at];
        account.used = used;
        if account.entries > 0 {
            self.waiting.iter_mut().filter(|queued| usize::from(queued.account) == at).for_each(|queued| queued.used = used);
        }
    }

    fn make_room(&mut self) {
        if !self.accounts.is_full() {
            return;
        }
        for queued in &mut self.waiting {
            let before = &self.accounts[..usize::from(queued.account)];
            queued.account = before.iter().filter(|account| account.entries > 0).count() as u16;
        }
        self.accounts.retain(|account| account.entries > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(slot: u16, client: u64, since: Micros) -> Waiting {
        Waiting { slot, client, since, not_before: since, cost: 10, critical: false }
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
        // Back after a while: no lower than the job that was started last, and before who has just been served.
        queue.push(entry(7, 2, 100)).unwrap();
        assert!((1_000_000..2_000_000).contains(&queue.used(2)) && queue.used(1) == 2_000_000);
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
        assert!(queue.used(1) >= 1000);
    }

    #[test]
    fn a_crowd_of_newcomers_does_not_starve_who_has_been_served_once() {
        let mut queue: FairQueue<8> = FairQueue::new();
        queue.push(entry(0, 1, 0)).unwrap();
        queue.pop(0).unwrap();
        queue.charge(1, 1000);
        queue.push(entry(0, 1, 1)).unwrap();
        let mut passed = 0;
        for newcomer in 2.. {
            queue.push(entry(1, newcomer, newcomer)).unwrap();
            let served = queue.pop(newcomer).unwrap();
            queue.charge(served.client, 1000);
            if served.client == 1 {
                break;
            }
            passed += 1;
            assert!(passed < 8, "{passed} newcomers went before");
        }
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
        assert_eq!(queue.pop(3).map(|entry| entry.slot), Some(1));
        assert!(queue.is_empty());
    }

    #[test]
    fn critical_requests_go_first_and_every_fifth_job_is_not_theirs() {
        let mut queue: FairQueue<32> = FairQueue::new();
        for slot in 0..12 {
            queue.push(Waiting { critical: true, ..entry(100 + slot, 1, 50) }).unwrap();
        }
        for slot in 0..3 {
            queue.push(entry(slot, 2, u64::from(slot))).unwrap();
        }
        let order: std::vec::Vec<u16> = std::iter::from_fn(|| queue.pop(99)).map(|entry| entry.slot).collect();
        let critical: std::vec::Vec<bool> = order.iter().map(|&slot| slot >= 100).collect();
        let five = [true, true, true, true, false];
        assert_eq!(critical, [five, five, five].concat());
    }

    #[test]
    fn an_ordinary_request_whose_time_has_not_come_holds_no_critical_one_up() {
        let mut queue: FairQueue<8> = FairQueue::new();
        for slot in 0..6 {
            queue.push(Waiting { critical: true, ..entry(slot, 1, 0) }).unwrap();
        }
        queue.push(Waiting { not_before: 90, ..entry(7, 2, 0) }).unwrap();
        assert_eq!((0..6).map(|_| queue.pop(1).unwrap().slot).collect::<std::vec::Vec<_>>(), [0, 1, 5, 4, 3, 2]);
        assert_eq!((queue.pop(1), queue.pop(90).map(|entry| entry.slot)), (None, Some(7)));
    }

    #[test]
    fn who_asks_little_finds_little_before_it_and_who_asks_much_finds_all_its_own() {
        let mut queue: FairQueue<32> = FairQueue::new();
        for slot in 0..10 {
            queue.push(entry(slot, 1, 0)).unwrap();
        }
        queue.push(entry(20, 2, 0)).unwrap();
        queue.push(Waiting { critical: true, ..entry(30, 3, 0) }).unwrap();
        let ahead = |client, cost, critical| queue.ahead_of(client, cost, critical);
        assert_eq!(ahead(1, 10, false), Ahead { reads: 1 + 10 + 1, cost: 10 + 100 + 10 });
        assert_eq!(ahead(2, 10, false), Ahead { reads: 1 + 1 + 2, cost: 10 + 10 + 20 });
        assert_eq!(ahead(9, 10, false), Ahead { reads: 1 + 1 + 1, cost: 10 + 10 + 10 });
        assert_eq!(ahead(9, 10, true), Ahead { reads: 1, cost: 10 });
        assert_eq!((queue.cost(), queue.ordinary()), (120, 11));
    }

    #[test]
    fn sums_and_shares_are_what_counting_gives_whatever_comes_and_goes() {
        let mut queue: FairQueue<6> = FairQueue::new();
        let mut clients = std::collections::HashMap::new();
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for round in 0..20_000_u64 {
            match next(5) {
                0 => {
                    let gone = queue.remove(next(8) as u16);
                    assert!(gone.is_none_or(|gone| clients.get(&gone.slot) == Some(&gone.client)), "{gone:?}");
                }
                1 => queue.charge(next(9), next(1000)),
                2 => {
                    let gone = queue.pop(next(round + 1));
                    assert!(gone.is_none_or(|gone| clients.get(&gone.slot) == Some(&gone.client)), "{gone:?}");
                }
                _ => {
                    let slot = next(8) as u16;
                    if !queue.slots().any(|waiting| waiting == slot) {
                        let waiting = Waiting { cost: next(50), critical: next(3) == 0, ..entry(slot, next(9), round) };
                        let full = queue.len() == 6;
                        assert_eq!(queue.push(waiting).is_err(), full);
                        if !full {
                            clients.insert(slot, waiting.client);
                        }
                    }
                }
            }
            let all = || queue.waiting.iter();
            assert_eq!(queue.cost(), all().map(|queued| queued.cost).sum::<u64>());
            assert_eq!(queue.ordinary(), all().filter(|queued| !queued.critical).count());
            let first = all().filter(|queued| queued.critical).map(|queued| queued.cost);
            assert_eq!(queue.critical, (first.clone().count() as u32, first.sum()));
            for (at, account) in queue.accounts.iter().enumerate() {
                let own = || all().filter(|queued| usize::from(queued.account) == at);
                let waits = own().filter(|queued| !queued.critical).map(|queued| queued.cost);
                assert_eq!(account.waits(), Ahead { reads: waits.clone().count(), cost: waits.sum() });
                assert_eq!(account.entries as usize, own().count());
                assert!(own().all(|queued| queued.used == account.used), "round {round}");
            }
            assert_eq!(queue.clients, queue.accounts.iter().filter(|account| account.reads > 0).count());
        }
    }

    #[test]
    fn what_waits_is_booked_once_and_taken_off_once() {
        let mut queue: FairQueue<4> = FairQueue::new();
        for round in 0..50_u64 {
            queue.push(Waiting { cost: round, ..entry(0, round % 3, round) }).unwrap();
            queue.push(Waiting { cost: 1000, ..entry(1, round % 7, round) }).unwrap();
            assert_eq!(queue.cost(), round + 1000);
            if round % 2 == 0 {
                queue.remove(1).unwrap();
            } else {
                queue.pop(round).unwrap();
            }
            let left = queue.cost();
            assert_eq!(queue.ahead_of(99, Micros::MAX / 4, false), Ahead { reads: 1, cost: left });
            queue.pop(round).unwrap();
            assert_eq!(queue.ahead_of(99, Micros::MAX / 4, false), Ahead::default());
        }
    }
}
