//! Rows to bytes: JSON, CSV (RFC 4180), NDJSON, straight from SQLite's values into the reply.
//!
//! Integers are exact, reals the shortest text that reads back the same (NaN and infinities null), text escaped with invalid UTF-8 replaced,
//! blobs base64, NULL null (in CSV an empty field, while empty text is `""`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;

use crate::api::{json, real};
use crate::http::accept::Media;
use crate::memory::sink::{Full, Sink};

/// Bytes for the members' names of a row, `{"name":` and so on, escaped once a query.
const PREFIX_BYTES: usize = 32 * 1024;
/// Columns of a row.
const COLUMNS: usize = crate::api::SELECT_COLUMNS;

/// Whose columns a shape is of: a held statement's number, how often it was prepared anew, and the format.
pub type ShapeKey = (u64, i32, Media);

/// Zeros, as all of a shape that has no names: a static with any other byte in it stands in the binary whole.
const NOBODY: ShapeKey = (0, 0, Media::Json);

/// The shape of a query's rows: what stands before each value.
pub struct RowShape {
    /// Whose names it has; [`NOBODY`] where they are to be taken again.
    of: ShapeKey,
    bytes: heapless::Vec<u8, PREFIX_BYTES>,
    ends: heapless::Vec<u16, COLUMNS>,
}

impl Default for RowShape {
    fn default() -> RowShape {
        RowShape::new()
    }
}

impl RowShape {
    /// No columns yet.
    pub const fn new() -> RowShape {
        RowShape { of: NOBODY, bytes: heapless::Vec::new(), ends: heapless::Vec::new() }
    }

    /// Takes the names of a held statement's columns, which the next look-up by it has in the same format.
    ///
    /// # Errors
    /// As [`RowShape::set`].
    pub fn set_once<'n>(&mut self, of: ShapeKey, names: impl Iterator<Item = &'n str>) -> Result<(), Full> {
        if of.0 == NOBODY.0 || self.of != of {
            self.set(names, of.2)?;
            self.of = of;
        }
        Ok(())
    }

    /// Forgets whose names it has: statements are numbered anew, or have other columns.
    pub fn forget(&mut self) {
        self.of = NOBODY;
    }

    /// Takes the names of a query's columns.
    ///
    /// # Errors
    /// [`Full`] when the names are longer than the workspace.
    pub fn set<'n>(&mut self, names: impl Iterator<Item = &'n str>, media: Media) -> Result<(), Full> {
        self.of = NOBODY;
        self.bytes.clear();
        self.ends.clear();
        for name in names {
            let first = self.ends.is_empty();
            match media {
                Media::Csv => put_csv_text(name.as_bytes(), &mut self.bytes)?,
                _ => {
                    self.bytes.put(if first { b"{" } else { b"," })?;
                    json::put_string(&mut self.bytes, name.as_bytes())?;
                    self.bytes.put(b":")?;
                }
            }
            self.ends.push(self.bytes.len() as u16).map_err(|_| Full)?;
        }
        Ok(())
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.ends.len()
    }

    fn part(&self, column: usize) -> &[u8] {
        let start = if column == 0 { 0 } else { usize::from(self.ends[column - 1]) };
        &self.bytes[start..usize::from(self.ends[column])]
    }

    /// What stands before the first row.
    ///
    /// # Errors
    /// [`Full`] when the sink is.
    pub fn put_head(&self, media: Media, single: bool, sink: &mut impl Sink) -> Result<(), Full> {
        match media {
            Media::Csv => {
                for column in 0..self.columns() {
                    sink.put(if column == 0 { b"" } else { b"," })?;
                    sink.put(self.part(column))?;
                }
                sink.put(b"\r\n")
            }
            Media::Json if !single => sink.put(b"["),
            _ => Ok(()),
        }
    }

    /// One row; `values` has as many as there are columns.
    ///
    /// # Errors
    /// [`Full`] when the sink is: the caller takes the row's beginning back.
    pub fn put_row<'v>(
        &self, media: Media, first: bool, values: impl Iterator<Item = ValueRef<'v>>, sink: &mut impl Sink,
    ) -> Result<(), Full> {
        if media == Media::Csv {
            for (column, value) in values.enumerate() {
                if column > 0 {
                    sink.put_byte(b',')?;
                }
                put_csv(value, sink)?;
            }
            return sink.put(b"\r\n");
        }
        if !first && media == Media::Json {
            sink.put_byte(b',')?;
        }
        for (column, value) in values.enumerate() {
            sink.put(self.part(column))?;
            put_json(value, sink)?;
        }
        sink.put_byte(b'}')?;
        if media == Media::Ndjson { sink.put_byte(b'\n') } else { Ok(()) }
    }

    /// What stands behind the last row.
    ///
    /// # Errors
    /// [`Full`] when the sink is.
    pub fn put_tail(media: Media, single: bool, sink: &mut impl Sink) -> Result<(), Full> {
        if media == Media::Json && !single { sink.put(b"]") } else { Ok(()) }
    }
}

/// A value as JSON writes it.
pub(super) fn put_json(value: ValueRef, sink: &mut impl Sink) -> Result<(), Full> {
    match value {
        ValueRef::Null => sink.put(b"null"),
        ValueRef::Integer(number) => sink.put(itoa::Buffer::new().format(number).as_bytes()),
        ValueRef::Real(number) if number.is_finite() => real::put(sink, number),
        ValueRef::Real(_) => sink.put(b"null"),
        ValueRef::Text(text) => json::put_string(sink, text),
        ValueRef::Blob(blob) => {
            sink.put(b"\"")?;
            put_base64(blob, sink)?;
            sink.put(b"\"")
        }
    }
}

fn put_csv(value: ValueRef, sink: &mut impl Sink) -> Result<(), Full> {
    match value {
        ValueRef::Null => Ok(()),
        ValueRef::Real(number) if !number.is_finite() => Ok(()),
        ValueRef::Text(text) => put_csv_text(text, sink),
        ValueRef::Blob(blob) => put_base64(blob, sink),
        number => put_json(number, sink),
    }
}

/// A field of text, quoted where RFC 4180 §2 asks for it, and where it is empty, to be told from NULL.
fn put_csv_text(text: &[u8], sink: &mut impl Sink) -> Result<(), Full> {
    let quoted = text.is_empty() || text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if !quoted {
        return json::put_utf8(sink, text);
    }
    sink.put_byte(b'"')?;
    for (at, part) in text.split(|&byte| byte == b'"').enumerate() {
        if at > 0 {
            sink.put(b"\"\"")?;
        }
        json::put_utf8(sink, part)?;
    }
    sink.put_byte(b'"')
}

/// Base64 (RFC 4648 §4, padded) in pieces that need no buffer of the blob's size.
fn put_base64(blob: &[u8], sink: &mut impl Sink) -> Result<(), Full> {
    const PIECE: usize = 768;
    let mut text = [0; PIECE / 3 * 4];
    for piece in blob.chunks(PIECE) {
        let count = STANDARD.encode_slice(piece, &mut text).map_err(|_| Full)?;
        sink.put(&text[..count])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Out = heapless::Vec<u8, 4096>;

    fn rows(media: Media, rows: &[&[ValueRef]]) -> String {
        let mut shape = RowShape::new();
        shape.set(["a", "b \"q\", c"].into_iter(), media).unwrap();
        let mut out = Out::new();
        shape.put_head(media, false, &mut out).unwrap();
        for (at, row) in rows.iter().enumerate() {
            shape.put_row(media, at == 0, row.iter().copied(), &mut out).unwrap();
        }
        RowShape::put_tail(media, false, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn every_value_is_exact() {
        let cases: &[(ValueRef, &str, &str)] = &[
            (ValueRef::Null, "null", ""),
            (ValueRef::Integer(i64::MIN), "-9223372036854775808", "-9223372036854775808"),
            (ValueRef::Integer(9_007_199_254_740_993), "9007199254740993", "9007199254740993"),
            (ValueRef::Real(0.1), "0.1", "0.1"),
            (ValueRef::Real(1.0), "1.0", "1.0"),
            (ValueRef::Real(-0.0), "-0.0", "-0.0"),
            (ValueRef::Real(1e300), "1e300", "1e300"),
            (ValueRef::Real(5e-324), "5e-324", "5e-324"),
            (ValueRef::Real(f64::NAN), "null", ""),
            (ValueRef::Real(f64::INFINITY), "null", ""),
            (ValueRef::Text(b""), "\"\"", "\"\""),
            (ValueRef::Text(b"say \"hi\",\nthen\tgo"), r#""say \"hi\",\nthen\tgo""#, "\"say \"\"hi\"\",\nthen\tgo\""),
            (ValueRef::Text("Süd – 冷".as_bytes()), "\"Süd – 冷\"", "Süd – 冷"),
            (ValueRef::Text(b"a\xffb"), "\"a\u{FFFD}b\"", "a\u{FFFD}b"),
            (ValueRef::Blob(b"\x00\xff"), "\"AP8=\"", "AP8="),
            (ValueRef::Blob(b""), "\"\"", ""),
        ];
        for (value, json, csv) in cases {
            let mut out = Out::new();
            put_json(*value, &mut out).unwrap();
            assert_eq!(std::str::from_utf8(&out), Ok(*json), "{value:?}");
            out.clear();
            put_csv(*value, &mut out).unwrap();
            assert_eq!(std::str::from_utf8(&out), Ok(*csv), "{value:?}");
        }
    }

    #[test]
    fn rows_are_flat_objects_lines_or_records() {
        let some: &[&[ValueRef]] = &[&[ValueRef::Integer(1), ValueRef::Null], &[ValueRef::Integer(2), ValueRef::Text(b"x")]];
        assert_eq!(rows(Media::Json, some), r#"[{"a":1,"b \"q\", c":null},{"a":2,"b \"q\", c":"x"}]"#);
        assert_eq!(rows(Media::Json, &[]), "[]");
        assert_eq!(rows(Media::Ndjson, some), "{\"a\":1,\"b \\\"q\\\", c\":null}\n{\"a\":2,\"b \\\"q\\\", c\":\"x\"}\n");
        assert_eq!(rows(Media::Csv, some), "a,\"b \"\"q\"\", c\"\r\n1,\r\n2,x\r\n");
        assert_eq!(rows(Media::Csv, &[]), "a,\"b \"\"q\"\", c\"\r\n");
    }

    #[test]
    fn a_long_blob_is_encoded_in_pieces_without_a_seam() {
        let blob: Vec<u8> = (0..2000_u32).map(|i| (i % 251) as u8).collect();
        let mut out = Out::new();
        put_base64(&blob, &mut out).unwrap();
        let mut decoded = vec![0; 3000];
        let count = STANDARD.decode_slice(&out, &mut decoded).unwrap();
        assert_eq!(decoded[..count], blob);
        assert!(put_base64(&blob, &mut heapless::Vec::<u8, 100>::new()).is_err());
    }
}
