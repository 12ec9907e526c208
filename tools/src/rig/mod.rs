//! What every tool that tests a server with processes is rigged with.
//!
//! ```text
//! process  children that end with their owner, and the server's executable
//! http     whole answers out of a stream of bytes       line     a connection that asks
//! random   choices that a seed repeats
//! ```

pub mod http;
pub mod line;
pub mod process;
pub mod random;
