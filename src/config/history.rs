//! The versions of the configuration: what ran, what was refused and when, newest last. Knows neither files nor a clock.
//!
//! Each attempt to run a configuration is a version with a number of its own, also one that was refused. A version is one line of text:
//!
//! ```text
//! 12 1735689599 reloaded ba7816bf8f01cfea limits.idle, flags.cache
//! ```
//!
//! its number, Unix seconds, outcome, hash of the file and changed keys. A line that is not exactly what would be written is skipped.

use core::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Versions that are kept at hand.
pub const VERSIONS: usize = 16;
/// Bytes of the text that names the changed keys.
pub const CHANGED_BYTES: usize = 160;
/// Bytes of a line with its end: two numbers of 20 digits, an outcome, a hash, the changed keys, four spaces, a newline.
pub const LINE_BYTES: usize = 20 + 20 + Outcome::LONGEST + 16 + CHANGED_BYTES + 5;

/// The changed keys of a version, for people.
pub type Changed = heapless::String<CHANGED_BYTES>;
/// A version's line.
pub type Line = heapless::String<LINE_BYTES>;

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server started with it.
    Started,
    /// It took the running one's place.
    Reloaded,
    /// It was wrong, and the running one stayed.
    Refused,
    /// The last good one came back.
    RolledBack,
    /// The defaults took the running one's place.
    Reset,
}

impl Outcome {
    const ALL: [Outcome; 5] = [Outcome::Started, Outcome::Reloaded, Outcome::Refused, Outcome::RolledBack, Outcome::Reset];
    const LONGEST: usize = "rolled-back".len();

    /// Its word in lines and on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Started => "started",
            Outcome::Reloaded => "reloaded",
            Outcome::Refused => "refused",
            Outcome::RolledBack => "rolled-back",
            Outcome::Reset => "reset",
        }
    }
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1, never given twice.
    pub number: u64,
    /// When, in Unix seconds.
    pub unix: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// [`hash`] of its file.
    pub hash: u64,
    /// Which keys it changes, from [`changed`].
    pub changed: Changed,
}

impl Version {
    /// Its line, with the newline.
    pub fn line(&self) -> Line {
        let Version { number, unix, outcome, hash, changed } = self;
        let mut line = Line::new();
        writeln!(line, "{number} {unix} {} {hash:016x} {changed}", outcome.name()).expect("LINE_BYTES counts all of it");
        line
    }

    /// The version that writes this line, given without its newline; `None` for every other text.
    pub fn read(line: &[u8]) -> Option<Version> {
        let mut parts = core::str::from_utf8(line).ok()?.splitn(5, ' ');
        let (number, unix) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let word = parts.next()?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.name() == word)?;
        let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
        let changed = Changed::try_from(parts.next()?).ok().filter(|text| !text.contains(char::is_control))?;
        let version = Version { number, unix, outcome, hash, changed };
        // Signs, leading zeros and capitals are read by the standard library and were not written by us.
        version.line().as_bytes().strip_suffix(b"\n").is_some_and(|own| own == line).then_some(version)
    }
}

/// The first 8 bytes of a file's SHA-256: enough to tell versions apart, and to compare with `sha256sum`.
pub fn hash(text: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.into_iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(byte))
}

/// The text for changed keys: `limits.idle, flags.cache`, and how many more there are than fit. Control characters become `?`, so that no
/// key in a file can forge a line.
pub fn changed<'a>(keys: impl Iterator<Item = &'a str>) -> Changed {
    const MORE: usize = ", +18446744073709551615 more".len();
    let mut text = Changed::new();
    let mut left_out = 0_u64;
    for key in keys {
        let separator = if text.is_empty() { "" } else { ", " };
        if left_out > 0 || text.len() + separator.len() + key.len() > CHANGED_BYTES - MORE {
            left_out += 1;
            continue;
        }
        let shown = |letter: char| if letter.is_control() { '?' } else { letter };
        let fits = separator.chars().chain(key.chars()).try_for_each(|letter| text.push(shown(letter)));
        debug_assert!(fits.is_ok(), "a ? is no longer than what it stands for");
    }
    if left_out > 0 {
        let separator = if text.is_empty() { "" } else { ", " };
        let fits = write!(text, "{separator}+{left_out} more");
        debug_assert!(fits.is_ok(), "MORE bytes were left");
    }
    text
}

/// The last [`VERSIONS`] versions.
#[derive(Clone, Debug)]
pub struct History {
    versions: heapless::Deque<Version, VERSIONS>,
    last: u64,
}

impl History {
    /// None yet: the first will be number 1.
    pub const fn new() -> History {
        History { versions: heapless::Deque::new(), last: 0 }
    }

    /// Takes over what an earlier process wrote: every line of `audit` that is one. What stands behind the last newline was torn off by a
    /// power cut and is no line. Numbers go on behind the highest.
    pub fn read(&mut self, audit: &[u8]) {
        for line in audit.split_inclusive(|&byte| byte == b'\n') {
            if let Some(version) = line.strip_suffix(b"\n").and_then(Version::read) {
                self.add(version);
            }
        }
    }

    /// Records what became of a configuration, and returns its version, whose line is to be kept.
    pub fn record(&mut self, hash: u64, unix: u64, outcome: Outcome, changed: Changed) -> Version {
        let version = Version { number: self.last.saturating_add(1), unix, outcome, hash, changed };
        self.add(version.clone());
        version
    }

    /// The versions at hand, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().rev()
    }

    /// The one that runs: the newest that was not refused. Before this process has recorded its start, the last one's.
    pub fn running(&self) -> Option<&Version> {
        self.newest_first().find(|version| version.outcome != Outcome::Refused)
    }

    fn add(&mut self, version: Version) {
        self.last = self.last.max(version.number);
        if self.versions.is_full() {
            self.versions.pop_front();
        }
        let added = self.versions.push_back(version);
        debug_assert!(added.is_ok(), "there was room, or it was made");
    }
}

impl Default for History {
    fn default() -> History {
        History::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u64, outcome: Outcome, keys: &str) -> Version {
        Version { number, unix: 1_735_689_599, outcome, hash: 0x00ab_cdef, changed: Changed::try_from(keys).unwrap() }
    }

    #[test]
    fn a_version_is_a_line_and_nothing_else_is_one() {
        let line = version(12, Outcome::RolledBack, "limits.idle, flags.cache").line();
        assert_eq!(line.as_str(), "12 1735689599 rolled-back 0000000000abcdef limits.idle, flags.cache\n");
        let longest = Version { number: u64::MAX, unix: u64::MAX, ..version(0, Outcome::RolledBack, &"x".repeat(CHANGED_BYTES)) };
        assert_eq!(longest.line().len(), LINE_BYTES);
        let wrong: [&[u8]; 16] = [
            b"",
            b"12",
            b"12 1735689599 reset 0000000000abcdef",
            b"12 1735689599 reset 0000000000abcde x",
            b"12 1735689599 reset 00000000000abcdef x",
            b"12 1735689599 reset 0000000000ABCDEF x",
            b"12 1735689599 resett 0000000000abcdef x",
            b"12 1735689599  0000000000abcdef x",
            b"+12 1735689599 reset 0000000000abcdef x",
            b"012 1735689599 reset 0000000000abcdef x",
            b"12 -1 reset 0000000000abcdef x",
            b"18446744073709551616 1 reset 0000000000abcdef x",
            b"12 1735689599 reset 0000000000abcdef \xff",
            b"12 1735689599 reset 0000000000abcdef a\rb",
            b" 12 1735689599 reset 0000000000abcdef x",
            b"\0\0\0\0\0\0\0\0",
        ];
        for line in wrong {
            assert_eq!(Version::read(line), None, "{}", line.escape_ascii());
        }
        assert!(Version::read(b"12 1735689599 reset 0000000000abcdef ").is_some(), "nothing may have changed");
        assert!(Outcome::ALL.iter().all(|outcome| outcome.name().len() <= Outcome::LONGEST && !outcome.name().contains(' ')));
    }

    #[test]
    fn a_hash_is_the_beginning_of_what_sha256sum_says() {
        assert_eq!(hash(b"abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn a_key_with_a_newline_forges_no_line() {
        let text = changed(["a\n13 1 reset 0000000000000000 x", "b\u{85}\0"].into_iter());
        assert_eq!(text.as_str(), "a?13 1 reset 0000000000000000 x, b??");
        let mut history = History::new();
        history.read(history.clone().record(1, 2, Outcome::Reloaded, text).line().as_bytes());
        assert_eq!(history.newest_first().count(), 1);
    }

    #[test]
    fn keys_that_do_not_fit_are_counted() {
        let cases = [
            (vec![], ""),
            (vec!["limits.idle"], "limits.idle"),
            (vec!["limits.idle", "flags.cache"], "limits.idle, flags.cache"),
        ];
        for (keys, text) in cases {
            assert_eq!(changed(keys.into_iter()).as_str(), text);
        }
        let long = "x".repeat(CHANGED_BYTES);
        assert_eq!(changed([long.as_str(), "a"].into_iter()).as_str(), "+2 more");
        assert_eq!(changed(["a", long.as_str(), "b"].into_iter()).as_str(), "a, +2 more");
        let many = changed(std::iter::repeat_n("limits.idle", 1000));
        assert_eq!(many.as_str(), format!("{}, +990 more", ["limits.idle"; 10].join(", ")));
    }

    #[test]
    fn numbers_go_on_over_a_restart_and_a_ring_holds_the_last_versions() {
        let mut history = History::new();
        assert_eq!(history.running(), None);
        let mut audit = String::new();
        for second in 0..20 {
            let outcome = if second == 0 { Outcome::Started } else { Outcome::Reloaded };
            audit.push_str(&history.record(second, second, outcome, Changed::new()).line());
        }
        audit.push_str(&history.record(99, 20, Outcome::Refused, Changed::new()).line());
        assert_eq!(history.running().unwrap().number, 20, "what was refused does not run");
        let mut again = History::new();
        again.read(audit.as_bytes());
        assert!(again.newest_first().eq(history.newest_first()));
        assert_eq!(again.newest_first().map(|version| version.number).collect::<Vec<_>>(), (6..=21).rev().collect::<Vec<_>>());
        assert_eq!(again.record(1, 21, Outcome::Started, Changed::new()).number, 22);
    }

    fn versions() -> impl Strategy<Value = Version> {
        (any::<u64>(), any::<u64>(), 0..5_usize, any::<u64>(), prop::collection::vec("\\PC{0,20}|[\\x00-\\x20]{0,3}", 0..20))
            .prop_map(|(number, unix, outcome, hash, keys)| {
                let changed = changed(keys.iter().map(String::as_str));
                Version { number, unix, outcome: Outcome::ALL[outcome], hash, changed }
            })
    }

    proptest! {
        #[test]
        fn every_version_survives_its_line(version in versions()) {
            let line = version.line();
            prop_assert_eq!(Version::read(line.strip_suffix('\n').unwrap().as_bytes()), Some(version));
        }

        #[test]
        fn a_torn_or_spoilt_audit_costs_only_the_lines_that_it_hits(
            lines in prop::collection::vec(versions(), 1..12), cut: prop::sample::Index, spoilt: prop::sample::Index,
        ) {
            let whole: String = lines.iter().map(|version| version.line().as_str().to_owned()).collect();
            let cut = cut.index(whole.len() + 1);
            let mut history = History::new();
            history.read(&whole.as_bytes()[..cut]);
            let complete = whole.as_bytes()[..cut].iter().filter(|&&byte| byte == b'\n').count();
            prop_assert!(history.newest_first().eq(lines[..complete].iter().rev()));
            // A byte that never stands in a line: its line is lost, or two are where it took the place of a newline.
            let mut bytes = whole.into_bytes();
            bytes[spoilt.index(cut.max(1))] = 0xff;
            let mut history = History::new();
            history.read(&bytes);
            prop_assert!((lines.len().saturating_sub(2)..lines.len()).contains(&history.newest_first().count()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "[0-9 a-z\n]{0,80}") {
            let mut history = History::new();
            history.read(&bytes);
            history.read(text.as_bytes());
            prop_assert!(history.record(0, 0, Outcome::Reset, Changed::new()).number >= 1);
        }
    }
}
