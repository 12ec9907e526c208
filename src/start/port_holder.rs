//! Why an address cannot be listened on: who holds it, where /proc tells, and what to do about it.
//!
//! Everything here is for a message: what cannot be found out is left out.

mod proc;
mod unix_socket;

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;

use super::address::Address;
use super::{Exit, StartError, shell_word};

pub use self::unix_socket::claim;

/// Ports tried to find a free one to suggest.
const PORTS_TRIED: u16 = 20;

/// Addresses of this machine that a message lists.
const ADDRESSES_SHOWN: usize = 6;

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its name, as the kernel keeps it (at most 15 bytes).
    pub(crate) comm: String,
    /// Its process id.
    pub(crate) pid: u32,
}

/// Turns the error of a bind or listen on `address` into one that says what to do; `served` is what stood behind the options
/// on the command line (`data.db`, `--demo`), quoted for a shell. Exit code 69.
pub fn explain(address: &Address, error: &io::Error, served: &str) -> StartError {
    match address {
        Address::Tcp(tcp) => explain_tcp(*tcp, error, served, |port| is_free(*tcp, port)),
        Address::Unix(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.map_or_else(|| ".".to_owned(), shell_word);
            refuse(format!("{address}: cannot be listened on: {error}"), &[format!("ls -ld {folder}"), other(8080, served)])
        }
    }
}

fn refuse(what: String, remedies: &[String]) -> StartError {
    StartError::new(Exit::Address, what, remedies)
}

/// The command line with another port.
fn other(port: u16, served: &str) -> String {
    format!("flagstone -l {port} {served}")
}

/// The command line with another port of the same address.
fn same_ip(tcp: SocketAddr, port: u16, served: &str) -> String {
    let text = match tcp {
        SocketAddr::V4(v4) if v4.ip().is_loopback() => port.to_string(),
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!(":{port}"),
        _ => SocketAddr::new(tcp.ip(), port).to_string(),
    };
    format!("flagstone -l {text} {served}")
}

fn explain_tcp(tcp: SocketAddr, error: &io::Error, served: &str, free: impl Fn(u16) -> bool) -> StartError {
    let port = tcp.port();
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => {
            let by = match proc::holder_of_tcp(tcp) {
                Some(holder) => format!("{} (pid {})", holder.comm, holder.pid),
                None => "another process, which only root may see".to_owned(),
            };
            let next = (port.saturating_add(1)..=port.saturating_add(PORTS_TRIED)).find(|port| free(*port));
            let who = format!("sudo ss -ltnp 'sport = :{port}'");
            refuse(format!("{tcp} is taken by {by}"), &[same_ip(tcp, next.unwrap_or(0), served), who])
        }
        Some(Errno::ACCESS | Errno::PERM) if port < 1024 && port > 0 => {
            let uid = rustix::process::geteuid().as_raw();
            let what = format!("{tcp}: ports below 1024 are for root, and we run as uid {uid}");
            let grant = "sudo setcap cap_net_bind_service=+ep \"$(command -v flagstone)\"   # then start again";
            refuse(what, &[same_ip(tcp, 8080, served), grant.to_owned()])
        }
        Some(Errno::ADDRNOTAVAIL) => {
            let mut addresses = proc::local_addresses();
            let all = addresses.len();
            addresses.truncate(ADDRESSES_SHOWN);
            let mut what = format!("{tcp}: this machine does not have the address {}", tcp.ip());
            if !addresses.is_empty() {
                let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                what.push_str(&format!("; it has {}", shown.join(", ")));
                if all > ADDRESSES_SHOWN {
                    what.push_str(&format!(" and {} more", all - ADDRESSES_SHOWN));
                }
            }
            let every = format!("flagstone -l :{port} {served}   # every address of this machine");
            refuse(what, &[every, other(port, served)])
        }
        Some(Errno::AFNOSUPPORT) => {
            let family = if tcp.is_ipv6() { "IPv6" } else { "IPv4" };
            refuse(format!("{tcp}: this machine has {family} switched off"), &[other(port, served)])
        }
        _ => refuse(format!("{tcp}: cannot be listened on: {error}"), &[same_ip(tcp, 0, served)]),
    }
}

/// Whether `port` could be listened on at this moment.
fn is_free(tcp: SocketAddr, port: u16) -> bool {
    TcpListener::bind(SocketAddr::new(tcp.ip(), port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> io::Error {
        io::Error::from(errno)
    }

    fn message(address: &str, errno: Errno) -> String {
        let Ok(Address::Tcp(tcp)) = address.parse() else { panic!("{address}") };
        let error = explain_tcp(tcp, &error(errno), "data.db", |port| port % 10 == 2);
        assert_eq!(error.exit, 69);
        error.message
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let tcp = listener.local_addr().expect("an address");
        let taken = TcpListener::bind(tcp).expect_err("taken");
        let error = explain(&Address::Tcp(tcp), &taken, "'my data.db'");
        let pid = std::process::id();
        let begin = format!("{tcp} is taken by ");
        assert!(error.message.starts_with(&begin), "{error}");
        assert!(error.message.contains(&format!("(pid {pid})")), "{error}");
        assert!(error.message.contains("\n  try: flagstone -l ") && error.message.contains(" 'my data.db'"), "{error}");
        let tried = error.message.split("flagstone -l ").nth(1).and_then(|rest| rest.split(' ').next());
        let tried: u16 = tried.and_then(|text| text.parse().ok()).expect("a port");
        assert!(tried == 0 || tried > tcp.port(), "{error}");
    }

    #[test]
    fn a_listener_on_every_interface_holds_each_of_them() {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for ip in ["127.0.0.1", "0.0.0.0"] {
            let tcp: SocketAddr = format!("{ip}:{port}").parse().expect("an address");
            let holder = proc::holder_of_tcp(tcp).expect("found");
            assert_eq!(holder.pid, std::process::id(), "{ip}");
        }
    }

    #[test]
    fn the_next_free_port_is_offered() {
        let cases = [
            ("127.0.0.1:47825", "try: flagstone -l 47832 data.db"),
            ("0.0.0.0:47825", "try: flagstone -l :47832 data.db"),
            ("[::1]:47825", "try: flagstone -l [::1]:47832 data.db"),
            ("127.0.0.1:65535", "try: flagstone -l 0 data.db"),
        ];
        for (address, typed) in cases {
            let message = message(address, Errno::ADDRINUSE);
            assert!(message.contains(typed), "{message}");
            assert!(message.contains("is taken by"), "{message}");
        }
    }

    #[test]
    fn a_low_port_has_two_remedies() {
        let message = message("0.0.0.0:80", Errno::ACCESS);
        for essential in ["0.0.0.0:80", "below 1024", "uid ", "try: flagstone -l :8080 data.db", "or:  sudo setcap"] {
            assert!(message.contains(essential), "{message}");
        }
        let high = self::message("0.0.0.0:8080", Errno::ACCESS);
        assert!(!high.contains("1024") && high.contains("try: flagstone -l :0 data.db"), "{high}");
    }

    #[test]
    fn an_address_of_another_machine_leads_to_our_own() {
        let tcp: SocketAddr = "192.0.2.1:8080".parse().expect("an address");
        let foreign = TcpListener::bind(tcp).expect_err("not ours");
        let message = explain(&Address::Tcp(tcp), &foreign, "--demo").message;
        for essential in ["does not have the address 192.0.2.1", "it has 127.0.0.1", "try: flagstone -l :8080 --demo"] {
            assert!(message.contains(essential), "{message}");
        }
    }

    #[test]
    fn every_other_error_ends_with_something_to_type() {
        let message = message("[::1]:8080", Errno::AFNOSUPPORT);
        assert!(message.contains("IPv6 switched off") && message.contains("try: flagstone -l 8080"), "{message}");
        let unix = explain(&Address::Unix("/nowhere/s".into()), &error(Errno::NOENT), "data.db");
        assert!(unix.message.contains("unix:/nowhere/s") && unix.message.contains("try: ls -ld /nowhere"), "{unix}");
    }
}
