//! What part of a table is asked for: `select=`, `order=` and `limit=`, already decoded.

use super::catalog::{Catalog, Key, Table};
use super::keyset::{Term, Terms};
use super::list::{self, Item};
use super::problem::{Echo, Problem};
use super::{KEY_COLUMNS, LIMIT_MAX, NAME_BYTES, ORDER_COLUMNS, SELECT_COLUMNS};

/// Columns by their places among the visible ones.
pub type Columns = heapless::Vec<u16, SELECT_COLUMNS>;

/// The number of rows of a page.
///
/// # Errors
/// A 400 that names the range.
pub fn limit(text: &[u8]) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = core::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    match number {
        Some(number @ 1..=LIMIT_MAX) => Ok(number),
        _ => Err(Problem::malformed(format_args!("limit={} is not a number of rows", Echo(text)))
            .hint(format_args!("write a limit from 1 to {LIMIT_MAX}"))),
    }
}

/// The columns of `select=`, in its order; a lone `*` is all of them.
///
/// # Errors
/// A 400 for an unknown column, one named twice, or too many.
pub fn select(catalog: &Catalog, table: &Table, text: &[u8], out: &mut Columns) -> Result<(), Problem> {
    if text == b"*" {
        return every_column(catalog, table, out);
    }
    if text.is_empty() {
        return Err(Problem::malformed(format_args!("select= names no column")).allow(catalog.column_names(table)));
    }
    for item in list::items(text) {
        let item = item.map_err(|_| open_quote("select"))?;
        let column = match item.rest {
            b"" => column(catalog, table, item)?,
            rest => return Err(after_quote("select", rest)),
        };
        if out.contains(&column) {
            return Err(named_twice("select", item));
        }
        out.push(column).map_err(|_| too_many_columns())?;
    }
    Ok(())
}

/// All visible columns of a table.
///
/// # Errors
/// A 400 when there are more than [`SELECT_COLUMNS`].
pub fn every_column(catalog: &Catalog, table: &Table, out: &mut Columns) -> Result<(), Problem> {
    for place in 0..catalog.columns(table).len() {
        let place = u16::try_from(place).expect("the catalog counts columns in 16 bits");
        out.push(place).map_err(|_| too_many_columns())?;
    }
    Ok(())
}

/// The terms of `order=`: `a,b.desc,"c.d".asc.nullslast`. Ends early at a column that is the rowid: no ties are left.
///
/// # Errors
/// A 400 for an unknown column or direction, a column named twice, or too many.
pub fn order(catalog: &Catalog, table: &Table, text: &[u8], terms: &mut Terms) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::malformed(format_args!("order= names no column")).allow(catalog.column_names(table)));
    }
    let mut no_ties_left = false;
    let mut seen: heapless::Vec<u16, ORDER_COLUMNS> = heapless::Vec::new();
    for item in list::items(text) {
        let item = item.map_err(|_| open_quote("order"))?;
        let modifiers = Modifiers::of(if item.quoted { item.rest } else { item.body });
        let name = if item.quoted { item } else { Item { body: modifiers.before, ..item } };
        if item.quoted && !modifiers.before.is_empty() {
            return Err(allow_directions(after_quote("order", modifiers.before)));
        }
        let place = column(catalog, table, name).map_err(|problem| order_problem(catalog, table, name, problem))?;
        if seen.contains(&place) {
            return Err(named_twice("order", name));
        }
        seen.push(place).map_err(|_| Problem::too_large("columns in order=", ORDER_COLUMNS))?;
        if no_ties_left {
            continue;
        }
        let column = catalog.columns(table)[usize::from(place)];
        let term = Term {
            column: Some(place),
            descending: modifiers.descending,
            nulls_first: modifiers.nulls_first.unwrap_or(!modifiers.descending),
            nullable: !column.never_null,
        };
        terms.push(term).map_err(|_| Problem::too_large("columns in order=", ORDER_COLUMNS))?;
        no_ties_left = column.is_rowid;
    }
    Ok(())
}

/// Adds what tells equal rows apart: the rowid, or the primary key's columns that are not there yet. They take the
/// direction of the last term, because that is how an index holds them. `false` when nothing can tell them apart.
pub fn break_ties(catalog: &Catalog, table: &Table, terms: &mut Terms) -> bool {
    let columns = catalog.columns(table);
    let descending = terms.last().is_some_and(|term| term.descending);
    let ordered = |terms: &Terms, column: u16| terms.iter().any(|term| term.column == Some(column));
    let tie_break = |column| Term { column, descending, nulls_first: !descending, nullable: false };
    let room = "the terms have room for an order and a key";
    match table.key {
        Key::Rowid(_) => {
            let unique = |term: &Term| term.column.is_some_and(|place| columns[usize::from(place)].is_rowid);
            if !terms.iter().any(unique) {
                terms.push(tie_break(None)).expect(room);
            }
            true
        }
        Key::Primary if usize::from(table.primary_columns) <= KEY_COLUMNS => {
            for column in catalog.primary_key(table) {
                if !ordered(terms, column) {
                    terms.push(tie_break(Some(column))).expect(room);
                }
            }
            true
        }
        Key::Primary | Key::None => false,
    }
}

/// The column that a list's item names.
///
/// # Errors
/// A 400 with the nearest name and all that there are.
pub fn column(catalog: &Catalog, table: &Table, item: Item) -> Result<u16, Problem> {
    let mut name: heapless::Vec<u8, NAME_BYTES> = heapless::Vec::new();
    for byte in item.bytes() {
        if name.push(byte).is_err() {
            break;
        }
    }
    catalog.find_column(table, &name).ok_or_else(|| {
        let typed = core::str::from_utf8(&name).unwrap_or_default();
        Problem::unknown_column(&name, catalog.table_name(table))
            .did_you_mean(catalog.did_you_mean_column(table, typed))
            .allow(catalog.column_names(table))
    })
}

/// What may follow a column's name in `order=`, taken off its end.
struct Modifiers<'a> {
    before: &'a [u8],
    descending: bool,
    nulls_first: Option<bool>,
}

impl Modifiers<'_> {
    fn of(text: &[u8]) -> Modifiers<'_> {
        let mut before = text;
        let mut take = |word: &[u8]| match before.strip_suffix(word) {
            Some(rest) => {
                before = rest;
                true
            }
            None => false,
        };
        let nulls_first = match (take(b".nullsfirst"), take(b".nullslast")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let descending = take(b".desc");
        if !descending {
            take(b".asc");
        }
        Modifiers { before, descending, nulls_first }
    }
}

fn allow_directions(problem: Problem) -> Problem {
    problem.allow([".asc", ".desc", "then .nullsfirst", ".nullslast"].into_iter())
}

/// An unknown column in `order=` may be a known one with a direction that we do not know: `a.down`.
fn order_problem(catalog: &Catalog, table: &Table, item: Item, problem: Problem) -> Problem {
    let dot = item.body.iter().position(|&byte| byte == b'.').filter(|_| !item.quoted);
    match dot {
        Some(dot) if catalog.find_column(table, &item.body[..dot]).is_some() => {
            allow_directions(Problem::malformed(format_args!("order=: {} is not a direction", Echo(&item.body[dot..]))))
        }
        _ => problem,
    }
}

fn open_quote(parameter: &str) -> Problem {
    Problem::malformed(format_args!("{parameter}=: a quote is not closed"))
}

fn after_quote(parameter: &str, rest: &[u8]) -> Problem {
    Problem::malformed(format_args!("{parameter}=: {} follows a closing quote", Echo(rest)))
}

fn named_twice(parameter: &str, item: Item) -> Problem {
    Problem::malformed(format_args!("{parameter}= names {} twice", Echo(item.body)))
}

fn too_many_columns() -> Problem {
    Problem::too_large("columns of one answer", SELECT_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn terms(table: &str, text: &str) -> Result<(std::string::String, bool), Problem> {
        let catalog = fixture::catalog();
        let table = catalog.table(catalog.find_table(table.as_bytes()).expect(table));
        let mut terms = Terms::new();
        order(&catalog, table, text.as_bytes(), &mut terms)?;
        let keyed = break_ties(&catalog, table, &mut terms);
        let mut text = std::string::String::new();
        for term in &terms {
            let name = term.column.map_or("rowid", |place| catalog.column_names(table).nth(place.into()).expect("there"));
            let direction = if term.descending { "-" } else { "+" };
            text += &format!("{direction}{name}{} ", if term.nulls_first { "" } else { "~" });
        }
        Ok((text.trim().to_string(), keyed))
    }

    #[test]
    fn an_order_ends_in_a_key() {
        let cases = [
            ("readings", "at", "+at +rowid", true),
            ("readings", "AT.desc", "-at~ -rowid~", true),
            ("readings", "at.desc.nullsfirst,value.asc", "-at +value +rowid", true),
            ("readings", "at.nullslast", "+at~ +rowid", true),
            ("readings", "at,id.desc,value", "+at -id~", true),
            ("pairs", "v.desc", "-v~ -b~ -a~", true),
            ("pairs", "a", "+a +b", true),
            ("odd", r#""a.b".desc,a.b"#, "", false),
            ("odd", r#""a.b".desc,limit"#, "-a.b~ +limit +rowid", true),
            ("latest", "value.desc", "-value~", false),
        ];
        for (table, text, wanted, keyed) in cases {
            match terms(table, text) {
                Ok(found) => assert_eq!(found, (wanted.to_string(), keyed), "{text}"),
                Err(problem) => assert!(wanted.is_empty() && problem.detail.contains("twice"), "{text}"),
            }
        }
    }

    #[test]
    fn malformed_orders_say_what_is_allowed() {
        let cases = [
            ("", "order= names no column", "id, at"),
            ("att", "'att' is not a column of 'readings'", "id, at"),
            ("at.down", "order=: '.down' is not a direction", ".asc, .desc"),
            ("at.nullslast.desc", "order=: '.nullslast' is not a direction", ".asc, .desc"),
            ("\"at\"desc", "order=: 'desc' follows a closing quote", ".asc, .desc"),
            ("\"at", "order=: a quote is not closed", ""),
            ("at,at.desc", "order= names 'at' twice", ""),
        ];
        for (text, detail, allowed) in cases {
            let problem = terms("readings", text).expect_err(text);
            assert_eq!((problem.status, problem.detail.as_str()), (400, detail));
            assert!(problem.allowed.starts_with(allowed), "{}", problem.allowed);
        }
        assert_eq!(terms("readings", "valeu").expect_err("typo").hint.as_str(), "did you mean 'value'?");
    }

    #[test]
    fn limits_have_a_range() {
        for (text, wanted) in [("1", Some(1)), ("1000", Some(1000)), ("007", Some(7))] {
            assert_eq!(limit(text.as_bytes()).ok(), wanted);
        }
        for text in ["0", "1001", "", "-1", "+1", "1.0", "ten", "99999999999", " 1"] {
            assert!(limit(text.as_bytes()).expect_err(text).hint.contains("1 to 1000"));
        }
    }

    #[test]
    fn select_names_columns_once() {
        let catalog = fixture::catalog();
        let of = |table: &str, text: &str| {
            let table = catalog.table(catalog.find_table(table.as_bytes()).expect(table));
            let mut columns = Columns::new();
            select(&catalog, table, text.as_bytes(), &mut columns).map(|()| columns.to_vec())
        };
        assert_eq!(of("readings", "*"), Ok([0, 1, 2, 3].to_vec()));
        assert_eq!(of("readings", "value,id"), Ok([2, 0].to_vec()));
        assert_eq!(of("odd", r#""say \"hi\"",a.b"#), Ok([2, 0].to_vec()));
        for text in ["", "id,", "id,id", "\"id", "\"id\".x", "id,nothing"] {
            assert_eq!(of("readings", text).map_err(|problem| problem.status), Err(400), "{text}");
        }
    }
}
