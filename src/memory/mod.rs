//! Where memory comes from: static arenas with a size from `budget.rs` and nothing else.
//!
//! Knows sizes, not what is kept in them. The only folder beside a few files of `back/` with `unsafe` in it.

pub mod blocks;
pub mod fixed;
pub mod heap;
pub mod heaps;
pub mod sink;
pub mod span;
pub mod statics;

pub use blocks::{Blocks, Chain, Full};
pub use fixed::Fixed;
pub use heap::Heap;
pub use heaps::Heaps;
pub use span::Span;
pub use statics::StaticCell;
