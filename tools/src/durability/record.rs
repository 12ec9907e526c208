//! What a write is: a key that no other write has, and rows that follow from it, so that half of one or a wrong one is seen.

use std::fmt::Write as _;

/// Rows of a write that is an array.
pub const PARTS: u64 = 5;

/// Every this many writes of a client, one is an array.
const ARRAY_EVERY: u32 = 4;

/// The tables, in WAL mode.
pub const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE left_half(key INTEGER PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE right_half(key INTEGER PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE parts(key INTEGER NOT NULL, part INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY(key, part));
";

/// The server's configuration: a transaction of two statements, one of as many rows as the array has, and ways to read.
pub const CONFIG: &str = r#"
[[route]]
method = "POST"
path = "/pair"
sql = """
INSERT INTO left_half(key, value) VALUES (:key, :value);
INSERT INTO right_half(key, value) VALUES (:key, :value) RETURNING key
"""

[[route]]
method = "POST"
path = "/parts"
sql = "INSERT INTO parts(key, part, value) VALUES (:key, :part, :value) RETURNING key"

[[route]]
path = "/pair"
sql = "SELECT value FROM left_half WHERE key = :key"

[[route]]
path = "/parts"
sql = "SELECT value FROM parts WHERE key = :key ORDER BY part"

[[route]]
path = "/constant"
sql = "SELECT 'the same' AS answer"
"#;

/// A write's name: client and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub client: u32,
    /// Its number, from 0.
    pub sequence: u32,
}

impl Key {
    /// As the tables hold it.
    pub fn number(self) -> i64 {
        i64::from(self.client) << 32 | i64::from(self.sequence)
    }

    /// Out of a table; `None` for a number that no client forms.
    pub fn of(number: i64) -> Option<Self> {
        let client = u32::try_from(number >> 32).ok()?;
        Some(Self { client, sequence: (number & 0xffff_ffff) as u32 })
    }

    /// Whether the write is an array of rows, rather than a pair of statements.
    pub fn is_array(self) -> bool {
        self.sequence % ARRAY_EVERY == ARRAY_EVERY - 1
    }

    /// What its row number `part` holds: mostly short, now and then more than a page.
    pub fn value(self, part: u64) -> String {
        let mixed = (self.number() as u64 ^ part << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let length = if mixed.is_multiple_of(37) { 5000 } else { 20 + mixed % 200 };
        let word = format!("{}.{}.{part} ", self.client, self.sequence);
        word.chars().cycle().take(length as usize).collect()
    }

    /// The request that writes it.
    pub fn post(self) -> String {
        let mut body = String::new();
        let key = self.number();
        if self.is_array() {
            for part in 0..PARTS {
                body.push(if part == 0 { '[' } else { ',' });
                let _ = write!(body, r#"{{"key":{key},"part":{part},"value":"{}"}}"#, self.value(part));
            }
            body.push(']');
        } else {
            let _ = write!(body, r#"{{"key":{key},"value":"{}"}}"#, self.value(0));
        }
        let (path, length) = (self.path(), body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// The request that reads it.
    pub fn get(self) -> String {
        format!("GET {}?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.path(), self.number())
    }

    /// Whether an answer to [`Key::get`] holds all of it.
    pub fn is_in(self, body: &[u8]) -> bool {
        let body = String::from_utf8_lossy(body);
        let parts = if self.is_array() { PARTS } else { 1 };
        (0..parts).all(|part| body.contains(&self.value(part)))
    }

    fn path(self) -> &'static str {
        if self.is_array() { "/parts" } else { "/pair" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_its_requests_hold_its_values() {
        for key in [Key { client: 0, sequence: 0 }, Key { client: 31, sequence: 3 }, Key { client: 7, sequence: u32::MAX }] {
            assert_eq!(Key::of(key.number()), Some(key));
            assert!(key.is_in(key.post().as_bytes()), "{key:?}");
            assert!(!Key { sequence: key.sequence ^ 1, ..key }.is_in(key.post().as_bytes()), "{key:?}");
        }
        assert_eq!(Key::of(-1), None);
    }
}
