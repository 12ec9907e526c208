//! `tools rules`: the server's own alerts as Prometheus rules, from the same table.
//!
//! A level's rule reads what the server itself compares (`flagstone_alert_reading`), with the same threshold, `for` and `keep_firing_for`. What a
//! server cannot say itself, that it is gone, stands beside them.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use flagstone::ops::text::Thousandths;
use flagstone::policy::alert::{Alert, Level, Rule, Side};

use crate::Usage;

const HELP: &str = "\
tools rules: the alerts as Prometheus rules

    cargo run -p tools -- rules                  write tools/prometheus/flagstone.rules.yml
    cargo run -p tools -- rules --print          write them to standard output
";

const HEAD: &str = "\
# The server's own alerts for Prometheus 2.42 or later; made by `cargo run -p tools -- rules`, and a test compares.
# A worse level comes beside the milder ones: let Alertmanager inhibit by `severity` if one line each is wanted.
groups:
  - name: flagstone
    rules:
      - alert: FlagstoneDown
        expr: up{job=\"flagstone\"} == 0
        for: 30s
        labels:
          severity: critical
        annotations:
          summary: The server cannot be scraped.
          description: Its alerts below are silent meanwhile.
      - alert: FlagstoneRestarts
        expr: changes(process_start_time_seconds{job=\"flagstone\"}[15m]) > 2
        labels:
          severity: high
        annotations:
          summary: The server starts again and again.
          description: Its log says why.
";

/// Runs the command.
pub fn command(arguments: impl Iterator<Item = OsString>) -> Result<bool, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut print = false;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("print") => print = true,
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                print!("{HELP}");
                return Ok(true);
            }
            argument => return Err(argument.unexpected().into()),
        }
    }
    if print {
        print!("{}", rules());
        return Ok(true);
    }
    match std::fs::write(path(), rules()) {
        Ok(()) => Ok(true),
        Err(error) => {
            eprintln!("{}: {error}", path().display());
            Ok(false)
        }
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("prometheus/flagstone.rules.yml")
}

/// The file's text.
fn rules() -> String {
    let mut text = HEAD.to_owned();
    for alert in Alert::ALL {
        for level in Level::ALL {
            if let Some(threshold) = alert.rule().thresholds[level as usize] {
                put(alert.rule(), level, threshold, &mut text);
            }
        }
    }
    text
}

fn put(rule: &Rule, level: Level, threshold: i64, text: &mut String) {
    let name: String = rule.name.split('_').map(capitalized).collect();
    let sign = match rule.side {
        Side::From => ">=",
        Side::Below => "<",
    };
    let mut line = |line: String| writeln!(text, "{line}").expect("a string grows");
    line(format!("      - alert: Flagstone{name}"));
    line(format!("        expr: flagstone_alert_reading{{name=\"{}\"}} {sign} {}", rule.name, Thousandths(threshold)));
    if rule.after > 0 {
        line(format!("        for: {}s", rule.after));
    }
    if rule.clear > 0 {
        line(format!("        keep_firing_for: {}s", rule.clear));
    }
    line(format!("        labels:\n          severity: {}", level.name()));
    line(format!("        annotations:\n          summary: \"{}.\"", capitalized(rule.wrong)));
    line(format!("          description: \"{}. It reads {{{{ $value }}}}, in {}.\"", capitalized(rule.doing), rule.unit.name()));
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_the_table_makes() {
        let file = std::fs::read_to_string(path()).expect("the file");
        assert!(file == rules(), "the alerts have changed: cargo run -p tools -- rules");
    }

    #[test]
    fn a_rule_says_what_the_server_compares() {
        let text = rules();
        let rule = "      - alert: FlagstoneHitRate\n        expr: flagstone_alert_reading{name=\"hit_rate\"} < 0.7\n        for: 60s\n        \
                    keep_firing_for: 120s\n        labels:\n          severity: warning\n";
        assert!(text.contains(rule), "{text}");
        assert_eq!(text.matches("alert: FlagstoneSystemMemory\n").count(), 3);
    }
}
