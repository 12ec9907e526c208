//! `--ready`: asks a running server whether it is ready. A client of a few lines, so that a health check needs no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::address::Address;

/// For connecting, and again for the whole answer: a health check that hangs is worse than one that fails.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most of an answer that is read; `/-/ready` answers with less than 1 KB.
const ANSWER_BYTES: usize = 4096;

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(std::path::PathBuf),
}

/// A connection of either kind.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Asks `/-/ready` of `url` (`http://ADDRESS:PORT`, `ADDRESS:PORT`, `unix:PATH`, ADDRESS an IP address or `localhost`; by default `http://127.0.0.1:8080`).
///
/// Returns the exit code (0 ready, 1 not ready or not there, 64 a URL that cannot be asked) and one line about it.
/// Takes at most about four seconds.
pub fn ready(url: Option<&str>) -> (u8, String) {
    let url = url.unwrap_or("http://127.0.0.1:8080");
    let (target, host) = match target(url) {
        Ok(target) => target,
        Err(message) => return (64, message),
    };
    match ask(&target, &host) {
        Ok(answer) => verdict(url, &answer),
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer within 2 s".to_owned(),
                io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
                io::ErrorKind::NotFound => "there is no such socket".to_owned(),
                _ => error.to_string(),
            };
            (1, format!("not ready: {url}: {why}"))
        }
    }
}

/// What to connect to, and what the Host header says.
fn target(url: &str) -> Result<(Target, String), String> {
    let wrong = |why: &str| format!("{url}: {why}; try: flagstone --ready http://127.0.0.1:8080");
    if strip_scheme(url, "https://").is_some() {
        return Err(wrong("flagstone speaks no TLS; ask it behind the proxy"));
    }
    if url.starts_with("unix:") {
        return match url.parse() {
            Ok(Address::Unix(path)) => Ok((Target::Unix(path), "localhost".to_owned())),
            Ok(Address::Tcp(_)) => Err(wrong("not a Unix socket")),
            Err(error) => Err(format!("{url}: {error}; try: flagstone --ready {}", error.suggestion())),
        };
    }
    let with_scheme = strip_scheme(url, "http://");
    let rest = with_scheme.unwrap_or(url);
    if rest.contains("://") {
        return Err(wrong("only http is spoken"));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(path, "" | "-/ready") {
        return Err(wrong("--ready asks /-/ready, no other path"));
    }
    if let Ok(Address::Tcp(address)) = authority.parse() {
        return Ok((Target::Tcp(address), address.to_string()));
    }
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => (name, port),
        // Without a port, http:// means 80 as everywhere; without a scheme nothing says what is meant.
        _ if with_scheme.is_some() => (authority, "80"),
        _ => return Err(wrong("the port is missing")),
    };
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("the port is out of range 1-65535"))?;
    // A static binary cannot look a name up (glibc would load its resolver from the machine it runs on), and this one is small for it.
    let ip = match name {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => name.trim_start_matches('[').trim_end_matches(']').parse(),
    };
    match ip {
        Ok(ip) => Ok((Target::Tcp(SocketAddr::new(ip, port)), authority.to_owned())),
        Err(_) => Err(wrong("names are not looked up; name an IP address")),
    }
}

/// Schemes are case-insensitive (RFC 3986 §3.1).
fn strip_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let head = url.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
}

fn ask(target: &Target, host: &str) -> io::Result<Vec<u8>> {
    let mut stream = connect(target)?;
    stream.set_timeout(TIMEOUT)?;
    let request = format!("GET /-/ready HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let end = Instant::now() + TIMEOUT;
    let mut answer = vec![0; ANSWER_BYTES];
    let mut length = 0;
    // Bounded by ANSWER_BYTES, and by the deadline against a server that trickles.
    while length < answer.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_timeout(left)?;
        match stream.read(&mut answer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    answer.truncate(length);
    Ok(answer)
}

fn connect(target: &Target) -> io::Result<Stream> {
    match target {
        Target::Tcp(address) => TcpStream::connect_timeout(address, TIMEOUT).map(Stream::Tcp),
        Target::Unix(path) => {
            // std's UnixStream::connect waits without end for room in a full backlog.
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
            socket.connect_timeout(&socket2::SockAddr::unix(path)?, TIMEOUT)?;
            Ok(Stream::Unix(socket.into()))
        }
    }
}

impl Stream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_write_timeout(Some(timeout))?;
                stream.set_read_timeout(Some(timeout))
            }
            Stream::Unix(stream) => {
                stream.set_write_timeout(Some(timeout))?;
                stream.set_read_timeout(Some(timeout))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

fn verdict(url: &str, answer: &[u8]) -> (u8, String) {
    match status(answer) {
        Some(200) => (0, format!("ready: {url}")),
        Some(503) => (1, format!("not ready: {url} answered 503{}", reason(answer))),
        Some(status) => (1, format!("not ready: {url} answered {status}; is it another server?")),
        None if answer.is_empty() => (1, format!("not ready: {url} closed without an answer")),
        None => (1, format!("not ready: {url} does not answer with HTTP")),
    }
}

/// The code of the status line (RFC 9112 §4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    // Nothing but a space or the line's end may follow: "2000" is no 200.
    if !matches!(rest.get(3), None | Some(b' ' | b'\r')) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The body's first line, after a colon and at most 200 characters long: what another machine sent goes to a terminal.
fn reason(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let line: String = body.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Answers one connection with `answer` and returns what was asked.
    fn serve_once(answer: &'static [u8]) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).expect("a request");
            stream.write_all(answer).expect("sent");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (url, asked)
    }

    #[test]
    fn the_exit_code_follows_the_status() {
        let cases: [(&[u8], u8, &str); 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", 0, "ready: http://"),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno database\nx", 1, "answered 503: no database"),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1, "answered 503"),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", 1, "answered 404; is it another server?"),
            (b"HTTP/1.1 2000 Odd\r\n\r\n", 1, "does not answer with HTTP"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 1, "does not answer with HTTP"),
            (b"", 1, "closed without an answer"),
        ];
        for (answer, code, essential) in cases {
            let (url, asked) = serve_once(answer);
            let (exit, line) = ready(Some(&url));
            assert_eq!(exit, code, "{line}");
            assert!(line.contains(essential), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
            let asked = asked.join().expect("the server ended");
            assert!(asked.starts_with("GET /-/ready HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
            assert!(asked.ends_with("\r\n\r\n"), "{asked}");
        }
    }

    #[test]
    fn a_reason_cannot_write_to_the_terminal() {
        assert_eq!(reason(b"HTTP/1.1 503 x\r\n\r\n\x1b[2Jgone\nmore"), ": [2Jgone");
    }

    #[test]
    fn a_unix_socket_can_be_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let url = format!("unix:{}", path.display());
        assert_eq!(ready(Some(&url)).0, 1);
        assert!(ready(Some(&url)).1.contains("no such socket"));
        let listener = UnixListener::bind(&path).expect("bound");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let _ = stream.read(&mut request).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("sent");
        });
        assert_eq!(ready(Some(&url)), (0, format!("ready: {url}")));
        server.join().expect("the server ended");
        assert!(ready(Some(&url)).1.contains("nothing listens there"));
    }

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = listener.local_addr().expect("an address").to_string();
        let begin = Instant::now();
        let (exit, line) = ready(Some(&url));
        assert_eq!(exit, 1);
        assert!(line.contains("no answer within 2 s"), "{line}");
        assert!(begin.elapsed() < TIMEOUT * 2);
    }

    #[test]
    fn nothing_there_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let (exit, line) = ready(Some(&url));
        assert_eq!((exit, line), (1, format!("not ready: {url}: nothing listens there")));
    }

    #[test]
    fn urls_are_understood_in_every_form() {
        let tcp = |text: &str| Target::Tcp(text.parse().expect("an address"));
        let cases = [
            ("http://127.0.0.1:8080", tcp("127.0.0.1:8080")),
            ("HTTP://127.0.0.1:8080/", tcp("127.0.0.1:8080")),
            ("127.0.0.1:81/-/ready", tcp("127.0.0.1:81")),
            ("http://[::1]:81", tcp("[::1]:81")),
            ("http://[::1]", tcp("[::1]:80")),
            ("http://10.0.0.1", tcp("10.0.0.1:80")),
            ("localhost:8080", tcp("127.0.0.1:8080")),
            ("8080", tcp("127.0.0.1:8080")),
            ("http://localhost", tcp("127.0.0.1:80")),
            ("unix:/run/s", Target::Unix("/run/s".into())),
        ];
        for (url, expected) in cases {
            assert_eq!(target(url).map(|(target, _)| target), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_a_usage_error() {
        let cases = [
            ("https://pi:8443/x", "no TLS", "flagstone --ready http://127.0.0.1:8080"),
            ("ftp://pi", "only http", "flagstone --ready http://127.0.0.1:8080"),
            ("pi.local", "port is missing", "flagstone --ready http://127.0.0.1:8080"),
            ("pi:99999", "out of range", "flagstone --ready http://127.0.0.1:8080"),
            ("http://pi:80/tables", "no other path", "flagstone --ready http://127.0.0.1:8080"),
            ("http://a\r\nb:80", "names are not looked up", "flagstone --ready http://127.0.0.1:8080"),
            ("http://pi.local", "name an IP address", "flagstone --ready http://127.0.0.1:8080"),
            ("pi.local:8080", "name an IP address", "flagstone --ready http://127.0.0.1:8080"),
            ("unix:", "path is missing", "flagstone --ready unix:/run/flagstone.sock"),
        ];
        for (url, essential, typed) in cases {
            let (exit, line) = ready(Some(url));
            assert_eq!(exit, 64, "{url}");
            assert!(line.contains(essential), "{line}");
            assert!(line.ends_with(typed), "{line}");
        }
    }
}
