//! The back: the one SQLite connection, and one job at a time. Names no socket.
//!
//! [`Back::run`] decides what a job means and what became of it; the files beside it each do one thing. A statement is always finished
//! before its answer is sent: nothing here waits for a client.

pub mod authorizer;
pub mod check;
mod constraint;
mod describe;
mod error;
pub mod heap;
mod held;
mod link;
mod mutexes;
mod named;
pub mod open;
mod own;
mod reading;
pub mod rows;
mod run;
pub mod snapshot;
mod sqlite_error;
mod statement;
pub mod sync;
mod tables;
#[cfg(test)]
mod tests;
mod trail;
pub mod turns;
pub mod vfs;
mod workspace;
pub mod write;

pub use constraint::not_known;
pub use describe::DescribeError;
pub use run::Back;
pub use sqlite_error::SqliteError;
pub use workspace::Workspace;
