//! What a request means, from its bytes alone: the route, a table query as SQL and bound values, and problems.
//!
//! Pure: nothing here sees a clock, a socket, a file or the database. What must be known of the database stands in
//! the [`catalog::Catalog`], which the back fills. Nothing here allocates: every buffer has a size below.
//!
//! ```text
//! path  ── route ──┐
//! query ── list, filter, page, token ── table_query ──> SQL, binds ──> the back
//!                  └── problem (RFC 9457) when it means nothing
//! ```

pub mod affinity;
pub mod canonical;
pub mod catalog;
pub mod drill_order;
pub mod filter;
#[cfg(test)]
mod fixture;
pub mod index_page;
pub mod json;
pub mod keyset;
pub mod list;
pub mod named;
pub mod page;
mod parameters;
pub mod percent;
pub mod problem;
pub mod real;
pub mod route;
pub mod sql;
pub mod statements;
pub mod table_query;
pub mod token;
pub mod value;

/// Bytes of one planned statement. A table of 256 columns with names of 25 bytes still fits.
pub const SQL_BYTES: usize = 8192;
/// Values bound by one statement: every filter, every value of a page token, the limit and the offset.
pub const BINDS: usize = 64;
const _: () = assert!(FILTERS + TRAILING + 2 <= BINDS);
/// Filters in one query; more are a 400.
pub const FILTERS: usize = 32;
/// Columns that `order=` may name.
pub const ORDER_COLUMNS: usize = 8;
/// Columns of a primary key that can be paged by; a table with a longer key is paged by offset.
pub const KEY_COLUMNS: usize = 16;
/// Columns that end each row for the next page's token: the order's and the key's.
pub const TRAILING: usize = ORDER_COLUMNS + KEY_COLUMNS;
/// Columns that one answer may show.
pub const SELECT_COLUMNS: usize = 512;
/// Bytes of all text and blob values that one statement binds.
pub const SCRATCH_BYTES: usize = 8192;
const _: () = assert!(SCRATCH_BYTES >= TOKEN_BYTES + PATTERN_BYTES * 4);
/// Bytes of a `like` pattern as the client writes it: matching costs pattern times text.
pub const PATTERN_BYTES: usize = 256;
/// Runs of `*` or `%` in one pattern: each may make the matcher walk the text again.
pub const PATTERN_WILDCARDS: usize = 8;
/// Bytes inside a page token before base64; four thirds of it must fit a request target.
pub const TOKEN_BYTES: usize = 2048;
/// Rows of a page when the client names no `limit`.
pub const LIMIT_DEFAULT: u16 = 100;
/// Rows of a page at most.
pub const LIMIT_MAX: u16 = 1000;
const _: () = assert!(LIMIT_DEFAULT <= LIMIT_MAX);
/// Rows that a view may be paged into: SQLite must step over all of them for each page.
pub const OFFSET_MAX: u64 = 100_000;
/// Rows that an exact count counts to.
pub const COUNT_MAX: u32 = 10_000;
/// Bytes of a table or column name that a request can address.
pub const NAME_BYTES: usize = 512;
/// Tables and views in the catalog.
pub const CATALOG_TABLES: usize = crate::budget::TABLES;
/// Columns of all tables in the catalog.
pub const CATALOG_COLUMNS: usize = crate::budget::COLUMNS;
/// Bytes of all names and declared types in the catalog.
pub const CATALOG_NAME_BYTES: usize = crate::budget::NAME_BYTES;
const _: () = assert!(CATALOG_COLUMNS <= u16::MAX as usize);
