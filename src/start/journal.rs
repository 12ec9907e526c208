//! Lines as the journal takes them: each begins with its priority (sd-daemon(3)), where the journal is who reads.

use std::fmt::{self, Write};
use std::os::fd::AsFd;

use log::Level;

/// Whether `stream` goes to the journal: $JOURNAL_STREAM has its device and inode.
pub fn reads(stream: impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok().and_then(|text| {
        let (device, inode) = text.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    // Inherited variables may name another process's stream.
    named.is_some_and(|named| rustix::fs::fstat(stream).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == named))
}

/// syslog's priorities.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Begins every line of what is written through it with a priority: the journal takes each line by itself.
pub struct Lines<W> {
    out: W,
    priority: &'static str,
    at_start: bool,
}

impl<W> Lines<W> {
    /// Lines of one level.
    pub const fn new(out: W, level: Level) -> Lines<W> {
        Lines { out, priority: priority(level), at_start: true }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            if self.at_start {
                self.out.write_str(self.priority)?;
            }
            self.out.write_str(line)?;
            self.at_start = line.ends_with('\n');
        }
        Ok(())
    }
}

/// Says on stderr why the process ends, in its last words.
pub fn last_words(text: fmt::Arguments<'_>) {
    let mut said = String::new();
    let written = match reads(std::io::stderr()) {
        true => writeln!(Lines::new(&mut said, Level::Error), "{text}"),
        false => writeln!(said, "{text}"),
    };
    debug_assert!(written.is_ok(), "a string takes all text");
    // With nobody to read it there is nobody to tell.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_priority_however_it_comes() {
        let mut text = String::new();
        let mut lines = Lines::new(&mut text, Level::Error);
        for piece in ["two ", "lines\nand", " a\n\nhalf"] {
            lines.write_str(piece).unwrap();
        }
        assert_eq!(text, "<3>two lines\n<3>and a\n<3>\n<3>half");
    }
}
