//! Where the database lies, and how its power is cut: a folder (no power cuts), ext4 on a loop device, the shim in memory.
//! What is mounted is unmounted when it is dropped, and by the kernel when this program is killed (see `kernel::own_mounts`).

use std::fs::File;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use super::kernel;
use super::shim::Shim;
use crate::rig::random::Random;

/// The image's size, in bytes: small, as a mount reads its journal.
const IMAGE_BYTES: u64 = 96 << 20;

/// From a process's end until its files are closed.
const FREE_WITHIN: Duration = Duration::from_secs(5);

/// Which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any file system; its power cannot be cut.
    Folder,
    /// An image on a loop device.
    Ext4,
    /// In memory, served by this program.
    Shim,
    /// A tmpfs of so many KiB.
    Tmpfs(u32),
}

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "a folder",
            Self::Ext4 => "ext4 on a loop device",
            Self::Shim => "the shim",
            Self::Tmpfs(_) => "tmpfs",
        }
    }
}

enum Medium {
    Folder,
    Ext4(Ext4),
    Shim(Shim),
    Tmpfs,
}

/// Why a disk cannot be had on this machine.
#[derive(Debug)]
struct Unavailable(io::Error);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(to)
    }
}

impl std::error::Error for Unavailable {}

/// Whether an error says that the machine has no such disk, rather than that something is wrong.
pub fn is_unavailable(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unavailable>())
}

/// A disk.
pub struct Disk {
    medium: Medium,
    target: PathBuf,
    /// Holds everything; outlives the mounts.
    base: TempDir,
}

impl Disk {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// What this machine does not have or does not allow.
    pub fn new(kind: Kind) -> io::Result<Self> {
        let base = tempfile::Builder::new().prefix("flagstone-durability-").tempdir()?;
        let target = base.path().join("disk");
        std::fs::create_dir(&target)?;
        let medium = Medium::new(kind, base.path(), &target).map_err(|error| Error::other(Unavailable(error)))?;
        Ok(Self { medium, target, base })
    }

    /// For the server's configuration and log, which are on no faulty disk.
    pub fn base(&self) -> &Path {
        self.base.path()
    }

    /// Where the disk is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.target.join("data.db")
    }

    /// The shim's own handle.
    pub fn shim(&self) -> Option<&Shim> {
        if let Medium::Shim(shim) = &self.medium { Some(shim) } else { None }
    }

    /// The loop device's name, `loop0`.
    pub fn loop_name(&self) -> Option<&str> {
        let Medium::Ext4(ext4) = &self.medium else { return None };
        ext4.device.file_name()?.to_str()
    }

    /// All that was written until now is on the disk.
    pub fn settle(&self) -> io::Result<()> {
        match &self.medium {
            Medium::Shim(shim) => shim.settle(),
            Medium::Ext4(_) => rustix::fs::syncfs(File::open(&self.target)?)?,
            Medium::Folder | Medium::Tmpfs => {}
        }
        Ok(())
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// A folder has none; and what the kernel says.
    pub fn cut(&self) -> io::Result<()> {
        match &self.medium {
            Medium::Folder | Medium::Tmpfs => return Err(Error::other("no power to cut")),
            Medium::Ext4(_) => kernel::shut_down_ext4(&self.target)?,
            Medium::Shim(shim) => shim.cut(),
        }
        Ok(())
    }

    /// Power comes back after a cut; all that used the disk has ended.
    pub fn restore(&mut self, random: &mut Random) -> io::Result<()> {
        match &mut self.medium {
            Medium::Folder | Medium::Tmpfs => Ok(()),
            Medium::Ext4(ext4) => {
                unmount_when_free(&self.target)?;
                ext4.mount(&self.target)
            }
            Medium::Shim(shim) => shim.restore(random),
        }
    }
}

impl Medium {
    fn new(kind: Kind, base: &Path, target: &Path) -> io::Result<Self> {
        Ok(match kind {
            Kind::Folder => Self::Folder,
            Kind::Ext4 => Self::Ext4(Ext4::new(base, target)?),
            Kind::Shim => Self::Shim(Shim::mount(target)?),
            Kind::Tmpfs(kib) => {
                let data = std::ffi::CString::new(format!("size={kib}k"))?;
                mount("none", target, "tmpfs", MountFlags::empty(), Some(data.as_c_str()))?;
                Self::Tmpfs
            }
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if matches!(self.medium, Medium::Ext4(_) | Medium::Tmpfs) && unmount_when_free(&self.target).is_err() {
            let _ = unmount(&self.target, UnmountFlags::DETACH);
        }
    }
}

/// Unmounts as soon as nobody uses it any more: the kernel lets go of a process's rings and their files after its end.
///
/// # Errors
/// Those of umount(2); EBUSY when it is still used after some seconds.
pub fn unmount_when_free(target: &Path) -> io::Result<()> {
    let until = Instant::now() + FREE_WITHIN;
    loop {
        match unmount(target, UnmountFlags::empty()) {
            Err(Errno::BUSY) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            other => return Ok(other?),
        }
    }
}

/// An image on a loop device, which goes when it is mounted no more: with it goes what the kernel remembers of its blocks, as
/// some of that never reached the disk.
struct Ext4 {
    image: PathBuf,
    device: PathBuf,
}

impl Ext4 {
    fn new(base: &Path, target: &Path) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::other("only root may mount"));
        }
        let image = base.join("image");
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_os_str()])?;
        let mut ext4 = Self { image, device: PathBuf::new() };
        ext4.mount(target)?;
        Ok(ext4)
    }

    fn mount(&mut self, target: &Path) -> io::Result<()> {
        // The device is made so that it goes with the last of its owners: at whatever moment this program is killed.
        let options = "loop,errors=remount-ro".as_ref();
        run(
            "mount",
            &["-n".as_ref(), "-t".as_ref(), "ext4".as_ref(), "-o".as_ref(), options, self.image.as_os_str(), target.as_os_str()],
        )?;
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let device = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let device = fields.next()?;
            (Path::new(fields.next()?) == target).then(|| PathBuf::from(device))
        });
        self.device = device.ok_or_else(|| Error::other("what was mounted is not in /proc/self/mounts"))?;
        Ok(())
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> io::Result<String> {
    // Where a user's path leaves them out.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.map_err(|error| Error::other(format!("{program}: {error}")))?;
    if !output.status.success() {
        return Err(Error::other(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
