//! Which risks' answers have acted, and when: each has a count that rises when it does.

use super::S;
use crate::front::Front;
use crate::front::net::Net;
use crate::job::Micros;
use crate::ops::falls::Fall;
use crate::ops::metrics::{CloseReason, Refusal};
use crate::ops::risks::{ROWS, RiskUse};
use crate::policy::flags::Flag;

/// An answer that acted not longer ago is still at it.
const ACTING: Micros = 10 * S;

/// What was seen of the answers.
pub(in crate::front) struct Answers {
    counts: [u64; ROWS.len()],
    acted: [Option<Micros>; ROWS.len()],
    /// How the risks stand, in the register's order.
    pub(in crate::front) uses: [RiskUse; ROWS.len()],
}

impl Answers {
    pub(super) const fn new() -> Answers {
        Answers {
            counts: [0; ROWS.len()],
            acted: [None; ROWS.len()],
            uses: [RiskUse { acted_at: None, acting: false }; ROWS.len()],
        }
    }

    fn look(&mut self, counts: [u64; ROWS.len()], now: Micros, wall: u64) {
        for (row, count) in counts.into_iter().enumerate() {
            if count != self.counts[row] {
                self.acted[row] = Some(now);
                self.uses[row].acted_at = Some(wall);
            }
            self.uses[row].acting = self.acted[row].is_some_and(|at| now < at + ACTING);
        }
        self.counts = counts;
    }
}

impl<N: Net> Front<N> {
    pub(super) fn look_at_answers(&mut self) {
        let (counts, wall) = (self.answer_counts(), self.unix_time());
        self.watch.answers.look(counts, self.now, wall);
    }

    fn answer_counts(&self) -> [u64; ROWS.len()] {
        let (metrics, cache) = (&self.metrics, &self.cache.counts);
        let refused = |refusal: Refusal| metrics.refused[refusal as usize];
        let closed = |reasons: &[CloseReason]| reasons.iter().map(|&reason| metrics.closed[reason as usize]).sum::<u64>();
        let doubtful = Flag::ALL.into_iter().map(|flag| self.flags.seen(flag).doubtful).sum();
        let opened: u64 = self.readings.pressure.breakers.iter().map(|breaker| breaker.opened).sum();
        const DEADLINES: [CloseReason; 6] = [
            CloseReason::FirstByteTimeout,
            CloseReason::HeadTimeout,
            CloseReason::BodyTimeout,
            CloseReason::IdleTimeout,
            CloseReason::WriteTimeout,
            CloseReason::TooSlow,
        ];
        let counts = [
            (
                "memory exhaustion",
                metrics.falls[Fall::CacheMemory as usize] + refused(Refusal::HeapReserve) + refused(Refusal::SqliteMemory),
            ),
            ("cache memory bloat", cache.evicted + cache.refused),
            (
                "connection pool exhaustion",
                metrics.shed.iter().sum::<u64>()
                    + closed(&[CloseReason::Reclaimed])
                    + refused(Refusal::SlotsFull)
                    + refused(Refusal::ClientCap),
            ),
            // Its answer is given before a release: nothing of it acts here.
            ("ARM64 trouble", 0),
            ("fallback failure", metrics.falls.iter().sum()),
            ("batching deadlock", metrics.replays),
            ("flag misconfiguration", doubtful),
            ("connection leak", closed(&DEADLINES)),
            ("configuration drift", self.readings.configuration.failures),
            ("database lock contention", opened + metrics.busy_retries + metrics.query_timeouts),
            ("legacy integration", metrics.reopens),
            ("cache poisoning", cache.mismatches),
        ];
        std::array::from_fn(|row| {
            let (name, count) = counts[row];
            debug_assert_eq!(name, ROWS[row].name, "the register's order");
            count
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_acts_when_its_count_moves_and_for_a_while_after() {
        let mut answers = Answers::new();
        let counts = |first| std::array::from_fn(|row| if row == 0 { first } else { 7 });
        answers.look(counts(0), 0, 1000);
        assert_eq!(answers.uses[0], RiskUse { acted_at: None, acting: false });
        assert_eq!(answers.uses[1], RiskUse { acted_at: Some(1000), acting: true });
        for (second, count, use_now) in [
            (20, 3, RiskUse { acted_at: Some(1020), acting: true }),
            (29, 3, RiskUse { acted_at: Some(1020), acting: true }),
            (30, 3, RiskUse { acted_at: Some(1020), acting: false }),
        ] {
            answers.look(counts(count), second * S, 1000 + second);
            assert_eq!(answers.uses[0], use_now, "at {second} s");
        }
        assert!(!answers.uses[1].acting);
    }
}
