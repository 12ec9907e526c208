//! A row: what is provoked, by what it must be seen, and what it may cost; and the verdict on how it went.

use std::time::Duration;

use super::register::Risk;
use super::tally::{Tally, Times};
use super::trial::{Stop, Trial};
use super::watch::Sign;

/// Memory beyond its measure before, in bytes, that is no growth: pages that are first touched late.
const MEMORY_SLACK: u64 = 256 * 1024;

/// The longest time without a critical answer, where a row says nothing else: much of it is for a machine that is busy with other things.
const GAP: Duration = Duration::from_secs(2);

/// One of them.
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub what: &'static str,
    /// Risks of the register that it provokes.
    pub risks: &'static [Risk],
    /// All that must be seen.
    pub signs: &'static [Sign],
    /// Statuses beside 503 and 429 that questions may be refused with meanwhile.
    pub allows: &'static [u16],
    /// The longest time between two critical answers where stale ones are allowed.
    pub gap: Duration,
    /// The same where only a fresh one is true.
    pub fresh_gap: Duration,
    /// From the mending until all is served as before.
    pub heal: Duration,
    /// Whether its memory is the server's own: an emulator's is not.
    pub weighs: bool,
    /// Whether it is in the quick run.
    pub quick: bool,
    /// Whether another program commits meanwhile; each commit makes the answers of all tables anew.
    pub commits: bool,
    /// The provocation.
    pub run: fn(&Trial) -> Result<(), Stop>,
    /// What the server's start needs beside the usual.
    pub prepare: fn(&mut super::server::Start, &mut super::Leftovers) -> Result<(), Stop>,
}

impl Row {
    /// A row that provokes nothing.
    pub const BLANK: Self = Self {
        name: "",
        what: "",
        risks: &[],
        signs: &[],
        allows: &[],
        gap: GAP,
        fresh_gap: GAP,
        heal: Duration::from_secs(35),
        weighs: true,
        quick: false,
        commits: true,
        run: |_| Ok(()),
        prepare: |_, _| Ok(()),
    };
}

/// How a row went.
#[derive(Debug, Default)]
pub struct Findings {
    /// What was broken.
    pub broke: String,
    /// Each sign, and how long after the breaking it was seen.
    pub seen: Vec<(String, Option<Duration>)>,
    /// From the mending to full service.
    pub healed: Option<Duration>,
    /// What is missing for it otherwise.
    pub sick: String,
    /// Requests of all but the probers of health.
    pub tally: Tally,
    /// Waits of the critical prober.
    pub critical: Times,
    /// The longest time between two critical answers: where stale ones are allowed, and where only a fresh one is true.
    pub gaps: (Duration, Duration),
    /// Waits for health.
    pub health: Times,
    /// Memory before, at its most and after, in bytes.
    pub memory: (u64, u64, u64),
    /// The process's part of the sheet, in bytes.
    pub sheet: u64,
    /// Acknowledged writes, and how many of them are not there.
    pub writes: (u64, u64),
    /// What else was said.
    pub lines: Vec<String>,
    /// What else was wrong.
    pub faults: Vec<String>,
}

/// All that is wrong with a row; empty is green.
pub fn judge(row: &Row, findings: &Findings) -> Vec<String> {
    let mut red = findings.faults.clone();
    let mut must = |good: bool, what: String| {
        if !good {
            red.push(what);
        }
    };
    must(!findings.broke.is_empty(), "nothing was broken".to_owned());
    must(!findings.seen.is_empty(), "seen by nothing: the row names no event".to_owned());
    for (sign, after) in &findings.seen {
        must(after.is_some(), format!("not seen: {sign}"));
    }
    must(findings.healed.is_some(), format!("not healed within {} s: {}", row.heal.as_secs(), findings.sick));
    let tally = &findings.tally;
    must(tally.wrong == 0, format!("{} wrong answers: {}", tally.wrong, tally.examples.join("; ")));
    must(tally.served > 0, "nothing was served".to_owned());
    for (status, count) in tally.refused.iter().filter(|(status, _)| !row.allows.contains(status)) {
        must(false, format!("{count} answers {status}"));
    }
    for (kind, gap, most) in [("stale allowed", findings.gaps.0, row.gap), ("fresh", findings.gaps.1, row.fresh_gap)] {
        must(gap <= most, format!("a critical route ({kind}) went {gap:.1?} without an answer, {most:.1?} is allowed"));
    }
    let (before, peak, after) = findings.memory;
    must(!row.weighs || peak <= findings.sheet, format!("{peak} bytes of memory, {} on the sheet", findings.sheet));
    must(!row.weighs || after <= before + MEMORY_SLACK, format!("memory grew from {before} to {after} bytes"));
    let (acknowledged, lost) = findings.writes;
    must(lost == 0, format!("{lost} of {acknowledged} acknowledged writes are lost"));
    red
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::question::Judgement;

    fn good() -> Findings {
        let mut tally = Tally::default();
        tally.add(Judgement::Served, Duration::from_millis(1));
        tally.add(Judgement::Shed, Duration::from_millis(1));
        Findings {
            broke: "a leg".to_owned(),
            seen: vec![("metric".to_owned(), Some(Duration::from_millis(90)))],
            healed: Some(Duration::from_secs(1)),
            tally,
            gaps: (Duration::from_millis(20), Duration::from_millis(30)),
            memory: (1000, 1200, 1000),
            sheet: 2000,
            writes: (9, 0),
            ..Findings::default()
        }
    }

    #[test]
    fn each_judge_goes_red_alone() {
        let row = Row { allows: &[504], ..Row::BLANK };
        assert_eq!(judge(&row, &good()), Vec::<String>::new());
        let red = |spoil: fn(&mut Findings), word: &str| {
            let mut findings = good();
            spoil(&mut findings);
            let red = judge(&row, &findings);
            assert!(red.len() == 1 && red[0].contains(word), "{word}: {red:?}");
        };
        red(|findings| findings.broke.clear(), "nothing was broken");
        red(|findings| findings.seen.clear(), "seen by nothing");
        red(|findings| findings.seen.push(("alert x".to_owned(), None)), "not seen: alert x");
        red(|findings| findings.healed = None, "not healed");
        red(|findings| findings.tally.add(Judgement::Wrong("x".to_owned()), Duration::ZERO), "1 wrong");
        red(|findings| findings.tally.add(Judgement::Refused(500), Duration::ZERO), "1 answers 500");
        red(|findings| findings.tally.served = 0, "nothing was served");
        red(|findings| findings.gaps.0 = Duration::from_secs(3), "(stale allowed) went");
        red(|findings| findings.gaps.1 = Duration::from_secs(3), "(fresh) went");
        red(|findings| findings.memory.1 = 2001, "on the sheet");
        red(|findings| findings.memory.2 = 1001 + MEMORY_SLACK, "memory grew");
        red(|findings| findings.writes.1 = 1, "are lost");
        red(|findings| findings.faults.push("else".to_owned()), "else");
        let mut allowed = good();
        allowed.tally.add(Judgement::Refused(504), Duration::ZERO);
        assert!(judge(&row, &allowed).is_empty());
    }
}
