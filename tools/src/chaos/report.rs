//! What is printed of each row, and of the register's coverage.

use std::time::Duration;

use super::register::Risk;
use super::row::{Findings, Row};

/// How a row ended.
pub enum Verdict {
    /// Everything is as promised, or what is not.
    Ran(Box<Findings>, Vec<String>),
    /// This machine cannot do it.
    Skipped(String),
    /// The harness or the server failed before there was anything to judge.
    Failed(String),
}

impl Verdict {
    /// Whether the run is red for it.
    pub fn is_red(&self) -> bool {
        match self {
            Self::Ran(_, red) => !red.is_empty(),
            Self::Skipped(_) => false,
            Self::Failed(_) => true,
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 20))
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// One row's lines.
pub fn print(row: &Row, verdict: &Verdict) {
    match verdict {
        Verdict::Skipped(why) => println!("{}: skipped: {why}", row.name),
        Verdict::Failed(why) => println!("{}: RED: {why}", row.name),
        Verdict::Ran(findings, red) => {
            println!("{}: {}", row.name, if red.is_empty() { "passed" } else { "RED" });
            print_findings(findings);
            red.iter().for_each(|line| println!("    RED        {line}"));
        }
    }
}

fn print_findings(findings: &Findings) {
    println!("    broke      {}", findings.broke);
    for (sign, after) in &findings.seen {
        let after = after.map_or("never".to_owned(), |after| format!("after {:.2} s", after.as_secs_f64()));
        println!("    seen       {after}: {sign}");
    }
    match &findings.healed {
        Some(time) => println!("    healed     {:.2} s after the end", time.as_secs_f64()),
        None => println!("    healed     not: {}", findings.sick),
    }
    let tally = &findings.tally;
    let refused: String = tally.refused.iter().map(|(status, count)| format!(", {count} times {status}")).collect();
    println!(
        "    requests   {} tried, {} served, {} shed{refused}, {} without an answer, {} wrong",
        tally.tried, tally.served, tally.shed, tally.broken, tally.wrong
    );
    println!(
        "    critical   longest gap {} ({} for a fresh answer), p99 {}; health p99 {}, longest {}",
        ms(findings.gaps.0),
        ms(findings.gaps.1),
        ms(findings.critical.quantile(0.99)),
        ms(findings.health.quantile(0.99)),
        ms(findings.health.longest)
    );
    let (before, peak, after) = findings.memory;
    println!("    memory     {} MiB before, {} peak, {} after, of {}", mib(before), mib(peak), mib(after), mib(findings.sheet));
    if findings.writes.0 > 0 {
        println!("    writes     {} acknowledged, {} lost", findings.writes.0, findings.writes.1);
    }
    findings.lines.iter().for_each(|line| println!("    also       {line}"));
}

/// Each risk, with the rows that provoked it; whether every risk has one that ran or says why not.
pub fn coverage(ran: &[(&Row, Verdict)]) -> bool {
    println!("\ncoverage of the register");
    let mut whole = true;
    for risk in Risk::ALL {
        let of = ran.iter().filter(|(row, _)| row.risks.contains(&risk));
        let rows: Vec<String> = of
            .map(|(row, verdict)| match verdict {
                Verdict::Skipped(_) => format!("{} (skipped)", row.name),
                other if other.is_red() => format!("{} (RED)", row.name),
                _ => row.name.to_owned(),
            })
            .collect();
        whole &= !rows.is_empty();
        let rows = if rows.is_empty() { "by NO ROW".to_owned() } else { rows.join(", ") };
        println!("    {:<28} {rows}", risk.name());
    }
    whole
}
