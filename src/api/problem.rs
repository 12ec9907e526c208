//! Problems (RFC 9457): what was wrong, what to do next, what is allowed. Always valid JSON under 512 bytes.

use core::fmt::{self, Write};

use super::json;
use crate::memory::sink::{Full, Sink};

/// Bytes of a rendered problem; the error path must fit where nothing else does.
pub const PROBLEM_BYTES: usize = 511;
/// Bytes of the detail before it is escaped.
const DETAIL_BYTES: usize = 200;
/// Bytes of the hint before it is escaped.
const HINT_BYTES: usize = 160;
/// Bytes of what is allowed before it is escaped.
const ALLOWED_BYTES: usize = 200;
/// Characters of a client's own text that a problem repeats.
const ECHO_CHARS: usize = 48;
/// Rendered bytes that the detail may take when hint and allowed want some too; what one leaves, the next may use.
const DETAIL_SHARE: usize = 170;
/// The same for the hint.
const HINT_SHARE: usize = 110;
/// Bytes of the longest slug and title, so that the shares above always fit.
const NAMED_BYTES: usize = 64;
/// Bytes of the members' names, the `type` prefix, the status and the punctuation.
const FRAME_BYTES: usize = 106;
const _: () = assert!(FRAME_BYTES + NAMED_BYTES + DETAIL_SHARE + HINT_SHARE + 60 <= PROBLEM_BYTES);

/// Why a request was not answered as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem; stable, the last part of `type`.
    pub slug: &'static str,
    /// The kind in words; the same for every problem of that slug.
    pub title: &'static str,
    /// What was wrong this time.
    pub detail: heapless::String<DETAIL_BYTES>,
    /// What to do next; may be empty.
    pub hint: heapless::String<HINT_BYTES>,
    /// What would have been accepted; may be empty.
    pub allowed: heapless::String<ALLOWED_BYTES>,
    /// Seconds for a Retry-After header.
    pub retry_after: Option<u16>,
}

impl Problem {
    /// A problem with nothing said yet about this time.
    pub fn new(status: u16, slug: &'static str, title: &'static str) -> Problem {
        assert!((400..600).contains(&status), "a problem is an error");
        assert!(slug.len() + title.len() <= NAMED_BYTES, "slug and title leave room for the rest");
        Problem {
            status,
            slug,
            title,
            detail: heapless::String::new(),
            hint: heapless::String::new(),
            allowed: heapless::String::new(),
            retry_after: None,
        }
    }

    /// Says what was wrong; cut at 200 bytes.
    pub fn detail(mut self, text: fmt::Arguments) -> Problem {
        clip(&mut self.detail, text);
        self
    }

    /// Says what to do next; cut at 160 bytes.
    pub fn hint(mut self, text: fmt::Arguments) -> Problem {
        clip(&mut self.hint, text);
        self
    }

    /// Says what to do next: another name, if one is near, else nothing.
    pub fn did_you_mean(self, name: Option<&str>) -> Problem {
        match name {
            Some(name) => self.hint(format_args!("did you mean {}?", Echo(name.as_bytes()))),
            None => self,
        }
    }

    /// Adds to what is allowed; cut at 200 bytes.
    pub fn allow<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Problem {
        for name in names {
            let comma = if self.allowed.is_empty() { "" } else { ", " };
            clip(&mut self.allowed, format_args!("{comma}{name}"));
        }
        self
    }

    /// 500: a panic was caught.
    pub fn internal() -> Problem {
        Problem::new(500, "internal", "An internal error")
            .detail(format_args!("The server's log says more."))
            .hint(format_args!("try again; if it stays, report it"))
    }

    /// 400: a parameter's value is not what it should be.
    pub fn malformed(text: fmt::Arguments) -> Problem {
        Problem::new(400, "malformed-parameter", "Malformed parameter").detail(text)
    }

    /// 400: a parameter that is neither a word of ours nor a column.
    pub fn unknown_parameter(name: &[u8]) -> Problem {
        Problem::new(400, "unknown-parameter", "Unknown parameter")
            .detail(format_args!("{} is neither a parameter nor a column here", Echo(name)))
    }

    /// 400: a column that the table does not have.
    pub fn unknown_column(name: &[u8], table: &str) -> Problem {
        Problem::new(400, "unknown-column", "Unknown column").detail(format_args!(
            "{} is not a column of {}",
            Echo(name),
            Echo(table.as_bytes())
        ))
    }

    /// 404: a table that the database does not have, or does not show.
    pub fn unknown_table(name: &[u8]) -> Problem {
        Problem::new(404, "unknown-table", "Unknown table").detail(format_args!("there is no table {}", Echo(name)))
    }

    /// 404: a path that means nothing.
    pub fn no_route(trailing_slash: bool) -> Problem {
        let problem = Problem::new(404, "not-found", "Not found").detail(format_args!("nothing is served at this path"));
        if trailing_slash {
            problem.hint(format_args!("leave out the slash at the end"))
        } else {
            problem.hint(format_args!("GET /tables lists the tables"))
        }
    }

    /// 404: a key that no row has.
    pub fn no_row(table: &str) -> Problem {
        Problem::new(404, "no-row", "No such row").detail(format_args!("{} has no row with this key", Echo(table.as_bytes())))
    }

    /// 400: a page token of another table or order, or one that we did not make.
    pub fn stale_token(detail: &str) -> Problem {
        Problem::new(400, "bad-page-token", "Page token does not fit")
            .detail(format_args!("{detail}"))
            .hint(format_args!("start again without after=, then follow the Link header"))
    }

    /// 400: a query that does not fit the fixed buffers; `what` names which.
    pub fn too_large(what: &str, limit: usize) -> Problem {
        Problem::new(400, "query-too-large", "Query too large")
            .detail(format_args!("{what}: at most {limit}"))
            .hint(format_args!("ask for less at once, for example name fewer columns in select="))
    }

    /// Writes the problem as a JSON object of at most [`PROBLEM_BYTES`] bytes; what is too long ends in `…`.
    pub fn put_json(&self, sink: &mut impl Sink) -> Result<(), Full> {
        let mut text: heapless::Vec<u8, PROBLEM_BYTES> = heapless::Vec::new();
        self.render(&mut text).expect("the shares are asserted to fit");
        sink.put(&text)
    }

    fn render(&self, text: &mut heapless::Vec<u8, PROBLEM_BYTES>) -> Result<(), Full> {
        let digit = |place: u16| b'0' + u8::try_from(self.status / place % 10).expect("one digit");
        text.put(br#"{"type":"tag:flagstone,2026:"#)?;
        text.put(self.slug.as_bytes())?;
        text.put(br#"","title":""#)?;
        text.put(self.title.as_bytes())?;
        text.put(br#"","status":"#)?;
        text.put(&[digit(100), digit(10), digit(1)])?;
        let mut share = 0;
        let room = PROBLEM_BYTES - 1;
        for (name, value, own) in [
            (r#","detail":""#, self.detail.as_str(), DETAIL_SHARE),
            (r#","hint":""#, self.hint.as_str(), HINT_SHARE),
            (r#","allowed":""#, self.allowed.as_str(), PROBLEM_BYTES),
        ] {
            share += own;
            if value.is_empty() {
                continue;
            }
            text.put(name.as_bytes())?;
            share -= put_clipped(text, value, share.min(room - 1 - text.len()))?;
            text.put(b"\"")?;
        }
        text.put(b"}")
    }
}

/// Writes as much of `value`, escaped, as fits `room` bytes, whole characters only; returns the bytes written.
fn put_clipped(sink: &mut impl Sink, value: &str, room: usize) -> Result<usize, Full> {
    const MORE: &str = "…";
    let mut buffer = [0; 4];
    let escaped_len = |letter: char| match letter.len_utf8() {
        1 => json::escape(u8::try_from(letter).expect("one byte")).1,
        wide => wide,
    };
    let whole: usize = value.chars().map(escaped_len).sum();
    let cut = whole > room;
    let room = if cut { room.saturating_sub(MORE.len()) } else { room };
    let mut written = 0;
    for letter in value.chars() {
        let len = escaped_len(letter);
        if written + len > room {
            break;
        }
        match *letter.encode_utf8(&mut buffer).as_bytes() {
            [byte] => sink.put(&json::escape(byte).0[..len])?,
            ref wide => sink.put(wide)?,
        }
        written += len;
    }
    if cut {
        sink.put(MORE.as_bytes())?;
        written += MORE.len();
    }
    Ok(written)
}

/// A client's text inside a message: quoted, invalid UTF-8 replaced, the first characters only.
pub struct Echo<'a>(pub &'a [u8]);

impl fmt::Display for Echo<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_char('\'')?;
        let mut left = ECHO_CHARS;
        for chunk in self.0.utf8_chunks() {
            let broken = (!chunk.invalid().is_empty()).then_some('\u{FFFD}');
            for letter in chunk.valid().chars().chain(broken) {
                if left == 0 {
                    return out.write_str("…'");
                }
                out.write_char(letter)?;
                left -= 1;
            }
        }
        out.write_char('\'')
    }
}

/// Appends what fits of `text`, whole characters only.
fn clip<const N: usize>(buffer: &mut heapless::String<N>, text: fmt::Arguments) {
    struct Clip<'b, const N: usize>(&'b mut heapless::String<N>);
    impl<const N: usize> Write for Clip<'_, N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for letter in text.chars() {
                self.0.push(letter).map_err(|_| fmt::Error)?;
            }
            Ok(())
        }
    }
    // An error here is the cut itself: the buffer keeps what fitted.
    let _cut = Clip(buffer).write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> std::string::String {
        let mut sink: heapless::Vec<u8, 1024> = heapless::Vec::new();
        problem.put_json(&mut sink).expect("fits");
        std::string::String::from_utf8(sink.to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_problem_is_rendered_member_by_member() {
        let problem = Problem::unknown_column(b"nam\"e", "t").did_you_mean(Some("name")).allow(["id", "name"].into_iter());
        assert_eq!(
            json(&problem),
            r#"{"type":"tag:flagstone,2026:unknown-column","title":"Unknown column","status":400,"#.to_string()
                + r#""detail":"'nam\"e' is not a column of 't'","hint":"did you mean 'name'?","allowed":"id, name"}"#
        );
        assert_eq!(json(&Problem::new(503, "busy", "Busy")), r#"{"type":"tag:flagstone,2026:busy","title":"Busy","status":503}"#);
    }

    #[test]
    fn the_longest_problem_stays_under_512_bytes_and_keeps_every_member() {
        let long = "\u{1}".repeat(300) + &"🌡".repeat(100);
        let title = "T".repeat(NAMED_BYTES - 4).leak();
        let problem = Problem::new(599, "slug", title)
            .detail(format_args!("{long}"))
            .hint(format_args!("{long}"))
            .allow([long.as_str()].into_iter());
        let text = json(&problem);
        assert!(text.len() < 512 && text.len() > 480, "{}", text.len());
        for member in ["detail", "hint", "allowed"] {
            assert!(text.contains(&format!("\"{member}\":\"\\u0001")), "{text}");
        }
        assert_eq!(text.matches('…').count(), 3);
        assert!(text.ends_with("…\"}"));
    }

    #[test]
    fn what_one_member_leaves_the_next_may_use() {
        let columns: std::vec::Vec<std::string::String> = (0..40).map(|n| format!("column{n}")).collect();
        let problem = Problem::unknown_parameter(b"x").allow(columns.iter().map(|name| name.as_str()));
        assert!(json(&problem).contains(&problem.allowed.as_str()[..190]));
    }

    #[test]
    fn the_clients_text_is_quoted_and_cut_on_characters() {
        assert_eq!(Echo(b"a\xffb").to_string(), "'a\u{FFFD}b'");
        assert_eq!(Echo("ü".repeat(99).as_bytes()).to_string(), format!("'{}…'", "ü".repeat(ECHO_CHARS)));
    }
}
