//! Reads the process's own figures from /proc into fixed buffers, without allocating.

use std::io;

use rustix::fs::{Mode, OFlags};

use super::kernel_file::{kilobytes, number, read as slurp, value};
use super::readings::Process;

/// Fills in what changes: memory, processor time, descriptors.
///
/// # Errors
/// What open or read of /proc gave; the readings then keep their old values.
pub fn read(readings: &mut Process) -> io::Result<()> {
    let mut text = [0; 4096];
    let status = slurp(c"/proc/self/status", &mut text)?;
    readings.virtual_bytes = kilobytes(status, b"VmSize:").unwrap_or(readings.virtual_bytes);
    readings.rss_bytes = kilobytes(status, b"VmRSS:").unwrap_or(readings.rss_bytes);
    readings.rss_anon_bytes = kilobytes(status, b"RssAnon:").unwrap_or(readings.rss_anon_bytes);
    let mut text = [0; 1024];
    let stat = slurp(c"/proc/self/stat", &mut text)?;
    if let Some(ticks) = cpu_ticks(stat) {
        readings.cpu_micros = ticks * 1_000_000 / rustix::param::clock_ticks_per_second();
    }
    let mut text = [0; 4096];
    let meminfo = slurp(c"/proc/meminfo", &mut text)?;
    readings.system_total_bytes = kilobytes(meminfo, b"MemTotal:").unwrap_or(0);
    readings.system_available_bytes = kilobytes(meminfo, b"MemAvailable:").unwrap_or(0);
    // Not there in every kernel: then it stays 0.
    let mut text = [0; 1024];
    if let Ok(io) = slurp(c"/proc/self/io", &mut text) {
        readings.written_bytes = value(io, b"write_bytes:").unwrap_or(0);
    }
    readings.descriptors = open_descriptors().unwrap_or(readings.descriptors);
    Ok(())
}

/// Bytes of private writable memory as RLIMIT_DATA counts it.
///
/// # Errors
/// What open or read of /proc gave, or `InvalidData` without a VmData line.
pub fn data_bytes() -> io::Result<u64> {
    let mut text = [0; 4096];
    let status = slurp(c"/proc/self/status", &mut text)?;
    kilobytes(status, b"VmData:").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// utime + stime: fields 14 and 15 of stat(5), counted behind the last ')' because the command's name may hold anything.
fn cpu_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat[end + 1..].split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let user = number(fields.nth(11)?)?;
    Some(user + number(fields.next()?)?)
}

fn open_descriptors() -> io::Result<u64> {
    let folder = rustix::fs::open("/proc/self/fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [std::mem::MaybeUninit::uninit(); 2048];
    let mut entries = rustix::fs::RawDir::new(&folder, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        if entry?.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit) {
            count += 1;
        }
    }
    // The descriptor that reads the folder is one of them.
    Ok(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let mut readings = Process::default();
        read(&mut readings).unwrap();
        assert!(readings.rss_bytes >= readings.rss_anon_bytes && readings.rss_anon_bytes > 100_000);
        assert!(readings.system_total_bytes > readings.system_available_bytes && readings.system_available_bytes > 0);
        assert!(readings.virtual_bytes > readings.rss_bytes);
        let listed = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        assert!(readings.descriptors.abs_diff(listed) <= 16, "{} and {listed}", readings.descriptors);
        assert!(data_bytes().unwrap() > 0);
    }

    #[test]
    fn a_command_name_with_spaces_and_brackets_is_stepped_over() {
        let stat = b"12 (a) b (c)) S 1 1 1 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(12));
    }
}
