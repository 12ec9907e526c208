//! The sandbox: what the process gives up for good when it is about to serve. Landlock bounds which files it reaches, seccomp which system
//! calls it makes.
//!
//! Both need no privilege, and neither can be taken back. Where the kernel has one of them not, the server runs without it and says so.

pub mod calls;
pub mod files;

use std::fmt::Write as _;

use self::calls::{Filters, Refusal};
use self::files::{Access, Reach};
use crate::ops::readings::{Part, Sandbox};

/// Everything is made ready; only the kernel has not been told yet.
pub struct Prepared {
    reach: Result<Reach, String>,
    filters: Result<Filters, String>,
}

/// Opens what stays in reach and builds the filters.
pub fn prepare(access: &[Access], refusal: Refusal) -> Prepared {
    Prepared { reach: Reach::of(access), filters: Filters::new(refusal) }
}

impl Prepared {
    /// Enters the sandbox, with this thread; the process must have no other. Whether each part holds, or why not.
    pub fn enter(self) -> Sandbox {
        // In this order: the filter knows no call of Landlock's.
        let landlock = part(self.reach.and_then(Reach::enter));
        let seccomp = part(self.filters.and_then(|filters| filters.enter()));
        Sandbox { seccomp, landlock }
    }
}

fn part(entered: Result<(), String>) -> Part {
    match entered {
        Ok(()) => Part { on: true, why: heapless::String::new() },
        Err(why) => off(&why),
    }
}

/// A part that is not in force, and the reason.
pub fn off(reason: &str) -> Part {
    let mut why = heapless::String::new();
    // A longer reason than there is room for is cut off at a character.
    let _ = reason.chars().try_for_each(|letter| why.push(letter));
    Part { on: false, why }
}

/// The sandbox in a line of the start block.
pub fn line(sandbox: &Sandbox) -> String {
    let parts = sandbox.parts();
    let on: Vec<&str> = parts.iter().filter(|(_, part)| part.on).map(|(name, _)| *name).collect();
    let mut text = if on.is_empty() { "none".to_string() } else { on.join(", ") };
    for (name, part) in parts.iter().filter(|(_, part)| !part.on) {
        // Writing to a String cannot fail.
        let _ = write!(text, "; no {name}: {}", part.why);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_holds_and_why_the_rest_does_not() {
        let on = Part { on: true, why: heapless::String::new() };
        let both = Sandbox { seccomp: on.clone(), landlock: on.clone() };
        assert_eq!(line(&both), "seccomp, landlock");
        assert_eq!(line(&Sandbox { landlock: off("not in this kernel"), ..both }), "seccomp; no landlock: not in this kernel");
        let none = Sandbox { seccomp: off("--no-sandbox"), landlock: off("--no-sandbox") };
        assert_eq!(line(&none), "none; no seccomp: --no-sandbox; no landlock: --no-sandbox");
        assert_eq!(off(&"ä".repeat(100)).why.as_str(), "ä".repeat(48), "cut between two characters");
    }
}
