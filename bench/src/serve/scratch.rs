//! A folder that goes when its owner goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary folder of this process.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// Makes one in a folder that is there.
    pub fn below(folder: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("flagstone-bench-{}-{number}", std::process::id()));
        // create_dir, not create_dir_all: one that exists is somebody else's.
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in a temporary folder are no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
