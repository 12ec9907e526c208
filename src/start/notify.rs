//! What the service manager is told (sd_notify(3)): a datagram with a line for each fact. Where there is none, nobody is told.

use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use crate::job::Micros;

/// Bytes of the text that `systemctl status` shows.
pub const STATUS_BYTES: usize = 200;
/// Between two texts.
const STATUS_PAUSE: Micros = 1_000_000;

/// The way to the service manager.
pub(super) struct Notify {
    socket: Option<UnixDatagram>,
    /// What could not be said yet, because the service manager's queue was full.
    owed: Option<Fact>,
    status: heapless::String<STATUS_BYTES>,
    status_at: Option<Micros>,
}

/// What it is told of once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Ready,
    Reloading,
    Stopping,
}

impl Notify {
    /// Connects to the socket that $NOTIFY_SOCKET names: a path, or behind an `@` a name without a file. Connected now, because the sandbox
    /// lets nobody connect.
    pub(super) fn from_environment() -> Notify {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let connected = connect(name.as_bytes());
            connected.inspect_err(|error| log::warn!("the service manager is told nothing: {}: {error}", name.display())).ok()
        });
        Notify { socket, owed: None, status: heapless::String::new(), status_at: None }
    }

    /// A second way there, for who feeds the watchdog.
    pub(super) fn second(&self) -> Option<UnixDatagram> {
        self.socket.as_ref()?.try_clone().ok()
    }

    /// It serves; also after a reload.
    pub(super) fn ready(&mut self) {
        self.tell(Fact::Ready);
    }

    /// It begins to read its configuration again; [`Notify::ready`] says that it is done, however that ended.
    pub(super) fn reloading(&mut self) {
        self.tell(Fact::Reloading);
    }

    /// It takes nothing new; once is enough.
    pub(super) fn stopping(&mut self) {
        self.tell(Fact::Stopping);
    }

    /// Says how it is, in one line, when that has changed, and at most once a second. Longer text is cut off.
    pub(super) fn status(&mut self, text: &str, now: Micros) {
        if let Some(fact) = self.owed {
            self.tell(fact);
        }
        let text = text.lines().next().unwrap_or_default();
        let text = &text[..text.floor_char_boundary(STATUS_BYTES)];
        let early = self.status_at.is_some_and(|last| now < last + STATUS_PAUSE);
        if self.socket.is_none() || early || self.status == text {
            return;
        }
        let mut message: heapless::String<{ STATUS_BYTES + 16 }> = heapless::String::new();
        let written = write!(message, "STATUS={text}");
        debug_assert!(written.is_ok(), "there is room for the longest");
        if self.send(&message) {
            self.status.clear();
            // It was cut to fit.
            let _ = self.status.push_str(text);
            self.status_at = Some(now);
        }
    }

    fn tell(&mut self, fact: Fact) {
        // Longest with the time of a reload, which systemd before 253 does not need and later ones insist on.
        let mut message: heapless::String<64> = heapless::String::new();
        let written = match fact {
            Fact::Ready => message.push_str("READY=1").map_err(|_| std::fmt::Error),
            Fact::Reloading => write!(message, "RELOADING=1\nMONOTONIC_USEC={}", monotonic()),
            Fact::Stopping => message.push_str("STOPPING=1").map_err(|_| std::fmt::Error),
        };
        debug_assert!(written.is_ok(), "there is room for the longest");
        self.owed = (!self.send(&message)).then_some(fact);
    }

    /// Whether it is said, or can never be.
    fn send(&self, message: &str) -> bool {
        match self.socket.as_ref().map(|socket| socket.send(message.as_bytes())) {
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => false,
            // A service manager that is gone hears of nothing; that is not ours to mend.
            Some(_) | None => true,
        }
    }
}

fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

/// How long the service manager's watchdog waits, where it watches this process ($WATCHDOG_USEC, $WATCHDOG_PID).
pub(super) fn watchdog() -> Option<Micros> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|&micros| ours && micros > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Notify, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Notify { socket: Some(ours), owed: None, status: heapless::String::new(), status_at: None }, theirs)
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 512];
        socket.recv(&mut bytes).ok().map(|count| String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    #[test]
    fn a_status_is_told_when_it_changes_and_once_a_second() {
        let (mut notify, manager) = pair();
        notify.status("serving", 0);
        notify.status("serving", 5_000_000);
        assert_eq!((heard(&manager).as_deref(), heard(&manager)), (Some("STATUS=serving"), None));
        notify.status("busy\nREADY=1", 5_000_000);
        notify.status("busier", 5_999_999);
        assert_eq!((heard(&manager).as_deref(), heard(&manager)), (Some("STATUS=busy"), None), "one line, and not so soon again");
        notify.status(&"ä".repeat(150), 6_000_000);
        assert_eq!(heard(&manager), Some(format!("STATUS={}", "ä".repeat(100))));
        notify.status(&"ä".repeat(150), 9_000_000);
        assert_eq!(heard(&manager), None, "what is cut off is no change");
    }

    #[test]
    fn what_a_full_queue_does_not_take_is_said_later() {
        let (mut notify, manager) = pair();
        let filler = notify.second().unwrap();
        while filler.send(b"X").is_ok() {}
        notify.ready();
        while heard(&manager).is_some_and(|text| text == "X") {}
        assert_eq!(heard(&manager), None);
        notify.status("serving", 0);
        assert_eq!((heard(&manager).as_deref(), heard(&manager).as_deref()), (Some("READY=1"), Some("STATUS=serving")));
    }
}
