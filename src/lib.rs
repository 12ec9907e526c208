//! Flagstone: an HTTP server for SQLite databases whose whole memory is fixed when it is built.
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
