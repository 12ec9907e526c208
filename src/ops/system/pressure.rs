//! How long tasks waited for memory, disk and processor: the kernel's PSI (Documentation/accounting/psi.rst).

use std::ffi::CStr;

use crate::ops::kernel_file::read;

/// Shares of the last ten seconds, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// In which some task waited.
    pub some: u32,
    /// In which all of them did.
    pub full: u32,
}

/// Reads a file of /proc/pressure, or of a cgroup.
pub(super) fn pressure(path: &CStr) -> Option<Pressure> {
    let mut text = [0; 256];
    parse(read(path, &mut text).ok()?)
}

fn parse(text: &[u8]) -> Option<Pressure> {
    let share = |kind: &[u8]| {
        let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(kind))?;
        hundredths(line.split(|&byte| byte == b' ').find_map(|word| word.strip_prefix(b"avg10="))?)
    };
    // Kernels before 5.13 have no `full` for the processor.
    Some(Pressure { some: share(b"some ")?, full: share(b"full ").unwrap_or(0) })
}

/// `12.34` as 1234.
fn hundredths(text: &[u8]) -> Option<u32> {
    let (whole, part) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let (whole, part): (u32, u32) = (whole.parse().ok()?, part.parse().ok()?);
    (part < 100).then_some(whole * 100 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read_and_one_may_be_missing() {
        let text = b"some avg10=12.34 avg60=1.00 avg300=0.00 total=5047\nfull avg10=0.07 avg60=0.00 avg300=0.00 total=292\n";
        assert_eq!(parse(text), Some(Pressure { some: 1234, full: 7 }));
        assert_eq!(parse(b"some avg10=100.00 avg60=0.00 avg300=0.00 total=1\n"), Some(Pressure { some: 10_000, full: 0 }));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"some avg10=x\n"), None);
    }
}
