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

    /// Whether a statement that is not ours may read a table: not our own, and none that runs a PRAGMA. That is refused when it is stepped too,
    /// but here the start can tell.
    fn may_read(&self, table: &[u8]) -> bool {
        let known = || self.tables.borrow().contains(&hash(table));
        !is_own(table) && (!begins(table, b"pragma_") || known())
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
            ours || record.may_read(name.to_bytes())
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
mod tests;
