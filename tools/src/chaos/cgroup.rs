//! A cgroup with a bound on memory, of version 1 or 2; it goes when its owner does.

use std::io::{self, Error};
use std::path::{Path, PathBuf};

/// Where version 1 has its memory controller.
const V1: &str = "/sys/fs/cgroup/memory";
/// Where version 2 is.
const V2: &str = "/sys/fs/cgroup";
/// What ours are called, before the process's number.
const PREFIX: &str = "flagstone-chaos-";

/// One, empty until a process joins.
pub struct Cgroup {
    folder: PathBuf,
    is_v1: bool,
}

impl Cgroup {
    /// Makes one that allows so many bytes, and no swap where the kernel counts that.
    ///
    /// # Errors
    /// What this machine does not have or does not allow.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let is_v1 = Path::new(V1).join("memory.limit_in_bytes").exists();
        let base = Path::new(if is_v1 { V1 } else { V2 });
        if !is_v1 {
            let controllers = std::fs::read_to_string(base.join("cgroup.subtree_control"));
            let controllers = controllers.map_err(|_| Error::other("no cgroup file system"))?;
            if !controllers.contains("memory") {
                return Err(Error::other("no memory controller for children of the root cgroup"));
            }
        }
        let folder = base.join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        // From here on it is removed when something fails.
        let made = Self { folder, is_v1 };
        made.write(if is_v1 { "memory.limit_in_bytes" } else { "memory.max" }, &bytes.to_string())?;
        // Absent where swap is not counted; there is none to be had on such a machine, or it is not ours to forbid.
        let swap = if is_v1 { ("memory.memsw.limit_in_bytes", bytes.to_string()) } else { ("memory.swap.max", "0".to_owned()) };
        if made.folder.join(swap.0).exists() {
            made.write(swap.0, &swap.1)?;
        }
        Ok(made)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(file), text).map_err(|error| Error::other(format!("{file}: {error}")))
    }

    /// For whoever joins.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Processes that the kernel killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.is_v1 { "memory.oom_control" } else { "memory.events" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The most memory that it had, in bytes.
    pub fn peak(&self) -> u64 {
        let file = if self.is_v1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that has just ended may still be counted for a moment.
        for _ in 0..200 {
            if std::fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        eprintln!("chaos: {} is left", self.folder.display());
    }
}

/// Removes what runs that were killed have left.
pub fn sweep() {
    for base in [V1, V2] {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
            if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
                // Still in use by somebody: theirs.
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
}
