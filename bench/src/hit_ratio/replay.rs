//! Sends a trace through a cache of fixed size whose policy names the victims.

use super::trace::{Item, Trace};

/// How much fits.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    pub entries: usize,
    pub blocks: usize,
}

/// What decides who has to go. Keys are the trace's; each insert is of an absent key, each touch of a present one.
pub trait Policy {
    fn insert(&mut self, key: u32, item: Item);
    fn touch(&mut self, key: u32);
    /// Takes the next victim out; the cache is not empty.
    fn evict(&mut self) -> u32;
    /// Takes out everything: a commit made it stale.
    fn clear(&mut self);
}

/// Shares of the whole trace, cold start included, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Requests that were hits.
    pub requests: f64,
    /// Bytes that came from the cache.
    pub bytes: f64,
    /// The database's time that hits saved.
    pub time: f64,
}

/// Replays `trace`; every miss is inserted, as the server does with every answer that may be cached.
pub fn replay(trace: &Trace, capacity: Capacity, policy: &mut dyn Policy) -> Ratios {
    let mut present = vec![false; trace.items.len()];
    let (mut entries, mut blocks) = (0, 0);
    let mut sum = Sum::default();
    for (at, &key) in trace.requests.iter().enumerate() {
        if trace.commits_before(at) {
            policy.clear();
            present.fill(false);
            (entries, blocks) = (0, 0);
        }
        let item = trace.items[key as usize];
        sum.request(item, present[key as usize]);
        if present[key as usize] {
            policy.touch(key);
            continue;
        }
        while entries == capacity.entries || blocks + usize::from(item.blocks) > capacity.blocks {
            let victim = policy.evict() as usize;
            assert!(std::mem::take(&mut present[victim]), "a victim is in the cache");
            entries -= 1;
            blocks -= usize::from(trace.items[victim].blocks);
        }
        present[key as usize] = true;
        entries += 1;
        blocks += usize::from(item.blocks);
        policy.insert(key, item);
    }
    sum.ratios()
}

/// Adds up requests.
#[derive(Debug, Default)]
pub struct Sum {
    hit: [u64; 3],
    all: [u64; 3],
}

impl Sum {
    /// Counts a request and whether it was a hit.
    pub fn request(&mut self, item: Item, hit: bool) {
        let weights = [1, u64::from(item.bytes), u64::from(item.micros)];
        for (at, weight) in weights.into_iter().enumerate() {
            self.all[at] += weight;
            self.hit[at] += if hit { weight } else { 0 };
        }
    }

    /// The shares.
    pub fn ratios(&self) -> Ratios {
        let share = |at: usize| 100.0 * self.hit[at] as f64 / self.all[at].max(1) as f64;
        Ratios { requests: share(0), bytes: share(1), time: share(2) }
    }
}
