//! What operators see: counters, the readings of process, heap and database, and their pages.
//!
//! Knows names and numbers; who counts and who asks is above it.

pub mod configuration_pages;
pub mod log_ring;
pub mod metrics;
pub mod pages;
pub mod process;
pub mod readings;
pub mod route_pages;
mod write_pages;
