//! The simulated database: a version that others' commits raise at any moment, its name, and whether what is answered is recent enough.

use std::collections::BTreeMap;

use flagstone::job::{Current, Micros, Stamp, StampMode};

use super::options::Plant;
use super::random::Random;
use super::world::{Shared, World};

/// Numbers of shared targets begin here; those of requests stay below.
const SHARED: u64 = 9_000_000;
/// The planted [`Plant::LaggingState`] tells of a commit so much later.
const LAG: Micros = 5000;

/// Something that many clients ask for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub size: u64,
    pub cost: Micros,
    /// Its rows may not be kept.
    pub volatile: bool,
}

/// What is shared: quick and slow, small, empty, and larger than what the cache takes.
pub const TARGETS: [Target; 8] = [
    Target { size: 300, cost: 50, volatile: false },
    Target { size: 2000, cost: 3000, volatile: false },
    Target { size: 20_000, cost: 30_000, volatile: false },
    Target { size: 150_000, cost: 5000, volatile: false },
    Target { size: 0, cost: 800, volatile: false },
    Target { size: 500, cost: 200_000, volatile: false },
    Target { size: 700, cost: 2000, volatile: true },
    Target { size: 90_000, cost: 1500, volatile: false },
];

/// The number in a shared target's path.
pub fn number_of(target: usize) -> u64 {
    SHARED + target as u64
}

/// The shared target of a number in a path.
pub fn target_of(number: u64) -> Option<usize> {
    let target = number.checked_sub(SHARED)? as usize;
    (target < TARGETS.len()).then_some(target)
}

/// What the lines of a shared target's body say at a version.
pub fn body_number(target: usize, version: u64) -> u64 {
    (target as u64 + 1) * 1_000_000_000_000 + version
}

/// An answer that speaks of a state.
#[derive(Clone, Debug)]
pub struct Told {
    pub target: usize,
    pub tag: String,
    /// The last version that was there when the request's last byte was read.
    pub floor: u64,
    /// What the answer itself says; a 304 says it by its tag.
    pub version: Option<u64>,
}

/// The state of the simulated database.
pub struct Database {
    /// Raised by every commit.
    pub version: u64,
    generation: u64,
    committed: Micros,
    next_commit: Micros,
    pace: Micros,
    lost_until: Micros,
    tags: BTreeMap<String, (usize, u64)>,
    latest: [Option<String>; TARGETS.len()],
}

impl Database {
    pub fn new(random: &mut Random) -> Database {
        let pace = random.spread(500, 5_000_000);
        let latest = [const { None }; TARGETS.len()];
        Database {
            version: 1,
            generation: 1,
            committed: 0,
            next_commit: pace,
            pace,
            lost_until: 0,
            tags: BTreeMap::new(),
            latest,
        }
    }

    /// Somebody commits.
    pub fn commit(&mut self, now: Micros) {
        self.version += 1;
        self.committed = now;
    }

    /// The state's name.
    fn name(&self, version: u64) -> Stamp {
        Stamp::new(StampMode::Wal, self.generation, [version; 6])
    }

    /// The tag that was last seen of a target.
    pub fn tag(&self, target: usize) -> Option<&str> {
        self.latest[target].as_deref()
    }

    /// Judges an answer, and remembers which state its tag stands for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn heard(&mut self, told: Told) -> Result<(), String> {
        let known = self.tags.get(&told.tag).copied();
        let version = match (told.version, known) {
            (Some(version), None) => version,
            (Some(version), Some(known)) if known == (told.target, version) => version,
            (None, Some((target, version))) if target == told.target => version,
            _ => return Err(format!("the tag stands for {known:?}: {told:?}")),
        };
        if version < told.floor || version > self.version {
            return Err(format!("version {version}, and {} was there when it was asked: {told:?}", told.floor));
        }
        self.latest[told.target] = Some(told.tag.clone());
        self.tags.insert(told.tag, (told.target, version));
        Ok(())
    }
}

impl World {
    /// Lets those commit whose time has come.
    pub fn commit_due(&mut self) {
        while self.database.next_commit <= self.now {
            let at = self.database.next_commit;
            self.database.commit(at);
            self.database.next_commit = at + self.random.range(1, 2 * self.database.pace);
        }
    }

    /// A name of the present state: none while it is being written or cannot be read; sometimes a new one for the same state.
    pub fn stamp(&mut self) -> Option<Stamp> {
        if self.random.one_in(2000) {
            self.database.lost_until = self.now + self.random.spread(100, 100_000);
            self.database.generation += 1;
        }
        let torn = self.random.one_in(50);
        (!torn && self.now >= self.database.lost_until).then(|| self.database.name(self.database.version))
    }
}

/// What the front compares.
pub struct SimCurrent {
    pub world: Shared,
}

impl Current for SimCurrent {
    fn current(&self) -> Option<Stamp> {
        let mut world = self.world.borrow_mut();
        let stamp = world.stamp();
        let lags = world.options.plant == Some(Plant::LaggingState) && world.now < world.database.committed + LAG;
        if lags { Some(world.database.name(world.database.version - 1)) } else { stamp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_the_state_it_tells() {
        let mut database = Database::new(&mut Random::new(1));
        let told = |tag: &str, floor, version| Told { target: 1, tag: tag.to_owned(), floor, version };
        database.commit(1);
        assert_eq!(database.heard(told("a", 1, Some(1))), Ok(()));
        assert_eq!(database.heard(told("a", 1, None)), Ok(()));
        assert_eq!(database.heard(told("b", 2, Some(2))), Ok(()));
        for wrong in [
            told("a", 2, None),
            told("a", 2, Some(1)),
            told("b", 1, Some(1)),
            told("c", 1, None),
            told("d", 1, Some(3)),
            Told { target: 2, ..told("a", 1, None) },
        ] {
            assert!(database.heard(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert_eq!(database.tag(1), Some("b"));
    }
}
