//! What a file is, by its first bytes: for the message about a file that is not SQLite. Pure.

use std::path::Path;

use crate::start::shell_word;

/// A file's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A SQLite 3 database, as far as the magic says.
    Database,
    Gzip,
    Zip,
    Bzip2,
    Xz,
    Zstd,
    /// A -wal without its database.
    Wal,
    /// A -shm.
    Shm,
    /// A -journal.
    Journal,
    Sqlite2,
    DuckDb,
    SqlDump,
    Json,
    Html,
    Csv,
    /// Text of no known kind.
    Text,
    /// No structure at all: what SQLCipher writes looks like this.
    Random,
    Unknown,
}

/// Magic bytes, and the offset where they stand.
const MAGIC: [(usize, &[u8], Kind); 13] = [
    (0, b"SQLite format 3\0", Kind::Database),
    (0, b"\x1f\x8b", Kind::Gzip),
    (0, b"PK\x03\x04", Kind::Zip),
    (0, b"BZh", Kind::Bzip2),
    (0, b"\xfd7zXZ\0", Kind::Xz),
    (0, b"\x28\xb5\x2f\xfd", Kind::Zstd),
    (0, b"\x37\x7f\x06\x82", Kind::Wal),
    (0, b"\x37\x7f\x06\x83", Kind::Wal),
    (0, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", Kind::Journal),
    // The version of the wal-index format, 3007000, in either byte order.
    (0, b"\x18\xe2\x2d\x00", Kind::Shm),
    (0, b"\x00\x2d\xe2\x18", Kind::Shm),
    (0, b"** This file contains an SQLite 2", Kind::Sqlite2),
    (8, b"DUCK", Kind::DuckDb),
];

/// Words that SQL dumps begin with.
const SQL_WORDS: [&str; 7] = ["PRAGMA", "BEGIN", "CREATE", "INSERT", "DROP", "--", "/*"];

/// Bits for each byte; random bytes have 7.9 over 4 KB, text, tables and machine code less than 7.
/// Fewer than 194 bytes cannot reach it.
const RANDOM_BITS: f64 = 7.6;

impl Kind {
    /// `head` is the file's beginning, a few KB of it.
    pub(super) fn of(head: &[u8]) -> Kind {
        for (offset, magic, kind) in MAGIC {
            if head.get(offset..).is_some_and(|rest| rest.starts_with(magic)) {
                return kind;
            }
        }
        match text(head) {
            Some(text) => text_kind(text.trim_start_matches('\u{feff}').trim_start()),
            None if entropy(head) > RANDOM_BITS => Kind::Random,
            None => Kind::Unknown,
        }
    }

    /// What and where.
    pub(super) fn message(self, path: &Path) -> String {
        let what = match self {
            Kind::Database => "a SQLite database",
            Kind::Gzip => "it is compressed with gzip",
            Kind::Zip => "it is a zip archive",
            Kind::Bzip2 => "it is compressed with bzip2",
            Kind::Xz => "it is compressed with xz",
            Kind::Zstd => "it is compressed with zstd",
            Kind::Wal => "it is the write-ahead log (-wal) of one; name the database beside it",
            Kind::Shm => "it is the shared-memory file (-shm) of one; name the database beside it",
            Kind::Journal => "it is the rollback journal (-journal) of one; name the database beside it",
            Kind::Sqlite2 => "it is of SQLite 2, whose format is another one",
            Kind::DuckDb => "it is a DuckDB database",
            Kind::SqlDump => "it is SQL text, perhaps a dump",
            Kind::Json => "it is JSON",
            Kind::Html => "it is HTML, perhaps an error page that was downloaded instead",
            Kind::Csv => "it is CSV",
            Kind::Text => "it is plain text",
            Kind::Random => "it looks random, perhaps it is encrypted (SQLCipher)",
            Kind::Unknown => "of an unknown kind",
        };
        format!("{}: not a SQLite database: {what}", path.display())
    }

    /// What to type.
    pub(super) fn remedies(self, path: &Path) -> Vec<String> {
        let word = shell_word(path);
        let plain = shell_word(&path.with_extension("plain.db"));
        let unpack = |tool: &str, suffix: &str| {
            if path.extension().is_some_and(|extension| extension == suffix) {
                format!("{tool} -k {word} && flagstone {}", shell_word(&path.with_extension("")))
            } else {
                // These tools refuse names without their suffix.
                format!("{tool} -c < {word} > {plain} && flagstone {plain}")
            }
        };
        let remedy = match self {
            Kind::Gzip => unpack("gunzip", "gz"),
            Kind::Bzip2 => unpack("bunzip2", "bz2"),
            Kind::Xz => unpack("unxz", "xz"),
            Kind::Zstd => unpack("unzstd", "zst"),
            Kind::Zip => format!("unzip {word}"),
            Kind::Wal => database_of(path, "-wal"),
            Kind::Shm => database_of(path, "-shm"),
            Kind::Journal => database_of(path, "-journal"),
            Kind::Sqlite2 => format!("sqlite {word} .dump | sqlite3 new.db"),
            Kind::DuckDb => {
                format!("duckdb {word}   # ATTACH 'new.db' (TYPE sqlite), then COPY FROM DATABASE")
            }
            Kind::SqlDump => format!("sqlite3 new.db < {word} && flagstone new.db"),
            Kind::Csv => format!("sqlite3 new.db -cmd '.mode csv' \".import {word} rows\" && flagstone new.db"),
            Kind::Json => {
                let name = path.to_string_lossy().replace('\'', "''");
                let sql = format!("CREATE TABLE rows AS SELECT key, value FROM json_each(readfile('{name}'))");
                format!("sqlite3 new.db {}", shell_word(Path::new(&sql)))
            }
            Kind::Html => format!("head -c 300 {word}"),
            Kind::Random => {
                let sql = "PRAGMA key = 'SECRET'; ATTACH 'plain.db' AS plain KEY ''; SELECT sqlcipher_export('plain')";
                format!("sqlcipher {word} \"{sql}\"")
            }
            Kind::Text | Kind::Unknown | Kind::Database => format!("file {word}"),
        };
        vec![remedy]
    }
}

fn database_of(path: &Path, suffix: &str) -> String {
    let text = path.to_string_lossy();
    match text.strip_suffix(suffix) {
        Some(database) => format!("flagstone {}", shell_word(Path::new(database))),
        None => format!("ls -l {}", shell_word(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))),
    }
}

/// The head as text: UTF-8 (the cut at its end may split a character) without control characters.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let binary = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.contains(binary)).then_some(text)
}

fn text_kind(text: &str) -> Kind {
    let begins = |word: &str| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    if SQL_WORDS.into_iter().any(begins) {
        return Kind::SqlDump;
    }
    if begins("<!doctype html") || begins("<html") {
        return Kind::Html;
    }
    if text.starts_with(['{', '[']) {
        return Kind::Json;
    }
    if is_csv(text) { Kind::Csv } else { Kind::Text }
}

/// A separator that stands equally often, at least once, in each of the first two lines (or in the only one).
fn is_csv(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or("");
    let second = lines.next().filter(|line| !line.is_empty()).unwrap_or(first);
    [',', ';', '\t'].into_iter().any(|separator| {
        let count = first.matches(separator).count();
        // Commas inside quotes make the counts differ: a quote is as good a sign.
        count > 0 && (count == second.matches(separator).count() || first.contains('"') || second.contains('"'))
    })
}

/// Shannon's entropy in bits for each byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_its_beginning() {
        let cases: [(&[u8], Kind, &str); 25] = [
            (b"SQLite format 3\0\x10\0", Kind::Database, "file "),
            (b"\x1f\x8b\x08\0\0\0", Kind::Gzip, "gunzip -c < x.db > x.plain.db"),
            (b"PK\x03\x04\x14\0", Kind::Zip, "unzip x.db"),
            (b"BZh91AY", Kind::Bzip2, "bunzip2 -c < x.db"),
            (b"\xfd7zXZ\0\0", Kind::Xz, "unxz -c < x.db"),
            (b"\x28\xb5\x2f\xfd\x04", Kind::Zstd, "unzstd -c < x.db"),
            (b"\x37\x7f\x06\x82\0\x2d\xe2\x18", Kind::Wal, "ls -l ."),
            (b"\x37\x7f\x06\x83\0\x2d\xe2\x18", Kind::Wal, "ls -l ."),
            (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\0", Kind::Journal, "ls -l ."),
            (b"\x18\xe2\x2d\x00\0\0\0\0", Kind::Shm, "ls -l ."),
            (b"** This file contains an SQLite 2.1 database **", Kind::Sqlite2, "sqlite x.db .dump"),
            (b"\x01\x02\x03\x04\x05\x06\x07\x08DUCK\x40", Kind::DuckDb, "duckdb x.db"),
            (b"PRAGMA foreign_keys=OFF;\n", Kind::SqlDump, "sqlite3 new.db < x.db"),
            (b"\n begin transaction;", Kind::SqlDump, "sqlite3 new.db < x.db"),
            (b"\xef\xbb\xbfCREATE TABLE t(a)", Kind::SqlDump, "sqlite3 new.db < x.db"),
            (b"-- MySQL dump 10.13", Kind::SqlDump, "sqlite3 new.db < x.db"),
            (b" [{\"a\": 1}]", Kind::Json, "sqlite3 new.db 'CREATE TABLE rows"),
            (b"<!DOCTYPE html>\n<p>404", Kind::Html, "head -c 300 x.db"),
            (b"id,name\n1,K\xc3\xbcche\n", Kind::Csv, "sqlite3 new.db -cmd"),
            (b"id;name;x\r\n1;2;3\r\n", Kind::Csv, "sqlite3 new.db -cmd"),
            (b"name,note\n\"a, b\",c\n", Kind::Csv, "sqlite3 new.db -cmd"),
            (b"Hello, world\nand all the rest\n", Kind::Text, "file x.db"),
            (b"cut inside a character \xe5\x86", Kind::Text, "file x.db"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0", Kind::Unknown, "file x.db"),
            (b"SQLite format 3 without its zero", Kind::Text, "file x.db"),
        ];
        for (head, kind, typed) in cases {
            assert_eq!(Kind::of(head), kind, "{}", head.escape_ascii());
            let remedies = kind.remedies(Path::new("x.db"));
            assert!(remedies[0].starts_with(typed), "{kind:?}: {remedies:?}");
            assert!(kind.message(Path::new("x.db")).starts_with("x.db: "), "{kind:?}");
        }
    }

    #[test]
    fn random_bytes_look_encrypted_and_structured_ones_do_not() {
        let mut state = 1_u64;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(4096)
        .collect();
        assert_eq!(Kind::of(&random), Kind::Random);
        assert!(Kind::Random.message(Path::new("x")).contains("SQLCipher"));
        assert_eq!(Kind::of(&random[..190]), Kind::Unknown, "too few bytes to say");
        let structured: Vec<u8> = (0..4096_u32).flat_map(u32::to_le_bytes).take(4096).collect();
        assert_eq!(Kind::of(&structured), Kind::Unknown);
        assert_eq!(Kind::of(&[0; 4096]), Kind::Unknown);
    }

    #[test]
    fn names_lead_to_the_right_command() {
        let cases = [
            (Kind::Gzip, "a b.db.gz", "gunzip -k 'a b.db.gz' && flagstone 'a b.db'"),
            (Kind::Wal, "/srv/data.db-wal", "flagstone /srv/data.db"),
            (Kind::Journal, "data.db-journal", "flagstone data.db"),
            (Kind::Shm, "/srv/odd", "ls -l /srv"),
        ];
        for (kind, path, typed) in cases {
            assert_eq!(kind.remedies(Path::new(path)), [typed], "{path}");
        }
    }
}
