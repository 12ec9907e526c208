//! The command line of `load`, checked whole before the first connection is made.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::*;

use super::target::{self, Address, Target};

/// Most connections; 127.0.0.1 alone has about 28,000 ports to give.
const CONNECTIONS_MAX: usize = 20_000;
/// Deepest pipeline.
const DEPTH_MAX: usize = 64;
/// Longest run.
const SECONDS_MAX: f64 = 600.0;
/// Most source addresses: 127.0.0.2 to 127.0.0.251.
const SOURCES_MAX: u8 = 250;
/// Fastest open loop; one thread cannot send more anyway.
const RATE_MAX: f64 = 10_000_000.0;

/// `bench load --help`.
pub const HELP: &str = "\
bench load: an HTTP/1.1 load driver for servers on this machine

    bench load http://127.0.0.1:8080/tables
    bench load -c 200 -p 16 -t 10 http://127.0.0.1:8080/-/health
    bench load -r 5000 --path /tables http://127.0.0.1:8080/tables/readings/1
    bench load unix:/run/flagstone.sock:/tables --json

    URL...                 http://LOOPBACK[:PORT]/path or unix:PATH:/path; several of one server are mixed round-robin
    -c, --connections N    connections, 1 to 20000 (50); the limit on descriptors is raised as far as it goes
    -n, --requests N       end after N requests (and after 600 s at the latest)
    -t, --seconds S        end after S seconds, at most 600 (5, unless -n is given)
    -p, --pipeline DEPTH   requests in flight on one connection, 1 to 64 (1)
    -r, --rate R           open loop: R requests a second by the clock, each latency measured from the moment at which
                           it was due, so that a stall counts for all whom it kept waiting. Without it: a closed
                           loop, each connection waits for its replies, and latencies are service times
    -H 'Name: value'       adds a header; Host and Content-Length replace the driver's own
    -X METHOD              the method (GET, or POST with --body)
        --body TEXT        the body of each request
        --path /x          one more path, mixed round-robin with the others
        --bind-sources K   spread connections over 127.0.0.2 .. 127.0.0.(K+1), to get past limits for one client
        --no-keep-alive    a new connection for each request; the latency includes connecting
        --expect CODE      these statuses are right and all others wrong: 200 or 200,503 (any 2xx or 3xx)
        --timeout S        longest wait for a connection or a reply, at most 60 (10)
        --json             the summary as one line of JSON
    -h, --help

Exit: 0 all well; 1 an error, or a status that was not expected; 64 usage, which includes a target elsewhere.
";

/// What is wrong with the command line; exit 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage(pub String);

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Usage {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// One run's parameters.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to connect to.
    pub address: Address,
    /// Paths, mixed round-robin.
    pub paths: Vec<String>,
    /// Each path's request, ready to be sent.
    pub requests: Vec<Vec<u8>>,
    /// Connections.
    pub connections: usize,
    /// Requests after which the run ends.
    pub limit: Option<u64>,
    /// Time after which no request is due any more.
    pub duration: Duration,
    /// Requests in flight on one connection.
    pub depth: usize,
    /// Requests a second; None is the closed loop.
    pub rate: Option<f64>,
    /// The method is HEAD: replies have no body.
    pub head_only: bool,
    /// Source addresses to spread over; 0 leaves it to the kernel.
    pub sources: u8,
    /// Connections live on.
    pub keep_alive: bool,
    /// Statuses that are right; empty means 2xx and 3xx.
    pub expect: Vec<u16>,
    /// Longest wait for a connection or a reply.
    pub timeout: Duration,
    /// Print JSON.
    pub json: bool,
}

impl Options {
    /// Whether a reply with this status is a success.
    pub fn expects(&self, status: u16) -> bool {
        if self.expect.is_empty() { (200..400).contains(&status) } else { self.expect.contains(&status) }
    }
}

#[derive(Default)]
struct Draft {
    urls: Vec<String>,
    paths: Vec<String>,
    headers: Vec<String>,
    method: Option<String>,
    body: String,
    connections: Option<usize>,
    limit: Option<u64>,
    seconds: Option<f64>,
    depth: Option<usize>,
    rate: Option<f64>,
    sources: u8,
    no_keep_alive: bool,
    expect: Vec<u16>,
    timeout: Option<f64>,
    json: bool,
}

/// Reads the arguments after `load`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut draft = Draft::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('c') | Long("connections") => draft.connections = Some(number(&mut parser, 1, CONNECTIONS_MAX)?),
            Short('n') | Long("requests") => draft.limit = Some(number(&mut parser, 1, u64::MAX)?),
            Short('t') | Long("seconds") => draft.seconds = Some(number(&mut parser, 0.001, SECONDS_MAX)?),
            Short('p') | Long("pipeline") => draft.depth = Some(number(&mut parser, 1, DEPTH_MAX)?),
            Short('r') | Long("rate") => draft.rate = Some(number(&mut parser, 0.1, RATE_MAX)?),
            Short('H') => draft.headers.push(parser.value()?.string()?),
            Short('X') => draft.method = Some(parser.value()?.string()?),
            Long("body") => draft.body = parser.value()?.string()?,
            Long("path") => draft.paths.push(target::checked_path(&parser.value()?.string()?)?),
            Long("bind-sources") => draft.sources = number(&mut parser, 1, SOURCES_MAX)?,
            Long("no-keep-alive") => draft.no_keep_alive = true,
            Long("expect") => draft.expect.extend(codes(&parser.value()?.string()?)?),
            Long("timeout") => draft.timeout = Some(number(&mut parser, 0.01, 60.0)?),
            Long("json") => draft.json = true,
            Value(url) => draft.urls.push(url.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    draft.finish().map(Some)
}

impl Draft {
    fn finish(mut self) -> Result<Options, Usage> {
        let targets = self.targets()?;
        let (address, authority) = (targets[0].address.clone(), targets[0].authority.clone());
        let paths: Vec<String> = targets.into_iter().map(|target| target.path).chain(self.paths.drain(..)).collect();
        let method = self.method.take().unwrap_or(if self.body.is_empty() { "GET" } else { "POST" }.to_owned());
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Usage(format!("{method:?}: a method is a word")));
        }
        let head = self.head(&authority)?;
        let requests = paths.iter().map(|path| format!("{method} {path} HTTP/1.1\r\n{head}\r\n{}", self.body).into_bytes());
        let seconds = match (self.seconds, self.limit) {
            (Some(seconds), _) => seconds,
            (None, Some(_)) => SECONDS_MAX,
            (None, None) => 5.0,
        };
        Ok(Options {
            requests: requests.collect(),
            address,
            paths,
            connections: self.connections.unwrap_or(50),
            limit: self.limit,
            duration: Duration::from_secs_f64(seconds),
            depth: self.depth.unwrap_or(1),
            rate: self.rate,
            head_only: method == "HEAD",
            sources: self.sources,
            keep_alive: !self.no_keep_alive,
            expect: self.expect,
            timeout: Duration::from_secs_f64(self.timeout.unwrap_or(10.0)),
            json: self.json,
        })
    }

    /// The URLs taken apart, at least one; what contradicts them is refused.
    fn targets(&self) -> Result<Vec<Target>, Usage> {
        let mut targets = Vec::new();
        for url in &self.urls {
            targets.push(target::parse(url)?);
        }
        let Some(first) = targets.first() else {
            return Err(Usage("no target; try: bench load http://127.0.0.1:8080/".to_owned()));
        };
        if let Some(other) = targets.iter().find(|target| target.address != first.address) {
            return Err(Usage(format!("{} and {}: one run loads one server", first.address, other.address)));
        }
        let ipv4 = matches!(first.address, Address::Tcp(address) if address.is_ipv4());
        if self.sources > 0 && !ipv4 {
            return Err(Usage("--bind-sources is for IPv4 targets: 127.0.0.0/8 has many addresses".to_owned()));
        }
        if self.no_keep_alive && self.depth.is_some_and(|depth| depth > 1) {
            return Err(Usage("--no-keep-alive and --pipeline exclude each other".to_owned()));
        }
        Ok(targets)
    }

    fn head(&self, authority: &str) -> Result<String, Usage> {
        let (mut head, mut hosted, mut measured) = (String::new(), false, false);
        for header in &self.headers {
            let name = header.split_once(':').map_or("", |(name, _)| name);
            if name.is_empty() || name.contains(char::is_whitespace) || header.contains(char::is_control) {
                return Err(Usage(format!("{header:?}: a header is 'Name: value'")));
            }
            hosted |= name.eq_ignore_ascii_case("host");
            measured |= name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !hosted {
            head.insert_str(0, &format!("Host: {authority}\r\n"));
        }
        if !measured && !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if self.no_keep_alive {
            head.push_str("Connection: close\r\n");
        }
        Ok(head)
    }
}

/// The next value as a number within bounds.
fn number<T>(parser: &mut lexopt::Parser, least: T, most: T) -> Result<T, Usage>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let text = parser.value()?.string()?;
    match text.parse::<T>() {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => Err(Usage(format!("{text}: a number from {least} to {most} is wanted"))),
    }
}

fn codes(text: &str) -> Result<Vec<u16>, Usage> {
    let code = |code: &str| code.trim().parse().ok().filter(|code| (200..=999).contains(code));
    text.split(',').map(code).collect::<Option<_>>().ok_or_else(|| Usage(format!("{text}: --expect 200 or 200,404")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Usage> {
        parse(line.split(' ').map(OsString::from)).map(|options| options.expect("no --help here"))
    }

    #[test]
    fn a_bare_url_gives_the_bounded_defaults() {
        let options = parsed("http://127.0.0.1:8080/x").unwrap();
        assert_eq!((options.connections, options.depth, options.limit, options.rate), (50, 1, None, None));
        assert_eq!((options.duration, options.timeout), (Duration::from_secs(5), Duration::from_secs(10)));
        assert_eq!(options.requests, [b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"]);
        assert!(options.keep_alive && options.expects(304) && !options.expects(404));
    }

    #[test]
    fn requests_carry_method_headers_and_body() {
        let options = parsed("http://[::1]:1/a http://[::1]:1/b --path /c --body hey -H host:z -H A:b --no-keep-alive");
        let expected = "host:z\r\nA:b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhey";
        let expected = ["/a", "/b", "/c"].map(|path| format!("POST {path} HTTP/1.1\r\n{expected}").into_bytes());
        assert_eq!(options.unwrap().requests, expected);
    }

    #[test]
    fn expected_codes_replace_the_default() {
        let options = parsed("http://127.0.0.1/ --expect 503,404 -n 9").unwrap();
        assert!(options.expects(503) && options.expects(404) && !options.expects(200));
        assert_eq!((options.limit, options.duration), (Some(9), Duration::from_secs(600)));
    }

    #[test]
    fn what_is_out_of_bounds_or_contradicts_itself_is_refused() {
        let url = "http://127.0.0.1/";
        for line in [
            "-c 5",
            "http://10.0.0.1/",
            "http://127.0.0.1/ http://127.0.0.2/",
            &format!("{url} -c 0"),
            &format!("{url} -c 20001"),
            &format!("{url} -p 65"),
            &format!("{url} -t 601"),
            &format!("{url} -t NaN"),
            &format!("{url} -r 0"),
            &format!("{url} -n -1"),
            &format!("{url} --nothing"),
            &format!("{url} --path x"),
            &format!("{url} -H novalue"),
            &format!("{url} -X G\tT"),
            &format!("{url} --expect 20x"),
            &format!("{url} -p 2 --no-keep-alive"),
            "unix:/a:/b --bind-sources 2",
            "http://[::1]/ --bind-sources 2",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
