//! An error of SQLite's: its code, and as much of its message as anybody is told. Lives without the connection, and without the heap.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::fmt;

use rusqlite::{Connection, Error, ffi};

/// As much of a message as a problem repeats. SQLite's own text is as long as the text of the database that it quotes.
const MESSAGE_BYTES: usize = 200;

/// What a call of SQLite's gave in place of what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteError {
    /// The extended code (SQLite "Result and Error Codes").
    pub code: c_int,
    /// The byte of the statement's text that SQLite blames; -1 where it blames none.
    pub offset: c_int,
    /// Its words, cut at 200 bytes; invalid UTF-8 is replaced.
    pub message: heapless::String<MESSAGE_BYTES>,
}

impl SqliteError {
    /// What the connection's last call, which gave `code`, has to say.
    pub fn last(conn: &Connection, code: c_int) -> SqliteError {
        // SAFETY: the connection is open for as long as it is borrowed.
        let offset = unsafe { ffi::sqlite3_error_offset(conn.handle()) };
        // SAFETY: as above; never null.
        let message = unsafe { ffi::sqlite3_errmsg(conn.handle()) };
        // SAFETY: the text lasts until SQLite's next call, and is a C string.
        let message = unsafe { CStr::from_ptr(message) };
        SqliteError { code, offset, message: clipped(message.to_bytes()) }
    }

    /// An error that SQLite has no words for.
    pub fn new(code: c_int, message: &str) -> SqliteError {
        SqliteError { code, offset: -1, message: clipped(message.as_bytes()) }
    }

    /// The code without what extends it.
    pub fn primary(&self) -> c_int {
        self.code & 0xff
    }

    /// Whether another connection's lock was in the way.
    pub fn is_busy(&self) -> bool {
        matches!(self.primary(), ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL)
    }
}

/// Opening and setting up a connection is rusqlite's.
impl From<Error> for SqliteError {
    fn from(error: Error) -> SqliteError {
        match &error {
            Error::SqliteFailure(code, Some(message)) => SqliteError::new(code.extended_code, message),
            Error::SqlInputError { error, msg, offset, .. } => {
                SqliteError { offset: *offset, ..SqliteError::new(error.extended_code, msg) }
            }
            other => {
                let code = other.sqlite_error().map_or(ffi::SQLITE_MISUSE, |error| error.extended_code);
                SqliteError::new(code, &error.to_string())
            }
        }
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

fn clipped(text: &[u8]) -> heapless::String<MESSAGE_BYTES> {
    let mut message = heapless::String::new();
    // No further than anything of it could be kept: the text may have a megabyte.
    for chunk in text[..text.len().min(MESSAGE_BYTES)].utf8_chunks() {
        for char in chunk.valid().chars().chain((!chunk.invalid().is_empty()).then_some('\u{FFFD}')) {
            if message.push(char).is_err() {
                return message;
            }
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_length_is_cut_between_characters() {
        assert_eq!(clipped(b"no such table: t"), "no such table: t");
        assert_eq!(clipped("é".repeat(500).as_bytes()), "é".repeat(100).as_str());
        assert_eq!(clipped(&[b"a".as_slice(), "é".repeat(500).as_bytes()].concat()).len(), 199);
        assert_eq!(clipped(&[0xff; 500]), "\u{FFFD}".repeat(66).as_str());
    }

    #[test]
    fn both_ways_to_an_error_tell_the_same() {
        let conn = Connection::open_in_memory().unwrap();
        for sql in ["SELECT a FROM nowhere", "SELEC", "SELECT 1 +"] {
            let by_rusqlite = SqliteError::from(conn.prepare(sql).unwrap_err());
            let raw = super::super::statement::Statement::prepare(&conn, sql).map(|_| ()).unwrap_err();
            assert_eq!(raw, by_rusqlite, "{sql}");
        }
    }
}
