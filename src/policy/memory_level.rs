//! How short the machine is of memory: when the cache gives its pages back, and when it may have them again.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// From this share of the machine's memory in use on, in thousandths, there is an emergency.
const EMERGENCY: u64 = 880;
/// Below this share it is over, once it has stayed there for [`CALM`].
const RELIEF: u64 = 780;
/// In microseconds.
const CALM: Micros = 10_000_000;

/// The machine's memory, as last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Enough.
    Normal,
    /// So little that everything which can be made again has to go.
    Emergency,
}

/// The level with its memory of the last seconds, so that it does not flap.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLevel {
    level: Level,
    calm_since: Option<Micros>,
}

impl MemoryLevel {
    /// Normal.
    pub const fn new() -> MemoryLevel {
        MemoryLevel { level: Level::Normal, calm_since: None }
    }

    /// Takes a reading of total and available memory, in bytes; a total of 0 is no reading, and changes nothing.
    pub fn look(&mut self, total: u64, available: u64, now: Micros) -> Level {
        if total == 0 {
            return self.level;
        }
        let used = total.saturating_sub(available) * 1000 / total;
        if used >= EMERGENCY {
            self.level = Level::Emergency;
        }
        if used >= RELIEF {
            self.calm_since = None;
        } else if now >= *self.calm_since.get_or_insert(now) + CALM {
            self.level = Level::Normal;
        }
        self.level
    }
}

impl Default for MemoryLevel {
    fn default() -> MemoryLevel {
        MemoryLevel::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_begins_at_once_and_ends_after_a_while_of_calm() {
        const S: Micros = 1_000_000;
        let mut memory = MemoryLevel::new();
        let steps = [
            (0, 879, Level::Normal),
            (1, 880, Level::Emergency),
            (2, 800, Level::Emergency),
            (3, 779, Level::Emergency),
            (12, 779, Level::Emergency),
            (13, 780, Level::Emergency),
            (14, 100, Level::Emergency),
            (23, 100, Level::Emergency),
            (24, 100, Level::Normal),
            (25, 879, Level::Normal),
            (26, 1000, Level::Emergency),
        ];
        for (second, used, level) in steps {
            assert_eq!(memory.look(512_000_000, 512_000 * (1000 - used), second * S), level, "at {second} s");
        }
        assert_eq!(memory.look(0, 0, 99 * S), Level::Emergency, "no reading changes nothing");
    }
}
