//! The front's fixed memory: request buffers, heads, pages, output and cache, taken once from static regions.

use super::cache::CacheRegions;
use crate::budget::{
    ANSWER_HEAD_BYTES, CACHE_BLOCK_BYTES, CACHE_BLOCKS, EXCHANGES, OPS_ANSWER_BYTES, OUTPUT_BLOCK_BYTES, OUTPUT_BLOCKS,
    REQUEST_BYTES,
};
use crate::memory::StaticCell;

static REQUESTS: StaticCell<[[u8; REQUEST_BYTES]; EXCHANGES]> = StaticCell::new([[0; REQUEST_BYTES]; EXCHANGES]);
static HEAD: StaticCell<[u8; ANSWER_HEAD_BYTES]> = StaticCell::new([0; ANSWER_HEAD_BYTES]);
static ENTITY_HEAD: StaticCell<[u8; ANSWER_HEAD_BYTES]> = StaticCell::new([0; ANSWER_HEAD_BYTES]);
static CACHE: StaticCell<[[u8; CACHE_BLOCK_BYTES]; CACHE_BLOCKS]> = StaticCell::new([[0; CACHE_BLOCK_BYTES]; CACHE_BLOCKS]);
static CACHE_INDEX: StaticCell<[u16; CACHE_BLOCKS]> = StaticCell::new([0; CACHE_BLOCKS]);
static PAGE: StaticCell<[u8; OPS_ANSWER_BYTES]> = StaticCell::new([0; OPS_ANSWER_BYTES]);
static OUTPUT: StaticCell<[[u8; OUTPUT_BLOCK_BYTES]; OUTPUT_BLOCKS]> = StaticCell::new([[0; OUTPUT_BLOCK_BYTES]; OUTPUT_BLOCKS]);
static OUTPUT_INDEX: StaticCell<[u16; OUTPUT_BLOCKS]> = StaticCell::new([0; OUTPUT_BLOCKS]);

/// The front's fixed regions.
pub struct Regions {
    pub(super) requests: heapless::Vec<&'static mut [u8], EXCHANGES>,
    pub(super) head: &'static mut [u8],
    pub(super) entity_head: &'static mut [u8],
    pub(super) cache: CacheRegions,
    pub(super) page: &'static mut [u8],
    pub(super) output: &'static mut [[u8; OUTPUT_BLOCK_BYTES]],
    pub(super) output_index: &'static mut [u16],
}

impl Regions {
    /// The static regions, resident; `None` when they are taken already.
    pub fn take() -> Option<Regions> {
        let mut regions = Regions {
            requests: REQUESTS.take()?.iter_mut().map(|bytes| bytes.as_mut_slice()).collect(),
            head: HEAD.take()?,
            entity_head: ENTITY_HEAD.take()?,
            cache: CacheRegions { blocks: CACHE.take()?, next: CACHE_INDEX.take()? },
            page: PAGE.take()?,
            output: OUTPUT.take()?,
            output_index: OUTPUT_INDEX.take()?,
        };
        for bytes in &mut regions.requests {
            crate::memory::statics::prefault(bytes);
        }
        crate::memory::statics::prefault(regions.head);
        crate::memory::statics::prefault(regions.entity_head);
        crate::memory::statics::prefault(regions.cache.blocks.as_flattened_mut());
        crate::memory::statics::prefault(regions.page);
        crate::memory::statics::prefault(regions.output.as_flattened_mut());
        Some(regions)
    }

    /// Regions of the same sizes on the heap, for simulations beside each other; [`super::Front::into_regions`] makes them last for many.
    pub fn leaked() -> Regions {
        Regions {
            requests: vec![[0; REQUEST_BYTES]; EXCHANGES].leak().iter_mut().map(|bytes| bytes.as_mut_slice()).collect(),
            head: vec![0; ANSWER_HEAD_BYTES].leak(),
            entity_head: vec![0; ANSWER_HEAD_BYTES].leak(),
            cache: CacheRegions { blocks: vec![[0; CACHE_BLOCK_BYTES]; CACHE_BLOCKS].leak(), next: vec![0; CACHE_BLOCKS].leak() },
            page: vec![0; OPS_ANSWER_BYTES].leak(),
            output: vec![[0; OUTPUT_BLOCK_BYTES]; OUTPUT_BLOCKS].leak(),
            output_index: vec![0; OUTPUT_BLOCKS].leak(),
        }
    }
}
