//! What an operator sees and does: the pages at `/-/`, over a connection that stays open.

use std::collections::HashMap;
use std::io::{self, Error};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::rig::http::Answer;
use crate::rig::line::Line;

/// A page that takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(3);

/// The operators' listener, and the token.
pub struct Operator {
    address: SocketAddr,
    token: String,
    line: Mutex<Option<Line>>,
}

/// The metrics page.
#[derive(Clone, Debug, Default)]
pub struct Metrics(HashMap<String, f64>);

impl Metrics {
    /// Reads it.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Self(pairs.filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?))).collect())
    }

    /// The sum of a metric's series that have all of these labels, `state="idle"`; `None` when there is no such series.
    pub fn sum(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let is_meant = |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{')) && labels.iter().all(|label| series.contains(label))
        };
        let values = self.0.iter().filter(|(series, _)| is_meant(series)).map(|(_, value)| *value);
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }
}

impl Operator {
    /// Nobody is connected yet.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), line: Mutex::new(None) }
    }

    /// One request with the token.
    ///
    /// # Errors
    /// No answer in time, twice where the connection had been closed meanwhile.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let (token, length) = (&self.token, body.len());
        let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        let framing = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        let request = if method == "GET" { format!("{head}\r\n") } else { format!("{head}{framing}{body}") };
        let mut held = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // The kept connection may have been closed as idle: then it has not heard this.
        let (mut line, mut answer) = (held.take(), None);
        if let Some(kept) = &mut line {
            answer = kept.ask(&request).ok().flatten();
        }
        if answer.is_none() {
            let new = line.insert(Line::open(self.address)?);
            new.patience(PATIENCE)?;
            answer = new.ask(&request)?;
        }
        let answer = answer.ok_or_else(|| Error::other("closed without an answer"))?;
        if !answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            *held = line;
        }
        Ok(answer)
    }

    /// The metrics.
    ///
    /// # Errors
    /// As [`Operator::ask`], and another status than 200.
    pub fn metrics(&self) -> io::Result<Metrics> {
        let answer = self.ask("GET", "/-/metrics", "")?;
        if answer.status != 200 {
            return Err(Error::other(format!("/-/metrics: {}", answer.status)));
        }
        Ok(Metrics::parse(&String::from_utf8_lossy(&answer.body)))
    }

    /// A page of JSON; `None` when the server has none of this name.
    ///
    /// # Errors
    /// As [`Operator::ask`], and what is no JSON.
    pub fn page(&self, path: &str) -> io::Result<Option<Value>> {
        let answer = self.ask("GET", path, "")?;
        if answer.status == 404 {
            return Ok(None);
        }
        let value = serde_json::from_slice(&answer.body);
        value.map(Some).map_err(|error| Error::other(format!("{path}: {} {error}", answer.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nab 9\nb 0.5\n");
        assert_eq!(metrics.sum("a", &[]), Some(7.0));
        assert_eq!(metrics.sum("a", &["x=\"1\"", "y=\"3\""]), Some(4.0));
        assert_eq!((metrics.sum("b", &[]), metrics.sum("c", &[]), metrics.sum("a", &["z"])), (Some(0.5), None, None));
    }
}
