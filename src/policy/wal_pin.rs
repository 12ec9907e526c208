//! Who keeps a WAL from being copied: how long a reader of an old state, or a checkpoint that does not get on, has been in the way.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// Frames that wait for their copy when nobody can be at work on them: twice what SQLite checkpoints at by itself.
const STALLED_FRAMES: u32 = 2000;
/// A mark that no reader uses (SQLite's READMARK_NOT_USED).
const UNUSED: u32 = u32::MAX;

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Readers that read up to this frame.
    Reader(u32),
    /// Nobody that the kernel shows, and still the copy stands at this frame.
    Stalled(u32),
}

/// The obstacle with its age.
#[derive(Clone, Copy, Debug)]
pub struct WalPin {
    found: Option<(Obstacle, Micros)>,
}

impl WalPin {
    /// None yet.
    pub const fn new() -> WalPin {
        WalPin { found: None }
    }

    /// Takes a look at a WAL of `frames`, `copied` of them in the database; `marks` say how far the readers of each read, and whether anybody
    /// does where that is known. Gives the time since when the same obstacle is there, and the place of its mark.
    pub fn look(
        &mut self, frames: u32, copied: u32, marks: &[(u32, Option<bool>)], now: Micros,
    ) -> Option<(Micros, Option<usize>)> {
        // The readers of the first mark read no frame of the WAL: they are in nobody's way.
        let held =
            marks.iter().enumerate().skip(1).filter(|(_, (mark, held))| *held == Some(true) && *mark < frames && *mark != UNUSED);
        let oldest = held.min_by_key(|(_, (mark, _))| *mark);
        let obstacle = match oldest {
            Some((_, (mark, _))) => Some(Obstacle::Reader(*mark)),
            None if frames.saturating_sub(copied) >= STALLED_FRAMES => Some(Obstacle::Stalled(copied)),
            None => None,
        };
        self.found = obstacle.map(|obstacle| match self.found {
            Some((same, since)) if same == obstacle => (obstacle, since),
            _ => (obstacle, now),
        });
        self.found.map(|(_, since)| (since, oldest.map(|(place, _)| place)))
    }
}

impl Default for WalPin {
    fn default() -> WalPin {
        WalPin::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_ages_while_it_is_the_same() {
        const YES: Option<bool> = Some(true);
        const NO: Option<bool> = Some(false);
        type Step = (u32, u32, [(u32, Option<bool>); 3], Option<(Micros, Option<usize>)>);
        let mut pin = WalPin::new();
        let steps: &[Step] = &[
            (50, 10, [(0, NO), (10, NO), (UNUSED, NO)], None),             // nobody reads
            (50, 10, [(0, NO), (50, YES), (UNUSED, NO)], None),            // of the present state
            (50, 10, [(0, YES), (50, NO), (UNUSED, NO)], None),            // of the database's file alone
            (60, 10, [(0, NO), (50, YES), (60, YES)], Some((3, Some(1)))), // of an old state
            (90, 50, [(0, NO), (50, YES), (60, YES)], Some((3, Some(1)))), // still
            (90, 50, [(0, NO), (90, NO), (60, YES)], Some((5, Some(2)))),  // another one
            (90, 90, [(0, NO), (90, NO), (UNUSED, NO)], None),
            (2089, 90, [(0, NO), (90, NO), (UNUSED, NO)], None),
            (2090, 90, [(0, NO), (90, None), (UNUSED, None)], Some((8, None))), // the kernel shows no locks
            (9000, 90, [(0, NO), (90, NO), (UNUSED, NO)], Some((8, None))),
            (9000, 8000, [(0, NO), (90, NO), (UNUSED, NO)], None), // it gets on
        ];
        for (now, (frames, copied, marks, told)) in steps.iter().enumerate() {
            assert_eq!(pin.look(*frames, *copied, marks, now as Micros), *told, "step {now}");
        }
    }
}
