//! The fields of a head or trailer section, RFC 9110 §5 and RFC 9112 §5, as ranges into the caller's buffer.
//!
//! httparse reads them. It would also accept LF alone as a line's end, so [`Lines`](super::lines::Lines) has been here first.

use super::list::is_token_byte;
use super::reject::Reject;
use super::target::Span;

/// The most fields in one head: browsers behind proxies send about 30, and each costs eight bytes of every slot.
pub const FIELDS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
}

/// All fields of a head, in order.
#[derive(Debug, Clone)]
pub(super) struct Fields(heapless::Vec<Field, FIELDS>);

impl Fields {
    pub(super) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Reads the lines in `buf[start..end]`, which end with the empty line and are at most [`FIELDS`].
    pub(super) fn read(&mut self, buf: &[u8], start: usize, end: usize) -> Result<(), Reject> {
        self.0.clear();
        let mut parsed = [httparse::EMPTY_HEADER; FIELDS];
        for header in parse(&buf[start..end], &mut parsed)? {
            let field = Field { name: span(buf, header.name.as_bytes()), value: span(buf, header.value) };
            self.0.push(field).map_err(|_| Reject::TooManyFields)?;
        }
        Ok(())
    }

    /// The values of all fields called `name` (in lower case), in order, without white space at their ends.
    pub(super) fn values<'a>(&self, buf: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.spans(buf, name).map(move |span| span.of(buf))
    }

    /// The names of all fields, as they were sent.
    pub(super) fn names<'a>(&self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().map(move |field| field.name.of(buf))
    }

    /// Where those values stand.
    pub(super) fn spans(&self, buf: &[u8], name: &str) -> impl Iterator<Item = Span> + Clone {
        self.0.iter().filter(move |field| field.name.of(buf).eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }
}

/// Checks trailer fields as strictly as those of a head; their content is dropped by the caller (RFC 9112 §7.1.2).
pub(super) fn check<const N: usize>(section: &[u8]) -> Result<(), Reject> {
    parse(section, &mut [httparse::EMPTY_HEADER; N]).map(|_| ())
}

fn parse<'b, 'h>(section: &'b [u8], parsed: &'h mut [httparse::Header<'b>]) -> Result<&'h [httparse::Header<'b>], Reject> {
    match httparse::parse_headers(section, parsed) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => Ok(fields),
        _ => Err(fault(section)),
    }
}

/// Where `part`, a slice of `buf`, stands in it.
fn span(buf: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(buf.as_ptr() as usize);
    match (u16::try_from(start), u16::try_from(start.wrapping_add(part.len()))) {
        (Ok(start), Ok(end)) if !part.is_empty() => Span { start, end },
        _ => Span::EMPTY,
    }
}

/// Why httparse refused: it does not say which line it was.
#[cold]
fn fault(section: &[u8]) -> Reject {
    for line in section.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if matches!(line[0], b' ' | b'\t') {
            return Reject::ObsFold;
        }
        let name = line.iter().take_while(|&&byte| is_token_byte(byte)).count();
        match &line[name..] {
            [b':', value @ ..] if name > 0 => {
                if value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
                    return Reject::FieldValue;
                }
            }
            [b' ' | b'\t', rest @ ..] if rest.iter().find(|&&byte| byte != b' ' && byte != b'\t') == Some(&b':') => {
                return Reject::SpaceBeforeColon;
            }
            _ => return Reject::FieldName,
        }
    }
    Reject::FieldName
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &[u8]) -> Result<Fields, Reject> {
        let mut buf = b"GET / HTTP/1.1\r\n".to_vec();
        let start = buf.len();
        buf.extend_from_slice(section);
        let mut fields = Fields::new();
        fields.read(&buf, start, buf.len())?;
        Ok(fields)
    }

    #[test]
    fn values_come_in_order_trimmed_and_by_any_case() {
        let buf = b"A: 1\r\nb:\t x y \t\r\na:2\r\nC:\r\nD: \t \r\n\r\n";
        let mut fields = Fields::new();
        fields.read(buf, 0, buf.len()).unwrap();
        let values = |name| fields.values(buf, name).collect::<Vec<_>>();
        assert_eq!(values("a"), [b"1", b"2"]);
        assert_eq!(values("b"), [b"x y"]);
        assert_eq!(values("c"), [b""]);
        assert_eq!(values("d"), [b""]);
        assert!(values("e").is_empty());
        assert_eq!(fields.names(buf).collect::<Vec<_>>(), [b"A", b"b", b"a", b"C", b"D"]);
    }

    #[test]
    fn every_control_character_but_tab_is_refused_in_values_and_all_in_names() {
        for byte in 0..=255_u8 {
            for pad in [0, 1, 7, 8, 15, 16, 31, 40] {
                let section = |before: &[u8]| [before, "p".repeat(pad).as_bytes(), &[byte], "q".repeat(pad).as_bytes()].concat();
                let value = read(&[section(b"a: "), b"\r\n\r\n".to_vec()].concat());
                let allowed = byte == b'\t' || (!byte.is_ascii_control());
                if byte != b'\r' && byte != b'\n' {
                    assert_eq!(value.is_ok(), allowed, "{byte:#x} in a value after {pad}");
                    assert!(allowed || value.err() == Some(Reject::FieldValue));
                    let name = read(&[section(b"n"), b"n: v\r\n\r\n".to_vec()].concat());
                    let allowed = is_token_byte(byte) || byte == b':';
                    assert_eq!(name.is_ok(), allowed, "{byte:#x} in a name after {pad}");
                }
            }
        }
    }

    #[test]
    fn the_fault_is_named() {
        for (section, reason) in [
            (&b" a: b\r\n\r\n"[..], Reject::ObsFold),
            (b"a: b\r\n\tc\r\n\r\n", Reject::ObsFold),
            (b"a: b\r\n c: d\r\n\r\n", Reject::ObsFold),
            (b"a : b\r\n\r\n", Reject::SpaceBeforeColon),
            (b"a\t: b\r\n\r\n", Reject::SpaceBeforeColon),
            (b": b\r\n\r\n", Reject::FieldName),
            (b"a b: c\r\n\r\n", Reject::FieldName),
            (b"a\r\n\r\n", Reject::FieldName),
            (b"a(b): c\r\n\r\n", Reject::FieldName),
            (b"a: b\0\r\n\r\n", Reject::FieldValue),
            (b"a: b\r\n\r\n ", Reject::ObsFold),
        ] {
            assert_eq!(read(section).err(), Some(reason), "{:?}", section.escape_ascii().to_string());
        }
    }
}
