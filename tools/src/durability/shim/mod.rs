//! A disk in memory that this program serves through FUSE, and so a disk that can do what hardware will not do on demand: lose
//! what was not synced, fail every k-th write and sync, be slow, be read-only.

mod tree;
mod wire;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::disk::unmount_when_free;
use crate::rig::random::Random;
use tree::Tree;
use wire::{MAX_WRITE, Operation, ROOT, Reply, Request};

/// Threads that answer the kernel: a slow sync must not hold up a read.
const THREADS: usize = 4;

/// Nodes are numbered after the folder.
const FIRST: u64 = ROOT + 1;

/// What the disk does wrong, changed while it is used.
#[derive(Default)]
pub struct Faults {
    /// Every so many writes and syncs of the database and its log fail with EIO; 0 is none.
    pub fail_every: AtomicU64,
    /// A sync takes so many milliseconds.
    pub sync_ms: AtomicU64,
    /// The database and its log may have so many bytes together; 0 is no limit.
    pub capacity: AtomicU64,
    /// Writes and syncs fail with EROFS.
    pub read_only: AtomicBool,
    /// Writes and syncs that came, for `fail_every`.
    count: AtomicU64,
    /// Syncs that were asked for.
    pub syncs: AtomicU64,
    /// Failures by `fail_every`.
    pub failures: AtomicU64,
    /// The power is cut.
    dead: AtomicBool,
}

struct Disk {
    tree: Mutex<Tree>,
    faults: Faults,
}

/// The disk, mounted while this lives.
pub struct Shim {
    disk: Arc<Disk>,
    target: PathBuf,
    threads: Vec<JoinHandle<()>>,
}

impl Shim {
    /// Mounts an empty one over a folder.
    ///
    /// # Errors
    /// Without /dev/fuse, and for those who may not mount.
    pub fn mount(target: &Path) -> io::Result<Self> {
        let disk = Arc::new(Disk { tree: Mutex::default(), faults: Faults::default() });
        let mut shim = Self { disk, target: target.to_owned(), threads: Vec::new() };
        shim.attach()?;
        Ok(shim)
    }

    fn attach(&mut self) -> io::Result<()> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let data = format!("fd={},rootmode=40755,user_id={user},group_id={group},allow_other", device.as_raw_fd());
        let data = std::ffi::CString::new(data)?;
        mount("flagstone-shim", &self.target, "fuse", MountFlags::NOSUID | MountFlags::NODEV, Some(data.as_c_str()))?;
        for _ in 0..THREADS {
            let (device, disk) = (device.try_clone()?, Arc::clone(&self.disk));
            self.threads.push(std::thread::spawn(move || serve(device, &disk)));
        }
        Ok(())
    }

    fn detach(&mut self) -> io::Result<()> {
        unmount_when_free(&self.target)?;
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| io::Error::other("the shim panicked"))?;
        }
        Ok(())
    }

    /// What it does wrong.
    pub fn faults(&self) -> &Faults {
        &self.disk.faults
    }

    /// Everything that is on it reaches the disk.
    pub fn settle(&self) {
        self.disk.tree().sync_all();
    }

    /// From now on nothing reaches the disk.
    pub fn cut(&self) {
        // Under the lock: a request is before the cut or after it.
        let _tree = self.disk.tree();
        self.disk.faults.dead.store(true, Ordering::SeqCst);
    }

    /// Power comes back; who used it has ended.
    ///
    /// # Errors
    /// When a process still uses it.
    pub fn restore(&mut self, random: &mut Random) -> io::Result<()> {
        self.detach()?;
        let tree = std::mem::take(&mut *self.disk.tree());
        *self.disk.tree() = tree.after_power_cut(random);
        self.disk.faults.dead.store(false, Ordering::SeqCst);
        self.attach()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if self.detach().is_err() {
            // Someone still uses it: it goes with its last user, and its threads with it.
            let _ = unmount(&self.target, UnmountFlags::DETACH);
        }
    }
}

fn serve(mut device: File, disk: &Disk) {
    let mut buffer = vec![0; MAX_WRITE as usize + 64 * 1024];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            // ENOENT: the one who asked was killed meanwhile.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::INTR | Errno::AGAIN)) => continue,
            // ENODEV: unmounted.
            Err(_) => return,
        };
        let Some(request) = Request::new(&buffer[..length]) else { return };
        let Some(answer) = disk.answer(&request) else { continue };
        let bytes = match answer {
            Ok(reply) => reply.finish(),
            Err(errno) => Reply::error(request.unique(), errno),
        };
        // ENOENT: nobody waits for it any more.
        let _ = device.write(&bytes);
    }
}

impl Disk {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A panic elsewhere leaves the bytes as they are.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: nobody waits for an answer.
    fn answer(&self, request: &Request) -> Option<Result<Reply, Errno>> {
        let reply = Reply::to(request.unique());
        Some(match request.operation() {
            Operation::Silent => return None,
            Operation::Init => Ok(reply.init()),
            Operation::Lookup => self.lookup(&request.name(0)).map(|(node, size)| reply.entry(node, size)),
            Operation::GetAttributes => self.size(request.node()).map(|size| reply.attributes_out(request.node(), size)),
            Operation::SetAttributes => self.resize(request).map(|size| reply.attributes_out(request.node(), size)),
            Operation::Create => self.create(&request.name(16)).map(|node| reply.entry(node, 0).opened()),
            Operation::Unlink => self.unlink(&request.name(0)).map(|()| reply),
            Operation::Open | Operation::OpenFolder => Ok(reply.opened()),
            Operation::Read => self.read(request).map(|bytes| reply.bytes(&bytes)),
            Operation::Write => self.write(request).map(|count| reply.words(&[count, 0])),
            Operation::Sync => self.sync(request.node()).map(|()| reply),
            Operation::SyncFolder => self.sync_folder().map(|()| reply),
            Operation::FileSystem => Ok(reply.file_system(1 << 20, 1 << 19)),
            Operation::Release | Operation::Flush | Operation::Access => Ok(reply),
            Operation::Other => Err(Errno::NOSYS),
        })
    }

    fn lookup(&self, name: &str) -> Result<(u64, u64), Errno> {
        let tree = self.tree();
        let number = tree.find(name).ok_or(Errno::NOENT)?;
        let size = tree.file(number).map_or(0, |file| file.bytes.len());
        Ok((number as u64 + FIRST, size as u64))
    }

    fn size(&self, node: u64) -> Result<u64, Errno> {
        if node == ROOT {
            return Ok(0);
        }
        self.tree().file((node - FIRST) as usize).map(|file| file.bytes.len() as u64).ok_or(Errno::STALE)
    }

    fn create(&self, name: &str) -> Result<u64, Errno> {
        self.refused()?;
        Ok(self.tree().create(name) as u64 + FIRST)
    }

    fn unlink(&self, name: &str) -> Result<(), Errno> {
        self.refused()?;
        self.tree().unlink(name).then_some(()).ok_or(Errno::NOENT)
    }

    fn resize(&self, request: &Request) -> Result<u64, Errno> {
        const SIZE: u64 = 1 << 3;
        if request.node() != ROOT && request.argument(0, 4) & SIZE != 0 {
            self.refused()?;
            self.tree().resize((request.node() - FIRST) as usize, request.argument(16, 8) as usize);
        }
        self.size(request.node())
    }

    fn read(&self, request: &Request) -> Result<Vec<u8>, Errno> {
        let (at, size) = (request.argument(8, 8) as usize, request.argument(16, 4) as usize);
        let tree = self.tree();
        let bytes = &tree.file((request.node().wrapping_sub(FIRST)) as usize).ok_or(Errno::STALE)?.bytes;
        let end = (at + size).min(bytes.len());
        Ok(bytes.get(at..end).unwrap_or_default().to_vec())
    }

    fn write(&self, request: &Request) -> Result<u32, Errno> {
        const FROM_PAGE_CACHE: u64 = 1;
        let (at, size) = (request.argument(8, 8) as usize, request.argument(16, 4) as usize);
        let data = request.rest(40).get(..size).ok_or(Errno::INVAL)?;
        let number = (request.node().wrapping_sub(FIRST)) as usize;
        // What was written by mmap is the log's index, which is no part of the database.
        if request.argument(20, 4) & FROM_PAGE_CACHE == 0 && !self.tree().name(number).ends_with("-shm") {
            self.refused()?;
            self.failed()?;
        }
        let mut tree = self.tree();
        // Asked again under the lock: see `Shim::cut`.
        self.refused()?;
        let capacity = self.faults.capacity.load(Ordering::Relaxed) as usize;
        let grows = (at + size).saturating_sub(tree.file(number).ok_or(Errno::STALE)?.bytes.len());
        if capacity > 0 && grows > 0 && tree.size() + grows > capacity {
            return Err(Errno::NOSPC);
        }
        tree.write(number, at, data);
        Ok(size as u32)
    }

    fn sync(&self, node: u64) -> Result<(), Errno> {
        self.faults.syncs.fetch_add(1, Ordering::Relaxed);
        self.refused()?;
        std::thread::sleep(Duration::from_millis(self.faults.sync_ms.load(Ordering::Relaxed)));
        let number = (node.wrapping_sub(FIRST)) as usize;
        let failed = self.failed();
        let mut tree = self.tree();
        self.refused()?;
        match failed {
            Ok(()) => tree.sync(number),
            Err(_) => tree.forget_pending(number),
        }
        failed
    }

    fn sync_folder(&self) -> Result<(), Errno> {
        let mut tree = self.tree();
        self.refused()?;
        tree.sync_names();
        Ok(())
    }

    /// Nothing is written without power, or to what is read-only.
    fn refused(&self) -> Result<(), Errno> {
        if self.faults.dead.load(Ordering::SeqCst) {
            return Err(Errno::IO);
        }
        if self.faults.read_only.load(Ordering::Relaxed) { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// Every k-th one fails.
    fn failed(&self) -> Result<(), Errno> {
        let every = self.faults.fail_every.load(Ordering::Relaxed);
        if every == 0 || !(self.faults.count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every) {
            return Ok(());
        }
        self.faults.failures.fetch_add(1, Ordering::Relaxed);
        Err(Errno::IO)
    }
}
