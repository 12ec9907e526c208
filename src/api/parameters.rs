//! The parameters of a query string: words of ours (`select`, `order`, ...) and filters on columns.

use super::catalog::{Catalog, Kind, Table};
use super::filter::{Filter, Target};
use super::list;
use super::page;
use super::percent;
use super::problem::{Echo, Problem};
use super::table_query::{Format, TableQuery};
use super::{FILTERS, SCRATCH_BYTES};
use crate::config::nearest::nearest;

/// The reserved parameters, still percent-encoded.
#[derive(Default)]
pub(super) struct Words<'q> {
    pub(super) select: Option<&'q [u8]>,
    pub(super) order: Option<&'q [u8]>,
    pub(super) limit: Option<&'q [u8]>,
    pub(super) after: Option<&'q [u8]>,
    pub(super) format: Option<&'q [u8]>,
}

const ROWS_WORDS: [&str; 5] = ["select", "order", "limit", "after", "_format"];
const ROW_WORDS: [&str; 2] = ["select", "_format"];

impl<'q> Words<'q> {
    /// The place of a reserved parameter, when it is one here.
    fn place(&mut self, name: &[u8], single_row: bool) -> Option<&mut Option<&'q [u8]>> {
        match name {
            b"select" => Some(&mut self.select),
            b"_format" => Some(&mut self.format),
            b"order" if !single_row => Some(&mut self.order),
            b"limit" if !single_row => Some(&mut self.limit),
            b"after" if !single_row => Some(&mut self.after),
            _ => None,
        }
    }
}

/// Reads all parameters: filters are parsed, `select` and `_format` taken in, the rest handed back. Without `filters`
/// there may be none. Bounded by the query's length.
pub(super) fn read<'q>(
    catalog: &Catalog, table: &Table, query: &'q [u8], out: &mut TableQuery,
    mut filters: Option<&mut heapless::Vec<Filter, FILTERS>>,
) -> Result<Words<'q>, Problem> {
    let mut words = Words::default();
    for pair in query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        decode(name, out)?;
        if let Some(place) = words.place(&out.decoded, filters.is_none()) {
            if place.replace(value).is_some() {
                return Err(Problem::malformed(format_args!("{} is given twice", Echo(&out.decoded))));
            }
            continue;
        }
        let filter = match filters {
            Some(_) => read_filter(catalog, table, value, out)?,
            None => {
                return Err(Problem::unknown_parameter(&out.decoded)
                    .hint(format_args!("a row asked for by its key takes no filters"))
                    .allow(ROW_WORDS.into_iter()));
            }
        };
        if let Some(filters) = &mut filters {
            filters.push(filter).map_err(|_| Problem::too_large("filters", FILTERS))?;
        }
    }
    match words.select {
        Some(text) => {
            decode(text, out)?;
            page::select(catalog, table, &out.decoded, &mut out.columns)?;
        }
        None => page::every_column(catalog, table, &mut out.columns)?,
    }
    if let Some(text) = words.format {
        decode(text, out)?;
        out.format = Some(format(&out.decoded)?);
    }
    Ok(words)
}

/// Parses one filter; its name is in `out.decoded`.
fn read_filter(catalog: &Catalog, table: &Table, value: &[u8], out: &mut TableQuery) -> Result<Filter, Problem> {
    let name = &out.decoded;
    let column = match list::quoted_name(name) {
        Some(item) => page::column(catalog, table, item)?,
        None => catalog.find_column(table, name).ok_or_else(|| unknown_name(catalog, table, name))?,
    };
    let description = &catalog.columns(table)[usize::from(column)];
    let target = Target {
        column,
        name: catalog.column_name(description),
        affinity: description.affinity,
        in_view: table.kind == Kind::View,
    };
    decode(value, out)?;
    Filter::parse(&target, &out.decoded, &mut out.scratch)
}

fn unknown_name(catalog: &Catalog, table: &Table, name: &[u8]) -> Problem {
    let typed = core::str::from_utf8(name).unwrap_or_default();
    let near = catalog.did_you_mean_column(table, typed).or_else(|| nearest(typed, ROWS_WORDS.into_iter()));
    Problem::unknown_parameter(name).did_you_mean(near).allow(ROWS_WORDS.into_iter().chain(catalog.column_names(table)))
}

/// What `_format=` asks for; decoded.
pub(super) fn format(text: &[u8]) -> Result<Format, Problem> {
    match text {
        b"json" => Ok(Format::Json),
        b"csv" => Ok(Format::Csv),
        b"ndjson" => Ok(Format::Ndjson),
        _ => Err(Problem::malformed(format_args!("_format={} is not a format", Echo(text)))
            .allow(["json", "csv", "ndjson"].into_iter())),
    }
}

/// Decodes a parameter into `out.decoded`, over what was there.
pub(super) fn decode(text: &[u8], out: &mut TableQuery) -> Result<(), Problem> {
    out.decoded.clear();
    percent::decode_form(text, &mut out.decoded).map_err(|at| {
        if out.decoded.is_full() { Problem::too_large("bytes of a parameter", SCRATCH_BYTES) } else { malformed_escape(text, at) }
    })
}

pub(super) fn malformed_escape(text: &[u8], at: usize) -> Problem {
    Problem::malformed(format_args!("{} is not a percent escape", Echo(&text[at..text.len().min(at + 3)])))
        .hint(format_args!("write %25 for a percent sign"))
}
