//! Seeded request traces: who is asked for when, how large each answer is and what it cost to make.

/// An answer's size, and the database's time that making it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub bytes: u32,
    /// Its size in blocks of [`BLOCK_BYTES`].
    pub blocks: u16,
    pub micros: u32,
}

/// The arena's unit.
pub const BLOCK_BYTES: u32 = 4096;
/// Largest body that is cached.
const BODY_MAX: f64 = 102_400.0;

/// Requests for keys `0..items.len()`.
#[derive(Debug)]
pub struct Trace {
    pub name: &'static str,
    pub items: Vec<Item>,
    pub requests: Vec<u32>,
    /// Each time that so many requests are through, a commit makes everything stale.
    pub commit_every: Option<usize>,
}

/// Which keys are asked for in which order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Key of rank r with a probability in proportion to r^-alpha.
    Zipf(f64),
    /// Zipf 0.8; each time as many requests as four caches have entries are through, twice a cache full of keys is asked for once.
    Scans,
    /// Zipf 1.0 whose ranks move on by a cache full of keys ten times in the trace.
    Shifting,
    /// A tenth more keys than fit, in a circle.
    Loop,
    /// Zipf 1.0; another process commits each time that as many requests as eight caches have entries are through.
    Commits,
    /// Half the requests Zipf 0.8, half keys that are asked for once.
    OneHitWonders,
}

/// Whether answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All of one block and one cost, so that only the number of entries limits.
    Equal,
    /// Bodies from 1,000 to 102,400 bytes, Pareto with exponent 0.5 (mean 10 KB); costs from 30 us to 0.2 s, Pareto with
    /// exponent 0.8, and 20 us a KB.
    HeavyTailed,
}

/// SplitMix64 (Steele, Lea, Flood 2014): a few lines, and the same numbers on every machine.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 (inclusive) to 1 (exclusive).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A Pareto variable cut off at `most`.
    fn pareto(&mut self, least: f64, most: f64, exponent: f64) -> f64 {
        let rest = 1.0 - (least / most).powf(exponent);
        least / (1.0 - self.unit() * rest).powf(1.0 / exponent)
    }
}

/// SplitMix64's finaliser: a key's fingerprint.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws ranks by binary search in the cumulated weights.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(keys: usize, alpha: f64) -> Zipf {
        let mut sum = 0.0;
        let weights = (1..=keys).map(|rank| {
            sum += (rank as f64).powf(-alpha);
            sum
        });
        Zipf(weights.collect())
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit() * self.0[self.0.len() - 1];
        self.0.partition_point(|&sum| sum <= at).min(self.0.len() - 1)
    }
}

impl Trace {
    /// Whether a commit comes just before the request at `at`.
    pub fn commits_before(&self, at: usize) -> bool {
        at > 0 && self.commit_every.is_some_and(|every| at.is_multiple_of(every))
    }

    /// `count` requests made for a cache of `entries` entries, over twenty times as many popular keys.
    pub fn new(pattern: Pattern, sizes: Sizes, entries: usize, count: usize, seed: u64) -> Trace {
        let mut random = Random(seed);
        let popular = 20 * entries;
        let (name, requests) = match pattern {
            Pattern::Zipf(alpha) => (if alpha < 0.9 { "zipf 0.8" } else { "zipf 1.0" }, zipf(&mut random, popular, alpha, count)),
            Pattern::Scans => ("zipf 0.8 + scans", scans(&mut random, entries, popular, count)),
            Pattern::Shifting => ("shifting zipf 1.0", shifting(&mut random, entries, popular, count)),
            Pattern::Loop => ("loop of 110 %", (0..count).map(|at| (at % (entries + entries / 10)) as u32).collect()),
            Pattern::Commits => ("zipf 1.0 + commits", zipf(&mut random, popular, 1.0, count)),
            Pattern::OneHitWonders => ("half one-hit", one_hit_wonders(&mut random, popular, count)),
        };
        let keys = requests.iter().max().map_or(0, |&key| key as usize + 1);
        let items = (0..keys).map(|_| item(&mut random, sizes)).collect();
        Trace { name, items, requests, commit_every: (pattern == Pattern::Commits).then_some(8 * entries) }
    }
}

fn zipf(random: &mut Random, popular: usize, alpha: f64, count: usize) -> Vec<u32> {
    let zipf = Zipf::new(popular, alpha);
    (0..count).map(|_| zipf.draw(random) as u32).collect()
}

fn scans(random: &mut Random, entries: usize, popular: usize, count: usize) -> Vec<u32> {
    let zipf = Zipf::new(popular, 0.8);
    let mut fresh = popular..;
    (0..count)
        .map(|at| if at % (6 * entries) < 4 * entries { zipf.draw(random) } else { fresh.next().unwrap_or_default() } as u32)
        .collect()
}

fn shifting(random: &mut Random, entries: usize, popular: usize, count: usize) -> Vec<u32> {
    let zipf = Zipf::new(popular, 1.0);
    (0..count).map(|at| ((zipf.draw(random) + at * 10 / count * entries) % popular) as u32).collect()
}

fn one_hit_wonders(random: &mut Random, popular: usize, count: usize) -> Vec<u32> {
    let zipf = Zipf::new(popular, 0.8);
    let mut fresh = popular..;
    (0..count).map(|_| if random.next() & 1 == 0 { zipf.draw(random) } else { fresh.next().unwrap_or_default() } as u32).collect()
}

fn item(random: &mut Random, sizes: Sizes) -> Item {
    match sizes {
        Sizes::Equal => Item { bytes: BLOCK_BYTES, blocks: 1, micros: 100 },
        Sizes::HeavyTailed => {
            let bytes = random.pareto(1000.0, BODY_MAX, 0.5) as u32;
            let micros = random.pareto(30.0, 200_000.0, 0.8) as u32 + bytes / 50;
            Item { bytes, blocks: bytes.div_ceil(BLOCK_BYTES) as u16, micros }
        }
    }
}
