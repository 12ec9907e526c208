//! What happens before the server serves, or instead of it: addresses, the look at the database file, the start block.
//!
//! Everything here runs once, on an open heap: it may allocate, read files and take its time.
//! Nothing here is called for a request.

pub mod address;
mod around;
pub mod block;
pub mod check;
pub mod client;
mod configuration;
mod failures;
pub mod get;
mod handed_over;
pub mod inspect;
pub mod journal;
pub mod kept;
pub mod listen;
mod log_limit;
pub mod logging;
mod notify;
pub mod port_holder;
mod reach;
pub mod sandbox;
pub mod serve;
pub mod sheet;
mod starts;
pub mod state;
pub mod suggest;
mod watched;

use std::fmt;
use std::path::Path;

/// The exit codes of the process (the names are those of BSD's `sysexits.h`).
///
/// A service manager can tell from them whether starting again may help (69, 70) or a person has to act (64, 66, 78).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// After SIGTERM or SIGINT and a graceful drain; also `--help` and the like.
    Done = 0,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// The database is missing, unreadable or no SQLite database (EX_NOINPUT).
    Database = 66,
    /// The address cannot be listened on (EX_UNAVAILABLE).
    Address = 69,
    /// A bug, or the machine failed us (EX_SOFTWARE).
    Internal = 70,
    /// The configuration is wrong (EX_CONFIG).
    Configuration = 78,
}

impl Exit {
    /// The number for `std::process::ExitCode`.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Why the server did not start: an exit code, and a message that ends with something to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// The process's exit code, one of [`Exit`].
    pub exit: u8,
    /// What, where, why and what to do next; may have several lines, has no newline at its end.
    pub message: String,
}

impl StartError {
    /// An error whose remedies stand on lines of their own, the first after `try:`, the others after `or:`.
    ///
    /// There must be at least one: a message that leaves its reader without a next step is not finished.
    pub fn new(exit: Exit, what: impl fmt::Display, remedies: &[String]) -> StartError {
        assert!(!remedies.is_empty(), "a start error ends with something to type");
        let mut message = what.to_string();
        for (index, remedy) in remedies.iter().enumerate() {
            message.push_str(if index == 0 { "\n  try: " } else { "\n  or:  " });
            message.push_str(remedy);
        }
        StartError { exit: exit.code(), message }
    }

    /// A usage error (64), on one line.
    pub fn usage(what: impl fmt::Display, remedy: &str) -> StartError {
        assert!(!remedy.is_empty(), "a start error ends with something to type");
        StartError { exit: Exit::Usage.code(), message: format!("{what}; try: {remedy}") }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

/// `path` as one word for a POSIX shell, so that what a message offers to type works when pasted.
pub fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    // A leading dash would be read as an option by every tool that we name.
    let text = if text.starts_with('-') { format!("./{text}") } else { text.into_owned() };
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    if text.chars().any(char::is_control) {
        // Control characters of a file name must not reach the terminal as they are.
        return ansi_c_word(&text);
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The `$'...'` form of bash, zsh and POSIX 2024, byte by byte where a character is not printable ASCII.
fn ansi_c_word(text: &str) -> String {
    let mut word = String::from("$'");
    for byte in text.bytes() {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(byte)]),
            b' '..=b'~' => word.push(char::from(byte)),
            // Three octal digits always: unlike \xHH they cannot swallow a digit that follows.
            _ => word.push_str(&format!("\\{byte:03o}")),
        }
    }
    word.push('\'');
    word
}

/// A count of bytes for people: `812 bytes`, `1.2 MB` (powers of ten, as file managers show them).
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_offers_to_type_survives_the_shell() {
        let cases = [
            ("data.db", "data.db"),
            ("/srv/my data.db", "'/srv/my data.db'"),
            ("it's.db", "'it'\\''s.db'"),
            ("-wal.db", "./-wal.db"),
            ("冷蔵庫.db", "冷蔵庫.db"),
            ("a\u{1b}[2J.db", "$'a\\033[2J.db'"),
            ("$HOME.db", "'$HOME.db'"),
            ("", "''"),
        ];
        for (path, word) in cases {
            assert_eq!(shell_word(Path::new(path)), word, "{path:?}");
        }
    }

    #[test]
    fn sizes_are_short_and_carry_their_unit() {
        let cases = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_200_000, "1.2 MB"),
            (25_000_000_000, "25.0 GB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size_text(bytes), text);
        }
    }

    #[test]
    fn every_message_ends_with_something_to_type() {
        let error = StartError::new(Exit::Database, "data.db: gone", &["ls".into(), "flagstone --demo".into()]);
        assert_eq!(error.message, "data.db: gone\n  try: ls\n  or:  flagstone --demo");
        assert_eq!(error.exit, 66);
        assert_eq!(StartError::usage("no", "flagstone -h").message, "no; try: flagstone -h");
    }
}
