//! The figures of a comparison: medians and spreads, the table for people.

use std::fmt::Write;

use super::case::Case;
use super::measure::{Resident, Sample};
use super::peer::Peer;
use crate::machine;

/// A median with the least and the greatest of its rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of the values of all rounds; `None` without any.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, least, most })
    }
}

/// The label of the line of SQLite alone.
pub const IN_PROCESS: &str = "SQLite in process, no server";

/// One peer's figures in one case.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is called in this table.
    pub label: String,
    /// Whether it is flagstone's.
    pub ours: bool,
    /// Microseconds of processor time an answer.
    pub cpu: Spread,
    /// Answers a second.
    pub rate: Spread,
    /// Median latency, microseconds.
    pub p50: Spread,
    /// 99th percentile, microseconds.
    pub p99: Spread,
    /// Nothing failed in any round.
    pub clean: bool,
}

impl Line {
    /// Of all rounds; `None` without any.
    pub fn of(label: &str, ours: bool, samples: &[Sample]) -> Option<Line> {
        let spread = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        Some(Line {
            label: label.to_owned(),
            ours,
            cpu: spread(|sample| sample.cpu_us)?,
            rate: spread(|sample| sample.rate)?,
            p50: spread(|sample| sample.p50_us)?,
            p99: spread(|sample| sample.p99_us)?,
            clean: samples.iter().all(|sample| sample.clean),
        })
    }
}

/// One case's figures, flagstone first.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Which.
    pub case: Case,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl Compared {
    /// Flagstone's line; there is one as soon as anything was measured.
    pub fn ours(&self) -> Option<&Line> {
        self.lines.first()
    }

    /// What an answer of the database costs beyond a cached one, in microseconds and beside SQLite alone.
    fn beyond_a_hit(&self) -> Option<(f64, f64)> {
        let cpu = |label: &str| Some(self.lines.iter().find(|line| line.label == label)?.cpu.median);
        let beyond = cpu(Peer::Uncached.name())? - cpu(Peer::Flagstone.name())?;
        Some((beyond, beyond / cpu(IN_PROCESS)?))
    }
}

/// Everything that a run has seen.
#[derive(Debug, Default)]
pub struct Results {
    /// Peers that ran: name and version.
    pub peers: Vec<(Peer, String)>,
    /// The cases.
    pub cases: Vec<Compared>,
    /// Memory of each peer before the first request and at its peak.
    pub memory: Vec<(Peer, Resident, Resident)>,
    /// What a reader has to know: peers that are missing, answers that were wrong.
    pub notes: Vec<String>,
    /// A peer answered wrongly, or a measurement failed.
    pub failed: bool,
}

impl Results {
    /// Everything for a terminal.
    pub fn text(&self, setup: &str) -> String {
        let mut out = format!("machine   {}\n{setup}\n", machine::line());
        for (peer, version) in &self.peers {
            let _ = writeln!(out, "peer      {:19}{version}", peer.name());
        }
        for compared in &self.cases {
            let _ = writeln!(
                out,
                "\n{:44} cpu us/answer  (least..most)  x flagstone   answers/s    p50 us    p99 us",
                compared.case.title
            );
            for line in &compared.lines {
                out.push_str(&row(line, compared.ours()));
            }
            if let Some((micros, times)) = compared.beyond_a_hit() {
                let _ = writeln!(out, "    beyond a cached answer: {micros:.2} us, {times:.2} times SQLite in process");
            }
        }
        out.push_str("\nmemory KiB            idle RSS   idle own   peak RSS   peak own\n");
        for (peer, idle, peak) in &self.memory {
            let _ = writeln!(out, "{:19}{:11}{:11}{:11}{:11}", peer.name(), idle.rss, idle.anon, peak.rss, peak.anon);
        }
        for note in &self.notes {
            let _ = writeln!(out, "note      {note}");
        }
        out
    }
}

fn row(line: &Line, ours: Option<&Line>) -> String {
    let ratio = ours.map_or(1.0, |ours| line.cpu.median / ours.cpu.median);
    format!(
        "    {:40} {:13.2}  {:>14} {:12.2} {:11.0} {:9.0} {:9.0}{}\n",
        line.label,
        line.cpu.median,
        format!("{:.2}..{:.2}", line.cpu.least, line.cpu.most),
        ratio,
        line.rate.median,
        line.p50.median,
        line.p99.median,
        if line.clean { "" } else { "  not clean" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_between_the_ends() {
        assert_eq!(Spread::of([].into_iter()), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn the_table_sets_each_peer_beside_flagstone_and_tells_what_failed() {
        let sample = |cpu_us, clean| Sample { cpu_us, rate: 1000.0, p50_us: 5.0, p99_us: 9.0, clean };
        let lines =
            [("flagstone uncached", 5.0, true), ("flagstone", 2.0, true), ("nginx", 15.0, false), (IN_PROCESS, 1.5, true)].map(
                |(label, cpu, clean)| Line::of(label, label.starts_with("flagstone"), &[sample(cpu, clean)]).expect("a sample"),
            );
        let compared = Compared { case: super::super::case::CASES[0], lines: lines.to_vec() };
        let results = Results { cases: vec![compared], notes: vec!["h2o: not installed".into()], ..Results::default() };
        let text = results.text("set-up");
        let nginx = text.lines().find(|line| line.contains("nginx")).expect("its line");
        assert!(nginx.contains("3.00") && nginx.ends_with("not clean"), "{text}");
        assert!(text.contains("h2o: not installed"), "{text}");
        assert!(text.contains("beyond a cached answer: 3.00 us, 2.00 times"), "{text}");
    }
}
