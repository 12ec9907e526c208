//! The machine that a figure comes from, and which core runs what.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores, system and architecture in a few words, as they were before anything was pinned.
pub fn line() -> &'static str {
    static LINE: OnceLock<String> = OnceLock::new();
    LINE.get_or_init(|| {
        let allowed = std::thread::available_parallelism().map_or(1, usize::from);
        let system = rustix::system::uname();
        let (name, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
        format!("{allowed} of {} cores, {name} {release} {}", online(), std::env::consts::ARCH)
    })
}

fn online() -> usize {
    let present = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    present.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// The cores on which this process may run, before anything was pinned.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// The server's core.
    pub server: usize,
    /// The driver's core; the same when there is only one.
    pub driver: usize,
}

impl Cores {
    /// The first two allowed cores.
    pub fn choose() -> std::io::Result<Self> {
        // Said now, because pinning would change it.
        line();
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server = cores.next().ok_or_else(|| std::io::Error::other("no core is allowed"))?;
        Ok(Self { server, driver: cores.next().unwrap_or(server) })
    }

    /// One core has to do both jobs, and the figures suffer.
    pub fn shared(self) -> bool {
        self.server == self.driver
    }
}

/// Pins the calling thread, and whatever it starts from now on, to one core.
pub fn pin(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the soft limit on descriptors to the hard one and returns it.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let usable = if raised.is_ok() { limit.maximum } else { limit.current };
    usable.unwrap_or(u64::MAX)
}
