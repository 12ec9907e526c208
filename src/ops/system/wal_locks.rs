//! Which read marks of a WAL are held, and by whom: /proc/locks shows the locks that SQLite takes on bytes of the -shm file.

use std::ffi::CStr;
use std::fmt::Write;

use rustix::fs::{Mode, OFlags};

use crate::ops::kernel_file::read;

/// Read marks of a wal-index (SQLite "WAL-mode file format" §2.2).
pub const MARKS: usize = 5;
/// The byte of the first one's lock: 120 for writing, then checkpoint and recovery.
const FIRST_BYTE: u64 = 123;
/// The most that is read of /proc/locks: about a thousand locks.
const LONGEST: usize = 64 * 1024;

/// Who holds a read mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its name, padded with zeros; empty when it could not be read.
    pub name: [u8; 16],
}

impl Holder {
    /// Its name as text.
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(self.name.len());
        std::str::from_utf8(&self.name[..length]).unwrap_or_default()
    }
}

/// The holders of each mark of the wal-index in the file `inode`; `None` where the kernel does not show locks.
pub(super) fn holders(list: &CStr, inode: u64) -> Option<[Option<Holder>; MARKS]> {
    let file = rustix::fs::open(list, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut found = [None; MARKS];
    let (mut text, mut kept, mut total) = ([0; 2048], 0, 0);
    // Bounded by LONGEST.
    while total < LONGEST {
        let count = rustix::io::read(&file, &mut text[kept..]).ok()?;
        if count == 0 {
            break;
        }
        (total, kept) = (total + count, kept + count);
        let whole = text[..kept].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|&byte| byte == b'\n') {
            if let Some((mark, pid)) = held(line, inode) {
                found[mark].get_or_insert(Holder { pid, name: [0; 16] });
            }
        }
        text.copy_within(whole..kept, 0);
        kept -= whole;
        if kept == text.len() {
            // No line is that long.
            kept = 0;
        }
    }
    for holder in found.iter_mut().flatten() {
        name(holder);
    }
    Some(found)
}

/// The mark and the process of a line like `1: POSIX  ADVISORY  READ 4711 08:02:131 124 124`.
fn held(line: &[u8], inode: u64) -> Option<(usize, u32)> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace().skip(1);
    let (kind, _, mode) = (words.next()?, words.next()?, words.next()?);
    let (pid, file, byte) = (words.next()?, words.next()?, words.next()?);
    let of_it = matches!(kind, "POSIX" | "OFDLCK") && mode == "READ" && file.rsplit(':').next()?.parse() == Ok(inode);
    let mark = byte.parse::<u64>().ok()?.checked_sub(FIRST_BYTE)? as usize;
    // An open file description's lock has no process: -1.
    (of_it && mark < MARKS).then(|| (mark, pid.parse().unwrap_or(0)))
}

fn name(holder: &mut Holder) {
    let mut path: heapless::String<32> = heapless::String::new();
    let mut text = [0; 17];
    if write!(path, "/proc/{}/comm\0", holder.pid).is_ok()
        && let Ok(path) = CStr::from_bytes_with_nul(path.as_bytes())
        && let Ok(name) = read(path, &mut text)
    {
        for (to, &from) in holder.name.iter_mut().zip(name.iter().take_while(|&&byte| byte > b' ' && byte < 127)) {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn locks_on_read_marks_are_told_from_others() {
        assert_eq!(held(b"1: POSIX  ADVISORY  READ 4711 08:02:131 124 124", 131), Some((1, 4711)));
        assert_eq!(held(b"2: OFDLCK ADVISORY  READ -1 08:02:131 127 127", 131), Some((4, 0)));
        for other in [
            "1: POSIX  ADVISORY  READ 4711 08:02:132 124 124",
            "1: POSIX  ADVISORY  READ 4711 08:02:131 128 128",
            "1: POSIX  ADVISORY  READ 4711 08:02:131 120 120",
            "1: POSIX  ADVISORY  WRITE 4711 08:02:131 124 124",
            "1: -> POSIX  ADVISORY  READ 4711 08:02:131 124 124",
            "1: FLOCK  ADVISORY  READ 4711 08:02:131 124 EOF",
            "",
        ] {
            assert_eq!(held(other.as_bytes(), 131), None, "{other}");
        }
    }

    #[test]
    fn a_long_list_is_read_in_pieces() {
        let mut list = tempfile::NamedTempFile::new().unwrap();
        for number in 0..500 {
            writeln!(list, "{number}: FLOCK  ADVISORY  WRITE 24161 fe:00:10215656 0 EOF").unwrap();
        }
        writeln!(list, "501: POSIX  ADVISORY  READ {} 08:02:131 125 125", std::process::id()).unwrap();
        let path = std::ffi::CString::new(list.path().as_os_str().as_encoded_bytes()).unwrap();
        let found = holders(&path, 131).unwrap();
        assert_eq!(found.map(|holder| holder.map(|holder| holder.pid)), [None, None, Some(std::process::id()), None, None]);
        assert!(!found[2].unwrap().name().is_empty(), "our own name can be read");
        assert_eq!(holders(c"/proc/no-such-file", 131), None);
    }

    #[test]
    fn the_kernel_shows_a_reader_of_a_real_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a); BEGIN; SELECT * FROM t;").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(folder.path().join("data.db-shm")).unwrap());
        let Some(found) = holders(c"/proc/locks", inode) else { return };
        assert!(found.iter().flatten().any(|holder| holder.pid == std::process::id()), "{found:?}");
        conn.execute_batch("COMMIT").unwrap();
        assert_eq!(holders(c"/proc/locks", inode), Some([None; MARKS]));
    }
}
