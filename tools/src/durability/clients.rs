//! The clients: each writes over one connection that stays open, one write after the other, and notes what was answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ledger::{Ack, Cut, Ledger};
use super::record::Key;
use crate::rig::line::Line;

/// After a refusal, before the next write.
const BREATH: Duration = Duration::from_millis(2);

/// What the clients share while they write.
#[derive(Default)]
pub struct Shared {
    stop: AtomicBool,
    /// Acknowledged up to now.
    pub acknowledged: AtomicU64,
    /// Refused up to now.
    pub refused: AtomicU64,
}

impl Shared {
    /// No further write is sent.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for a condition on the counts; false when it did not come true in time.
    pub fn wait(&self, time: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + time;
        while !condition(self) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(BREATH);
        }
        true
    }
}

/// What came of the writes.
#[derive(Default)]
pub struct Outcome {
    /// In each client's order.
    pub acks: Vec<Ack>,
    /// Answers other than 201, by status, with the last one's body.
    pub refused: BTreeMap<u16, (u64, String)>,
    /// Connections that ended without an answer.
    pub broken: u64,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.acks.extend(other.acks);
        self.broken += other.broken;
        for (status, (count, body)) in other.refused {
            let entry = self.refused.entry(status).or_default();
            *entry = (entry.0 + count, body);
        }
    }
}

/// All clients of a ledger write until `act` returns; it says when the server was cut off, should that be so.
pub fn write_while<T>(address: SocketAddr, ledger: &mut Ledger, act: impl FnOnce(&Shared) -> T) -> (T, Outcome) {
    let shared = Shared::default();
    let mut outcome = Outcome::default();
    let acted = std::thread::scope(|scope| {
        let clients: Vec<_> = ledger.next.iter_mut().enumerate().collect();
        let threads: Vec<_> = clients
            .into_iter()
            .map(|(client, next)| {
                let shared = &shared;
                scope.spawn(move || write(address, client as u32, next, shared))
            })
            .collect();
        // A panic there must not leave the clients writing.
        struct StopAtLast<'a>(&'a Shared);
        impl Drop for StopAtLast<'_> {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let stop = StopAtLast(&shared);
        let acted = act(&shared);
        drop(stop);
        for thread in threads {
            outcome.add(thread.join().expect("a client does not panic"));
        }
        acted
    });
    (acted, outcome)
}

/// The promise of an outcome, for those that were not cut off.
pub fn keep(ledger: &mut Ledger, outcome: &Outcome, cut: Option<Cut>) -> u64 {
    ledger.promise(&outcome.acks, cut)
}

fn write(address: SocketAddr, client: u32, next: &mut u32, shared: &Shared) -> Outcome {
    let mut outcome = Outcome::default();
    let mut line = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(open) = line.as_mut() else {
            match Line::open(address) {
                Ok(open) => line = Some(open),
                Err(_) => std::thread::sleep(BREATH),
            }
            continue;
        };
        let key = Key { client, sequence: *next };
        // Sent or half sent, it may come to be there.
        *next += 1;
        let sent = Instant::now();
        match open.ask(&key.post()) {
            Ok(Some(answer)) => {
                let read = Instant::now();
                if answer.status == 201 {
                    outcome.acks.push(Ack { key, sent, read });
                    shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                } else {
                    let entry = outcome.refused.entry(answer.status).or_default();
                    *entry = (entry.0 + 1, String::from_utf8_lossy(&answer.body).into_owned());
                    shared.refused.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(BREATH);
                }
                if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                    line = None;
                }
            }
            Ok(None) | Err(_) => {
                outcome.broken += 1;
                line = None;
                std::thread::sleep(BREATH);
            }
        }
    }
    outcome
}
