//! How often a line of the log may be repeated: what keeps a fault that happens with every request from filling a disk, or wearing out a card.
//!
//! Lines are counted by where in the code they come from. Of each such site [`LINES`] are written within a [`WINDOW`]; the others are counted,
//! and told of by one line when the window is over.

use core::fmt::{self, Write};

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// How long a site's lines are counted, from its first one on.
pub const WINDOW: Micros = 60_000_000;
/// Lines of one site that are written within a window: enough to see that something repeats, and how fast.
pub const LINES: u32 = 10;
/// How much of a site's first line is kept, to tell later what the others were like.
pub const TEXT: usize = 64;

/// A place in the code that writes lines: file and line number.
pub type Site = (&'static str, u32);

/// Lines that were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub lines: u32,
    /// The beginning of the first line of their window.
    pub like: heapless::String<TEXT>,
}

/// A site's window.
#[derive(Clone, Debug)]
struct Account {
    site: Site,
    since: Micros,
    written: u32,
    left_out: u32,
    text: heapless::String<TEXT>,
}

/// The windows of up to `N` sites. Those that find no place share the last one: they are limited together.
#[derive(Clone, Debug)]
pub struct LogLimit<const N: usize> {
    accounts: heapless::Vec<Account, N>,
    left_out: u64,
}

impl<const N: usize> LogLimit<N> {
    /// Nothing has been written.
    pub const fn new() -> Self {
        const { assert!(N > 0, "somebody has a place") };
        LogLimit { accounts: heapless::Vec::new(), left_out: 0 }
    }

    /// Whether this line is to be written; counts it either way.
    pub fn ask(&mut self, site: Site, now: Micros, line: fmt::Arguments<'_>) -> bool {
        let account = self.account(site, now);
        if is_over(account, now) && account.left_out == 0 {
            *account = Account { site: account.site, ..begin(site, now) };
        }
        if account.written == 0 {
            // What does not fit is cut off.
            let _ = Cut(&mut account.text).write_fmt(line);
        }
        if account.written < LINES {
            account.written += 1;
            return true;
        }
        account.left_out += 1;
        self.left_out += 1;
        false
    }

    /// The lines of a window that is over and has left some out: each is told once. To be asked until there are none.
    pub fn take_left_out(&mut self, now: Micros) -> Option<LeftOut> {
        let account = self.accounts.iter_mut().find(|account| is_over(account, now) && account.left_out > 0)?;
        Some(LeftOut { lines: core::mem::take(&mut account.left_out), like: account.text.clone() })
    }

    /// Lines left out since the start.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn account(&mut self, site: Site, now: Micros) -> &mut Account {
        let known = self.accounts.iter().position(|account| account.site == site);
        let place = known.unwrap_or_else(|| {
            if self.accounts.push(begin(site, now)).is_ok() {
                return self.accounts.len() - 1;
            }
            let over = self.accounts.iter().position(|account| is_over(account, now) && account.left_out == 0);
            if let Some(place) = over {
                self.accounts[place] = begin(site, now);
            }
            over.unwrap_or(N - 1)
        });
        &mut self.accounts[place]
    }
}

impl<const N: usize> Default for LogLimit<N> {
    fn default() -> Self {
        Self::new()
    }
}

fn begin(site: Site, now: Micros) -> Account {
    Account { site, since: now, written: 0, left_out: 0, text: heapless::String::new() }
}

fn is_over(account: &Account, now: Micros) -> bool {
    now >= account.since.saturating_add(WINDOW)
}

/// Takes the first line of a text, as far as it fits.
struct Cut<'a>(&'a mut heapless::String<TEXT>);

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if letter == '\n' || self.0.push(letter).is_err() {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Site = ("here.rs", 1);
    const THERE: Site = ("there.rs", 1);
    const ELSEWHERE: Site = ("there.rs", 2);

    /// How many of so many lines are written.
    fn written<const N: usize>(limit: &mut LogLimit<N>, site: Site, lines: u32, now: Micros) -> u32 {
        (0..lines).map(|_| u32::from(limit.ask(site, now, format_args!("{} {}", site.0, site.1)))).sum()
    }

    #[test]
    fn a_site_writes_ten_lines_a_window_and_the_rest_is_told_once_when_it_is_over() {
        let mut limit = LogLimit::<2>::new();
        assert_eq!(written(&mut limit, HERE, 25, 0), LINES);
        assert_eq!(written(&mut limit, THERE, 3, 0), 3, "another site is not concerned");
        assert_eq!(limit.take_left_out(WINDOW - 1), None, "its window goes on");
        assert_eq!(written(&mut limit, HERE, 2, WINDOW - 1), 0);
        assert_eq!(limit.take_left_out(WINDOW), Some(LeftOut { lines: 17, like: "here.rs 1".try_into().unwrap() }));
        assert_eq!(limit.take_left_out(WINDOW), None);
        assert_eq!(written(&mut limit, HERE, 11, WINDOW), LINES, "a new window");
        assert_eq!(limit.left_out(), 18);
    }

    #[test]
    fn what_was_left_out_is_told_before_a_new_window_begins() {
        let mut limit = LogLimit::<1>::new();
        written(&mut limit, HERE, 11, 0);
        assert_eq!(written(&mut limit, HERE, 1, 2 * WINDOW), 0, "nobody has asked yet");
        assert_eq!(limit.take_left_out(2 * WINDOW).map(|left| left.lines), Some(2));
        assert_eq!(written(&mut limit, HERE, 1, 2 * WINDOW), 1);
    }

    #[test]
    fn sites_without_a_place_are_limited_together_until_a_window_is_over() {
        let mut limit = LogLimit::<2>::new();
        written(&mut limit, HERE, 1, 0);
        written(&mut limit, THERE, 4, 0);
        assert_eq!(written(&mut limit, ELSEWHERE, 9, 0), 6, "beside four of the other one");
        limit.take_left_out(WINDOW);
        assert_eq!(written(&mut limit, ELSEWHERE, 9, WINDOW), 9, "the place of one that has been silent");
    }

    #[test]
    fn of_a_long_text_the_beginning_of_its_first_line_is_kept() {
        let mut limit = LogLimit::<1>::new();
        let long = "ü".repeat(TEXT);
        for _ in 0..=LINES {
            limit.ask(HERE, 0, format_args!("{long}"));
        }
        assert_eq!(limit.take_left_out(WINDOW).unwrap().like.as_str(), "ü".repeat(TEXT / 2));
        for _ in 0..=LINES {
            limit.ask(HERE, WINDOW, format_args!("first\nsecond"));
        }
        assert_eq!(limit.take_left_out(2 * WINDOW).unwrap().like.as_str(), "first");
    }
}
