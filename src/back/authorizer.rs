//! What a statement uses, as SQLite's authorizer names it while it prepares the statement: the authorizer sees through views.
//! And what it may do: a list, of which a configuration's SQL has a short one.
//!
//! It also runs when SQLite prepares a statement anew while stepping it, and for statements that virtual tables prepare inside.
//!
//! A statement that reads a column makes SQLite name the functions of the column's DEFAULT and of its GENERATED ALWAYS too. The first is not
//! called by reading, the second is deterministic by SQLite's rules, and `DEFAULT (datetime('now'))` is in half of all schemas. They are told apart
//! by where the name lies: a function that the statement calls is named by the library's own table, one of a column by the schema's text.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use rusqlite::{Connection, ffi};

use crate::api::catalog::OWN_TABLE;
use crate::budget::TABLES;
use crate::job::TableSet;

/// Virtual tables that are known by name; with more of them every table counts as one.
const VIRTUAL_TABLES: usize = 64;

/// Functions whose value may differ without a commit between, each with a call of it: date and time (also of a column alone,
/// as the name does not tell `date(at)` from `date('now')`), chance, and the connection's own state.
const VOLATILE: &[(&[u8], &str)] = &[
    (b"date", "date()"),
    (b"time", "time()"),
    (b"datetime", "datetime()"),
    (b"julianday", "julianday()"),
    (b"unixepoch", "unixepoch()"),
    (b"strftime", "strftime('')"),
    (b"timediff", "timediff(0, 0)"),
    (b"current_date", "current_date"),
    (b"current_time", "current_time"),
    (b"current_timestamp", "current_timestamp"),
    (b"random", "random()"),
    (b"randomblob", "randomblob(1)"),
    (b"changes", "changes()"),
    (b"total_changes", "total_changes()"),
    (b"last_insert_rowid", "last_insert_rowid()"),
    // Not in every build of the library; known by name alone.
    (b"sqlite_offset", ""),
    (b"sqlite_filestat", ""),
    (b"sqlite_walstat", ""),
    (b"load_extension", ""),
    (b"sqlite_log", ""),
];

/// Virtual tables that show the connection's own state. `pragma_*` do too.
const VOLATILE_TABLES: &[&[u8]] = &[b"sqlite_stmt", b"bytecode", b"tables_used"];

/// Virtual tables that are functions of their arguments alone.
const PURE_TABLES: &[&[u8]] = &[b"json_each", b"json_tree", b"carray"];

/// What a statement may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Anything: it is our own.
    Everything,
    /// SELECT, READ, FUNCTION, RECURSIVE.
    Read,
    /// Those, and INSERT, UPDATE, DELETE.
    Write,
}

/// What a statement uses that matters to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// A date, random or connection-state function: its rows may change without a commit.
    pub volatile: bool,
    /// A virtual table or a `sqlite_*` one: no list of tables tells what its rows depend on.
    pub everything: bool,
    /// The tables that it reads.
    pub reads: TableSet,
    /// The tables that it writes, by triggers and cascades too.
    pub writes: TableSet,
}

impl Uses {
    /// What both use.
    pub fn or(self, other: Uses) -> Uses {
        Uses {
            volatile: self.volatile || other.volatile,
            everything: self.everything || other.everything,
            reads: self.reads.or(&other.reads),
            writes: self.writes.or(&other.writes),
        }
    }
}

/// What the callback writes into.
struct Record {
    uses: Cell<Uses>,
    virtuals: RefCell<heapless::Vec<u64, VIRTUAL_TABLES>>,
    all_virtual: Cell<bool>,
    /// The catalog's tables in its order.
    tables: RefCell<heapless::Vec<u64, TABLES>>,
    allowed: Cell<Allowed>,
    /// Where the last two functions' names lay.
    places: Cell<[usize; 2]>,
    /// Where the library's own names of the volatile functions lie; 0 where that is not known, and the name alone counts.
    own: Cell<[usize; VOLATILE.len()]>,
}

impl Record {
    fn calls(&self, name: &CStr) {
        let place = name.as_ptr().addr();
        self.places.set([self.places.get()[1], place]);
        let volatile = VOLATILE.iter().zip(self.own.get());
        let volatile =
            volatile.into_iter().any(|(known, own)| name.to_bytes().eq_ignore_ascii_case(known.0) && (own == 0 || own == place));
        self.add(volatile, false);
    }

    fn add(&self, volatile: bool, everything: bool) {
        self.uses.set(self.uses.get().or(Uses { volatile, everything, ..Uses::default() }));
    }

    fn reads(&self, table: &[u8]) {
        let mut uses = self.uses.get();
        let state = begins(table, b"pragma_") || is_one_of(table, VOLATILE_TABLES);
        uses.volatile |= state;
        if !is_one_of(table, PURE_TABLES) {
            uses.everything |= state || begins(table, b"sqlite_") || self.is_virtual(table);
            uses.reads = uses.reads.or(&self.place(table));
        }
        self.uses.set(uses);
    }

    fn writes(&self, table: &[u8]) {
        let mut uses = self.uses.get();
        uses.writes = uses.writes.or(&self.place(table));
        self.uses.set(uses);
    }

    /// The table as a set; everything where its name tells too little, or is in no catalog.
    fn place(&self, table: &[u8]) -> TableSet {
        let mut set = TableSet::NONE;
        let name = hash(table);
        // Two names with one hash are both of them.
        let tables = self.tables.borrow();
        tables.iter().enumerate().filter(|(_, known)| **known == name).for_each(|(place, _)| set.insert(place));
        let told = !set.is_empty() && !begins(table, b"sqlite_") && !self.is_virtual(table);
        if told { set } else { TableSet::EVERYTHING }
    }

    /// Whether a statement may write to a table. What a virtual table keeps in its shadow tables it may write even while it is read; nobody
    /// else may, by the connection's defensive mode.
    fn may_write(&self, table: &[u8]) -> bool {
        match self.allowed.get() {
            Allowed::Everything => true,
            Allowed::Read => self.is_virtual(table) && !self.all_virtual.get() && !self.is_declared(table),
            Allowed::Write => !is_own(table),
        }
    }

    fn is_declared(&self, table: &[u8]) -> bool {
        self.virtuals.borrow().contains(&hash(table))
    }

    fn is_virtual(&self, table: &[u8]) -> bool {
        let virtuals = self.virtuals.borrow();
        let declared = |name: &[u8]| virtuals.contains(&hash(name));
        // A shadow table is its virtual table's name, an underscore and more. dbstat comes with the library and is declared by nobody.
        let shadow = || (0..table.len()).any(|at| table[at] == b'_' && declared(&table[..at]));
        self.all_virtual.get() || is_one_of(table, &[b"dbstat"]) || declared(table) || shadow()
    }
}

/// Watches what a connection prepares, until it is dropped.
pub struct Authorizer<'c> {
    conn: &'c Connection,
    record: Rc<Record>,
}

impl<'c> Authorizer<'c> {
    /// Begins to watch. Statements that were prepared before are prepared anew at their next use. One at a time for a connection.
    pub fn new(conn: &'c Connection) -> Authorizer<'c> {
        let record = Rc::new(Record {
            uses: Cell::new(Uses::default()),
            virtuals: RefCell::new(heapless::Vec::new()),
            all_virtual: Cell::new(false),
            tables: RefCell::new(heapless::Vec::new()),
            allowed: Cell::new(Allowed::Everything),
            places: Cell::new([0; 2]),
            own: Cell::new([0; VOLATILE.len()]),
        });
        let seen = Rc::as_ptr(&record).cast_mut().cast();
        // SAFETY: the record stays where it is until the guard is dropped, which takes the callback off first, or is leaked with it; it is
        // reached by shared references only, and by the one thread that uses the connection.
        unsafe { ffi::sqlite3_set_authorizer(conn.handle(), Some(watch), seen) };
        let authorizer = Authorizer { conn, record };
        authorizer.learn();
        authorizer
    }

    /// Finds out where the library's names lie. Two calls in one statement show whether they have a lasting place: names made
    /// for each call would lie in two places at once.
    fn learn(&self) {
        let mut own = [0; VOLATILE.len()];
        for (own, (_, call)) in own.iter_mut().zip(VOLATILE).filter(|(_, (_, call))| !call.is_empty()) {
            self.record.places.set([0, 1]);
            let mut sql = heapless::String::<64>::new();
            let written = write!(sql, "SELECT {call}, {call}");
            let prepared = written.is_ok() && self.conn.prepare(&sql).is_ok();
            let [first, second] = self.record.places.get();
            if prepared && first == second {
                *own = first;
            }
        }
        self.record.own.set(own);
        self.reset();
    }

    /// Forgets what was seen.
    pub fn reset(&self) {
        self.record.uses.set(Uses::default());
    }

    /// What was seen since the last reset.
    pub fn uses(&self) -> Uses {
        self.record.uses.get()
    }

    /// What may be prepared from now on.
    pub fn allow(&self, allowed: Allowed) {
        self.record.allowed.set(allowed);
    }

    /// Takes the names of all tables, in the order of their places.
    pub fn set_tables<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let mut tables = self.record.tables.borrow_mut();
        tables.clear();
        // Those that do not fit are everything.
        tables.extend(names.take(TABLES).map(|name| hash(name.as_bytes())));
    }

    /// Takes the names of the schema's virtual tables.
    pub fn set_virtual<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let mut virtuals = self.record.virtuals.borrow_mut();
        virtuals.clear();
        let mut fits = true;
        for name in names {
            fits &= virtuals.push(hash(name.as_bytes())).is_ok();
        }
        self.record.all_virtual.set(!fits);
    }
}

impl Drop for Authorizer<'_> {
    fn drop(&mut self) {
        // SAFETY: the connection is alive for as long as it is borrowed here; no callback is always allowed.
        unsafe { ffi::sqlite3_set_authorizer(self.conn.handle(), None, std::ptr::null_mut()) };
    }
}

/// Called by SQLite for each thing that a statement does. Calls nothing that panics, and nothing of SQLite's.
unsafe extern "C" fn watch(
    record: *mut c_void, action: c_int, first: *const c_char, second: *const c_char, _: *const c_char, _: *const c_char,
) -> c_int {
    // SAFETY: `Authorizer::new` registered a pointer to a record that outlives the registration, reached by shared references only.
    let record = unsafe { &*record.cast_const().cast::<Record>() };
    let name = if action == ffi::SQLITE_FUNCTION { second } else { first };
    // SAFETY: SQLite's names are C strings that last for the call.
    let name = if name.is_null() { c"" } else { unsafe { CStr::from_ptr(name) } };
    let ours = record.allowed.get() == Allowed::Everything;
    let allowed = match action {
        ffi::SQLITE_FUNCTION => {
            record.calls(name);
            true
        }
        ffi::SQLITE_READ => {
            record.reads(name.to_bytes());
            ours || !is_own(name.to_bytes())
        }
        ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
            // Nobody is shown our own table, so nothing is made of it.
            if !is_own(name.to_bytes()) {
                record.writes(name.to_bytes());
            }
            record.may_write(name.to_bytes())
        }
        ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
        // Full-text tables ask for it themselves.
        ffi::SQLITE_PRAGMA => ours || name.to_bytes().eq_ignore_ascii_case(b"data_version"),
        _ => ours,
    };
    if allowed { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

fn is_own(table: &[u8]) -> bool {
    table.eq_ignore_ascii_case(OWN_TABLE.as_bytes())
}

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn begins(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Two names with one hash cost an entry that could have lived; nothing worse.
fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for byte in name {
        hasher.write_u8(byte.to_ascii_lowercase());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "CREATE TABLE t(a INTEGER, at TEXT DEFAULT CURRENT_TIMESTAMP);
        CREATE TABLE made(at TEXT DEFAULT (datetime('now')), by INTEGER DEFAULT (random()),
            day TEXT GENERATED ALWAYS AS (date(at)), month TEXT AS (strftime('%m', at)) STORED);
        CREATE VIEW plain AS SELECT a, upper(at) AS at FROM t;
        CREATE VIEW today AS SELECT * FROM t WHERE at > date('now');
        CREATE VIEW nested AS SELECT a FROM (SELECT * FROM today) WHERE a > 1;
        CREATE VIEW tables AS SELECT name FROM sqlite_schema;
        CREATE VIRTUAL TABLE words USING fts5(text);
        INSERT INTO t(a) VALUES (1), (2)";

    fn schema() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        conn
    }

    fn uses(conn: &Connection, authorizer: &Authorizer, sql: &str) -> Uses {
        authorizer.reset();
        conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        authorizer.uses()
    }

    #[test]
    fn statements_that_may_change_without_a_commit_are_known() {
        let conn = schema();
        let authorizer = Authorizer::new(&conn);
        let cases: &[(&str, bool)] = &[
            ("SELECT a FROM t WHERE a BETWEEN 1 AND 2", false),
            ("SELECT at FROM t", false),
            ("SELECT * FROM plain", false),
            // What a column's declaration calls is not called by reading it.
            ("SELECT at, by FROM made", false),
            ("SELECT * FROM made WHERE day > '2024' ORDER BY by, month", false),
            ("SELECT day, date(day) FROM made", true),
            ("SELECT by FROM made WHERE by > random()", true),
            ("SELECT count(*), max(a), group_concat(at), json_array(a), printf('%d', a), like('x', at) FROM t", false),
            ("SELECT value FROM json_each('[1,2]')", false),
            ("SELECT row_number() OVER (ORDER BY a) FROM t", false),
            ("SELECT date('now')", true),
            // By its name alone: that this one is a function of a column is more than the authorizer tells.
            ("SELECT date(at) FROM t", true),
            ("SELECT DateTime(at) FROM t", true),
            ("SELECT time('now')", true),
            ("SELECT julianday('now')", true),
            ("SELECT unixepoch()", true),
            ("SELECT strftime('%s', 'now')", true),
            ("SELECT timediff('now', at) FROM t", true),
            ("SELECT CURRENT_DATE", true),
            ("SELECT current_time", true),
            ("SELECT Current_Timestamp", true),
            ("SELECT a FROM t ORDER BY random()", true),
            ("SELECT randomblob(4)", true),
            ("SELECT changes()", true),
            ("SELECT total_changes()", true),
            ("SELECT last_insert_rowid()", true),
            ("SELECT * FROM today", true),
            ("SELECT a FROM nested", true),
            ("SELECT count(*) FROM nested", true),
            ("WITH n AS (SELECT a FROM nested) SELECT 1 WHERE EXISTS (SELECT * FROM n)", true),
            ("SELECT a FROM t WHERE at < (SELECT max(at) FROM today)", true),
            ("SELECT a FROM t UNION SELECT random()", true),
            ("SELECT * FROM pragma_data_version", true),
            ("SELECT count(*) FROM pragma_cache_size", true),
        ];
        for &(sql, volatile) in cases {
            assert_eq!(uses(&conn, &authorizer, sql).volatile, volatile, "{sql}");
        }
    }

    #[test]
    fn the_librarys_own_names_have_lasting_places() {
        let conn = Connection::open_in_memory().unwrap();
        let authorizer = Authorizer::new(&conn);
        for ((name, call), own) in VOLATILE.iter().zip(authorizer.record.own.get()) {
            assert_eq!(own != 0, !call.is_empty(), "{}: columns' defaults would count", name.escape_ascii());
        }
        assert_eq!(authorizer.uses(), Uses::default());
    }

    #[test]
    fn virtual_and_internal_tables_depend_on_everything() {
        let conn = schema();
        let authorizer = Authorizer::new(&conn);
        authorizer.set_virtual(["words"].into_iter());
        let cases: &[(&str, bool)] = &[
            ("SELECT a FROM t", false),
            ("SELECT * FROM plain", false),
            ("SELECT value FROM json_each('[1]')", false),
            ("SELECT * FROM words", true),
            ("SELECT count(*) FROM Words", true),
            ("SELECT rowid FROM words WHERE words MATCH 'x'", true),
            ("SELECT * FROM words_data", true),
            ("SELECT * FROM sqlite_schema", true),
            ("SELECT * FROM tables", true),
            ("SELECT * FROM dbstat", true),
        ];
        for &(sql, everything) in cases {
            assert_eq!(uses(&conn, &authorizer, sql).everything, everything, "{sql}");
        }
        let many: Vec<String> = (0..=VIRTUAL_TABLES).map(|number| format!("v{number}")).collect();
        authorizer.set_virtual(many.iter().map(String::as_str));
        assert!(uses(&conn, &authorizer, "SELECT a FROM t").everything, "a list that is full is no list");
        authorizer.set_virtual(std::iter::empty());
        assert!(!uses(&conn, &authorizer, "SELECT a FROM t").everything);
    }

    /// The list is held against the library's own: what it does not call deterministic is on ours.
    #[test]
    fn every_function_that_sqlite_calls_changeable_is_on_the_list() {
        const DETERMINISTIC: i64 = 0x800;
        // Constant for as long as the process runs.
        const CONSTANT: &[&[u8]] = &[
            b"sqlite_version",
            b"sqlite_source_id",
            b"sqlite_compileoption_used",
            b"sqlite_compileoption_get",
            b"fts5_source_id",
        ];
        // Functions of the full-text and R-tree tables' own rows, and of their arguments.
        const OF_ROWS: &[&[u8]] = &[
            b"bm25",
            b"highlight",
            b"snippet",
            b"matchinfo",
            b"offsets",
            b"optimize",
            b"fts5",
            b"fts5_get_locale",
            b"fts5_insttoken",
            b"fts5_locale",
            b"fts3_tokenizer",
            b"match",
            b"rtreecheck",
            b"rtreedepth",
            b"rtreenode",
        ];
        let conn = Connection::open_in_memory().unwrap();
        let mut functions =
            conn.prepare("SELECT DISTINCT name FROM pragma_function_list WHERE NOT flags & ?1 AND type = 's'").unwrap();
        let names: Vec<String> =
            functions.query_map([DETERMINISTIC], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        assert!(names.iter().any(|name| name == "random"), "{names:?}");
        for name in names {
            let volatile = VOLATILE.iter().any(|(known, _)| *known == name.as_bytes());
            let known = [CONSTANT, OF_ROWS].iter().any(|list| is_one_of(name.as_bytes(), list));
            assert!(volatile || known, "{name} is neither known as volatile nor as constant");
        }
    }

    #[test]
    fn a_statement_that_is_prepared_anew_is_seen_and_a_guard_that_is_gone_sees_nothing() {
        let conn = schema();
        let authorizer = Authorizer::new(&conn);
        let mut statement = conn.prepare("SELECT * FROM plain").unwrap();
        assert!(!authorizer.uses().volatile);
        conn.execute_batch("DROP VIEW plain; CREATE VIEW plain AS SELECT a, random() AS at FROM t").unwrap();
        authorizer.reset();
        assert!(statement.query([]).unwrap().next().unwrap().is_some());
        assert!(authorizer.uses().volatile, "stepping prepared it anew");
        let record = Rc::clone(&authorizer.record);
        drop(authorizer);
        record.uses.set(Uses::default());
        conn.prepare("SELECT random()").unwrap();
        assert_eq!(record.uses.get(), Uses::default());
    }
}
