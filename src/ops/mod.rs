//! What operators see: counters, the readings of process, heap and database, and their pages.
//!
//! Knows names and numbers; who counts and who asks is above it.

pub mod alerts;
mod budget_page;
mod cache_pages;
pub mod configuration_pages;
mod database_pages;
pub mod fall_pages;
pub mod falls;
mod health_page;
mod kernel_file;
pub mod log_ring;
mod memory_pages;
pub mod metrics;
mod metrics_page;
pub mod pages;
pub mod pressure_pages;
pub mod process;
pub mod readings;
mod request_pages;
pub mod risks;
pub mod route_pages;
mod sandbox_pages;
pub mod snapshot;
mod status_page;
pub mod system;
mod system_pages;
pub mod text;
mod write_pages;

#[cfg(test)]
mod tests;
