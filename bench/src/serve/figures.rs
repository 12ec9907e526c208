//! The figures of one comparison, and how they are printed. Knows no process and no socket.

use std::fmt::Write;
use std::path::Path;

use super::process::{Memory, Reading};
use crate::load::options::Options;
use crate::load::report::{Tally, quoted, setup_text};
use crate::machine::{self, Cores};

/// What one target cost.
pub struct Figures {
    /// The path, or the baseline's name.
    pub name: String,
    /// How it was loaded.
    pub options: Options,
    /// What the driver saw.
    pub tally: Tally,
    /// The server before the run.
    pub before: Reading,
    /// The most memory seen during the run.
    pub peak: Memory,
    /// The server after it.
    pub after: Reading,
    /// System calls a reply.
    pub calls: Option<f64>,
    /// Allocations in the whole run.
    pub allocations: Option<f64>,
}

impl Figures {
    /// Processor time a reply in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.per_reply(self.after.cpu.saturating_sub(self.before.cpu).as_nanos() as f64 / 1000.0)
    }

    /// The share of it that is system time, by the ticks.
    fn system_share(&self) -> f64 {
        let system = self.after.system.saturating_sub(self.before.system).as_secs_f64();
        let user = self.after.user.saturating_sub(self.before.user).as_secs_f64();
        if system + user > 0.0 { system / (system + user) } else { f64::NAN }
    }

    fn voluntary(&self) -> f64 {
        self.per_reply(self.after.voluntary.saturating_sub(self.before.voluntary) as f64)
    }

    fn involuntary(&self) -> f64 {
        self.per_reply(self.after.involuntary.saturating_sub(self.before.involuntary) as f64)
    }

    fn allocations_a_reply(&self) -> Option<f64> {
        self.allocations.map(|allocations| self.per_reply(allocations))
    }

    fn per_reply(&self, value: f64) -> f64 {
        value / self.tally.replies() as f64
    }
}

/// A baseline, the targets, and what has to be said beside them.
pub struct Comparison {
    cores: Cores,
    program: String,
    options: Options,
    /// The bare loop under the same options.
    pub baseline: Option<Figures>,
    /// Each target that answered.
    pub targets: Vec<Figures>,
    /// What was skipped or could not be measured, and why.
    pub notes: Vec<String>,
    /// The server ended by itself.
    pub died: bool,
}

impl Comparison {
    /// An empty one; `options` are any target's.
    pub fn new(cores: Cores, program: Option<&Path>, options: Options) -> Self {
        let program = program.map_or("none".to_owned(), |program| program.display().to_string());
        Self { cores, program, options, baseline: None, targets: Vec::new(), notes: Vec::new(), died: false }
    }

    /// Adds a note unless it stands there already.
    pub fn note_once(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// All runs were clean, and there was one.
    pub fn is_clean(&self, bare_only: bool) -> bool {
        let clean = self.all().all(|figures| figures.tally.is_clean(&figures.options));
        clean && !self.died && (bare_only || !self.targets.is_empty())
    }

    fn all(&self) -> impl Iterator<Item = &Figures> {
        self.baseline.iter().chain(&self.targets)
    }

    /// A figure and how many times the baseline's it is.
    fn beside(&self, figures: &Figures, figure: impl Fn(&Figures) -> Option<f64>) -> (String, String) {
        let value = figure(figures);
        let base = self.baseline.as_ref().and_then(figure);
        let ratio = match (value, base) {
            (Some(value), Some(base)) if base > 0.0 => short(Some(value / base)),
            _ => "-".to_owned(),
        };
        (short(value), ratio)
    }

    /// The tables for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_setup(&mut out);
        self.write_costs(&mut out);
        self.write_memory(&mut out);
        self.write_notes(&mut out);
        out
    }

    fn write_setup(&self, out: &mut String) {
        for line in setup_text(&self.options).lines().filter(|line| !line.starts_with("target")) {
            let _ = writeln!(out, "{line}");
        }
        let Cores { server, driver } = self.cores;
        let shared = if self.cores.shared() { " (one core does both: the figures are worth little)" } else { "" };
        let _ = writeln!(out, "server        {} on core {server}, driver on core {driver}{shared}\n", self.program);
    }

    fn write_costs(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "{:<28} {:>10} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>5} {:>8} {:>7} {:>8} {:>15}",
            "target",
            "requests/s",
            "x bare",
            "p50 us",
            "p99 us",
            "p99.9",
            "max us",
            "cpu us/r",
            "x bare",
            "sys%",
            "calls/r",
            "x bare",
            "allocs/r",
            "switches/r v i"
        );
        for figures in self.all() {
            let (rate, rate_ratio) = self.beside(figures, |figures| Some(figures.tally.rate()));
            let (cpu, cpu_ratio) = self.beside(figures, |figures| Some(figures.cpu_us()));
            let (calls, calls_ratio) = self.beside(figures, |figures| figures.calls);
            let latency = |percentile| short(Some(figures.tally.latency_us(percentile)));
            let switches = format!("{} {}", short(Some(figures.voluntary())), short(Some(figures.involuntary())));
            let _ = writeln!(
                out,
                "{:<28} {rate:>10} {rate_ratio:>7} {:>8} {:>8} {:>8} {:>8} {cpu:>8} {cpu_ratio:>7} {:>5} {calls:>8} {calls_ratio:>7} {:>8} {switches:>15}",
                figures.name,
                latency(50.0),
                latency(99.0),
                latency(99.9),
                latency(100.0),
                short(Some(figures.system_share() * 100.0)),
                short(figures.allocations_a_reply()),
            );
        }
    }

    fn write_memory(&self, out: &mut String) {
        let _ = writeln!(out, "\n{:<28} {:>30} {:>30}", "memory KiB", "VmRSS before/peak/after", "RssAnon before/peak/after");
        for figures in self.all() {
            let (before, peak, after) = (figures.before.memory, figures.peak, figures.after.memory);
            let rss = format!("{} / {} / {}", before.rss, peak.rss, after.rss);
            let anon = format!("{} / {} / {}", before.anon, peak.anon, after.anon);
            let _ = writeln!(out, "{:<28} {rss:>30} {anon:>30}", figures.name);
        }
        let _ = writeln!(out);
    }

    fn write_notes(&self, out: &mut String) {
        for figures in self.all().filter(|figures| !figures.tally.is_clean(&figures.options)) {
            let _ = writeln!(out, "NOT CLEAN: {}\n{}", figures.name, figures.tally.text(&figures.options));
        }
        if self.targets.iter().any(|figures| figures.allocations.is_none()) {
            let _ = writeln!(out, "note          no allocations: /-/metrics has no {}", super::ALLOCATIONS);
        }
        for note in &self.notes {
            let _ = writeln!(out, "note          {note}");
        }
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        let targets: Vec<String> = self.targets.iter().map(figures_json).collect();
        let notes: Vec<String> = self.notes.iter().map(|note| quoted(note)).collect();
        format!(
            "{{\"machine\":{},\"server\":{},\"server_core\":{},\"driver_core\":{},\"baseline\":{},\"targets\":[{}],\"notes\":[{}]}}\n",
            quoted(machine::line()),
            quoted(&self.program),
            self.cores.server,
            self.cores.driver,
            self.baseline.as_ref().map_or("null".to_owned(), figures_json),
            targets.join(","),
            notes.join(","),
        )
    }
}

fn figures_json(figures: &Figures) -> String {
    let memory = |memory: Memory| format!("{{\"rss_kib\":{},\"anon_kib\":{}}}", memory.rss, memory.anon);
    format!(
        "{{\"name\":{},\"load\":{},\"cpu_us_per_request\":{},\"system_share\":{},\"calls_per_request\":{},\"allocations_per_request\":{},\"voluntary_switches_per_request\":{},\"involuntary_switches_per_request\":{},\"memory\":{{\"before\":{},\"peak\":{},\"after\":{}}}}}",
        quoted(&figures.name),
        figures.tally.json(&figures.options),
        number(Some(figures.cpu_us())),
        number(Some(figures.system_share())),
        number(figures.calls),
        number(figures.allocations_a_reply()),
        number(Some(figures.voluntary())),
        number(Some(figures.involuntary())),
        memory(figures.before.memory),
        memory(figures.peak),
        memory(figures.after.memory),
    )
}

/// JSON has no NaN.
fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or("null".to_owned(), |value| format!("{value:.4}"))
}

/// About three significant digits.
fn short(value: Option<f64>) -> String {
    match value {
        Some(value) if !value.is_finite() => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.01 || value == 0.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn figures(name: &str, replies: u64, cpu_ms: u64, calls: Option<f64>) -> Figures {
        let options = crate::load::options::parse(["http://127.0.0.1/".into()]).unwrap().unwrap();
        let mut tally = Tally { elapsed: Duration::from_secs(1), ..Tally::default() };
        tally.statuses.insert(200, replies);
        let after = Reading { cpu: Duration::from_millis(cpu_ms), voluntary: 50, ..Reading::default() };
        Figures {
            name: name.to_owned(),
            options,
            tally,
            before: Reading::default(),
            peak: Memory::default(),
            after,
            calls,
            allocations: None,
        }
    }

    #[test]
    fn each_figure_stands_beside_the_baselines() {
        let options = figures("", 1, 1, None).options;
        let mut comparison = Comparison::new(Cores { server: 0, driver: 1 }, None, options);
        comparison.baseline = Some(figures("bare", 1000, 5, Some(2.0)));
        let target = figures("/x", 500, 10, Some(5.0));
        assert_eq!(comparison.beside(&target, |figures| Some(figures.cpu_us())), ("20.0".into(), "4.00".into()));
        assert_eq!(comparison.beside(&target, |figures| figures.calls), ("5.00".into(), "2.50".into()));
        assert_eq!(comparison.beside(&target, |figures| figures.allocations), ("-".into(), "-".into()));
        assert!(comparison.is_clean(true) && !comparison.is_clean(false));
        comparison.targets.push(target);
        assert!(comparison.is_clean(false));
        comparison.targets[0].tally.statuses.insert(500, 1);
        assert!(!comparison.is_clean(false) && comparison.text().contains("NOT CLEAN: /x"));
    }

    #[test]
    fn json_stays_json_without_a_reply() {
        let mut figures = figures("/x", 0, 0, None);
        figures.tally.statuses.clear();
        let json = figures_json(&figures);
        assert!(!json.contains("NaN") && !json.contains("inf,"), "{json}");
    }
}
