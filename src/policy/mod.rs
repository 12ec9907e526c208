//! What is decided, apart from what is done: plain state machines that take the time and an event and return a decision.
//!
//! Pure: no socket, no clock, no file, no database. Each takes its size as a parameter and is tested with a table of cases.

pub mod admission;
pub mod alert;
pub mod attempts;
pub mod batch_window;
pub mod breaker;
pub mod cache_index;
pub mod checkpoints;
pub mod clients;
pub mod credentials;
pub mod drill;
pub mod eviction;
pub mod fair_queue;
pub mod flags;
pub mod ghosts;
pub mod hosts;
pub mod ladder;
pub mod load;
pub mod log_limit;
pub mod paths;
pub mod rate_limit;
pub mod sharing;
pub mod slope;
pub mod wal_pin;
pub mod watchdog;
pub mod window;
