//! Prepared statements by SQLite's own calls: rows are read where SQLite has them, and an error is no copy of a long message.
//!
//! rusqlite opens the connection and owns it. What runs for a request runs here, and takes nothing from Rust's heap, also where it fails.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};

use super::sqlite_error::SqliteError;

/// A statement of a connection; finalized when it is dropped.
pub struct Statement<'c> {
    conn: &'c Connection,
    raw: NonNull<ffi::sqlite3_stmt>,
    /// Tells a held statement from all others of its [`Held`](super::held::Held); 0 for one that is not held.
    pub(super) number: u64,
}

impl<'c> Statement<'c> {
    /// Prepares the first statement of `sql`.
    ///
    /// # Errors
    /// What SQLite said; MISUSE where there is no statement.
    pub fn prepare(conn: &'c Connection, sql: &str) -> Result<Statement<'c>, SqliteError> {
        let Ok(length) = c_int::try_from(sql.len()) else {
            return Err(SqliteError::new(ffi::SQLITE_TOOBIG, "statement too long"));
        };
        let mut raw: *mut ffi::sqlite3_stmt = ptr::null_mut();
        let text: *const c_char = sql.as_ptr().cast();
        // SAFETY: the connection is open for as long as it is borrowed; `text` has `length` bytes; the tail may be null.
        let code = unsafe { ffi::sqlite3_prepare_v3(conn.handle(), text, length, 0, &raw mut raw, ptr::null_mut()) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Statement { conn, raw, number: 0 }),
            None if code == ffi::SQLITE_OK => Err(SqliteError::new(ffi::SQLITE_MISUSE, "no statement")),
            None => Err(SqliteError::last(conn, code)),
        }
    }

    /// Binds a copy of `value` to the parameter at `index`, from 1.
    ///
    /// # Errors
    /// What SQLite said: RANGE, TOOBIG, NOMEM.
    pub fn bind(&mut self, index: usize, value: ValueRef<'_>) -> Result<(), SqliteError> {
        let (raw, at) = (self.raw.as_ptr(), index as c_int);
        let copied = ffi::SQLITE_TRANSIENT();
        let code = match value {
            // SAFETY: the statement lives as long as `self`, here and below.
            ValueRef::Null => unsafe { ffi::sqlite3_bind_null(raw, at) },
            // SAFETY: as above.
            ValueRef::Integer(number) => unsafe { ffi::sqlite3_bind_int64(raw, at, number) },
            // SAFETY: as above.
            ValueRef::Real(number) => unsafe { ffi::sqlite3_bind_double(raw, at, number) },
            ValueRef::Text(text) => {
                let bytes: *const c_char = text.as_ptr().cast();
                // SAFETY: as above; `bytes` has that many, and SQLite copies them before it returns.
                unsafe { ffi::sqlite3_bind_text64(raw, at, bytes, text.len() as u64, copied, ffi::SQLITE_UTF8 as u8) }
            }
            ValueRef::Blob(blob) => {
                let bytes: *const c_void = blob.as_ptr().cast();
                // SAFETY: as for text.
                unsafe { ffi::sqlite3_bind_blob64(raw, at, bytes, blob.len() as u64, copied) }
            }
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(SqliteError::last(self.conn, code)) }
    }

    /// Forgets the bound values, whose copies SQLite would keep.
    pub fn clear_bindings(&mut self) {
        // SAFETY: the statement lives as long as `self`. Always succeeds.
        unsafe { ffi::sqlite3_clear_bindings(self.raw.as_ptr()) };
    }

    /// Runs it: its rows, one at a time.
    pub fn rows(&mut self) -> Rows<'_> {
        Rows { conn: self.conn, raw: self.raw, ended: false, unread: Cell::new(false), statement: PhantomData }
    }

    /// Runs it to its end; rows that it gives are passed over.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn run(&mut self) -> Result<(), SqliteError> {
        let mut rows = self.rows();
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Columns of its rows; 0 when it gives none.
    pub fn column_count(&self) -> usize {
        // SAFETY: the statement lives as long as `self`.
        unsafe { ffi::sqlite3_column_count(self.raw.as_ptr()) as usize }
    }

    /// A column's name; empty where there is none, or it is no UTF-8.
    pub fn column_name(&self, column: usize) -> &str {
        // SAFETY: the statement lives as long as `self`; SQLite checks the column.
        let name = unsafe { ffi::sqlite3_column_name(self.raw.as_ptr(), column as c_int) };
        self.text(name).unwrap_or_default()
    }

    /// Parameters that it has.
    pub fn parameter_count(&self) -> usize {
        // SAFETY: the statement lives as long as `self`.
        unsafe { ffi::sqlite3_bind_parameter_count(self.raw.as_ptr()) as usize }
    }

    /// The name of the parameter at `index`, from 1, with its colon; `None` where it has none.
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        // SAFETY: the statement lives as long as `self`; SQLite checks the index.
        let name = unsafe { ffi::sqlite3_bind_parameter_name(self.raw.as_ptr(), index as c_int) };
        self.text(name)
    }

    /// Whether it leaves the database as it is.
    pub fn is_readonly(&self) -> bool {
        // SAFETY: the statement lives as long as `self`.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw.as_ptr()) != 0 }
    }

    /// Its text, as SQLite keeps it: without what stood behind the first statement.
    pub fn sql(&self) -> &[u8] {
        // SAFETY: the statement lives as long as `self`.
        let text = unsafe { ffi::sqlite3_sql(self.raw.as_ptr()) };
        // SAFETY: SQLite's copy of the text, with a zero behind it, stays until the statement is finalized; null where there was no memory.
        if text.is_null() { b"" } else { unsafe { CStr::from_ptr(text) }.to_bytes() }
    }

    /// How often SQLite has prepared it anew: because the schema changed, and for some patterns.
    pub fn preparations(&self) -> i32 {
        // SAFETY: the statement lives as long as `self`; 0 leaves the counter as it is.
        unsafe { ffi::sqlite3_stmt_status(self.raw.as_ptr(), ffi::SQLITE_STMTSTATUS_REPREPARE, 0) }
    }

    /// A name that SQLite keeps with the statement; it stays where it is until the statement is stepped, which takes `&mut self`.
    fn text(&self, name: *const c_char) -> Option<&str> {
        // SAFETY: SQLite's names are C strings, or null.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().ok()).flatten()
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `prepare`, finalized once. Its code repeats the last step's.
        unsafe { ffi::sqlite3_finalize(self.raw.as_ptr()) };
    }
}

/// A statement that runs. Reset when this is dropped, and with that its read lock is gone.
pub struct Rows<'s> {
    conn: &'s Connection,
    raw: NonNull<ffi::sqlite3_stmt>,
    ended: bool,
    /// There was no memory for a value: what was read is not to be told.
    unread: Cell<bool>,
    statement: PhantomData<&'s mut Statement<'s>>,
}

impl Rows<'_> {
    /// The next row; `None` behind the last one.
    ///
    /// # Errors
    /// What SQLite said; NOMEM also where a value of the row before could not be read.
    #[allow(clippy::should_implement_trait, reason = "a row ends where the next one begins")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, SqliteError> {
        self.all_read()?;
        if self.ended {
            return Ok(None);
        }
        // SAFETY: the statement lives longer than `self`, which is the only one to step it.
        match unsafe { ffi::sqlite3_step(self.raw.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(Some(Row { raw: self.raw, unread: &self.unread })),
            ffi::SQLITE_DONE => {
                // Stepped once more it would begin anew.
                self.ended = true;
                Ok(None)
            }
            code => {
                self.ended = true;
                Err(SqliteError::last(self.conn, code))
            }
        }
    }

    /// Ends before the last row.
    ///
    /// # Errors
    /// NOMEM where a value of the last row could not be read.
    pub fn end(self) -> Result<(), SqliteError> {
        self.all_read()
    }

    fn all_read(&self) -> Result<(), SqliteError> {
        if self.unread.get() { Err(SqliteError::new(ffi::SQLITE_NOMEM, "out of memory")) } else { Ok(()) }
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        // SAFETY: the statement lives longer than `self`. The code repeats the last step's.
        unsafe { ffi::sqlite3_reset(self.raw.as_ptr()) };
    }
}

/// The row on which a statement stands.
pub struct Row<'r> {
    raw: NonNull<ffi::sqlite3_stmt>,
    unread: &'r Cell<bool>,
}

impl<'r> Row<'r> {
    /// A value, where SQLite has it; NULL beyond the last column. NULL too where there is no memory to make it whole: the next
    /// [`Rows::next`] or [`Rows::end`] says so.
    pub fn value(&self, column: usize) -> ValueRef<'r> {
        // SAFETY: the statement stands on a row until its `Rows` is stepped or dropped, which cannot be while `'r` lasts; a column that is
        // not there gives a NULL. The value is unprotected, which is enough for the one thread that uses the connection.
        let value = unsafe { ffi::sqlite3_column_value(self.raw.as_ptr(), column as c_int) };
        // SAFETY: the value is SQLite's, as above; so for each call below.
        match unsafe { ffi::sqlite3_value_type(value) } {
            // SAFETY: as above.
            ffi::SQLITE_INTEGER => ValueRef::Integer(unsafe { ffi::sqlite3_value_int64(value) }),
            // SAFETY: as above.
            ffi::SQLITE_FLOAT => ValueRef::Real(unsafe { ffi::sqlite3_value_double(value) }),
            ffi::SQLITE_TEXT => {
                // SAFETY: as above. Text of another encoding becomes UTF-8 in place, once.
                let text = unsafe { ffi::sqlite3_value_text(value) };
                // SAFETY: as above; asked for behind the text, so it is the length of that.
                let length = unsafe { ffi::sqlite3_value_bytes(value) };
                self.bytes(text, length).map_or(ValueRef::Null, ValueRef::Text)
            }
            ffi::SQLITE_BLOB => {
                // SAFETY: as above.
                let blob: *const u8 = unsafe { ffi::sqlite3_value_blob(value) }.cast();
                // SAFETY: as for text.
                let length = unsafe { ffi::sqlite3_value_bytes(value) };
                self.bytes(blob, length).map_or(ValueRef::Null, ValueRef::Blob)
            }
            _ => ValueRef::Null,
        }
    }

    /// The values of `count` columns from `first` on.
    pub fn values(&self, first: usize, count: usize) -> impl Iterator<Item = ValueRef<'r>> {
        (first..first + count).map(|column| self.value(column))
    }

    fn bytes(&self, bytes: *const u8, length: c_int) -> Option<&'r [u8]> {
        match (bytes.is_null(), length) {
            (false, length) => {
                // SAFETY: SQLite has that many bytes there until the statement is stepped or reset, which cannot be while `'r` lasts.
                Some(unsafe { slice::from_raw_parts(bytes, length.max(0) as usize) })
            }
            (true, 0) => Some(&[]),
            (true, _) => {
                self.unread.set(true);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<R>(sql: &str, read: impl FnOnce(&mut Statement<'_>) -> R) -> R {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)").unwrap();
        read(&mut Statement::prepare(&conn, sql).unwrap())
    }

    #[test]
    fn every_value_comes_back_as_it_was_bound() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(0.1),
            ValueRef::Text("Süd\0冷".as_bytes()),
            ValueRef::Text(b""),
            ValueRef::Blob(b"\x00\xff"),
            ValueRef::Blob(b""),
        ];
        with("SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7", |statement| {
            for (at, value) in values.iter().enumerate() {
                statement.bind(at + 1, *value).unwrap();
            }
            let mut rows = statement.rows();
            let row = rows.next().unwrap().unwrap();
            assert!(row.values(0, 7).eq(values));
            assert_eq!(row.value(7), ValueRef::Null, "there is no eighth");
            assert!(rows.next().unwrap().is_none());
            assert!(rows.next().unwrap().is_none(), "and it does not begin anew");
            drop(rows);
            assert!(statement.bind(8, ValueRef::Null).is_err());
        });
    }

    #[test]
    fn what_is_reset_begins_anew_and_keeps_its_values() {
        with("SELECT a FROM t WHERE a >= :least ORDER BY a", |statement| {
            assert_eq!((statement.parameter_count(), statement.parameter_name(1)), (1, Some(":least")));
            assert_eq!((statement.column_count(), statement.column_name(0), statement.column_name(9)), (1, "a", ""));
            statement.bind(1, ValueRef::Integer(2)).unwrap();
            for _ in 0..2 {
                assert_eq!(statement.rows().next().unwrap().unwrap().value(0), ValueRef::Integer(2));
            }
            statement.clear_bindings();
            assert!(statement.rows().next().unwrap().is_none(), "nothing is more than NULL");
        });
    }

    #[test]
    fn an_error_is_told_once_and_the_statement_works_again() {
        with("SELECT abs(a) FROM t UNION ALL SELECT abs(?1)", |statement| {
            statement.bind(1, ValueRef::Integer(i64::MIN)).unwrap();
            let error = statement.run().unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (ffi::SQLITE_ERROR, "integer overflow"));
            statement.bind(1, ValueRef::Integer(-7)).unwrap();
            statement.run().unwrap();
        });
        let conn = Connection::open_in_memory().unwrap();
        for (sql, code) in [("", ffi::SQLITE_MISUSE), ("-- nothing", ffi::SQLITE_MISUSE), ("SELECT nowhere", ffi::SQLITE_ERROR)] {
            assert_eq!(Statement::prepare(&conn, sql).map(|_| ()).unwrap_err().code, code, "{sql}");
        }
    }

    #[test]
    fn text_of_another_encoding_is_utf_8() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a); INSERT INTO t VALUES ('Süd 冷')").unwrap();
        let mut statement = Statement::prepare(&conn, "SELECT a FROM t").unwrap();
        assert_eq!(statement.rows().next().unwrap().unwrap().value(0), ValueRef::Text("Süd 冷".as_bytes()));
    }
}
