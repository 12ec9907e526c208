//! When the next request is due. Pure: time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Hands out requests, each with the moment from which its latency counts.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    /// Seconds between two requests; None is the closed loop, where a request is due when somebody is free to send it.
    gap: Option<f64>,
    duration: Duration,
    taken: u64,
    /// In the open loop the whole number is known at the start: rate times duration, and all of them are sent.
    limit: u64,
    /// Requests that a server did not answer because it closed legally in the middle of a pipeline.
    again: VecDeque<Instant>,
}

impl Schedule {
    /// A schedule that begins at `start` and ends by number or by time, whichever comes first.
    pub fn new(start: Instant, rate: Option<f64>, limit: Option<u64>, duration: Duration) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let limit = match rate {
            // At least one: -r 0.1 -t 1 is still a run.
            Some(rate) => limit.min(((rate * duration.as_secs_f64()) as u64).max(1)),
            None => limit,
        };
        Self { start, gap: rate.map(|rate| 1.0 / rate), duration, taken: 0, limit, again: VecDeque::new() }
    }

    /// The moment at which the next request is due, possibly ahead; None when there is none any more.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if let Some(&again) = self.again.front() {
            return Some(again);
        }
        if self.taken >= self.limit {
            return None;
        }
        match self.gap {
            Some(gap) => Some(self.start + Duration::from_secs_f64(gap * self.taken as f64)),
            None => (now < self.start + self.duration).then_some(now),
        }
    }

    /// Takes the next request if it is due.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due(now).filter(|&due| due <= now)?;
        if self.again.pop_front().is_none() {
            self.taken += 1;
        }
        Some(due)
    }

    /// Gives a request back that was sent in vain; it keeps the moment from which it counts.
    pub fn give_back(&mut self, due: Instant) {
        self.again.push_back(due);
    }

    /// Requests that would still have to be sent; 0 in a closed loop whose time is over.
    pub fn unsent(&self, now: Instant) -> u64 {
        let ahead = if self.gap.is_some() || self.due(now).is_some() { self.limit - self.taken } else { 0 };
        let ahead = if self.gap.is_none() && self.limit == u64::MAX { 0 } else { ahead };
        ahead + self.again.len() as u64
    }

    /// The latest moment at which the last request is due.
    pub fn end(&self) -> Instant {
        self.start + self.duration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_open_loop_hands_out_each_request_once_at_its_own_moment() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, Some(10.0), None, SECOND);
        assert_eq!(schedule.take(start), Some(start));
        assert_eq!(schedule.take(start), None);
        assert!(schedule.due(start).unwrap() > start + SECOND / 11);
        // A driver that was held up for long still sends all ten, counted from when they were due.
        let late = start + 5 * SECOND;
        let rest: Vec<Instant> = std::iter::from_fn(|| schedule.take(late)).collect();
        assert_eq!(rest.len(), 9);
        assert!(rest.is_sorted() && rest[8] <= start + SECOND);
        assert_eq!((schedule.due(late), schedule.unsent(late)), (None, 0));
    }

    #[test]
    fn a_closed_loop_is_always_due_until_its_time_or_number_is_over() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, None, None, SECOND);
        assert_eq!(schedule.take(start + SECOND / 2), Some(start + SECOND / 2));
        assert_eq!((schedule.take(start + SECOND), schedule.unsent(start)), (None, 0));
        let mut schedule = Schedule::new(start, None, Some(2), SECOND);
        assert_eq!(schedule.unsent(start), 2);
        assert!(schedule.take(start).is_some() && schedule.take(start).is_some() && schedule.take(start).is_none());
    }

    #[test]
    fn a_request_given_back_is_sent_again_from_its_first_moment() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, None, Some(1), SECOND);
        let due = schedule.take(start).unwrap();
        schedule.give_back(due);
        let late = start + 3 * SECOND;
        assert_eq!(schedule.unsent(late), 1);
        assert_eq!((schedule.take(late), schedule.take(late)), (Some(due), None));
    }
}
