//! The committed figures: instructions of each loop, what made them, and the comparison with what was counted now.

use std::fmt::Write as _;
use std::path::Path;

/// A file of figures. Lines that begin with `#` say what made them; all others are a name and a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// What made the figures: compiler, C compiler, emulator.
    pub made_by: Vec<String>,
    /// Loops and the instructions of one iteration.
    pub figures: Vec<(String, u64)>,
}

impl Baseline {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The line that is no figure.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let made_by = text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect();
        let figure = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        };
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let figures = lines.map(|line| figure(line).ok_or_else(|| format!("{line:?}: a name and a number")));
        Ok(Baseline { made_by, figures: figures.collect::<Result<_, _>>()? })
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.made_by {
            let _ = writeln!(text, "# {line}");
        }
        for (name, number) in &self.figures {
            let _ = writeln!(text, "{name} {number}");
        }
        text
    }

    fn figure(&self, name: &str) -> Option<u64> {
        self.figures.iter().find(|(known, _)| known == name).map(|&(_, number)| number)
    }
}

/// Which changes are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// More instructions.
    Above,
    /// Fewer too: the committed figures are the code's.
    BothWays,
}

/// A table of old and new, and whether every loop is within `per_cent` of what it was.
pub fn compare(old: &Baseline, new: &Baseline, per_cent: f64, bound: Bound) -> (String, bool) {
    let mut table = format!("{:<10} {:>12} {:>12} {:>9}\n", "loop", "baseline", "now", "change");
    let mut within = true;
    for (name, now) in &new.figures {
        let before = old.figure(name);
        let change = before.filter(|&before| before > 0).map(|before| (*now as f64 / before as f64 - 1.0) * 100.0);
        // Multiplied rather than divided: 101 is within 1 % of 100.
        let good = before.is_some_and(|before| {
            let counts = *now > before || bound == Bound::BothWays;
            !counts || now.abs_diff(before) as f64 * 100.0 <= before as f64 * per_cent
        });
        within &= good;
        let before = before.map_or("none".to_owned(), |before| before.to_string());
        let change = change.map_or("new".to_owned(), |change| format!("{change:+.2} %"));
        let _ = writeln!(table, "{name:<10} {before:>12} {now:>12} {change:>9}{}", if good { "" } else { "  <-" });
    }
    for (name, before) in old.figures.iter().filter(|(name, _)| new.figure(name).is_none()) {
        within = false;
        let _ = writeln!(table, "{name:<10} {before:>12} {:>12} {:>9}  <-", "none", "gone");
    }
    if old.made_by != new.made_by {
        let _ = writeln!(table, "other tools: the baseline is by {}; this is {}", old.made_by.join(", "), new.made_by.join(", "));
    }
    (table, within)
}

/// Compares with the file at `path`, or writes it anew; what to print and whether it is good.
///
/// # Errors
/// A file that cannot be read or written, or is no baseline.
pub fn judge(path: &Path, new: &Baseline, per_cent: f64, bound: Bound, renew: bool) -> Result<(String, bool), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let old = match std::fs::read_to_string(path) {
        Ok(text) => Baseline::parse(&text).map_err(|error| told(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && renew => {
            Baseline { made_by: new.made_by.clone(), figures: vec![] }
        }
        Err(error) => return Err(told(&error)),
    };
    let (table, within) = compare(&old, new, per_cent, bound);
    if renew {
        std::fs::write(path, new.text()).map_err(|error| told(&error))?;
    }
    Ok((table, within || renew))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(figures: &[(&str, u64)]) -> Baseline {
        let figures = figures.iter().map(|&(name, number)| (name.to_owned(), number)).collect();
        Baseline { made_by: vec!["rustc 1.95.0".to_owned()], figures }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = baseline(&[("parse", 2000), ("hit", 5000)]);
        assert_eq!(Baseline::parse(&written.text()), Ok(written));
        assert!(Baseline::parse("hit many").is_err());
    }

    #[test]
    fn a_change_beyond_the_tolerance_is_seen() {
        let old = baseline(&[("hit", 10_000)]);
        let cases = [(10_000, true), (10_100, true), (10_101, false), (9_900, true), (9_899, false)];
        for (now, within) in cases {
            let (table, good) = compare(&old, &baseline(&[("hit", now)]), 1.0, Bound::BothWays);
            assert_eq!(good, within, "{table}");
            let (table, good) = compare(&old, &baseline(&[("hit", now)]), 1.0, Bound::Above);
            assert_eq!(good, within || now < 10_000, "{table}");
        }
    }

    #[test]
    fn a_loop_that_came_or_went_is_a_change() {
        let (one, two) = (baseline(&[("hit", 1)]), baseline(&[("hit", 1), ("parse", 1)]));
        for bound in [Bound::Above, Bound::BothWays] {
            assert!(!compare(&one, &two, 1.0, bound).1);
            assert!(!compare(&two, &one, 1.0, bound).1);
        }
    }
}
