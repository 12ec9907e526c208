//! What is wrong with a configuration, and where: a list of fixed length, and its rendering with the line and a caret. Knows positions in a
//! text, not what a configuration means.

use core::fmt::{self, Write};
use core::ops::Range;

use super::keys::Section;
use super::place;
use crate::memory::Fixed;

/// Mistakes that are kept and shown; further ones are only counted.
pub const MISTAKES: usize = 32;
/// The longest message.
const MESSAGE_BYTES: usize = 240;
/// The longest hint.
const HINT_BYTES: usize = 320;
/// How much of a long line is shown, in characters.
const SHOWN: usize = 100;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// How many characters of the line are meant.
    pub width: u32,
    /// What is wrong, in one line.
    pub message: heapless::String<MESSAGE_BYTES>,
    /// What to do about it; may be empty.
    pub hint: heapless::String<HINT_BYTES>,
}

/// The mistakes of one text. Takes its room from the heap once, when it is made.
#[derive(Debug)]
pub struct Mistakes {
    list: Fixed<Mistake>,
    omitted: usize,
}

impl Mistakes {
    /// An empty list with room for [`MISTAKES`].
    pub fn new() -> Mistakes {
        Mistakes { list: Fixed::new(MISTAKES), omitted: 0 }
    }

    /// Forgets all; the room stays.
    pub fn clear(&mut self) {
        self.list.clear();
        self.omitted = 0;
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether further ones are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() == MISTAKES
    }

    /// How many there are, those included that found no room.
    pub fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Those that are kept, by their place once [`Mistakes::sort`] has run.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// Adds a mistake about the bytes `range` of `text`; a range beyond the end means the end.
    pub fn at(&mut self, text: impl AsRef<[u8]>, range: Range<usize>, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        // Counting lines takes a pass over the text: not for what is only counted.
        if self.is_full() {
            self.omitted += 1;
            return;
        }
        let (line, column, width) = place::position(text.as_ref(), range);
        self.add(line, column, width, message, hint);
    }

    /// Adds a mistake about a whole line, such as a route's ([`super::Route::line`]): the caret stands under all of it.
    pub fn at_line(&mut self, text: impl AsRef<[u8]>, line: u32, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        let text = text.as_ref();
        self.at(text, place::line_content(text, line), message, hint);
    }

    /// Adds a mistake at byte `offset` of the SQL of the route that begins at `line`: where that stands in the file, escapes and
    /// line continuations included; without such a place, at the route's line.
    pub fn at_sql(&mut self, text: &str, line: u32, offset: usize, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        match place::value_of(text, line, "sql") {
            Some(value) => {
                let at = place::in_string(&text[value.clone()], offset);
                // At the SQL's end the caret stands under what closes the string.
                self.at(text, value.start + at..value.start + at + 1, message, hint);
            }
            None => self.at_line(text, line, message, hint),
        }
    }

    /// Adds a mistake about the value of a key that stands before the first `[section]`, such as an address that is none.
    pub fn at_key(&mut self, text: &str, key: &str, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        match place::value_of(text, 1, key) {
            Some(value) => self.at(text, value, message, hint),
            None => self.at_line(text, 1, message, hint),
        }
    }

    fn add(&mut self, line: u32, column: u32, width: u32, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        let mistake = Mistake { line, column, width, message: cut(message), hint: cut(hint) };
        if self.list.push(mistake).is_err() {
            self.omitted += 1;
        }
    }

    /// Puts them into the order of the file.
    pub fn sort(&mut self) {
        self.list.sort_unstable_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    }

    /// Writes each mistake as `file:line:column: message`, the line, a caret under what is meant, and the hint.
    ///
    /// # Errors
    /// Those of `out` alone.
    pub fn render(&self, file: &str, text: impl AsRef<[u8]>, out: &mut impl Write) -> fmt::Result {
        for (at, mistake) in self.list.iter().enumerate() {
            if at > 0 {
                out.write_char('\n')?;
            }
            writeln!(out, "{file}:{}:{}: {}", mistake.line, mistake.column, mistake.message)?;
            let range = place::line(text.as_ref(), mistake.line);
            let secret = has_secrets(text.as_ref(), range.start);
            show(&text.as_ref()[range], mistake, secret, out)?;
            if !mistake.hint.is_empty() {
                writeln!(out, "  {}", mistake.hint)?;
            }
        }
        if self.omitted > 0 {
            writeln!(out, "\n... and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl Default for Mistakes {
    fn default() -> Mistakes {
        Mistakes::new()
    }
}

/// What a token of ours begins with. Somebody may have written one where its digest belongs, and mistakes go to the log.
const TOKEN: [char; 4] = ['f', 'l', 'g', '_'];

/// Hides the rest of a token in text that goes by letter by letter.
#[derive(Default)]
struct Veil {
    /// Letters of [`TOKEN`] that were the last ones.
    matched: usize,
}

impl Veil {
    fn next(&mut self, letter: char) -> char {
        let in_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        match self.matched {
            4 if in_token(letter) => return '*',
            matched if TOKEN.get(matched) == Some(&letter) => self.matched += 1,
            _ => self.matched = usize::from(letter == TOKEN[0]),
        }
        letter
    }
}

/// Whether the line that begins at `start` stands in `[tokens]`, or sets one of them from elsewhere: its values may be tokens themselves.
fn has_secrets(text: &[u8], start: usize) -> bool {
    const NAME: &[u8] = b"tokens";
    let begins = |line: &[u8]| line.trim_ascii_start().strip_prefix(NAME).is_some_and(|rest| !rest.is_empty());
    let own = text[start..].split(|&byte| byte == b'\n').next().unwrap_or_default();
    // A header of ours holds no value.
    let name: &[u8] = own.trim_ascii().strip_prefix(b"[").unwrap_or_default();
    let name = name.strip_prefix(b"[").unwrap_or(name).split(|&byte| byte == b']').next().unwrap_or_default();
    if Section::HEADERS.iter().any(|section| section.name().as_bytes() == name.trim_ascii()) {
        return false;
    }
    let header = text[..start].split(|&byte| byte == b'\n').rev().find_map(|line| line.trim_ascii_start().strip_prefix(b"["));
    begins(own) || header.is_some_and(begins)
}

/// What of a line is a value: everything behind its first `=`, or all of it, but for a digest, which tells nothing.
fn value_of(line: &[u8]) -> usize {
    let equals = place::letters(line).position(|letter| letter == '=').map_or(0, |at| at + 1);
    let rest = place::letters(line).skip(equals).skip_while(|letter| letter.is_whitespace() || matches!(letter, '"' | '\''));
    if rest.take(7).eq("sha256:".chars()) { usize::MAX } else { equals }
}

/// The line and the caret line; of a long line what stands around the mistake. Values of a line that has secrets are hidden.
fn show(line: &[u8], mistake: &Mistake, secret: bool, out: &mut impl Write) -> fmt::Result {
    let column = mistake.column.max(1) as usize - 1;
    let skipped = column.saturating_sub(SHOWN / 2);
    let mut shown = 0;
    let hidden_from = if secret { value_of(line) } else { usize::MAX };
    let mut veil = Veil::default();
    out.write_str(if skipped > 0 { "    ..." } else { "    " })?;
    for (at, letter) in place::letters(line).enumerate().take(skipped + SHOWN) {
        let letter = if at >= hidden_from && letter.is_alphanumeric() { '*' } else { veil.next(letter) };
        if at < skipped {
            continue;
        }
        // A control character would speak to the terminal.
        out.write_char(if letter.is_control() && letter != '\t' { '?' } else { letter })?;
        shown += 1;
    }
    out.write_str(if skipped > 0 { "\n       " } else { "\n    " })?;
    for letter in place::letters(line).skip(skipped).take(column - skipped) {
        out.write_char(if letter == '\t' { '\t' } else { ' ' })?;
    }
    let room = (skipped + shown).saturating_sub(column).max(1);
    for _ in 0..(mistake.width as usize).clamp(1, room) {
        out.write_char('^')?;
    }
    out.write_char('\n')
}

/// Formats into a string of fixed length; what does not fit ends with an ellipsis, and of a token only its beginning is left.
pub(super) fn cut<const N: usize>(arguments: fmt::Arguments<'_>) -> heapless::String<N> {
    struct Cut<const N: usize>(heapless::String<N>, Veil);
    impl<const N: usize> Write for Cut<N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for letter in text.chars() {
                let letter = self.1.next(if letter.is_control() { ' ' } else { letter });
                if self.0.push(letter).is_err() {
                    while self.0.len() + '…'.len_utf8() > N {
                        self.0.pop();
                    }
                    let _ = self.0.push('…');
                    return Err(fmt::Error);
                }
            }
            Ok(())
        }
    }
    let mut into = Cut(heapless::String::new(), Veil::default());
    // An error means that it was cut.
    let _ = into.write_fmt(arguments);
    into.0
}

/// Text of the user's inside a message: in quotes, of bounded length.
pub(super) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: usize = 48;
        f.write_char('"')?;
        let mut letters = self.0.chars();
        for letter in letters.by_ref().take(LETTERS) {
            f.write_char(if letter.is_control() { ' ' } else { letter })?;
        }
        f.write_str(if letters.next().is_some() { "…\"" } else { "\"" })
    }
}

/// `did you mean "x"? `, or nothing.
pub(super) struct Meant<'a>(pub Option<&'a str>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "did you mean \"{name}\"? "))
    }
}

/// Names with commas between them.
pub(super) struct Listed<I>(pub I);

impl<'a, I: Iterator<Item = &'a str> + Clone> fmt::Display for Listed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.clone().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(mistakes: &Mistakes, text: &str) -> String {
        let mut out = String::new();
        mistakes.render("flagstone.toml", text, &mut out).unwrap();
        out
    }

    #[test]
    fn a_mistake_shows_its_line_and_a_caret() {
        let text = "a = 1\n\tttl = \"5m\" # grüße\n";
        let mut mistakes = Mistakes::new();
        mistakes.at(text, 7..10, format_args!("unknown key"), format_args!("did you mean \"b\"?"));
        let expected = "flagstone.toml:2:2: unknown key\n    \tttl = \"5m\" # grüße\n    \t^^^\n  did you mean \"b\"?\n";
        assert_eq!(rendered(&mistakes, text), expected);
    }

    #[test]
    fn long_lines_and_long_words_are_cut_and_terminals_are_safe() {
        let text = format!("{}X\u{1b}[2J", "ä".repeat(300));
        let mut mistakes = Mistakes::new();
        let at = text.find('X').unwrap();
        mistakes.at(&text, at..at + 9999, format_args!("{}", "m".repeat(999)), format_args!(""));
        let out = rendered(&mistakes, &text);
        assert!(out.contains(":1:301: ") && out.contains("mm…\n") && !out.contains('\u{1b}'), "{out}");
        let lines: Vec<&str> = out.lines().collect();
        let caret = lines[2].chars().position(|letter| letter == '^').unwrap();
        assert_eq!(lines[1].chars().nth(caret), Some('X'), "{out}");
        assert!(lines[1].chars().count() < 120);
    }

    #[test]
    fn a_token_in_the_wrong_place_is_hidden() {
        let text = "ops_auth = \"flg_abc-D\"\ntokens.a = \"own secret\"\n[ tokens ]\nb = 'own secret' # x\nc = \"sha256:12\"\n[cors]\nd = 'x'\n";
        let mut mistakes = Mistakes::new();
        for line in 1..=7 {
            mistakes.at_line(text, line, format_args!("flg_abc is fflg_abc"), format_args!(""));
        }
        let out = rendered(&mistakes, text);
        assert!(!out.contains("abc") && !out.contains("secret"), "{out}");
        for shown in [
            "\"flg_*****\"",
            ": flg_*** is fflg_***\n",
            "tokens.a = \"*** ******\"",
            "b = '*** ******'",
            "\"sha256:12\"",
            "[cors]",
            "d = 'x'",
        ] {
            assert!(out.contains(shown), "{shown}: {out}");
        }
    }

    #[test]
    fn more_mistakes_than_fit_are_counted() {
        let mut mistakes = Mistakes::new();
        for _ in 0..MISTAKES + 3 {
            mistakes.at("x", 0..1, format_args!("m"), format_args!(""));
        }
        assert_eq!(mistakes.count(), MISTAKES + 3);
        assert!(rendered(&mistakes, "x").ends_with("... and 3 more\n"));
    }
}
