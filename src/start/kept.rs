//! What is kept of the configuration over a restart: the audit of its versions, the last good copy, and the one before it.
//!
//! Three files in the state directory, mode 0600, none of which grows beyond a bound:
//!
//! ```text
//! config.audit          a line for each version, at most 64 KiB; beyond 32 KiB the older half goes
//! config.good.toml      the last file that ran
//! config.before.toml    the one before it, for a rollback
//! ```
//!
//! Each is replaced by a whole new one: written beside it, synced, renamed, the folder synced. So after a power cut each is old or new, and
//! only the audit's last line may be torn. Paths are made at the start, and are short enough for the standard library to hand them on
//! without the heap: what is called while the server runs allocates nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::budget::CONFIG_FILE_BYTES;
use crate::config::history::{self, History, LINE_BYTES, Version};

/// From this size on the audit is cut to [`AUDIT_KEPT`].
const AUDIT_LONG: u64 = 32 * 1024;
/// What stays of the audit when it is cut.
const AUDIT_KEPT: u64 = 16 * 1024;
/// The audit never becomes longer, though it could not be cut.
const AUDIT_BYTES: u64 = 64 * 1024;
const _: () = assert!(AUDIT_KEPT < AUDIT_LONG && AUDIT_LONG + (LINE_BYTES as u64) < AUDIT_BYTES);

/// Ends a torn line: CANCEL, which in ASCII means that what stands before it is void. A newline alone would make a version of a line that has
/// lost nothing else, after its number was given to another.
const TORN: &[u8] = b"\x18\n";

/// The standard library copies shorter paths to the stack for the kernel, longer ones to the heap.
const PATH_BYTES: usize = 384;
/// A piece of a file that is copied, in bytes.
const PIECE: usize = 4096;

/// The files' paths, and those of what is written before it takes their place.
#[derive(Debug)]
struct Paths {
    folder: PathBuf,
    audit: PathBuf,
    good: PathBuf,
    before: PathBuf,
    /// One name for all: files are written one after the other, and a rest of an earlier process is overwritten.
    new: PathBuf,
    /// A second name of the good copy on its way to be the one before.
    old: PathBuf,
}

/// What is kept; where the state directory may not be written, nothing, and [`Kept::note`] says so.
#[derive(Debug)]
pub struct Kept {
    paths: Option<Paths>,
    note: Option<String>,
    /// Of the last good copy, so that the same text does not push the one before it out.
    good: Option<u64>,
    failures: u64,
}

impl Kept {
    /// Nothing is kept, for the reason that `note` gives.
    pub const fn nowhere(note: String) -> Kept {
        Kept { paths: None, note: Some(note), good: None, failures: 0 }
    }

    /// What is kept in `folder`, which exists; the versions in its audit are added to `history`. Call it on the open heap.
    pub fn open(folder: &Path, history: &mut History) -> Kept {
        let at = |name: &str| folder.join(name);
        let paths = Paths {
            folder: folder.to_path_buf(),
            audit: at("config.audit"),
            good: at("config.good.toml"),
            before: at("config.before.toml"),
            new: at("config.new"),
            old: at("config.old"),
        };
        if paths.before.as_os_str().len() >= PATH_BYTES {
            return Kept::nowhere(format!("{}: the path is too long; no version of the configuration is kept", folder.display()));
        }
        match read_audit(&paths) {
            Ok(audit) => history.read(&audit),
            Err(error) => {
                return Kept::nowhere(format!("{}: {error}; no version of the configuration is kept", paths.audit.display()));
            }
        }
        let mut room = vec![0; CONFIG_FILE_BYTES];
        let good = text(&paths.good, &mut room).map(|text| history::hash(text.as_bytes()));
        Kept { paths: Some(paths), note: None, good, failures: 0 }
    }

    /// Why nothing is kept, for the start block; `None` where it is.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// How often keeping failed.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// Adds a version's line to the audit, and returns when it is on disk. Where nothing is kept it does nothing.
    ///
    /// # Errors
    /// What the system says; the server runs on without the line.
    pub fn record(&mut self, version: &Version) -> io::Result<()> {
        let done = self.paths.as_ref().map_or(Ok(()), |paths| paths.record(version));
        done.inspect_err(|_| self.failures += 1)
    }

    /// Keeps the text of a configuration that runs as the last good copy; the one that was becomes the one before it. The same text as the
    /// last changes nothing. Where nothing is kept it does nothing.
    ///
    /// # Errors
    /// What the system says. A good copy stays, the new one or the one that was; the one before it may be lost.
    pub fn keep_good(&mut self, text: &str) -> io::Result<()> {
        let hash = history::hash(text.as_bytes());
        let Some(paths) = self.paths.as_ref().filter(|_| self.good != Some(hash)) else { return Ok(()) };
        match paths.keep_good(text, self.good.is_some()) {
            Ok(()) => {
                self.good = Some(hash);
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                Err(error)
            }
        }
    }

    /// The last good copy, read into `room`; `None` where there is none that is UTF-8, not empty and fits.
    pub fn good<'r>(&self, room: &'r mut [u8]) -> Option<&'r str> {
        text(&self.paths.as_ref()?.good, room)
    }

    /// The one before the last good copy, likewise.
    pub fn before<'r>(&self, room: &'r mut [u8]) -> Option<&'r str> {
        text(&self.paths.as_ref()?.before, room)
    }
}

impl Paths {
    fn record(&self, version: &Version) -> io::Result<()> {
        let mut file = self.open_audit()?;
        let mut length = file.metadata()?.len();
        if length > AUDIT_LONG {
            match self.cut_audit(&file, length) {
                Ok(()) => {
                    file = self.open_audit()?;
                    length = file.metadata()?.len();
                }
                // A full disk has no room for the shorter copy either; a line more is better than none, up to the bound.
                Err(error) if length + (LINE_BYTES + TORN.len()) as u64 > AUDIT_BYTES => return Err(error),
                Err(_) => {}
            }
        }
        let mut line: heapless::Vec<u8, { LINE_BYTES + TORN.len() }> = heapless::Vec::new();
        if is_torn(&file, length)? {
            push(&mut line, TORN);
        }
        push(&mut line, version.line().as_bytes());
        file.write_all(&line)?;
        file.sync_data()
    }

    fn open_audit(&self) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(ours_alone()).open(&self.audit)
    }

    /// Leaves the newest lines, from the first that begins in the last [`AUDIT_KEPT`] bytes.
    fn cut_audit(&self, audit: &File, length: u64) -> io::Result<()> {
        let mut audit = audit;
        audit.seek(SeekFrom::Start(length - AUDIT_KEPT))?;
        let mut is_inside = false;
        self.replace(&self.audit, |new| {
            let mut piece = [0; PIECE];
            let mut rest = audit.take(AUDIT_KEPT);
            loop {
                let count = match rest.read(&mut piece) {
                    Ok(0) => return Ok(()),
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                let start = match piece[..count].iter().position(|&byte| byte == b'\n') {
                    _ if is_inside => 0,
                    Some(end) => end + 1,
                    None => continue,
                };
                is_inside = true;
                new.write_all(&piece[start..count])?;
            }
        })
    }

    fn keep_good(&self, text: &str, has_good: bool) -> io::Result<()> {
        if text.len() > CONFIG_FILE_BYTES {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.write_new(|new| new.write_all(text.as_bytes()))?;
        if has_good {
            // A second name, so that there is a good copy at every moment.
            remove(&self.old)?;
            match std::fs::hard_link(&self.good, &self.old) {
                Ok(()) => std::fs::rename(&self.old, &self.before)?,
                // FAT has one name a file; its moment without a good copy is bridged by the one before.
                // Who has removed it has nothing to roll back to, and gets the new one all the same.
                Err(_) => std::fs::rename(&self.good, &self.before).or_else(if_found)?,
            }
            // Left where both were one file already, after a power cut at this place.
            remove(&self.old)?;
        }
        std::fs::rename(&self.new, &self.good)?;
        self.sync_folder()
    }

    /// Puts what `write` writes in the place of `target`.
    fn replace(&self, target: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        self.write_new(write)?;
        std::fs::rename(&self.new, target)?;
        self.sync_folder()
    }

    /// Writes the file beside, to the disk. What fails leaves nothing behind.
    fn write_new(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        remove(&self.new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.new)?;
        write(&mut file).and_then(|()| file.sync_all()).inspect_err(|_| {
            // The error that is told is the first one.
            let _ = remove(&self.new);
        })
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// The end of the audit, as far as it may be long; makes the file where there is none, which shows that the folder may be written.
fn read_audit(paths: &Paths) -> io::Result<Vec<u8>> {
    let mut file = paths.open_audit()?;
    let start = file.metadata()?.len().saturating_sub(AUDIT_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut audit = Vec::new();
    file.take(AUDIT_BYTES).read_to_end(&mut audit)?;
    if start > 0 {
        // Longer than we ever make it: the first line may have lost its beginning, and a number's end is a number too.
        let first = audit.iter().position(|&byte| byte == b'\n').map_or(audit.len(), |end| end + 1);
        audit.drain(..first);
    }
    Ok(audit)
}

/// Whether the audit ends in the middle of a line.
fn is_torn(audit: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    audit.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

fn push(line: &mut heapless::Vec<u8, { LINE_BYTES + TORN.len() }>, bytes: &[u8]) {
    line.extend_from_slice(bytes).expect("a torn line's end and a line are as long as the room");
}

/// A whole file as text; `None` where it is missing, empty, longer than `room` or not UTF-8.
fn text<'r>(path: &Path, room: &'r mut [u8]) -> Option<&'r str> {
    let mut file = OpenOptions::new().read(true).custom_flags(ours_alone()).open(path).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok().filter(|length| (1..=room.len()).contains(length))?;
    let bytes = &mut room[..length];
    file.read_exact(bytes).ok()?;
    core::str::from_utf8(bytes).ok()
}

/// Removes a file, where it is.
fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path).or_else(if_found)
}

/// Every error but that a file is not there.
fn if_found(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A link in the state directory leads to a file that is not ours, and a pipe would keep us waiting.
fn ours_alone() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed()
}

#[cfg(test)]
mod tests;
