//! Random cases: how a table is made, what is asked of it over HTTP, and the SQL that must give the same.

use proptest::prelude::*;

/// Types with the affinity that this file believes them to have: text, a numeric one, or none.
const TYPES: [(&str, Affinity); 9] = [
    ("INTEGER", Affinity::Numeric),
    ("TEXT", Affinity::Text),
    ("REAL", Affinity::Numeric),
    ("NUMERIC", Affinity::Numeric),
    ("BLOB", Affinity::None),
    ("", Affinity::None),
    ("TEXT COLLATE NOCASE", Affinity::Text),
    ("VARCHAR(9) COLLATE RTRIM", Affinity::Text),
    ("INT NOT NULL", Affinity::Numeric),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Affinity {
    Text,
    Numeric,
    None,
}

const NAMES: [&str; 12] =
    ["a", "we\"ird", "two words", "100%", "a/b", "select", "limit", "größe", "x.desc", "a,b", "rowid", "\\"];
const TABLES: [&str; 7] = ["t", "a/b", "say \"hi\"", "100%", "select", "名", "two words"];

/// Values as SQL; few, so that there are ties.
const VALUES: [&str; 26] = [
    "NULL",
    "NULL",
    "0",
    "1",
    "1",
    "-1",
    "7",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "0.1",
    "-0.0",
    "1e308",
    "-1e308",
    "9007199254740992.0",
    "''",
    "'a'",
    "'A'",
    "'a  '",
    "'it''s \"q\"'",
    "'ü'",
    "'007'",
    "'1e2'",
    "x''",
    "x'00ff'",
    "x'61'",
];

/// What a client compares with, and whether SQL reads it as a number.
const LITERALS: [(&str, bool); 20] = [
    ("0", true),
    ("1", true),
    ("-1", true),
    ("007", true),
    ("1e2", true),
    ("0.1", true),
    (".1", true),
    ("7.", true),
    ("9007199254740993", true),
    ("9223372036854775807", true),
    ("9223372036854775808", true),
    ("1e308", true),
    ("a", false),
    ("A", false),
    ("", false),
    ("it's \"q\"", false),
    ("ü", false),
    (" 1", false),
    ("0x7", false),
    ("a,b", false),
];

/// How the table is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Rowid,
    IntegerKey,
    TextKey,
    WithoutRowid,
    View,
}

#[derive(Clone, Debug)]
struct FilterCase {
    column: usize,
    operator: usize,
    negated: bool,
    literals: Vec<usize>,
    quoted: bool,
}

#[derive(Clone, Debug)]
pub struct Case {
    shape: Shape,
    table: usize,
    first_name: usize,
    types: Vec<usize>,
    index: Option<(usize, usize)>,
    rows: Vec<Vec<usize>>,
    filters: Vec<FilterCase>,
    order: Vec<(usize, bool, Option<bool>)>,
    select: Vec<usize>,
    pub limits: Vec<u16>,
}

pub fn cases() -> impl Strategy<Value = Case> {
    let shape = prop_oneof![
        Just(Shape::Rowid),
        Just(Shape::IntegerKey),
        Just(Shape::TextKey),
        Just(Shape::WithoutRowid),
        Just(Shape::View)
    ];
    let filter = (0..5_usize, 0..OPERATORS.len(), any::<bool>(), prop::collection::vec(0..LITERALS.len(), 1..4), any::<bool>())
        .prop_map(|(column, operator, negated, literals, quoted)| FilterCase { column, operator, negated, literals, quoted });
    let table = (shape, 0..TABLES.len(), 0..NAMES.len(), prop::collection::vec(0..TYPES.len(), 3..6));
    let rows = prop::collection::vec(prop::collection::vec(0..VALUES.len(), 5), 0..40);
    let order = prop::collection::vec((0..5_usize, any::<bool>(), any::<Option<bool>>()), 0..4);
    let filters = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(filter, 1..3)];
    let rest = (
        any::<Option<(usize, usize)>>(),
        filters,
        order,
        prop::collection::vec(0..5_usize, 0..4),
        prop::collection::vec(1..8_u16, 1..4),
    );
    (table, rows, rest).prop_map(|((shape, table, first_name, types), rows, (index, filters, order, select, limits))| {
        let width = types.len();
        let once = |columns: Vec<usize>| {
            let mut seen = Vec::new();
            columns.into_iter().map(|column| column % width).for_each(|column| {
                if !seen.contains(&column) {
                    seen.push(column);
                }
            });
            seen
        };
        let mut order: Vec<(usize, bool, Option<bool>)> =
            order.into_iter().map(|(column, descending, nulls)| (column % width, descending, nulls)).collect();
        let mut ordered = Vec::new();
        order.retain(|(column, ..)| {
            !ordered.contains(column) && {
                ordered.push(*column);
                true
            }
        });
        Case { shape, table, first_name, types, index, rows, filters, order, select: once(select), limits }
    })
}

/// The operators that take any value, and their SQL; then `in` and the three of `is`.
const OPERATORS: [(&str, &str); 10] = [
    ("eq", "="),
    ("neq", "<>"),
    ("gt", ">"),
    ("gte", ">="),
    ("lt", "<"),
    ("lte", "<="),
    ("in", ""),
    ("is.null", "IS NULL"),
    ("is.true", "IS TRUE"),
    ("is.false", "IS FALSE"),
];

impl Case {
    fn name(&self, column: usize) -> &'static str {
        NAMES[(self.first_name + column) % NAMES.len()]
    }

    pub fn table(&self) -> &'static str {
        TABLES[self.table]
    }

    fn quoted_name(&self, column: usize) -> String {
        identifier(self.name(column))
    }

    pub fn script(&self) -> String {
        let base = if self.shape == Shape::View { "base table" } else { TABLES[self.table] };
        let base = identifier(base);
        let columns = (0..self.types.len()).map(|column| {
            let declared = match (self.shape, column) {
                (Shape::IntegerKey, 0) => "INTEGER PRIMARY KEY",
                (Shape::TextKey, 0) => "TEXT PRIMARY KEY",
                _ => TYPES[self.types[column]].0,
            };
            format!("{} {declared}", self.quoted_name(column))
        });
        let mut columns = columns.collect::<Vec<_>>().join(", ");
        let mut end = "";
        if self.shape == Shape::WithoutRowid {
            columns += &format!(", PRIMARY KEY ({}, {} DESC)", self.quoted_name(1), self.quoted_name(0));
            end = " WITHOUT ROWID";
        }
        let mut script = format!("CREATE TABLE {base} ({columns}){end};");
        for row in &self.rows {
            let values: Vec<&str> = row[..self.types.len()].iter().map(|value| VALUES[*value]).collect();
            let mut values = values.join(", ");
            if self.shape == Shape::IntegerKey && VALUES[row[0]].parse::<i64>().is_err() {
                values = format!("NULL{}", &values[values.find(", ").expect("three columns")..]);
            }
            script += &format!("INSERT OR IGNORE INTO {base} VALUES ({values});");
        }
        if let Some((one, other)) = self.index {
            let (one, other) = (one % self.types.len(), other % self.types.len());
            script += &format!("CREATE INDEX i ON {base} ({}, {});", self.quoted_name(one), self.quoted_name(other));
        }
        if self.shape == Shape::View {
            let last = self.quoted_name(self.types.len() - 1);
            let others: Vec<String> = (0..self.types.len() - 1).map(|column| self.quoted_name(column)).collect();
            let view = identifier(TABLES[self.table]);
            script += &format!("CREATE VIEW {view} AS SELECT {}, +{last} AS {last} FROM {base};", others.join(", "));
        }
        script
    }

    fn affinity(&self, column: usize) -> Affinity {
        match (self.shape, column) {
            (Shape::IntegerKey, 0) => Affinity::Numeric,
            (Shape::TextKey, 0) => Affinity::Text,
            (Shape::View, column) if column + 1 == self.types.len() => Affinity::None,
            _ => TYPES[self.types[column]].1,
        }
    }

    fn literal(&self, column: usize, literal: usize) -> String {
        match (LITERALS[literal], self.affinity(column)) {
            ((text, true), Affinity::None) => text.to_string(),
            ((text, _), _) => format!("'{}'", text.replace('\'', "''")),
        }
    }

    pub fn query(&self) -> String {
        let mut parts = Vec::new();
        for filter in &self.filters {
            let column = filter.column % self.types.len();
            let name = self.name(column);
            let reserved = ["select", "limit", "order"].contains(&name);
            let name = if filter.quoted || reserved { in_quotes(name) } else { name.to_string() };
            let operator = OPERATORS[filter.operator].0;
            let value = match operator {
                "in" => {
                    let number = |literal: &usize| LITERALS[*literal].1;
                    let item = |literal: &usize| match number(literal) {
                        true => LITERALS[*literal].0.to_string(),
                        false => in_quotes(LITERALS[*literal].0),
                    };
                    format!("in.({})", filter.literals.iter().map(item).collect::<Vec<_>>().join(","))
                }
                operator if operator.starts_with("is") => operator.to_string(),
                operator => format!("{operator}.{}", LITERALS[filter.literals[0]].0),
            };
            let not = if filter.negated { "not." } else { "" };
            parts.push(format!("{}={}", encode(&name), encode(&format!("{not}{value}"))));
        }
        if !self.order.is_empty() {
            let term = |(column, descending, nulls): &(usize, bool, Option<bool>)| {
                let nulls = nulls.map_or("", |first| if first { ".nullsfirst" } else { ".nullslast" });
                format!("{}{}{nulls}", in_quotes(self.name(*column)), if *descending { ".desc" } else { "" })
            };
            let terms: Vec<String> = self.order.iter().map(term).collect();
            parts.push(format!("order={}", encode(&terms.join(","))));
        }
        if !self.select.is_empty() {
            let names: Vec<String> = self.select.iter().map(|column| in_quotes(self.name(*column))).collect();
            parts.push(format!("select={}", encode(&names.join(","))));
        }
        parts.join("&")
    }

    /// The rows with their ranks, and their count. Rows of one rank (a view's, for it has no key) may come in any order.
    pub fn reference(&self) -> (String, String) {
        let conditions = self.filters.iter().map(|filter| {
            let column = filter.column % self.types.len();
            let name = self.quoted_name(column);
            let condition = match OPERATORS[filter.operator] {
                ("in", _) => {
                    let equal = |literal: &usize| format!("{name} = {}", self.literal(column, *literal));
                    filter.literals.iter().map(equal).collect::<Vec<_>>().join(" OR ")
                }
                (operator, sql) if operator.starts_with("is") => format!("{name} {sql}"),
                (_, sql) => format!("{name} {sql} {}", self.literal(column, filter.literals[0])),
            };
            format!("{} ({condition})", if filter.negated { "NOT" } else { "" })
        });
        let conditions = conditions.collect::<Vec<_>>().join(" AND ");
        let condition = if conditions.is_empty() { "1".to_string() } else { conditions };
        let mut terms: Vec<String> = self
            .order
            .iter()
            .map(|(column, descending, nulls)| {
                let first = nulls.unwrap_or(!descending);
                let direction = if *descending { "DESC" } else { "ASC" };
                format!("{} {direction} NULLS {}", self.quoted_name(*column), if first { "FIRST" } else { "LAST" })
            })
            .collect();
        let direction = if self.order.last().is_some_and(|term| term.1) { "DESC" } else { "ASC" };
        match self.shape {
            Shape::View => {}
            Shape::WithoutRowid => {
                for key in [1, 0] {
                    if !self.order.iter().any(|(column, ..)| *column == key) {
                        terms.push(format!("{} {direction}", self.quoted_name(key)));
                    }
                }
            }
            _ => terms.push(format!("_rowid_ {direction}")),
        }
        let select: Vec<usize> = if self.select.is_empty() { (0..self.types.len()).collect() } else { self.select.clone() };
        let names: Vec<String> = select.iter().map(|column| self.quoted_name(*column)).collect();
        let table = identifier(TABLES[self.table]);
        let order = if terms.is_empty() { String::new() } else { format!("ORDER BY {}", terms.join(", ")) };
        (
            format!("SELECT {}, dense_rank() OVER ({order}) FROM {table} WHERE {condition} {order}", names.join(", ")),
            format!("SELECT count(*) FROM {table} WHERE {condition}"),
        )
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// PostgREST's quotes.
fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

pub fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
