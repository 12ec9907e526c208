//! Manual pages in mdoc(7): a page under construction, and text that no formatter takes for commands.

use flagstone::cli::option::{CommandOption, Takes};

/// How long a line of the source may be (mandoc's style).
const WIDTH: usize = 78;

/// A page under construction.
pub struct Page(String);

impl Page {
    /// Its first lines. The date is that of the source, as `Month day, year`.
    pub fn new(name: &str, section: u8, date: &str) -> Page {
        Page(format!(".Dd {date}\n.Dt {} {section}\n.Os\n", name.to_uppercase()))
    }

    /// A line with a macro; its arguments are escaped already.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A section's header.
    pub fn section(&mut self, title: &str) {
        self.line(&format!(".Sh {title}"));
    }

    /// A paragraph of plain text.
    pub fn text(&mut self, text: &str) {
        for sentence in sentences(text) {
            let mut line = String::new();
            for word in escape(sentence).split(' ') {
                if line.len() + 1 + word.len() > WIDTH {
                    self.line(&shield(&std::mem::take(&mut line)));
                }
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            }
            self.line(&shield(&line));
        }
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.0
    }
}

/// A line that begins with no macro.
fn shield(line: &str) -> String {
    if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() }
}

/// Text as the formatter is to print it: no escapes in it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            // A minus that may be copied and typed, not a hyphen.
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            letter => out.push(letter),
        }
    }
    out
}

/// One argument of a macro, whatever stands in it: words that are macros' names too are only words.
pub fn argument(text: &str) -> String {
    let shielded = format!("\\&{}", escape(text));
    if text.contains(' ') { format!("\"{shielded}\"") } else { shielded }
}

/// Sentences begin on lines of their own: the formatter spaces them.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ").map(str::trim)
}

/// An option as the head of a list's item.
pub fn item(option: &CommandOption) -> String {
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(name, _) => format!(" Ar {name}"),
        Takes::Maybe(name, _) => format!(" Op Ar {name}"),
    };
    let long = format!("Fl \\-{}{value}", option.long);
    match option.short {
        Some(letter) => format!(".It Fl {letter} , {long}"),
        None => format!(".It {long}"),
    }
}
