//! What the writers say, read from the pipe that they share, and the counts of a run.

use std::collections::BTreeMap;
use std::io::{ErrorKind, PipeReader, Read};

use super::Failure;
use super::history::{History, Violation};

/// Counts of a run, by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// The history as far as it has been read.
pub struct Journal {
    pipe: PipeReader,
    unread: Vec<u8>,
    /// Who committed what.
    pub history: History,
    /// What happened how often.
    pub counts: Counts,
}

impl Journal {
    /// Reads from the read end of the writers' stdout.
    pub fn new(pipe: PipeReader) -> Result<Self, Failure> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, unread: Vec::new(), history: History::new(), counts: Counts::new() })
    }

    /// Counts one more.
    pub fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// Takes in all that stands in the pipe. A commit is announced before it begins, so that after this every version
    /// that an answer received before could rightly show is known.
    ///
    /// # Errors
    /// What is wrong with the writers' story.
    pub fn drain(&mut self) -> Result<(), Failure> {
        let mut piece = [0; 64 * 1024];
        loop {
            match self.pipe.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => self.unread.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let whole = self.unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.unread.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            self.take(line)?;
        }
        Ok(())
    }

    fn take(&mut self, line: &str) -> Result<(), Failure> {
        let mut words = line.split(' ');
        let letter = words.next().unwrap_or_default();
        let numbers: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
        let name = match (letter, numbers.as_slice()) {
            ("B", &[version, base, groups, now]) => {
                let begun = self.history.begin(version, base, groups as u32, now);
                return begun.map_err(|violation| wrong(violation, line));
            }
            ("C", &[version, now]) => {
                self.history.returned(version, now);
                "commits"
            }
            ("A", &[version]) => {
                self.history.rolled_back(version).map_err(|violation| wrong(violation, line))?;
                "commits refused"
            }
            ("R", []) => "rollbacks",
            ("S", []) => "spills",
            ("P", []) => "checkpoints",
            ("V", []) => "vacuum and reindex",
            ("O", []) => "reopened connections",
            ("J", []) => "switches to WAL",
            ("W", []) => "actions given up",
            _ => return Err(Failure::Internal(format!("a writer said {line:?}"))),
        };
        self.count(name);
        Ok(())
    }
}

fn wrong(violation: Violation, line: &str) -> Failure {
    Failure::Violation(format!("{violation:?}\n  upon a writer's {line:?}"))
}
