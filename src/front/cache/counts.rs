//! What the cache has counted.

/// What the cache has counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests answered from it.
    pub hits: u64,
    /// Those of them whose bytes were an earlier request's, and were not read again.
    pub repeated: u64,
    /// Requests answered from it although the data had changed, as their route allows.
    pub stale_hits: u64,
    /// Requests that could have been, and were not.
    pub misses: u64,
    /// Answers that it may not keep.
    pub bypasses: u64,
    /// Answers that joined a query under way.
    pub joined: u64,
    /// Answers that entered.
    pub inserted: u64,
    /// Entries that left because the database had changed.
    pub stale: u64,
    /// Entries that a commit of ours left as true as they were.
    pub renewed: u64,
    /// Entries that left because of their age.
    pub expired: u64,
    /// Entries that left for others.
    pub evicted: u64,
    /// Answers that were refused.
    pub refused: u64,
    /// Head and body of the largest that entered, in bytes.
    pub largest: u64,
    /// Entries whose checksum was verified.
    pub verified: u64,
    /// Entries whose checksum did not match.
    pub mismatches: u64,
    /// Times that it was emptied and rested because of them.
    pub rests: u64,
}
