//! The page token of `after=`: where the last page ended, as base64url (RFC 4648 §5, no padding). Opaque to clients.
//!
//! Inside: a version byte, the fingerprint of table and order, the rows given so far, then one typed value for each
//! term of the order. It is not signed: all that a forged one can do is to ask for another page.

use super::problem::Problem;
use super::value::{self, Bind, Scratch, Value};
use super::{TOKEN_BYTES, TRAILING};
use crate::memory::sink::{Full, Sink};
use crate::memory::span::Span;

const VERSION: u8 = 1;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a token says.
#[derive(Debug, PartialEq)]
pub struct Token {
    /// Rows that the pages before have given.
    pub position: u64,
    /// The last row's values of the order's terms.
    pub values: heapless::Vec<Bind, TRAILING>,
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The value of this place among the terms does not fit [`TOKEN_BYTES`].
    TooLong(usize),
    /// The sink is full.
    Full,
}

/// Mixes bytes into a fingerprint (FNV-1a): enough to notice a token of another order, no defence.
pub fn fingerprint(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What a fingerprint begins with.
pub const FINGERPRINT_SEED: u32 = 0x811c_9dc5;

/// Writes a token.
///
/// # Errors
/// [`EncodeError`]; after `Full` the sink may hold a part.
pub fn encode<'v>(
    fingerprint: u32, position: u64, values: impl Iterator<Item = Value<'v>>, sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    let mut raw: heapless::Vec<u8, TOKEN_BYTES> = heapless::Vec::new();
    let head = "the head is far shorter than a token";
    raw.push(VERSION).expect(head);
    raw.extend_from_slice(&fingerprint.to_le_bytes()).expect(head);
    raw.extend_from_slice(&position.to_le_bytes()).expect(head);
    for (place, value) in values.enumerate() {
        put_value(value, &mut raw).map_err(|Full| EncodeError::TooLong(place))?;
    }
    for group in raw.chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - group.len()));
        let letter = |shift: usize| ALPHABET[bits >> shift & 63];
        let letters = [letter(18), letter(12), letter(6), letter(0)];
        sink.put(&letters[..=group.len()]).map_err(|Full| EncodeError::Full)?;
    }
    Ok(())
}

fn put_value(value: Value, raw: &mut heapless::Vec<u8, TOKEN_BYTES>) -> Result<(), Full> {
    let (tag, bytes) = match value {
        Value::Null => return raw.put(&[0]),
        Value::Integer(number) => {
            raw.put(&[1])?;
            return raw.put(&number.to_le_bytes());
        }
        Value::Real(number) => {
            raw.put(&[2])?;
            return raw.put(&number.to_bits().to_le_bytes());
        }
        Value::Text(bytes) => (3, bytes),
        Value::Blob(bytes) => (4, bytes),
    };
    let len = u16::try_from(bytes.len()).map_err(|_| Full)?;
    raw.put(&[tag])?;
    raw.put(&len.to_le_bytes())?;
    raw.put(bytes)
}

/// Reads a token; the texts and blobs of its values are kept in `scratch`.
///
/// # Errors
/// A 400 for a token that we did not make, or made for another table or order, or with another number of values.
pub fn decode(text: &[u8], fingerprint: u32, terms: usize, scratch: &mut Scratch) -> Result<Token, Problem> {
    let foreign = || Problem::stale_token("after= is not a page token of this server");
    let start = scratch.len();
    if text.len() > TOKEN_BYTES.div_ceil(3) * 4 {
        return Err(foreign());
    }
    decode_base64(text, scratch)?.ok_or_else(foreign)?;
    let mut reader = Reader { scratch, at: start };
    if reader.bytes() != Some([VERSION]) {
        return Err(foreign());
    }
    let seen = u32::from_le_bytes(reader.bytes().ok_or_else(foreign)?);
    if seen != fingerprint {
        return Err(Problem::stale_token("after= was made for another table or another order"));
    }
    let position = u64::from_le_bytes(reader.bytes().ok_or_else(foreign)?);
    let mut values = heapless::Vec::new();
    for _ in 0..terms {
        values.push(reader.value().ok_or_else(foreign)?).map_err(|_| foreign())?;
    }
    if reader.at != scratch.len() {
        return Err(foreign());
    }
    Ok(Token { position, values })
}

/// Appends what base64url text stands for. `None` when it is none, or not the shortest form.
fn decode_base64(text: &[u8], scratch: &mut Scratch) -> Result<Option<()>, Problem> {
    for group in text.chunks(4) {
        let mut bits = 0;
        for &letter in group {
            let Some(digit) = digit(letter) else {
                return Ok(None);
            };
            bits = bits << 6 | digit;
        }
        bits <<= 6 * (4 - group.len());
        let bytes = [bits >> 16, bits >> 8, bits].map(|part| (part & 0xff) as u8);
        let len = group.len() - 1;
        if len == 0 || bytes[len..].iter().any(|&left| left != 0) {
            return Ok(None);
        }
        value::keep(&bytes[..len], scratch)?;
    }
    Ok(Some(()))
}

fn digit(letter: u8) -> Option<u32> {
    Some(match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

/// Reads a token's inside; `None` where it ends too soon or says nonsense.
struct Reader<'s> {
    scratch: &'s [u8],
    at: usize,
}

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.scratch.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(bytes)
    }

    fn value(&mut self) -> Option<Bind> {
        Some(match self.bytes()? {
            [0] => Bind::Null,
            [1] => Bind::Integer(i64::from_le_bytes(self.bytes()?)),
            [2] => Bind::Real(Some(f64::from_bits(u64::from_le_bytes(self.bytes()?))).filter(|real| !real.is_nan())?),
            [3] => Bind::Text(self.span()?),
            [4] => Bind::Blob(self.span()?),
            _ => return None,
        })
    }

    fn span(&mut self) -> Option<Span> {
        let len = usize::from(u16::from_le_bytes(self.bytes()?));
        let span = Span::between(self.at, self.at + len);
        self.scratch.get(span.range())?;
        self.at += len;
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Text = heapless::Vec<u8, 4096>;

    const VALUES: [Value; 7] = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(-0.0),
        Value::Real(f64::INFINITY),
        Value::Text("ü'\u{0}".as_bytes()),
        Value::Text(b"\xff"),
        Value::Blob(b""),
    ];

    fn encoded(values: &[Value]) -> Text {
        let mut text = Text::new();
        encode(7, 100, values.iter().copied(), &mut text).expect("fits");
        text
    }

    #[test]
    fn a_token_gives_back_what_it_was_made_of() {
        for count in 0..=VALUES.len() {
            let mut scratch = Scratch::new();
            scratch.extend_from_slice(b"before").expect("fits");
            let token = decode(&encoded(&VALUES[..count]), 7, count, &mut scratch).expect("our own");
            assert_eq!(token.position, 100);
            for (bind, value) in token.values.iter().zip(VALUES) {
                assert_eq!(bind.value(&scratch), value);
            }
            assert_eq!(token.values.len(), count);
        }
    }

    #[test]
    fn a_token_of_another_order_is_refused() {
        let problem = decode(&encoded(&VALUES), 8, VALUES.len(), &mut Scratch::new()).expect_err("another order");
        assert_eq!((problem.status, problem.slug), (400, "bad-page-token"));
        assert!(problem.detail.contains("another order"));
    }

    #[test]
    fn no_text_makes_decoding_fail_otherwise_than_with_a_400() {
        let good = encoded(&VALUES);
        for cut in 0..good.len() {
            assert!(decode(&good[..cut], 7, VALUES.len(), &mut Scratch::new()).is_err(), "cut at {cut}");
        }
        for text in [&b"!!!!"[..], b"A", b"AQ==", b"", &[b'A'; 5000]] {
            assert!(decode(text, 7, 0, &mut Scratch::new()).is_err());
        }
        for terms in [0, VALUES.len() - 1, VALUES.len() + 1] {
            assert!(decode(&good, 7, terms, &mut Scratch::new()).is_err(), "{terms} terms");
        }
        let mut nan = encoded(&[Value::Real(f64::NAN)]);
        assert!(decode(&nan, 7, 1, &mut Scratch::new()).is_err());
        nan.truncate(3);
        assert!(decode(&nan, 7, 1, &mut Scratch::new()).is_err());
    }

    #[test]
    fn a_value_that_is_too_long_is_named_by_its_place() {
        let long = [b'x'; TOKEN_BYTES];
        let values = [Value::Null, Value::Text(&long)];
        assert_eq!(encode(7, 0, values.into_iter(), &mut Text::new()), Err(EncodeError::TooLong(1)));
        let huge = std::vec![0; 70_000];
        assert_eq!(encode(7, 0, [Value::Blob(&huge)].into_iter(), &mut Text::new()), Err(EncodeError::TooLong(0)));
        let mut small: heapless::Vec<u8, 8> = heapless::Vec::new();
        assert_eq!(encode(7, 0, VALUES.into_iter(), &mut small), Err(EncodeError::Full));
    }
}
