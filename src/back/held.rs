//! Prepared statements that are held between requests: a fixed number, the least recently used one goes first.

use rusqlite::{Connection, ffi};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use super::authorizer::{Allowed, Authorizer, Uses};
use super::sqlite_error::SqliteError;
use super::statement::Statement;
use crate::budget::STATEMENTS;

/// A statement is known by a 128-bit keyed hash of its SQL: the text itself would be kept twice, since SQLite has it.
type Name = (u64, u64);

struct Entry<'c> {
    name: Name,
    allowed: Allowed,
    used: u64,
    /// What it uses, as of its preparation number `preparations`.
    uses: Uses,
    preparations: i32,
    statement: Statement<'c>,
}

/// The held statements of one connection.
pub struct Held<'c> {
    conn: &'c Connection,
    key: [u8; 16],
    uses: u64,
    entries: heapless::Vec<Entry<'c>, STATEMENTS>,
    authorizer: Authorizer<'c>,
    /// The statement that was given out last: it may be prepared anew while it runs.
    given: Option<usize>,
    /// Where that stood: it is often the next one too.
    last: usize,
    /// What the statements use that were given out since [`Held::begin`].
    job: Uses,
}

impl<'c> Held<'c> {
    /// None yet. `key` is secret and random, so that nobody can make two texts with one name.
    pub fn new(conn: &'c Connection, key: [u8; 16]) -> Held<'c> {
        let (entries, authorizer) = (heapless::Vec::new(), Authorizer::new(conn));
        Held { conn, key, uses: 0, entries, authorizer, given: None, last: 0, job: Uses::default() }
    }

    /// Begins to collect what a job's statements use.
    pub fn begin(&mut self) {
        self.settle();
        self.job = Uses::default();
    }

    /// What the statements use that were given out since [`Held::begin`], as they were last prepared.
    pub fn job_uses(&mut self) -> Uses {
        self.settle();
        self.job
    }

    /// Takes the names of the schema's virtual tables. Statements that were prepared with others are dropped.
    pub fn set_virtual<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.clear();
        self.authorizer.set_virtual(names);
    }

    /// Takes the names of all tables in the catalog's order, before [`Held::set_virtual`].
    pub fn set_tables<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.authorizer.set_tables(names);
    }

    /// Ends the use of the last statement: from now on anything may be prepared on the connection. To be called after each use of
    /// [`Held::get_allowed`], however it ended; SQLite also prepares anew what was prepared elsewhere.
    pub fn rest(&mut self) {
        self.settle();
    }

    /// Notes what the last statement uses, after it has run.
    fn settle(&mut self) {
        self.authorizer.allow(Allowed::Everything);
        let Some(entry) = self.given.take().and_then(|at| self.entries.get_mut(at)) else { return };
        let preparations = entry.statement.preparations();
        if preparations != entry.preparations {
            entry.preparations = preparations;
            entry.uses = self.authorizer.uses();
        }
        self.job = self.job.or(entry.uses);
    }

    /// The statement for SQL of our own, prepared now or before.
    ///
    /// # Errors
    /// What preparing gave.
    pub fn get(&mut self, sql: &str) -> Result<&mut Statement<'c>, SqliteError> {
        self.get_allowed(sql, Allowed::Everything)
    }

    /// The statement for SQL that may do no more than what is allowed, prepared now or before. Until the next call of any function here it
    /// is also all that can be prepared on the connection: SQLite may prepare it anew while it runs.
    ///
    /// # Errors
    /// What preparing gave.
    pub fn get_allowed(&mut self, sql: &str, allowed: Allowed) -> Result<&mut Statement<'c>, SqliteError> {
        self.settle();
        self.authorizer.reset();
        self.uses += 1;
        self.authorizer.allow(allowed);
        let again = |entry: &&Entry<'_>| entry.allowed == allowed && entry.statement.sql() == sql.as_bytes();
        if self.entries.get(self.last).filter(again).is_none() {
            self.last = self.find(sql, allowed).inspect_err(|_| self.authorizer.allow(Allowed::Everything))?;
        }
        let entry = &mut self.entries[self.last];
        entry.used = self.uses;
        self.given = Some(self.last);
        Ok(&mut entry.statement)
    }

    fn find(&mut self, sql: &str, allowed: Allowed) -> Result<usize, SqliteError> {
        let name = self.name(sql, allowed);
        match self.entries.iter().position(|entry| entry.name == name) {
            Some(at) => Ok(at),
            None => self.prepare(name, sql, allowed),
        }
    }

    /// A statement of the configuration's, prepared to see whether it can be, and not held.
    ///
    /// # Errors
    /// What preparing gave.
    pub fn try_prepare(&mut self, sql: &str, allowed: Allowed) -> Result<Statement<'c>, SqliteError> {
        self.settle();
        self.authorizer.reset();
        self.authorizer.allow(allowed);
        let prepared = prepare(self.conn, sql, allowed);
        self.authorizer.allow(Allowed::Everything);
        prepared
    }

    /// Finalizes all of them, to give SQLite its memory back.
    pub fn clear(&mut self) {
        self.settle();
        self.entries.clear();
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn prepare(&mut self, name: Name, sql: &str, allowed: Allowed) -> Result<usize, SqliteError> {
        if self.entries.is_full() {
            let oldest = (0..self.entries.len()).min_by_key(|&at| self.entries[at].used);
            if let Some(oldest) = oldest {
                drop(self.entries.swap_remove(oldest));
            }
        }
        let mut statement = prepare(self.conn, sql, allowed)?;
        let (used, uses) = (self.uses, self.authorizer.uses());
        statement.number = used;
        let pushed = self.entries.push(Entry { name, allowed, used, uses, preparations: 0, statement });
        assert!(pushed.is_ok(), "one entry was dropped when it was full");
        Ok(self.entries.len() - 1)
    }

    /// A hash of `text` that nobody else can make: keyed by this process's secret.
    pub fn secret(&self, text: &[u8]) -> [u8; 16] {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(text);
        hasher.write_u8(u8::MAX);
        let hash = hasher.finish128();
        hash.as_bytes()
    }

    fn name(&self, sql: &str, allowed: Allowed) -> Name {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u8(allowed as u8);
        hasher.write(sql.as_bytes());
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

fn prepare<'c>(conn: &'c Connection, sql: &str, allowed: Allowed) -> Result<Statement<'c>, SqliteError> {
    let statement = Statement::prepare(conn, sql)?;
    // VACUUM asks no authorizer.
    if allowed == Allowed::Read && !statement.is_readonly() {
        return Err(SqliteError::new(ffi::SQLITE_AUTH, "not authorized"));
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_statement_goes_first() {
        let conn = Connection::open_in_memory().unwrap();
        let mut held = Held::new(&conn, [7; 16]);
        let sql = |number: usize| format!("SELECT {number}");
        for number in 0..STATEMENTS {
            held.get(&sql(number)).unwrap();
        }
        held.get(&sql(0)).unwrap();
        held.get(&sql(STATEMENTS)).unwrap();
        assert_eq!(held.len(), STATEMENTS);
        let names: Vec<Name> = held.entries.iter().map(|entry| entry.name).collect();
        assert!(
            names.contains(&held.name(&sql(0), Allowed::Everything)) && !names.contains(&held.name(&sql(1), Allowed::Everything))
        );
        assert!(held.get("SELECT nonsense FROM nowhere").is_err());
    }

    #[test]
    fn what_one_may_another_may_not() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(a)").unwrap();
        let mut held = Held::new(&conn, [7; 16]);
        for sql in ["INSERT INTO t VALUES (1)", "VACUUM", "PRAGMA user_version"] {
            assert!(held.get(sql).is_ok());
            assert!(held.get_allowed(sql, Allowed::Read).is_err(), "{sql}: held for us, and for nobody else");
            assert!(conn.prepare("PRAGMA user_version").is_ok(), "a refusal is over when it is told");
        }
        assert!(held.get_allowed("SELECT a FROM t", Allowed::Read).is_ok());
        assert!(conn.prepare("PRAGMA user_version").is_err(), "while a statement with a list is used everything has that list");
        held.rest();
        assert!(conn.prepare("PRAGMA user_version").is_ok());
    }

    #[test]
    fn a_statement_that_was_prepared_anew_counts_as_what_it_has_become() {
        const VIEW: &str = "SELECT a FROM v";
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE VIEW v AS SELECT 1 AS a").unwrap();
        let mut held = Held::new(&conn, [7; 16]);
        let mut volatile = |sql: &str| {
            held.begin();
            assert!(held.get(sql).unwrap().rows().next().unwrap().is_some());
            held.job_uses().volatile
        };
        assert!(!volatile(VIEW));
        conn.execute_batch("DROP VIEW v; CREATE VIEW v AS SELECT random() AS a").unwrap();
        assert!(volatile(VIEW), "while it ran");
        assert!(volatile(VIEW), "and at its next use");
        assert!(!volatile("SELECT 2"), "a job is its own statements");
        conn.execute_batch("DROP VIEW v; CREATE VIEW v AS SELECT 3 AS a").unwrap();
        assert!(!volatile(VIEW));
    }
}
