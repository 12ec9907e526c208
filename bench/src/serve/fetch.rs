//! One blocking GET, for readiness and metrics.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::load::response::{End, Parser, Reply};

/// Longest wait for connecting and for each read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest body; a page of metrics is a hundredth of it.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Status and body of a GET.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    get_within(PATIENCE, address, path)
}

/// The same, with a longer or shorter wait for each read.
pub fn get_within(patience: Duration, address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = ask(patience, address, path)?;
    let (mut parser, mut body, mut buffer) = (Parser::default(), Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return match parser.end() {
                End::Complete(reply) => Ok((reply.status, body)),
                End::Between | End::InHead | End::InBody => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let fed = parser.feed(&buffer[..count], false, |data| body.extend_from_slice(data));
        match fed {
            Ok((_, Some(Reply { status, .. }))) => return Ok((status, body)),
            Ok((_, None)) if body.len() <= BODY_MAX => {}
            Ok((_, None)) => {
                return Err(io::Error::other(format!("{path}: the body passes {BODY_MAX} bytes")));
            }
            Err(error) => {
                return Err(io::Error::other(format!("{path}: malformed reply: {error:?}")));
            }
        }
    }
}

fn ask(patience: Duration, address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

/// The value of a field of a GET's answer.
pub fn field(address: SocketAddr, path: &str, name: &str) -> io::Result<Option<String>> {
    let mut answer = Vec::new();
    ask(PATIENCE, address, path)?.take(BODY_MAX as u64).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let of = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok(head.lines().filter_map(of).find(|(found, _)| found == name).map(|(_, value)| value))
}

/// The value of a metric without labels (Prometheus text format 0.0.4).
pub fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# TYPE a_total counter\na_total_more 1\na_total{x=\"y\"} 2\na_total 3 1700000000\n";
        assert_eq!((metric(page, "a_total"), metric(page, "a")), (Some(3.0), None));
    }
}
