//! Flagstone: an HTTP server for SQLite databases whose whole memory is fixed when it is built.
#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks, missing_docs)]

pub mod api;
pub mod cli;
pub mod demo;
pub mod http;
pub mod start;
