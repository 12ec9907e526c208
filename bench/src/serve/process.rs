//! Readings of another process out of /proc: processor time, memory, switches.

use std::fs;
use std::io;
use std::time::Duration;

/// Clock ticks a second in /proc/PID/stat: USER_HZ, 100 on every architecture that Linux runs flagstone on.
const TICK: Duration = Duration::from_millis(10);

/// One moment's readings. Times and switches are sums over all threads that are alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// User and system time together, to the nanosecond where the kernel keeps schedstat.
    pub cpu: Duration,
    /// User time, in ticks of 10 ms.
    pub user: Duration,
    /// System time, in ticks of 10 ms.
    pub system: Duration,
    /// Times that it went to sleep.
    pub voluntary: u64,
    /// Times that the core was taken from it.
    pub involuntary: u64,
    /// Memory now.
    pub memory: Memory,
}

/// Resident memory in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it, the mapped files included.
    pub rss: u64,
    /// What is the process's own.
    pub anon: u64,
    /// The most of `rss` since it was last reset.
    pub high: u64,
}

/// Reads all of it.
pub fn read(pid: u32) -> io::Result<Reading> {
    let (user, system) = ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form")))?;
    let mut reading = Reading { user, system, memory: memory(pid)?, ..Reading::default() };
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end between the listing and the reading; its time is lost, as it would be a moment later.
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        reading.voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        reading.involuntary += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        let schedule = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        nanoseconds += schedule.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    // Zero: a kernel without schedstat.
    reading.cpu = if nanoseconds > 0 { Duration::from_nanos(nanoseconds) } else { user + system };
    Ok(reading)
}

/// Reads the memory alone.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name| field(&status, name).unwrap_or(0);
    Ok(Memory { rss: value("VmRSS:"), anon: value("RssAnon:"), high: value("VmHWM:") })
}

/// Lets the high-water mark begin anew; false where the kernel does not allow it, then it covers the whole life.
pub fn reset_high_water(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// The number after a field's name at the start of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time out of /proc/PID/stat; the command's name before them may hold blanks and parentheses.
fn ticks(stat: &str) -> Option<(Duration, Duration)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((TICK * user, TICK * system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "VmHWM:\t  90 kB\nVmRSS:\t  70 kB\nnonvoluntary_ctxt_switches:\t5\nvoluntary_ctxt_switches:\t3\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "voluntary_ctxt_switches:")), (Some(70), Some(3)));
        assert_eq!(field(status, "RssAnon:"), None);
    }

    #[test]
    fn times_are_found_behind_any_command_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(ticks(stat), Some((Duration::from_millis(2500), Duration::from_millis(500))));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn readings_grow_with_the_work_of_the_process() {
        // A process of its own: the sums of this one shrink whenever another test's thread ends.
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "while :; do sleep 0.002; done"]).spawn().unwrap();
        let before = read(child.id()).unwrap();
        std::thread::sleep(Duration::from_millis(150));
        let after = read(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after.cpu > before.cpu && after.voluntary > before.voluntary, "{before:?} {after:?}");
        assert!(after.memory.rss > after.memory.anon && after.memory.anon > 0, "{after:?}");
        assert!(read(child.id()).is_err());
    }
}
