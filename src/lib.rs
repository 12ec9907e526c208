//! Flagstone: an HTTP server for SQLite databases whose whole memory is fixed when it is built.
//!
//! The folders, in the order in which a request meets them:
//!
//! ```text
//! start        options, configuration, database, listeners, memory, seal
//!   event_loop      the loop: where front and back meet
//!     front           sockets, slots, reading, judging, the cache, waiting writes, answering, deadlines, operators' pages
//!       http            bytes <-> requests and responses            pure
//!       api             a request's meaning: routes, parameters, filters -> SQL, problems
//!       policy          who waits, who is let in, what is grouped   pure
//!     job               what front and back hand each other
//!     back            the one SQLite connection: plan, run, encode rows, group commit, syncs
//! ops          counters, readings, alerts, risks, pages for operators
//! config       TOML -> a checked configuration, its mistakes, its versions    pure
//! memory       static arenas: heap, blocks, regions
//! budget       every size, its reason, the sum
//! ```
//!
//! ```text
//!  client ──> front.turn ──> next_job ──> back.run ──> finish ──> client
//!                 ^                          │
//!                 └── turns while SQLite works (progress handler, sleeps)
//! ```
//!
//! A folder imports only from what stands below it in `tests/tidy.rs`; front and back never see each other.
#![deny(unsafe_code)]
// Problems and outcomes are returned by value: boxing them would allocate while a request is served.
#![allow(clippy::result_large_err, clippy::large_enum_variant)]
#![warn(clippy::undocumented_unsafe_blocks, missing_docs)]

pub mod api;
pub mod back;
pub mod budget;
pub mod cli;
pub mod config;
pub mod demo;
pub mod event_loop;
pub mod front;
pub mod http;
pub mod job;
pub mod memory;
pub mod ops;
pub mod policy;
pub mod start;
