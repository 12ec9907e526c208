//! What README.md shows: the steps of its tutorial, and its blocks of code.

/// The page.
pub const README: &str = include_str!("../../README.md");

/// Before a block whose commands are typed.
const MARKER: &str = "<!-- tutorial -->\n```console\n";

/// A command and what the page shows under it.
#[derive(Debug)]
pub struct Step {
    pub command: String,
    pub shown: String,
}

/// All commands of the tutorial, in their order.
pub fn tutorial() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in README.split(MARKER).skip(1) {
        let block = block.split_once("```").expect("a block ends").0;
        for line in block.lines() {
            let typed = steps.last().is_some_and(|step| step.command.contains("<<") && step.shown.is_empty());
            match (line.strip_prefix("$ "), line.strip_prefix('>')) {
                (Some(command), _) => steps.push(Step { command: command.to_string(), shown: String::new() }),
                (None, Some(more)) if typed => {
                    let step = steps.last_mut().expect("a command");
                    step.command.push('\n');
                    step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                _ => {
                    let step = steps.last_mut().expect("a command before its output");
                    step.shown.push_str(line);
                    step.shown.push('\n');
                }
            }
        }
    }
    steps
}

/// The blocks of one language under a heading, up to the next one.
pub fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let section = README.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let end = section.find("\n## ").into_iter().chain(section.find("\n### ")).min().unwrap_or(section.len());
    let opening = format!("```{language}\n");
    section[..end].split(&opening).skip(1).map(|block| block.split_once("```").expect("a block ends").0).collect()
}

/// Whether what was seen is what is shown; `...` stands for any part of a line, and alone on a line for any lines.
pub fn matches(shown: &str, seen: &str) -> bool {
    fn lines(shown: &[&str], seen: &[&str]) -> bool {
        match (shown, seen) {
            ([], []) => true,
            (["...", rest @ ..], _) => (0..=seen.len()).any(|skipped| lines(rest, &seen[skipped..])),
            ([first, shown @ ..], [line, seen @ ..]) => in_line(first, line) && lines(shown, seen),
            _ => false,
        }
    }
    let of = |text| str::lines(text).map(str::trim_end).collect::<Vec<_>>();
    lines(&of(shown.trim_end()), &of(seen.trim_end()))
}

fn in_line(shown: &str, seen: &str) -> bool {
    match shown.split_once("...") {
        None => shown == seen,
        Some((before, after)) => seen
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).filter(|&at| rest.is_char_boundary(at)).any(|at| in_line(after, &rest[at..]))),
    }
}
