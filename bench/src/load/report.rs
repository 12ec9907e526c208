//! What a run saw, and how it is printed. Knows no socket.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::options::Options;
use crate::machine;

/// What can go wrong with a request or a connection; each kind is one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nobody listens.
    ConnectRefused,
    /// Any other failure to connect: no port left, no such socket.
    ConnectFailed,
    /// The connection was reset.
    Reset,
    /// No connection or reply within the timeout.
    Timeout,
    /// The server closed before or inside a reply's head.
    ClosedEarly,
    /// The reply is not HTTP.
    Malformed,
    /// The server closed inside a body whose length it had announced.
    ShortBody,
    /// Bytes came that no request had asked for.
    Unsolicited,
    /// A request was due and could not be sent before the run had to end.
    Unsent,
}

impl Fault {
    /// The name in the report and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect refused",
            Self::ConnectFailed => "connect failed",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::ClosedEarly => "closed early",
            Self::Malformed => "malformed response",
            Self::ShortBody => "short body",
            Self::Unsolicited => "unsolicited response",
            Self::Unsent => "never sent",
        }
    }
}

/// Longest latency that is told apart, in nanoseconds: the longest run and the longest timeout.
const LATENCY_MAX_NS: u64 = 700_000_000_000;
/// Significant digits kept of each latency.
const DIGITS: u8 = 3;
/// The percentiles that are printed.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The counts of one run.
#[derive(Debug)]
pub struct Tally {
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Time that it took to make all connections beforehand.
    pub setup: Duration,
    /// Replies by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// An example of each connect or reset failure, in the system's words.
    pub example: Option<String>,
    /// Bytes read, heads included.
    pub wire_bytes: u64,
    /// Bytes of bodies, chunk framing excluded.
    pub body_bytes: u64,
    /// Closes that a reply announced; the connection was made again.
    pub announced_closes: u64,
    /// Closes of a connection that had nothing to answer.
    pub idle_closes: u64,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// How late requests were sent, in nanoseconds (open loop).
    pub lag: Histogram<u64>,
    /// A signal ended the run.
    pub interrupted: bool,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS).expect("the bounds are constants in the allowed range")
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            setup: Duration::ZERO,
            statuses: BTreeMap::new(),
            faults: BTreeMap::new(),
            example: None,
            wire_bytes: 0,
            body_bytes: 0,
            announced_closes: 0,
            idle_closes: 0,
            latency: histogram(),
            lag: histogram(),
            interrupted: false,
        }
    }
}

impl Tally {
    /// Counts a failure.
    pub fn fault(&mut self, fault: Fault, count: u64) {
        if count > 0 {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    /// Replies received.
    pub fn replies(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Failures of every kind.
    pub fn failures(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Replies a second.
    pub fn rate(&self) -> f64 {
        per_second(self.replies(), self.elapsed)
    }

    /// A latency percentile in microseconds.
    pub fn latency_us(&self, percentile: f64) -> f64 {
        self.latency.value_at_percentile(percentile) as f64 / 1000.0
    }

    /// Nothing failed, every status was expected, and there was at least one reply.
    pub fn is_clean(&self, options: &Options) -> bool {
        self.failures() == 0 && self.replies() > 0 && self.statuses.keys().all(|&status| options.expects(status))
    }

    /// The report for people.
    pub fn text(&self, options: &Options) -> String {
        let mut out = String::new();
        let seconds = self.elapsed.as_secs_f64();
        if options.keep_alive {
            let (connections, took) = (options.connections, self.setup.as_secs_f64() * 1000.0);
            line(&mut out, "set-up", format_args!("{connections} connections in {took:.1} ms"));
        }
        line(&mut out, "requests", format_args!("{} in {seconds:.3} s", self.replies()));
        line(&mut out, "throughput", format_args!("{:.0} requests/s", self.rate()));
        let (wire, body) = (per_second(self.wire_bytes, self.elapsed), per_second(self.body_bytes, self.elapsed));
        line(&mut out, "bytes", format_args!("{wire:.0} bytes/s, of which bodies {body:.0}; {} in all", self.wire_bytes));
        line(&mut out, "latency us", format_args!("{}", percentiles(&self.latency)));
        if options.rate.is_some() {
            line(&mut out, "sent late us", format_args!("{} (the driver's own share)", percentiles(&self.lag)));
        }
        self.write_outcomes(&mut out, options);
        out
    }

    /// Statuses, failures and closes.
    fn write_outcomes(&self, out: &mut String, options: &Options) {
        for (status, count) in &self.statuses {
            let note = if options.expects(*status) { "" } else { "  <- not expected" };
            line(out, &format!("status {status}"), format_args!("{count}{note}"));
        }
        if self.failures() == 0 {
            line(out, "errors", format_args!("none"));
        }
        for (fault, count) in &self.faults {
            line(out, "error", format_args!("{}: {count}", fault.name()));
        }
        if let Some(example) = &self.example {
            line(out, "for example", format_args!("{example}"));
        }
        if self.announced_closes + self.idle_closes > 0 {
            let (announced, idle) = (self.announced_closes, self.idle_closes);
            line(out, "reconnects", format_args!("{announced} closes were announced, {idle} were of idle connections"));
        }
        if self.interrupted {
            line(out, "interrupted", format_args!("by a signal; the figures cover the time until then"));
        }
    }

    /// The report for programs, one line of JSON.
    pub fn json(&self, options: &Options) -> String {
        let mut out = String::from("{");
        let paths: Vec<String> = options.paths.iter().map(|path| quoted(path)).collect();
        let rate = options.rate.map_or("null".to_owned(), |rate| rate.to_string());
        let _ = write!(
            out,
            "\"target\":{},\"paths\":[{}],\"connections\":{},\"depth\":{},\"mode\":\"{}\",\"rate\":{rate},\"keep_alive\":{},\"machine\":{}",
            quoted(&options.address.to_string()),
            paths.join(","),
            options.connections,
            options.depth,
            if options.rate.is_some() { "open" } else { "closed" },
            options.keep_alive,
            quoted(machine::line()),
        );
        let _ = write!(
            out,
            ",\"requests\":{},\"seconds\":{:.6},\"setup_seconds\":{:.6},\"requests_per_second\":{:.3},\"wire_bytes\":{},\"body_bytes\":{},\"bytes_per_second\":{:.0}",
            self.replies(),
            self.elapsed.as_secs_f64(),
            self.setup.as_secs_f64(),
            self.rate(),
            self.wire_bytes,
            self.body_bytes,
            per_second(self.wire_bytes, self.elapsed),
        );
        for (name, histogram) in [("latency_us", &self.latency), ("sent_late_us", &self.lag)] {
            let _ = write!(out, ",\"{name}\":{{");
            for (label, percentile) in PERCENTILES {
                let _ = write!(out, "\"{label}\":{:.1},", histogram.value_at_percentile(percentile) as f64 / 1000.0);
            }
            let _ = write!(out, "\"max\":{:.1}}}", histogram.max() as f64 / 1000.0);
        }
        let statuses: Vec<String> = self.statuses.iter().map(|(status, count)| format!("\"{status}\":{count}")).collect();
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("\"{}\":{count}", fault.name().replace(' ', "_"))).collect();
        let _ = write!(
            out,
            ",\"statuses\":{{{}}},\"errors\":{{{}}},\"announced_closes\":{},\"idle_closes\":{},\"interrupted\":{},\"ok\":{}}}",
            statuses.join(","),
            faults.join(","),
            self.announced_closes,
            self.idle_closes,
            self.interrupted,
            self.is_clean(options),
        );
        out
    }
}

/// The lines before the run: what is done to whom, and on what machine.
pub fn setup_text(options: &Options) -> String {
    let mut out = String::new();
    line(&mut out, "target", format_args!("{} {}", options.address, options.paths.join(" ")));
    let mode = match options.rate {
        Some(rate) => format!("open loop, {rate} requests/s: latencies count from the moment a request is due"),
        None => "closed loop: latencies are service times".to_owned(),
    };
    let reuse = if options.keep_alive { "" } else { ", a new connection for each request" };
    let (connections, depth) = (options.connections, options.depth);
    line(&mut out, "load", format_args!("{connections} connections, depth {depth}{reuse}, {mode}"));
    line(&mut out, "machine", format_args!("{}", machine::line()));
    out
}

fn percentiles(histogram: &Histogram<u64>) -> String {
    let mut out = String::new();
    for (label, percentile) in PERCENTILES {
        let _ = write!(out, "{label} {:.1}  ", histogram.value_at_percentile(percentile) as f64 / 1000.0);
    }
    let _ = write!(out, "max {:.1}", histogram.max() as f64 / 1000.0);
    out
}

fn line(out: &mut String, label: &str, value: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{label:<13} {value}");
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        super::super::options::parse(line.split(' ').map(Into::into)).unwrap().unwrap()
    }

    #[test]
    fn a_run_is_clean_only_with_replies_without_faults_and_with_expected_statuses() {
        let (plain, strict) = (options("http://127.0.0.1/"), options("http://127.0.0.1/ --expect 404"));
        let mut tally = Tally::default();
        assert!(!tally.is_clean(&plain));
        tally.statuses.insert(200, 3);
        assert!(tally.is_clean(&plain) && !tally.is_clean(&strict));
        tally.statuses.insert(404, 1);
        assert!(!tally.is_clean(&plain));
        tally.statuses.remove(&404);
        tally.fault(Fault::Reset, 1);
        assert!(!tally.is_clean(&plain));
    }

    #[test]
    fn the_report_says_which_loop_it_was() {
        assert!(setup_text(&options("http://127.0.0.1/")).contains("closed loop: latencies are service times"));
        assert!(setup_text(&options("http://127.0.0.1/ -r 10")).contains("open loop, 10 requests/s"));
    }

    #[test]
    fn json_escapes_what_the_command_line_may_hold() {
        let options = options("unix:/a\"\\b:/x");
        assert!(Tally::default().json(&options).starts_with("{\"target\":\"unix:/a\\\"\\\\b\",\"paths\":[\"/x\"],"));
    }
}
