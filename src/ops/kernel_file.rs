//! Small files of /proc and /sys, read into fixed buffers: nothing here allocates once a path is known.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The path of a file that is there and can be read now, for all later readings.
pub(super) fn present(path: &Path) -> Option<CString> {
    let path = named(path)?;
    let mut first = [0; 1];
    // Some files are there and give an error: PSI that the kernel's command line has switched off.
    read(&path, &mut first).is_ok_and(|text| !text.is_empty()).then_some(path)
}

/// A path as the kernel takes it.
pub(super) fn named(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).ok()
}

/// The file's beginning, as much as `text` holds.
///
/// # Errors
/// What open or read gave.
pub(super) fn read<'a>(path: &CStr, text: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let count = rustix::io::read(&file, &mut *text)?;
    Ok(&text[..count])
}

/// The file's only number.
pub(super) fn read_number(path: &CStr) -> Option<u64> {
    let mut text = [0; 64];
    number(read(path, &mut text).ok()?)
}

/// The value of a `Name:   123 kB` line, in bytes.
pub(super) fn kilobytes(text: &[u8], name: &[u8]) -> Option<u64> {
    value(text, name).map(|kilobytes| kilobytes * 1024)
}

/// The number of a line that begins with `name`.
pub(super) fn value(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    number(line.split(|&byte| byte == b' ' || byte == b'\t').find(|word| word.first().is_some_and(u8::is_ascii_digit))?)
}

/// A whole number, with white space around it.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let text = b"Name:\tmem\nVmRSS:\t   12 kB\nVmSize: 7 kB\nwrite_bytes: 5\n";
        assert_eq!((kilobytes(text, b"VmRSS:"), kilobytes(text, b"VmSize:")), (Some(12_288), Some(7168)));
        assert_eq!((value(text, b"write_bytes:"), value(text, b"read_bytes:"), value(text, b"Name:")), (Some(5), None, None));
        assert_eq!((number(b" 42\n"), number(b"max\n"), number(b"")), (Some(42), None, None));
    }

    #[test]
    fn a_file_is_present_when_something_can_be_read_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("number"), "17\n").unwrap();
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let path = present(&folder.path().join("number")).unwrap();
        assert_eq!(read_number(&path), Some(17));
        assert_eq!(present(&folder.path().join("empty")), None);
        assert_eq!(present(&folder.path().join("missing")), None);
    }
}
