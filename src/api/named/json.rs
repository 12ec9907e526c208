//! Reads JSON (RFC 8259) in place: what a value is and where it ends. Knows no parameters and copies nothing.
//!
//! Stricter than the grammar in two points, so that all that is accepted can be kept as text: a lone surrogate is refused, and so is what lies
//! deeper than [`DEPTH_MAX`]. The range of numbers and equal keys are the reader's business.

use core::fmt;

use crate::memory::sink::{Full, Sink};

/// Arrays and objects inside each other.
pub const DEPTH_MAX: u32 = u64::BITS;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Shape {
    /// What it is called in a message.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::True | Shape::False => "a boolean",
            Shape::Number => "a number",
            Shape::String => "a string",
            Shape::Array => "an array",
            Shape::Object => "an object",
        }
    }
}

/// A value as it stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'d> {
    /// What it is.
    pub shape: Shape,
    /// Its text, without white space around it.
    pub raw: &'d [u8],
}

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The first byte that does not fit; the text's length where it ends too early.
    pub at: usize,
    /// What does not fit there.
    pub fault: Fault,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not UTF-8.
    Utf8,
    /// It ends too early.
    End,
    /// No value begins like this.
    Value,
    /// A key must stand here.
    Key,
    /// A colon must stand here.
    Colon,
    /// A comma or the closing bracket must stand here.
    Comma,
    /// A number goes on in a way that numbers do not.
    Number,
    /// A control character inside a string.
    Control,
    /// An escape that there is not.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// Too deep.
    Depth,
    /// Something follows the value.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let words = match self.fault {
            Fault::Utf8 => "not UTF-8",
            Fault::End => "the text ends too early",
            Fault::Value => "no value begins like this",
            Fault::Key => "a key in double quotes is expected",
            Fault::Colon => "a colon is expected",
            Fault::Comma => "a comma or a closing bracket is expected",
            Fault::Number => "a malformed number",
            Fault::Control => "a control character in a string must be escaped",
            Fault::Escape => "there is no such escape",
            Fault::Surrogate => "half of a surrogate pair",
            Fault::Depth => return write!(out, "byte {}: deeper than {DEPTH_MAX} levels", self.at),
            Fault::Trailing => "something follows the value",
        };
        write!(out, "byte {}: {words}", self.at)
    }
}

/// Reads a text from its start.
pub struct Reader<'d> {
    text: &'d [u8],
    at: usize,
    /// Arrays and objects that the caller has entered.
    entered: u32,
}

/// Reads a text that is one value.
///
/// # Errors
/// [`Error`], also when something follows.
pub fn whole(text: &[u8]) -> Result<Value<'_>, Error> {
    let mut reader = Reader::new(text)?;
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

impl<'d> Reader<'d> {
    /// Begins a text.
    ///
    /// # Errors
    /// [`Fault::Utf8`]: all else is asked as it is read.
    pub fn new(text: &'d [u8]) -> Result<Reader<'d>, Error> {
        match core::str::from_utf8(text) {
            Ok(_) => Ok(Reader { text, at: 0, entered: 0 }),
            Err(broken) => Err(Error { at: broken.valid_up_to(), fault: Fault::Utf8 }),
        }
    }

    /// Goes on inside one array, in a text that was read before.
    pub fn inside(text: &'d [u8], at: usize) -> Reader<'d> {
        Reader { text, at, entered: 1 }
    }

    /// Where it stands.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The byte after white space, left where it is.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Steps into an array or object, for [`Reader::next`].
    ///
    /// # Errors
    /// [`Error`] when none begins here.
    pub fn enter(&mut self) -> Result<(), Error> {
        match self.start()? {
            Shape::Array | Shape::Object => {
                self.entered += 1;
                Ok(())
            }
            _ => Err(self.fault(Fault::Value)),
        }
    }

    /// Steps to the next item of an entered array or object; false when `close` ended it.
    ///
    /// # Errors
    /// [`Error`] when neither a comma nor `close` follows.
    pub fn next(&mut self, close: u8, is_first: bool) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.entered = self.entered.saturating_sub(1);
                Ok(false)
            }
            Some(_) if is_first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.expected(Fault::Comma)),
        }
    }

    /// Reads a member's key, as it stands there with its quotes, and the colon.
    ///
    /// # Errors
    /// [`Error`].
    pub fn key(&mut self) -> Result<&'d [u8], Error> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(Fault::Key));
        }
        let start = self.at;
        self.string()?;
        let key = &self.text[start..self.at];
        if self.peek() != Some(b':') {
            return Err(self.expected(Fault::Colon));
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads one value of any kind, with all that is in it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn value(&mut self) -> Result<Value<'d>, Error> {
        self.peek();
        let start = self.at;
        let shape = self.start()?;
        if matches!(shape, Shape::Array | Shape::Object) {
            self.rest(shape)?;
        }
        Ok(Value { shape, raw: &self.text[start..self.at] })
    }

    /// Makes sure that nothing follows but white space.
    ///
    /// # Errors
    /// [`Fault::Trailing`].
    pub fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault(Fault::Trailing)),
        }
    }

    /// Reads a scalar whole, or the bracket that opens an array or object.
    fn start(&mut self) -> Result<Shape, Error> {
        match self.peek() {
            Some(b'{') => self.step(Shape::Object),
            Some(b'[') => self.step(Shape::Array),
            Some(b'"') => self.string().map(|()| Shape::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Shape::Number),
            Some(b'n') => self.word(b"null", Shape::Null),
            Some(b't') => self.word(b"true", Shape::True),
            Some(b'f') => self.word(b"false", Shape::False),
            _ => Err(self.expected(Fault::Value)),
        }
    }

    /// Reads to the end of the array or object whose bracket was just read. Each turn takes at least a byte.
    fn rest(&mut self, shape: Shape) -> Result<(), Error> {
        let mut open = Open { objects: 0, depth: self.entered };
        let outside = open.depth;
        self.push(&mut open, shape)?;
        let mut is_first = true;
        while open.depth > outside {
            if !self.next_in(open.close(), is_first)? {
                open.pop();
                is_first = false;
                continue;
            }
            if open.is_object() {
                self.key()?;
            }
            let shape = self.start()?;
            is_first = matches!(shape, Shape::Array | Shape::Object);
            if is_first {
                self.push(&mut open, shape)?;
            }
        }
        Ok(())
    }

    /// As [`Reader::next`], for what is not entered.
    fn next_in(&mut self, close: u8, is_first: bool) -> Result<bool, Error> {
        let entered = self.entered;
        let more = self.next(close, is_first);
        self.entered = entered;
        more
    }

    fn push(&self, open: &mut Open, shape: Shape) -> Result<(), Error> {
        if open.depth == DEPTH_MAX {
            return Err(Error { at: self.at - 1, fault: Fault::Depth });
        }
        open.objects = open.objects << 1 | u64::from(shape == Shape::Object);
        open.depth += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8], shape: Shape) -> Result<Shape, Error> {
        for &letter in word {
            if self.text.get(self.at) != Some(&letter) {
                return Err(self.expected(Fault::Value));
            }
            self.at += 1;
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<(), Error> {
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        match self.text.get(self.at) {
            Some(b'0'..=b'9') => Err(self.fault(Fault::Number)),
            _ => Ok(()),
        }
    }

    /// Reads digits, at least one.
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected(Fault::Number)) } else { Ok(()) }
    }

    /// Reads a string whose opening quote stands here.
    fn string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => return self.step(()),
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.fault(Fault::Control)),
                Some(_) => self.at += 1,
                None => return Err(self.fault(Fault::End)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let start = self.at;
        let at_start = |fault| Error { at: start, fault };
        match self.text.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = unit(self.text, start).ok_or(at_start(Fault::Escape))?;
                self.at += 6;
                let low = || unit_after(self.text, start);
                match unit {
                    0xD800..=0xDBFF if matches!(low(), Some(0xDC00..=0xDFFF)) => self.at += 6,
                    0xD800..=0xDFFF => return Err(at_start(Fault::Surrogate)),
                    _ => {}
                }
            }
            Some(_) => return Err(at_start(Fault::Escape)),
            None => return Err(Error { at: start + 1, fault: Fault::End }),
        }
        Ok(())
    }

    fn skip(&mut self, any: &[u8]) -> bool {
        let found = self.text.get(self.at).is_some_and(|byte| any.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn step<T>(&mut self, what: T) -> Result<T, Error> {
        self.at += 1;
        Ok(what)
    }

    fn fault(&self, fault: Fault) -> Error {
        Error { at: self.at, fault }
    }

    /// As [`Reader::fault`], but an end is called an end.
    fn expected(&self, fault: Fault) -> Error {
        self.fault(if self.at == self.text.len() { Fault::End } else { fault })
    }
}

/// What is open around the reader: a bit for each level, the innermost last. No level lies deeper than there are bits.
struct Open {
    objects: u64,
    depth: u32,
}

impl Open {
    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn close(&self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }
}

/// The code unit of the `\uXXXX` at `at`.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let unit = digits.iter().try_fold(0, |unit, byte| Some(unit << 4 | digit(byte)?))?;
    u16::try_from(unit).ok()
}

fn unit_after(text: &[u8], at: usize) -> Option<u16> {
    unit(text, at + 6)
}

/// Writes what a string says that the reader has read; `raw` has its quotes. Never longer than `raw`.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_decoded(raw: &[u8], sink: &mut impl Sink) -> Result<(), Full> {
    let mut rest = &raw[1..raw.len() - 1];
    while let Some(run) = rest.iter().position(|&byte| byte == b'\\') {
        sink.put(&rest[..run])?;
        rest = &rest[run..];
        let (letter, taken) = escaped(rest);
        sink.put(letter.encode_utf8(&mut [0; 4]).as_bytes())?;
        rest = &rest[taken..];
    }
    sink.put(rest)
}

/// The character of the escape that `text` begins with, and the escape's length.
fn escaped(text: &[u8]) -> (char, usize) {
    let letter = match text[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let units = [unit(text, 0), unit_after(text, 0)].map(Option::unwrap_or_default);
            let letter = char::decode_utf16(units).next().and_then(Result::ok).expect("the reader has checked the pair");
            return (letter, 6 * letter.len_utf16());
        }
        itself => char::from(itself),
    };
    (letter, 2)
}
