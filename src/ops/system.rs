//! What surrounds the process: pressure, its cgroup, disks, the WAL's readers, the board. Read once a second into fixed buffers, without
//! allocating; what a machine lacks is absent and says why.

mod board;
mod cgroup;
mod pressure;
mod wal_locks;

use std::ffi::CString;
use std::path::Path;

pub use board::Throttled;
pub use cgroup::Cgroup;
pub use pressure::Pressure;
pub use wal_locks::{Holder, MARKS};

use super::kernel_file::{named, present};

/// A file system's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary process may still write, in bytes.
    pub free_bytes: u64,
    /// All of it, in bytes.
    pub total_bytes: u64,
}

/// A WAL as its index tells it (SQLite "WAL-mode file format" §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wal {
    /// Frames in it (mxFrame).
    pub frames: u32,
    /// Those of them that are in the database's file (nBackfill).
    pub copied: u32,
    /// Up to which frame the readers of each mark read.
    pub marks: [u32; MARKS],
}

/// A reader of an old state of the database: while it reads, the WAL can only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// How long it has been in the way, in seconds.
    pub seconds: u64,
    /// Who it is, where the kernel tells.
    pub holder: Option<Holder>,
}

/// All of it; `None` where the machine has no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Waiting for memory, on the whole machine.
    pub memory_pressure: Option<Pressure>,
    /// Waiting for disks.
    pub io_pressure: Option<Pressure>,
    /// Waiting for the processor.
    pub cpu_pressure: Option<Pressure>,
    /// Waiting for memory, in this process's own cgroup.
    pub cgroup_pressure: Option<Pressure>,
    /// The memory of that cgroup.
    pub cgroup: Option<Cgroup>,
    /// Where the database is.
    pub database_space: Option<Space>,
    /// Where the state directory, or the temporary files, are.
    pub state_space: Option<Space>,
    /// Thousandths of a degree Celsius.
    pub temperature: Option<i64>,
    /// What the firmware has throttled.
    pub throttled: Option<Throttled>,
    /// Whether the supply is too weak.
    pub under_voltage: Option<bool>,
    /// The WAL; `None` outside of WAL mode.
    pub wal: Option<Wal>,
    /// Who holds each of its read marks; `None` where the kernel does not show locks, or nobody could be in the way.
    pub wal_holders: Option<[Option<Holder>; MARKS]>,
    /// The reader that is longest in the way of a checkpoint.
    pub wal_pin: Option<Pin>,
    /// By how much RssAnon grew over the last 15 minutes, in thousandths of a byte a second; `None` until so long has passed.
    pub rss_anon_slope: Option<i64>,
}

/// Why something is absent.
pub mod absent {
    /// PSI.
    pub const PRESSURE: &str = "the kernel has no PSI, or it is switched off: psi=1 on its command line";
    /// Memory cgroup.
    pub const CGROUP: &str =
        "no memory cgroup: not in one, or the kernel has it switched off (cgroup_enable=memory on its command line)";
    /// PSI of the cgroup.
    pub const CGROUP_PRESSURE: &str = "no memory cgroup of version 2 with PSI";
    /// Disk space.
    pub const SPACE: &str = "the file system does not tell";
    /// Temperature.
    pub const TEMPERATURE: &str = "the machine has no thermal zone";
    /// The firmware's word.
    pub const THROTTLED: &str = "no Raspberry Pi firmware to ask";
    /// The supply.
    pub const UNDER_VOLTAGE: &str = "neither firmware nor a monitor of the supply";
    /// The WAL.
    pub const WAL: &str = "the database is not in WAL mode";
    /// The slope.
    pub const SLOPE: &str = "not running for 15 minutes yet";
}

/// Where all of it is read, found once at start.
#[derive(Clone, Debug)]
pub struct Sources {
    memory_pressure: Option<CString>,
    io_pressure: Option<CString>,
    cpu_pressure: Option<CString>,
    cgroup: Option<cgroup::Files>,
    board: board::Files,
    locks: Option<CString>,
    database: Option<CString>,
    state: Option<CString>,
}

impl Sources {
    /// The machine's own, and the folders of database and state.
    pub fn find(database: &Path, state: &Path) -> Sources {
        Sources::below(Path::new("/"), database, state)
    }

    /// The same with /proc and /sys below another root.
    pub fn below(root: &Path, database: &Path, state: &Path) -> Sources {
        let pressure = |resource: &str| present(&root.join("proc/pressure").join(resource));
        Sources {
            memory_pressure: pressure("memory"),
            io_pressure: pressure("io"),
            cpu_pressure: pressure("cpu"),
            cgroup: cgroup::Files::find(root),
            board: board::Files::find(root),
            locks: named(&root.join("proc/locks")),
            database: named(database),
            state: named(state),
        }
    }

    /// Reads everything but the WAL's state, which is in `system` already; `shm` is the inode of its index.
    pub fn read(&self, shm: Option<u64>, system: &mut System) {
        let pressure = |path: &Option<CString>| pressure::pressure(path.as_deref()?);
        let space = |path: &Option<CString>| space(path.as_deref()?);
        system.memory_pressure = pressure(&self.memory_pressure);
        system.io_pressure = pressure(&self.io_pressure);
        system.cpu_pressure = pressure(&self.cpu_pressure);
        system.cgroup_pressure = self.cgroup.as_ref().and_then(|files| pressure(&files.pressure));
        system.cgroup = self.cgroup.as_ref().and_then(cgroup::Files::read);
        system.database_space = space(&self.database);
        system.state_space = space(&self.state);
        system.temperature = self.board.temperature();
        system.throttled = self.board.throttled();
        system.under_voltage = self.board.under_voltage(system.throttled);
        // While everything is copied nobody can be in the way, and the list may be long.
        let waiting = system.wal.is_some_and(|wal| wal.copied < wal.frames);
        system.wal_holders = shm.filter(|_| waiting).and_then(|inode| wal_locks::holders(self.locks.as_deref()?, inode));
    }
}

fn space(folder: &std::ffi::CStr) -> Option<Space> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    // File systems without a size of their own say 0.
    (told.f_blocks > 0).then(|| Space { free_bytes: bytes(told.f_bavail), total_bytes: bytes(told.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_has_nothing_says_so() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        let sources = Sources::below(root.path(), &missing, &missing);
        let mut system = System { temperature: Some(1), ..System::default() };
        sources.read(None, &mut system);
        assert_eq!(system, System::default(), "what was there before is forgotten");
    }

    #[test]
    fn this_machine_tells_its_disks() {
        let folder = tempfile::tempdir().unwrap();
        let mut system = System::default();
        Sources::find(folder.path(), folder.path()).read(None, &mut system);
        let space = system.database_space.unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert!(system.memory_pressure.is_none_or(|pressure| pressure.full <= pressure.some && pressure.some <= 10_000));
    }
}
