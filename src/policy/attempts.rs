//! How often a client may be wrong about a token: what keeps guessing slow, and our time for hashing bounded.
//!
//! A client's failures of the last minute are kept one by one, so the promise is exact: in any [`WINDOW`] a client fails at most
//! [`OWN_FAILURES`] times; whoever has done so is refused unheard until the oldest of them is a window old.
//!
//! A success takes nothing back. Whoever holds one token, the kitchen display's, could otherwise guess at another without end by showing
//! the right one in between.

use super::clients::Client;

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// How long a failure counts.
pub const WINDOW: Micros = 60_000_000;
/// Failures within the window from which on a client is refused.
pub const OWN_FAILURES: usize = 10;
/// The same for an account that many share: a proxy's clients, or those for whom the table had no place. One of them must not lock out the
/// rest too easily, and at 256 bits a hundred guesses a minute are as hopeless as ten.
pub const SHARED_FAILURES: usize = 100;

const SECOND: Micros = 1_000_000;

/// When an account failed last: the times of up to `N` failures, the oldest overwritten first.
#[derive(Clone, Copy, Debug)]
struct Failures<const N: usize> {
    at: [Micros; N],
    /// How many of the places are in use.
    len: usize,
    /// Where the next one goes; with all places in use this is the oldest.
    next: usize,
}

impl<const N: usize> Failures<N> {
    const fn new() -> Self {
        const { assert!(N > 0, "who may never fail may never try") };
        Failures { at: [0; N], len: 0, next: 0 }
    }

    fn add(&mut self, now: Micros) {
        self.at[self.next] = now;
        self.next = (self.next + 1) % N;
        self.len = (self.len + 1).min(N);
    }

    /// When the next attempt is heard; `None` for now.
    fn until(&self, now: Micros) -> Option<Micros> {
        let until = self.at[self.next].saturating_add(WINDOW);
        (self.len == N && until > now).then_some(until)
    }

    /// Whether none of them counts any more.
    fn is_over(&self, now: Micros) -> bool {
        let newest = self.at[(self.next + N - 1) % N];
        self.len == 0 || newest.saturating_add(WINDOW) <= now
    }
}

/// A client with failures of its own.
#[derive(Clone, Copy, Debug)]
struct Account {
    client: Client,
    failures: Failures<OWN_FAILURES>,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were refused unheard.
    pub refused: u64,
    /// Failures that went to the shared account because the table was full.
    pub without_place: u64,
}

/// The failures of up to `N` clients. Exempt clients share an account, and so do those that find the table full: an account is given up
/// only when none of its failures counts any more, so no flood of other addresses makes the table forget one.
#[derive(Clone, Debug)]
pub struct Attempts<const N: usize> {
    accounts: heapless::Vec<Account, N>,
    exempt: Failures<SHARED_FAILURES>,
    without_place: Failures<SHARED_FAILURES>,
    counts: Counts,
}

impl<const N: usize> Attempts<N> {
    /// Nobody has failed.
    pub const fn new() -> Self {
        Attempts {
            accounts: heapless::Vec::new(),
            exempt: Failures::new(),
            without_place: Failures::new(),
            counts: Counts { failed: 0, refused: 0, without_place: 0 },
        }
    }

    /// Asked before a request is heard that brings a token, or that would fail without one: `None` lets it be judged, otherwise the answer
    /// is 429 with these seconds (1 to 60) as its Retry-After. To be asked before the token is looked at: an answer that told right ones
    /// from wrong ones would let the guessing go on.
    pub fn ask(&mut self, client: Client, now: Micros) -> Option<u32> {
        let until = match self.accounts.iter().find(|account| account.client == client) {
            _ if client == Client::Exempt => self.exempt.until(now),
            Some(account) => account.failures.until(now),
            None if self.has_place(now) => None,
            None => self.without_place.until(now),
        }?;
        self.counts.refused += 1;
        Some((until - now).div_ceil(SECOND) as u32)
    }

    /// Counts an attempt that was judged and failed: a token that nobody has, or credentials that cannot be read. A request that brings
    /// nothing guesses nothing, and is no attempt.
    pub fn failed(&mut self, client: Client, now: Micros) {
        self.counts.failed += 1;
        if client == Client::Exempt {
            return self.exempt.add(now);
        }
        if let Some(account) = self.accounts.iter_mut().find(|account| account.client == client) {
            return account.failures.add(now);
        }
        if self.accounts.is_full() {
            self.accounts.retain(|account| !account.failures.is_over(now));
        }
        let mut failures = Failures::new();
        failures.add(now);
        if self.accounts.push(Account { client, failures }).is_err() {
            self.counts.without_place += 1;
            self.without_place.add(now);
        }
    }

    /// What has been counted since the start.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a client that has no account would be given one.
    fn has_place(&self, now: Micros) -> bool {
        !self.accounts.is_full() || self.accounts.iter().any(|account| account.failures.is_over(now))
    }
}

impl<const N: usize> Default for Attempts<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Micros = SECOND;

    fn fail<const N: usize>(attempts: &mut Attempts<N>, client: Client, times: usize, now: Micros) {
        (0..times).for_each(|_| attempts.failed(client, now));
    }

    #[test]
    fn a_guesser_is_heard_ten_times_a_minute_and_told_how_long_to_wait() {
        let mut attempts: Attempts<4> = Attempts::new();
        let guesser = Client::V4(7);
        for guess in 0..10 {
            assert_eq!(attempts.ask(guesser, guess * S), None, "guess {guess}");
            attempts.failed(guesser, guess * S);
        }
        let cases = [(9 * S, Some(51)), (9 * S + 1, Some(51)), (10 * S, Some(50)), (60 * S - 1, Some(1)), (60 * S, None)];
        for (now, wait) in cases {
            assert_eq!(attempts.ask(guesser, now), wait, "at {now}");
        }
        assert_eq!(attempts.ask(Client::V4(8), 10 * S), None, "others are heard");
        attempts.failed(guesser, 60 * S);
        assert_eq!(
            attempts.ask(guesser, 60 * S),
            Some(1),
            "one failure left the window, one came: the second-oldest counts until 61 s"
        );
        assert_eq!(attempts.counts(), Counts { failed: 11, refused: 5, without_place: 0 });
    }

    #[test]
    fn a_right_token_in_between_buys_no_more_guesses() {
        // There is nothing to call for a success: only time takes failures back.
        let mut attempts: Attempts<4> = Attempts::new();
        let insider = Client::V6(1);
        for _ in 0..10 {
            assert_eq!(attempts.ask(insider, 0), None, "its own token, which is right");
            assert_eq!(attempts.ask(insider, 0), None, "another's");
            attempts.failed(insider, 0);
        }
        assert_eq!(attempts.ask(insider, S), Some(59), "its own token is not heard either");
    }

    #[test]
    fn exempt_clients_share_one_larger_account() {
        let mut attempts: Attempts<1> = Attempts::new();
        fail(&mut attempts, Client::Exempt, SHARED_FAILURES - 1, 0);
        assert_eq!(attempts.ask(Client::Exempt, 1), None);
        fail(&mut attempts, Client::Exempt, 1, 1);
        assert_eq!(attempts.ask(Client::Exempt, 1), Some(60));
        assert_eq!((attempts.ask(Client::V4(1), 1), attempts.ask(Client::Exempt, WINDOW)), (None, None));
    }

    #[test]
    fn a_flood_of_addresses_frees_no_guesser_and_shares_an_account() {
        let mut attempts: Attempts<2> = Attempts::new();
        fail(&mut attempts, Client::V4(1), 10, 0);
        fail(&mut attempts, Client::V4(2), 1, 0);
        for address in 3..3 + SHARED_FAILURES as u32 {
            assert_eq!(attempts.ask(Client::V4(address), S), None);
            attempts.failed(Client::V4(address), S);
        }
        assert_eq!(attempts.counts().without_place, SHARED_FAILURES as u64);
        assert_eq!(attempts.ask(Client::V4(999), S), Some(60), "newcomers share what is spent");
        assert_eq!(attempts.ask(Client::V4(1), S), Some(59), "the guesser is not forgotten");
        assert_eq!(attempts.ask(Client::V4(2), S), None, "who has an account of its own is not held up");
        assert_eq!(attempts.ask(Client::V4(999), WINDOW), None, "accounts whose failures are over make room");
    }

    /// The same promise, told naively: a list of all failures there ever were.
    struct Model {
        places: usize,
        failures: Vec<(Client, Owner, Micros)>,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Owner {
        Own,
        Exempt,
        Crowd,
    }

    impl Model {
        fn counting(&self, now: Micros) -> impl Iterator<Item = &(Client, Owner, Micros)> {
            self.failures.iter().filter(move |failure| failure.2 + WINDOW > now)
        }

        /// Clients with an account: those with a failure of their own that counts.
        fn owners(&self, now: Micros) -> std::collections::HashSet<Client> {
            self.counting(now).filter(|failure| failure.1 == Owner::Own).map(|failure| failure.0).collect()
        }

        fn owner(&self, client: Client, now: Micros) -> Owner {
            let owners = self.owners(now);
            match client {
                Client::Exempt => Owner::Exempt,
                _ if owners.contains(&client) || owners.len() < self.places => Owner::Own,
                _ => Owner::Crowd,
            }
        }

        fn is_refused(&self, client: Client, now: Micros) -> bool {
            let owner = self.owner(client, now);
            let counted = self.counting(now).filter(|failure| failure.1 == owner && (owner != Owner::Own || failure.0 == client));
            counted.count() >= if owner == Owner::Own { OWN_FAILURES } else { SHARED_FAILURES }
        }
    }

    proptest! {
        #[test]
        fn it_refuses_whom_a_list_of_all_failures_refuses(
            steps in prop::collection::vec((0..8_u32, prop_oneof![8 => 0..2_000_000_u64, 1 => 0..70_000_000_u64], 1..12_usize), 1..200),
        ) {
            let mut attempts: Attempts<3> = Attempts::new();
            let mut model = Model { places: 3, failures: Vec::new() };
            let mut now = 0;
            for (who, passed, tries) in steps {
                now += passed;
                let client = if who == 0 { Client::Exempt } else { Client::V4(who) };
                for _ in 0..tries {
                    let wait = attempts.ask(client, now);
                    prop_assert_eq!(wait.is_some(), model.is_refused(client, now), "{:?} at {}", client, now);
                    match wait {
                        None => {
                            model.failures.push((client, model.owner(client, now), now));
                            attempts.failed(client, now);
                        }
                        // Truthful: heard after these seconds, and not one second before.
                        Some(seconds) => {
                            prop_assert!((1..=60).contains(&seconds));
                            prop_assert_eq!(attempts.ask(client, now + u64::from(seconds) * S), None);
                            if seconds > 1 && model.owner(client, now) != Owner::Crowd {
                                prop_assert!(attempts.ask(client, now + u64::from(seconds - 1) * S).is_some());
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn however_many_addresses_guess_no_window_holds_more_than_the_tables_worth(
            steps in prop::collection::vec((1..40_u32, 0..4_000_000_u64), 1..600),
        ) {
            let mut attempts: Attempts<2> = Attempts::new();
            let (mut now, mut heard) = (0, Vec::new());
            for (who, passed) in steps {
                now += passed / 16;
                for _ in 0..4 {
                    if attempts.ask(Client::V4(who), now).is_none() {
                        attempts.failed(Client::V4(who), now);
                        heard.push(now);
                    }
                }
                let within = heard.iter().filter(|&&at| at + WINDOW > now).count();
                prop_assert!(within <= 2 * OWN_FAILURES + SHARED_FAILURES, "{} within a window", within);
            }
        }
    }
}
