//! What the operators' pages say of named routes: answers by the route's own path, never by the URL that was asked for.

use core::fmt::{self, Write};

use super::text::head;

/// Answers of one route by kind: 2xx, 304, 4xx, 5xx.
pub type Answers = [u64; KINDS.len()];

const KINDS: [&str; 4] = ["2xx", "304", "4xx", "5xx"];
/// Bytes of a path that a label shows, as they are written; `OPS_ANSWER_BYTES` counts on it.
const SHOWN: usize = 80;

/// The place of a status among [`Answers`].
pub const fn place(status: u16) -> usize {
    match status {
        304 => 1,
        400..=499 => 2,
        500..=599 => 3,
        _ => 0,
    }
}

/// A route as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct RouteUse<'r> {
    /// Its method.
    pub method: &'static str,
    /// Its path as the configuration has it.
    pub path: &'r str,
    /// Its answers since the configuration came into use.
    pub answers: Answers,
}

/// Counters of each route that was asked for.
pub(super) fn put_metrics(routes: &[RouteUse], out: &mut impl Write) -> fmt::Result {
    const NAME: &str = "flagstone_route_answers_total";
    if routes.is_empty() {
        return Ok(());
    }
    head(out, NAME, "counter", "Answers of named routes since the last change of the configuration, by method, path and kind.")?;
    for RouteUse { method, path, answers } in routes {
        for (kind, &count) in KINDS.iter().zip(answers).filter(|(_, count)| **count > 0) {
            write!(out, "{NAME}{{method=\"{method}\",path=\"")?;
            let mut room = SHOWN;
            for letter in path.chars() {
                let escaped = matches!(letter, '"' | '\\');
                let Some(left) = room.checked_sub(letter.len_utf8() + usize::from(escaped)) else { break };
                room = left;
                out.write_str(if escaped { "\\" } else { "" })?;
                out.write_char(letter)?;
            }
            writeln!(out, "\",kind=\"{kind}\"}} {count}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_labelled_by_their_own_paths() {
        let route = |path, answers| RouteUse { method: "GET", path, answers };
        let mut text = String::new();
        let long = "/\u{1d11e}".repeat(30);
        put_metrics(
            &[route("/a/:x", [3, 0, 1, 0]), route("/\"", [0, 1, 0, 0]), route("/unasked", [0; 4]), route(&long, [1, 0, 0, 0])],
            &mut text,
        )
        .unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "flagstone_route_answers_total{method=\"GET\",path=\"/a/:x\",kind=\"2xx\"} 3",
                "flagstone_route_answers_total{method=\"GET\",path=\"/a/:x\",kind=\"4xx\"} 1",
                "flagstone_route_answers_total{method=\"GET\",path=\"/\\\"\",kind=\"304\"} 1",
                &format!("flagstone_route_answers_total{{method=\"GET\",path=\"{}\",kind=\"2xx\"}} 1", "/\u{1d11e}".repeat(16)),
            ]
        );
        assert_eq!([200, 204, 304, 404, 503].map(place), [0, 0, 1, 2, 3]);
    }
}
