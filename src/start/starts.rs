//! Starts in a row of which none came to a good end: after several the server starts with `--safe`.
//!
//! A start leaves a line in the state directory. It goes when the server has run well for a while, and at an orderly end; a process that is
//! killed leaves it. One that is refused, for its configuration or its address, is counted neither way. The line names the kernel's run, so that
//! a power cut is no crash.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A server that has run for so long has not crashed at its start.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// The file.
const NAME: &str = "starts";

/// This start's line.
pub(super) struct Starts {
    file: Option<PathBuf>,
    begun: Instant,
    before: u32,
    serves: bool,
}

impl Starts {
    /// Nobody asked for counting.
    pub(super) fn not_counted() -> Starts {
        Starts { file: None, begun: Instant::now(), before: 0, serves: false }
    }

    /// Counts this one, in the state directory. Where it cannot be written, nothing is counted.
    pub(super) fn count(folder: &Path) -> Starts {
        let file = folder.join(NAME);
        let left = std::fs::read_to_string(&file).unwrap_or_default();
        // `RUN COUNT`; whatever else stands there is no count.
        let left = left.split_once(' ').filter(|(of, _)| *of == kernels_run()).and_then(|(_, count)| count.trim().parse().ok());
        let before = left.unwrap_or(0_u32);
        let written = write(&file, before.saturating_add(1));
        Starts { file: written.is_ok().then_some(file), begun: Instant::now(), before, serves: false }
    }

    /// It serves: the start was not refused.
    pub(super) fn serving(&mut self) {
        self.serves = true;
    }

    /// How many before this one came to no good end.
    pub(super) const fn before(&self) -> u32 {
        self.before
    }

    /// Called about once a second: forgets them when this one has run well for long enough.
    pub(super) fn look(&mut self) {
        if self.begun.elapsed() >= GOOD_RUN {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if let Some(file) = self.file.take() {
            // What stays is one start too many, which the next good run takes.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Drop for Starts {
    fn drop(&mut self) {
        // A panic through all barriers is a crash like any other.
        if std::thread::panicking() {
            return;
        }
        match self.file.as_ref().filter(|_| !self.serves && self.before > 0) {
            // As it was; a count that is one too high does no harm.
            Some(file) => drop(write(file, self.before)),
            None => self.forget(),
        }
    }
}

fn write(file: &Path, count: u32) -> std::io::Result<()> {
    std::fs::write(file, format!("{} {count}\n", kernels_run()))
}

/// What the kernel calls the time since it was started.
fn kernels_run() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a killed process does.
    fn crash(starts: Starts) {
        std::mem::forget(starts);
    }

    #[test]
    fn starts_that_were_killed_add_up_until_one_ends_well() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        for before in 0..3 {
            let starts = Starts::count(folder.path());
            assert_eq!(starts.before(), before);
            crash(starts);
        }
        drop(Starts::count(folder.path()));
        assert_eq!(Starts::count(folder.path()).before(), 3, "a refused start counts neither way");
        let mut served = Starts::count(folder.path());
        served.serving();
        drop(served);
        assert!(!file.exists(), "an orderly end");
        crash(Starts::count(folder.path()));
        let mut starts = Starts::count(folder.path());
        starts.look();
        assert!(file.exists(), "not yet");
        starts.begun -= GOOD_RUN;
        starts.look();
        assert!(!file.exists(), "a good run");
    }

    #[test]
    fn another_run_of_the_kernel_and_a_torn_line_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for left in ["another-run 7\n", "", "7", "\u{0}\u{0} x"] {
            std::fs::write(folder.path().join(NAME), left).unwrap();
            assert_eq!(Starts::count(folder.path()).before(), 0, "{left:?}");
        }
        assert_eq!(Starts::count(&folder.path().join("missing")).before(), 0);
    }
}
