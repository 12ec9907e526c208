//! Two requests to the kernel that have no safe form: the power cut of ext4, and mounts that nobody else sees.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

/// `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
/// Neither data nor the journal reach the disk any more.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;

/// The file system at `mount` loses power: what is not on its disk now never will be.
///
/// # Errors
/// As of ioctl(2); without CAP_SYS_ADMIN, EPERM.
pub fn shut_down_ext4(mount: &Path) -> io::Result<()> {
    let folder = File::open(mount)?;
    // SAFETY: the request reads one u32 through its argument, which is what `Setter` of a u32 passes.
    unsafe {
        let request = rustix::ioctl::Setter::<EXT4_IOC_SHUTDOWN, u32>::new(EXT4_GOING_FLAGS_NOLOGFLUSH);
        Ok(rustix::ioctl::ioctl(&folder, request)?)
    }
}

/// From now on this thread and what it starts have mounts of their own, which end with the last of them, however they end.
///
/// # Errors
/// As of unshare(2); without CAP_SYS_ADMIN, EPERM.
pub fn own_mounts() -> io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    // SAFETY: file descriptors stay shared, which is what the function asks of its callers.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}
