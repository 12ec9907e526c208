//! The memory cgroup that this process is in, of version 2 or 1: what it may use, and what it uses that cannot simply be dropped.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use crate::ops::kernel_file::{named, present, read, read_number, value};

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Memory in use without inactive file pages, which the kernel drops before it kills anybody, in bytes.
    pub used_bytes: u64,
    /// What it may use; `None` when nothing is said.
    pub limit_bytes: Option<u64>,
}

/// Where it is read.
#[derive(Clone, Debug)]
pub(super) struct Files {
    usage: CString,
    limit: CString,
    statistics: CString,
    /// The name of the inactive file pages in `statistics`.
    inactive: &'static [u8],
    /// How long its tasks waited for memory; version 2 with PSI has it.
    pub(super) pressure: Option<CString>,
}

impl Files {
    /// The files of this process's own cgroup, below `root`; `None` where the kernel has no memory cgroup, or none but the root one, which
    /// bounds nothing.
    pub(super) fn find(root: &Path) -> Option<Files> {
        let list = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mounts = std::fs::read_to_string(root.join("proc/self/mounts")).unwrap_or_default();
        let of = |version| list.lines().find_map(|line| path(line, version));
        // With both mounted, memory belongs to the one that has a controller for it.
        Files::of(root, &mounts, 1, of(1)).or_else(|| Files::of(root, &mounts, 2, of(2)))
    }

    fn of(root: &Path, mounts: &str, version: u8, own: Option<&str>) -> Option<Files> {
        let mount = mounts.lines().find_map(|line| mount(line, version))?;
        let (usage, limit, inactive) = match version {
            1 => ("memory.usage_in_bytes", "memory.limit_in_bytes", b"total_inactive_file".as_slice()),
            _ => ("memory.current", "memory.max", b"inactive_file".as_slice()),
        };
        let mount = root.join(mount.trim_start_matches('/'));
        // In a container the path may be the host's, while what is mounted is the container's own.
        let folders = [mount.join(own?.trim_start_matches('/')), mount];
        let folder: &PathBuf = folders.iter().find(|folder| folder.join(limit).exists())?;
        Some(Files {
            usage: present(&folder.join(usage))?,
            limit: named(&folder.join(limit))?,
            statistics: named(&folder.join("memory.stat"))?,
            inactive,
            pressure: present(&folder.join("memory.pressure")),
        })
    }

    pub(super) fn read(&self) -> Option<Cgroup> {
        let usage = read_number(&self.usage)?;
        let mut text = [0; 4096];
        let inactive = read(&self.statistics, &mut text).ok().and_then(|text| value(text, self.inactive)).unwrap_or(0);
        // Version 2 says `max`, version 1 the largest number of pages.
        let limit_bytes = read_number(&self.limit).filter(|&limit| limit < 1 << 60);
        Some(Cgroup { used_bytes: usage.saturating_sub(inactive), limit_bytes })
    }
}

/// The path of a line of /proc/self/cgroup: `4:memory:/PATH` in version 1, `0::/PATH` in version 2.
fn path(line: &str, version: u8) -> Option<&str> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match version {
        1 => controllers.split(',').any(|controller| controller == "memory").then_some(path),
        _ => (number == "0" && controllers.is_empty()).then_some(path),
    }
}

/// Where a line of /proc/self/mounts mounts a version's files.
fn mount(line: &str, version: u8) -> Option<&str> {
    let mut words = line.split(' ').skip(1);
    let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
    match version {
        1 => (kind == "cgroup" && options.split(',').any(|option| option == "memory")).then_some(place),
        _ => (kind == "cgroup2").then_some(place),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_is_read_where_systemd_puts_a_service() {
        let folder = "sys/fs/cgroup/system.slice/flagstone.service";
        let root = machine(&[
            ("proc/self/cgroup", "0::/system.slice/flagstone.service\n"),
            ("proc/self/mounts", "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"),
            (&format!("{folder}/memory.current"), "104857600\n"),
            (&format!("{folder}/memory.max"), "209715200\n"),
            (&format!("{folder}/memory.stat"), "anon 1\nfile 2\ninactive_file 4857600\n"),
            (&format!("{folder}/memory.pressure"), "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"),
        ]);
        let files = Files::find(root.path()).unwrap();
        assert_eq!(files.read(), Some(Cgroup { used_bytes: 100_000_000, limit_bytes: Some(209_715_200) }));
        assert!(files.pressure.is_some());
        fs::write(root.path().join(folder).join("memory.max"), "max\n").unwrap();
        assert_eq!(files.read(), Some(Cgroup { used_bytes: 100_000_000, limit_bytes: None }));
    }

    #[test]
    fn version_1_is_read_in_a_container_that_sees_its_own_as_the_root() {
        let root = machine(&[
            ("proc/self/cgroup", "4:cpu,memory:/docker/abc\n1:name=systemd:/\n0::/\n"),
            (
                "proc/self/mounts",
                "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n"),
        ]);
        let files = Files::find(root.path()).unwrap();
        assert_eq!(files.read(), Some(Cgroup { used_bytes: 2000, limit_bytes: None }));
        assert!(files.pressure.is_none());
    }

    #[test]
    fn a_kernel_without_a_memory_cgroup_has_none() {
        // As stock Raspberry Pi OS boots: cgroup_disable=memory.
        let root = machine(&[
            ("proc/self/cgroup", "0::/system.slice/flagstone.service\n"),
            ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
            ("sys/fs/cgroup/system.slice/flagstone.service/cpu.stat", "usage_usec 1\n"),
        ]);
        assert!(Files::find(root.path()).is_none());
    }
}
