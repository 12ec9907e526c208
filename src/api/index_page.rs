//! The page at `/` for a browser: the tables, their columns, and links to their rows.

use super::catalog::{Catalog, Kind};
use crate::memory::sink::{Full, Sink};

const TOP: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Flagstone</title>\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;\
border-bottom:1px solid #8884}td:last-child{color:#888}</style></head><body>\n<h1>Tables</h1>\n\
<table><thead><tr><th>Name</th><th>Type</th><th>Columns</th></tr></thead><tbody>\n";
const BOTTOM: &str = "</tbody></table>\n<p>Rows come as JSON; add <code>?_format=csv</code> for a spreadsheet, \
<code>?column=gte.5&amp;order=column.desc&amp;limit=20</code> to filter, order and limit.</p>\n</body></html>\n";

/// Writes the page.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_html(catalog: &Catalog, sink: &mut impl Sink) -> Result<(), Full> {
    sink.put(TOP.as_bytes())?;
    for table in catalog.exposed() {
        let name = catalog.table_name(table);
        sink.put(b"<tr><td><a href=\"/tables/")?;
        put_escaped_path(name, sink)?;
        sink.put(b"\">")?;
        put_text(name, sink)?;
        sink.put(b"</a></td><td>")?;
        sink.put(Kind::word(table.kind).as_bytes())?;
        sink.put(b"</td><td>")?;
        for (at, column) in catalog.column_names(table).enumerate() {
            sink.put(if at == 0 { b"" } else { b", " })?;
            put_text(column, sink)?;
        }
        sink.put(b"</td></tr>\n")?;
    }
    sink.put(BOTTOM.as_bytes())
}

/// Text between tags and in quoted attributes.
fn put_text(text: &str, sink: &mut impl Sink) -> Result<(), Full> {
    for piece in text.split_inclusive(['&', '<', '>', '"', '\'']) {
        let special = piece.as_bytes().last().copied();
        let entity: &[u8] = match special {
            Some(b'&') => b"&amp;",
            Some(b'<') => b"&lt;",
            Some(b'>') => b"&gt;",
            Some(b'"') => b"&quot;",
            Some(b'\'') => b"&#39;",
            _ => {
                sink.put(piece.as_bytes())?;
                continue;
            }
        };
        sink.put(&piece.as_bytes()[..piece.len() - 1])?;
        sink.put(entity)?;
    }
    Ok(())
}

/// A path segment, percent-encoded but for unreserved characters (RFC 3986 §2.3).
fn put_escaped_path(segment: &str, sink: &mut impl Sink) -> Result<(), Full> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in segment.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            sink.put(&[byte])?;
        } else {
            sink.put(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_neither_end_a_tag_nor_an_attribute() {
        let mut text: heapless::Vec<u8, 256> = heapless::Vec::new();
        put_text("a<b>&\"c'd é", &mut text).unwrap();
        assert_eq!(core::str::from_utf8(&text), Ok("a&lt;b&gt;&amp;&quot;c&#39;d é"));
        text.clear();
        put_escaped_path("a/b \"%é", &mut text).unwrap();
        assert_eq!(core::str::from_utf8(&text), Ok("a%2Fb%20%22%25%C3%A9"));
    }
}
