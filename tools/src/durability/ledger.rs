//! What the clients were promised, and the verdict on a database that comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};

use super::record::{Key, PARTS};

/// An acknowledgement: its 201 was read whole.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Which write.
    pub key: Key,
    /// Before its first byte was sent.
    pub sent: Instant,
    /// After its answer's last byte was read.
    pub read: Instant,
}

/// When the server was cut off.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Before it was triggered.
    pub began: Instant,
    /// After it had happened.
    pub done: Instant,
}

/// All writes to one database.
#[derive(Default)]
pub struct Ledger {
    /// Each client's next sequence number: what is below was sent.
    pub next: Vec<u32>,
    /// Must be there.
    pub promised: BTreeSet<Key>,
}

impl Ledger {
    /// Of so many clients that have sent nothing.
    pub fn new(clients: usize) -> Self {
        Self { next: vec![0; clients], promised: BTreeSet::new() }
    }

    /// Takes over what was acknowledged, and says how many count. An answer that was read while the cut was under way says
    /// nothing; one to a request that was sent after it is a lie, so that it counts.
    pub fn promise(&mut self, acks: &[Ack], cut: Option<Cut>) -> u64 {
        let counts = |ack: &&Ack| cut.is_none_or(|cut| ack.read < cut.began || ack.sent > cut.done);
        let before = self.promised.len();
        self.promised.extend(acks.iter().filter(counts).map(|ack| ack.key));
        (self.promised.len() - before) as u64
    }

    /// Compares a database with what was promised. The server may be running.
    pub fn judge(&self, database: &Path) -> Findings {
        self.compare(database).unwrap_or_else(|error| Findings { corrupt: Some(error.to_string()), ..Findings::default() })
    }

    fn compare(&self, database: &Path) -> rusqlite::Result<Findings> {
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        // One snapshot of everything.
        connection.execute_batch("BEGIN")?;
        let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let mut findings = Findings { corrupt: (verdict != "ok").then_some(verdict), ..Findings::default() };
        // Rows of each key, and whether all are as they were sent.
        let mut rows: BTreeMap<Key, u64> = BTreeMap::new();
        for (table, is_array) in [("left_half", false), ("right_half", false), ("parts", true)] {
            let part = if is_array { "part" } else { "0" };
            let mut statement = connection.prepare(&format!("SELECT key, {part}, value FROM {table}"))?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let (key, part, value): (i64, u32, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                match Key::of(key).filter(|key| key.is_array() == is_array && self.sent(*key)) {
                    Some(key) => {
                        *rows.entry(key).or_default() += 1;
                        findings.damaged += u64::from(value != key.value(part.into()));
                    }
                    None => findings.unknown += 1,
                }
            }
        }
        let whole = |key: Key| if key.is_array() { PARTS } else { 2 };
        findings.halves = rows.iter().filter(|(key, rows)| **rows != whole(**key)).count() as u64;
        findings.lost = self.promised.iter().filter(|key| !rows.contains_key(key)).count() as u64;
        Ok(findings)
    }

    fn sent(&self, key: Key) -> bool {
        self.next.get(key.client as usize).is_some_and(|next| key.sequence < *next)
    }
}

/// What is wrong with a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged writes that are not there.
    pub lost: u64,
    /// Writes of which a part is there.
    pub halves: u64,
    /// Rows with another content than was sent.
    pub damaged: u64,
    /// Rows that nobody sent.
    pub unknown: u64,
    /// What integrity_check, or SQLite at large, says.
    pub corrupt: Option<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durability::record::SCHEMA;
    use std::time::Duration;

    /// A database with one pair and one array, whole, and a ledger that was promised both.
    fn kept() -> (tempfile::TempDir, Connection, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("data.db")).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let (pair, array) = (Key { client: 0, sequence: 2 }, Key { client: 0, sequence: 3 });
        for table in ["left_half", "right_half"] {
            connection.execute(&format!("INSERT INTO {table} VALUES (?1, ?2)"), (pair.number(), pair.value(0))).unwrap();
        }
        for part in 0..PARTS {
            connection.execute("INSERT INTO parts VALUES (?1, ?2, ?3)", (array.number(), part, array.value(part))).unwrap();
        }
        let ledger = Ledger { next: vec![4], promised: [pair, array].into() };
        (folder, connection, ledger)
    }

    #[test]
    fn each_fault_of_a_database_is_found() {
        let faults: [(&str, fn(&mut Findings)); 5] = [
            ("SELECT 1", |_| ()),
            ("DELETE FROM parts", |findings| findings.lost = 1),
            ("DELETE FROM parts WHERE part = 2", |findings| findings.halves = 1),
            ("UPDATE left_half SET value = 'x'", |findings| findings.damaged = 1),
            ("INSERT INTO left_half VALUES (4, 'x')", |findings| findings.unknown = 1),
        ];
        for (sql, expect) in faults {
            let (folder, connection, ledger) = kept();
            connection.execute_batch(sql).unwrap();
            let mut expected = Findings::default();
            expect(&mut expected);
            assert_eq!(ledger.judge(&folder.path().join("data.db")), expected, "{sql}");
        }
        let (folder, connection, ledger) = kept();
        drop(connection);
        std::fs::write(folder.path().join("data.db"), [7; 8192]).unwrap();
        assert!(ledger.judge(&folder.path().join("data.db")).corrupt.is_some());
    }

    #[test]
    fn only_an_answer_read_before_the_cut_or_asked_for_after_it_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let cut = Cut { began: at(10), done: at(20) };
        for (sent, read, counts) in [(1, 9, 1), (1, 10, 0), (9, 15, 0), (12, 30, 0), (21, 30, 1)] {
            let mut ledger = Ledger::new(1);
            let acks = [Ack { key: Key { client: 0, sequence: 0 }, sent: at(sent), read: at(read) }];
            assert_eq!(ledger.promise(&acks, Some(cut)), counts, "{sent} to {read}");
            assert_eq!(ledger.promise(&acks, None), 1 - counts);
        }
    }
}
