//! The policies that ours is compared with, each as its paper has it. They may allocate: only their choices are measured.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::replay::{Capacity, Policy};
use super::trace::Item;

/// First in, first out.
#[derive(Default)]
pub struct Fifo(VecDeque<u32>);

impl Policy for Fifo {
    fn insert(&mut self, key: u32, _: Item) {
        self.0.push_back(key);
    }

    fn touch(&mut self, _: u32) {}

    fn evict(&mut self) -> u32 {
        self.0.pop_front().expect("the cache is not empty")
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Least recently used.
#[derive(Default)]
pub struct Lru {
    by_time: BTreeMap<u64, u32>,
    last: HashMap<u32, u64>,
    now: u64,
}

impl Policy for Lru {
    fn insert(&mut self, key: u32, _: Item) {
        self.now += 1;
        self.by_time.insert(self.now, key);
        self.last.insert(key, self.now);
    }

    fn touch(&mut self, key: u32) {
        self.now += 1;
        if let Some(time) = self.last.insert(key, self.now) {
            self.by_time.remove(&time);
        }
        self.by_time.insert(self.now, key);
    }

    fn evict(&mut self) -> u32 {
        let (_, key) = self.by_time.pop_first().expect("the cache is not empty");
        self.last.remove(&key);
        key
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// SIEVE (Zhang et al., NSDI 2024): a queue in the order of arrival and a hand that goes from its tail to its head.
#[derive(Default)]
pub struct Sieve {
    queue: BTreeMap<u64, u32>,
    visited: HashMap<u32, bool>,
    hand: u64,
    now: u64,
}

impl Policy for Sieve {
    fn insert(&mut self, key: u32, _: Item) {
        self.now += 1;
        self.queue.insert(self.now, key);
        self.visited.insert(key, false);
    }

    fn touch(&mut self, key: u32) {
        self.visited.insert(key, true);
    }

    fn evict(&mut self) -> u32 {
        loop {
            let next = self.queue.range(self.hand..).next().or_else(|| self.queue.first_key_value());
            let (&at, &key) = next.expect("the cache is not empty");
            self.hand = at + 1;
            if self.visited.insert(key, false) != Some(true) {
                self.queue.remove(&at);
                self.visited.remove(&key);
                return key;
            }
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// S3-FIFO (Yang et al., SOSP 2023): a tenth for newcomers, the rest for who was hit twice there or comes back while its ghost lives.
pub struct S3Fifo {
    capacity: Capacity,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    small_blocks: usize,
    /// Hits (3 at most) and blocks.
    state: HashMap<u32, (u8, u16)>,
    ghosts: VecDeque<u32>,
    ghost_set: HashSet<u32>,
}

impl S3Fifo {
    pub fn new(capacity: Capacity) -> S3Fifo {
        S3Fifo {
            capacity,
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_blocks: 0,
            state: HashMap::new(),
            ghosts: VecDeque::new(),
            ghost_set: HashSet::new(),
        }
    }

    /// More than a tenth, of whichever limit is nearer.
    fn small_is_large(&self) -> bool {
        10 * self.small.len() >= self.capacity.entries || 10 * self.small_blocks >= self.capacity.blocks
    }

    fn remember(&mut self, key: u32) {
        if self.ghosts.len() == self.capacity.entries
            && let Some(oldest) = self.ghosts.pop_front()
        {
            self.ghost_set.remove(&oldest);
        }
        self.ghosts.push_back(key);
        self.ghost_set.insert(key);
    }

    fn evict_small(&mut self) -> Option<u32> {
        while let Some(key) = self.small.pop_front() {
            let (hits, blocks) = self.state[&key];
            self.small_blocks -= usize::from(blocks);
            if hits <= 1 {
                self.state.remove(&key);
                self.remember(key);
                return Some(key);
            }
            self.state.insert(key, (0, blocks));
            self.main.push_back(key);
        }
        None
    }

    fn evict_main(&mut self) -> Option<u32> {
        while let Some(key) = self.main.pop_front() {
            let (hits, blocks) = self.state[&key];
            if hits == 0 {
                self.state.remove(&key);
                return Some(key);
            }
            self.state.insert(key, (hits - 1, blocks));
            self.main.push_back(key);
        }
        None
    }
}

impl Policy for S3Fifo {
    fn insert(&mut self, key: u32, item: Item) {
        self.state.insert(key, (0, item.blocks));
        if self.ghost_set.remove(&key) {
            self.ghosts.retain(|&ghost| ghost != key);
            self.main.push_back(key);
        } else {
            self.small.push_back(key);
            self.small_blocks += usize::from(item.blocks);
        }
    }

    fn touch(&mut self, key: u32) {
        if let Some((hits, _)) = self.state.get_mut(&key) {
            *hits = (*hits + 1).min(3);
        }
    }

    fn evict(&mut self) -> u32 {
        let from_small = if self.small_is_large() { self.evict_small() } else { None };
        from_small.or_else(|| self.evict_main()).or_else(|| self.evict_small()).expect("the cache is not empty")
    }

    /// Ghosts stay.
    fn clear(&mut self) {
        self.small.clear();
        self.main.clear();
        self.state.clear();
        self.small_blocks = 0;
    }
}

/// GreedyDual-Size-Frequency (Cherkasova 1998): least `age + hits x cost / size`, and the age is the last victim's.
#[derive(Default)]
pub struct Gdsf {
    order: BTreeSet<(u64, u32)>,
    /// Priority, worth of a hit and hits.
    state: HashMap<u32, (u64, u64, u64)>,
    age: u64,
}

impl Policy for Gdsf {
    fn insert(&mut self, key: u32, item: Item) {
        let worth = (u64::from(item.micros) << 16) / u64::from(item.blocks);
        let priority = self.age + worth;
        self.order.insert((priority, key));
        self.state.insert(key, (priority, worth, 1));
    }

    fn touch(&mut self, key: u32) {
        if let Some((priority, worth, hits)) = self.state.get_mut(&key) {
            self.order.remove(&(*priority, key));
            *hits += 1;
            *priority = self.age + *worth * *hits;
            self.order.insert((*priority, key));
        }
    }

    fn evict(&mut self) -> u32 {
        let (priority, key) = self.order.pop_first().expect("the cache is not empty");
        self.age = priority;
        self.state.remove(&key);
        key
    }

    fn clear(&mut self) {
        self.order.clear();
        self.state.clear();
    }
}
