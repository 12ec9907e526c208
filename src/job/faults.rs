//! What a drill orders of the database's files.

use super::Micros;

/// Faults of the files, for a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every sync takes this much longer, in milliseconds.
    pub sync_delay_ms: u32,
    /// Every read takes this much longer, in milliseconds.
    pub read_delay_ms: u32,
    /// Reads and writes fail.
    pub io_errors: bool,
    /// Writes find no space.
    pub disk_full: bool,
    /// They end by themselves after so long.
    pub within: Micros,
}
