//! When the WAL is copied into the database: as a job of its own once it has enough frames, never twice for the same ones.

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    No,
    /// Copy when nothing else is to be done.
    WhenIdle,
    /// Copy now, whoever waits: the WAL grows faster than idle moments come.
    Now,
    /// Now, and cut the WAL to nothing.
    Truncate,
}

/// Frames over the configured number at which a checkpoint waits for no idle moment: so many times the number.
const OVERDUE: u32 = 8;
/// The same for cutting the file.
const TOO_LONG: u32 = 64;

/// What the last checkpoint left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Frames that it found, all of them in the database since or held back by a reader.
    seen: u32,
}

impl Checkpoints {
    /// None yet.
    pub const fn new() -> Checkpoints {
        Checkpoints { seen: 0 }
    }

    /// What is due with `frames` in the WAL, when `pages` are configured; 0 pages leave it to others.
    pub fn due(&mut self, frames: u32, pages: u32) -> Due {
        if frames < self.seen {
            // The WAL has begun anew.
            self.seen = 0;
        }
        let fresh = frames - self.seen;
        if pages == 0 || fresh < pages {
            Due::No
        } else if frames >= pages.saturating_mul(TOO_LONG) {
            Due::Truncate
        } else if fresh >= pages.saturating_mul(OVERDUE) {
            Due::Now
        } else {
            Due::WhenIdle
        }
    }

    /// A checkpoint found `frames`; what a reader kept it from copying waits for the next.
    pub fn made(&mut self, frames: u32) {
        self.seen = frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_copied_once_and_the_more_there_are_the_sooner() {
        let mut checkpoints = Checkpoints::new();
        for (frames, pages, due) in [
            (0, 100, Due::No),
            (99, 100, Due::No),
            (100, 100, Due::WhenIdle),
            (800, 100, Due::Now),
            (6400, 100, Due::Truncate),
            (1_000_000, 0, Due::No),
        ] {
            assert_eq!(checkpoints.due(frames, pages), due, "{frames} of {pages}");
        }
        checkpoints.made(150);
        assert_eq!(checkpoints.due(150, 100), Due::No, "a reader is in the way of the rest");
        assert_eq!(checkpoints.due(249, 100), Due::No);
        assert_eq!(checkpoints.due(250, 100), Due::WhenIdle);
        assert_eq!(checkpoints.due(20, 100), Due::No, "begun anew");
        assert_eq!(checkpoints.due(120, 100), Due::WhenIdle);
    }
}
