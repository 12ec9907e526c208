//! What no policy can exceed, the future known.
//!
//! Two bounds, the lower of which is given. Belady's MIN with bypass, which is the optimum for requests when only the number of entries
//! limits (so exact for equal sizes, and a bound for others). And space x time: a hit needs its key to stay from the
//! request before, so the sum of (length x share of the capacity) over all hits is at most the trace's length; filling it with the
//! best ones first (fractions allowed) bounds requests, bytes and time under either limit (Berger et al. 2018, PFOO-U in one segment).

use std::collections::BTreeSet;

use super::replay::{Capacity, Ratios, Sum};
use super::trace::Trace;

/// The bound for each of the three ratios.
pub fn bound(trace: &Trace, capacity: Capacity) -> Ratios {
    let next = next_requests(trace);
    let by_entries = space_time(trace, &next, capacity.entries, |_| 1);
    let by_blocks = space_time(trace, &next, capacity.blocks, u64::from);
    Ratios {
        requests: min(trace, &next, capacity.entries).requests.min(by_entries.requests).min(by_blocks.requests),
        bytes: by_entries.bytes.min(by_blocks.bytes),
        time: by_entries.time.min(by_blocks.time),
    }
}

/// For each request the place of the next one for the same key; the trace's length when there is none before the next commit.
fn next_requests(trace: &Trace) -> Vec<usize> {
    let mut seen = vec![trace.requests.len(); trace.items.len()];
    let mut next = vec![0; trace.requests.len()];
    for (at, &key) in trace.requests.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[key as usize], at);
        if trace.commits_before(at) {
            seen.fill(trace.requests.len());
        }
    }
    next
}

/// Belady's MIN: the one that is needed last goes, be it the newcomer.
fn min(trace: &Trace, next: &[usize], entries: usize) -> Ratios {
    let mut by_next = BTreeSet::new();
    let mut sum = Sum::default();
    for (at, &key) in trace.requests.iter().enumerate() {
        sum.request(trace.items[key as usize], by_next.remove(&at));
        // No two share a place, but for those that never come back, which need not be kept.
        if next[at] < trace.requests.len() {
            by_next.insert(next[at]);
        }
        if by_next.len() > entries {
            by_next.pop_last();
        }
    }
    sum.ratios()
}

fn space_time(trace: &Trace, next: &[usize], capacity: usize, size: impl Fn(u16) -> u64) -> Ratios {
    let mut stays = Vec::new();
    let mut all = [0.0; 3];
    for (at, &key) in trace.requests.iter().enumerate() {
        let item = trace.items[key as usize];
        let worth = [1.0, f64::from(item.bytes), f64::from(item.micros)];
        all.iter_mut().zip(worth).for_each(|(sum, worth)| *sum += worth);
        if next[at] < trace.requests.len() {
            stays.push((((next[at] - at) as u64 * size(item.blocks)) as f64, worth));
        }
    }
    let room = (capacity * trace.requests.len()) as f64;
    let best = |which: usize| {
        stays.sort_unstable_by(|a, b| (b.1[which] / b.0).total_cmp(&(a.1[which] / a.0)));
        let mut left = room;
        let mut sum = 0.0;
        for (space, worth) in &stays {
            sum += worth[which] * (left / space).clamp(0.0, 1.0);
            left -= space;
            if left <= 0.0 {
                break;
            }
        }
        100.0 * sum / all[which]
    };
    let [requests, bytes, time] = [0, 1, 2].map(best);
    Ratios { requests, bytes, time }
}
