//! What the clients were promised, and the verdict on a database that comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use super::look::{self, Row};
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
        match look::read(database) {
            Ok((verdict, rows)) => self.compare(&verdict, &rows),
            Err(error) => Findings { corrupt: Some(error.to_string()), ..Findings::default() },
        }
    }

    fn compare(&self, verdict: &str, rows: &[Row]) -> Findings {
        let mut findings = Findings { corrupt: (verdict != "ok").then(|| verdict.to_owned()), ..Findings::default() };
        let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
        for row in rows {
            match Key::of(row.number).filter(|key| key.is_array() == row.is_array && self.sent(*key)) {
                Some(key) => {
                    *counts.entry(key).or_default() += 1;
                    findings.damaged += u64::from(!row.is_right);
                }
                None => findings.unknown += 1,
            }
        }
        let whole = |key: Key| if key.is_array() { PARTS } else { 2 };
        findings.halves = counts.iter().filter(|(key, count)| **count != whole(**key)).count() as u64;
        findings.lost = self.promised.iter().filter(|key| !counts.contains_key(key)).count() as u64;
        findings
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
    use std::time::Duration;

    const PAIR: Key = Key { client: 0, sequence: 2 };
    const ARRAY: Key = Key { client: 0, sequence: 3 };

    #[test]
    fn each_fault_of_a_database_is_found() {
        let row = |key: Key| Row { number: key.number(), is_array: key.is_array(), is_right: true };
        let whole: Vec<Row> = [PAIR; 2].into_iter().chain([ARRAY; PARTS as usize]).map(row).collect();
        type Fault = fn(&mut Vec<Row>);
        let faults: [(&str, Fault, Findings); 7] = [
            ("none", |_| (), Findings::default()),
            ("an array is gone", |rows| rows.truncate(2), Findings { lost: 1, ..Findings::default() }),
            ("a pair is gone", |rows| drop(rows.drain(..2)), Findings { lost: 1, ..Findings::default() }),
            ("a part is gone", |rows| rows.truncate(6), Findings { halves: 1, ..Findings::default() }),
            ("half a pair is gone", |rows| drop(rows.drain(..1)), Findings { halves: 1, ..Findings::default() }),
            ("another content", |rows| rows[0].is_right = false, Findings { damaged: 1, ..Findings::default() }),
            ("never sent", |rows| rows.push(Row { number: 4, ..rows[0] }), Findings { unknown: 1, ..Findings::default() }),
        ];
        let ledger = Ledger { next: vec![4], promised: [PAIR, ARRAY].into() };
        for (name, fault, expected) in faults {
            let mut rows = whole.clone();
            fault(&mut rows);
            assert_eq!(ledger.compare("ok", &rows), expected, "{name}");
        }
        assert!(ledger.compare("row 3 missing from index", &whole).corrupt.is_some());
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
