//! Planned statements, word by word; `tests/table_property.rs` runs them.

use super::super::fixture;
use super::*;

fn planned(table: &str, query: &str) -> Result<Box<TableQuery>, Problem> {
    let catalog = fixture::catalog();
    let mut out = Box::new(TableQuery::new());
    let table = find_table(&catalog, table.as_bytes())?;
    plan_rows(&catalog, table, query.as_bytes(), &mut out).map(|()| out)
}

fn row(table: &str, key: &str, query: &str) -> Result<Box<TableQuery>, Problem> {
    let catalog = fixture::catalog();
    let mut out = Box::new(TableQuery::new());
    let table = find_table(&catalog, table.as_bytes())?;
    plan_row(&catalog, table, key.as_bytes(), query.as_bytes(), &mut out).map(|()| out)
}

fn binds(query: &TableQuery) -> std::vec::Vec<Value<'_>> {
    query.binds.iter().map(|bind| bind.value(&query.scratch)).collect()
}

#[test]
fn a_table_is_read_in_the_order_of_its_key() {
    let query = planned("pairs", "").expect("plain");
    assert_eq!(query.sql.as_str(), r#"SELECT "a", "b", "v", "b", "a" FROM "pairs" ORDER BY "b", "a" LIMIT ?1"#);
    assert_eq!(binds(&query), [Value::Integer(101)]);
    assert_eq!(query.count_sql.as_str(), r#"SELECT count(*) FROM (SELECT 1 FROM "pairs" LIMIT 10001)"#);
    assert_eq!((query.count_binds, query.limit, query.format), (0, 100, None));
}

#[test]
fn everything_at_once_is_one_statement() {
    let query = "select=at&value=not.gte.5&order=at.desc&limit=7&at=in.(x,y)&raw=eq.1&_format=csv";
    let query = planned("readings", query).expect("all of it is known");
    let filters = r#"WHERE "at" IN (SELECT value FROM json_each(?1)) AND NOT ("value" >= ?2) AND "raw" = ?3"#;
    assert_eq!(
        query.sql.as_str(),
        format!(r#"SELECT "at", "at", rowid FROM "readings" {filters} ORDER BY "at" DESC, rowid DESC LIMIT ?4"#)
    );
    assert_eq!(query.count_sql.as_str(), format!(r#"SELECT count(*) FROM (SELECT 1 FROM "readings" {filters} LIMIT 10001)"#));
    assert_eq!(binds(&query)[..2], [Value::Text(br#"["x","y"]"#), Value::Integer(5)]);
    assert_eq!(binds(&query)[2..], [Value::Integer(1), Value::Integer(8)]);
    assert_eq!((query.count_binds, query.format), (3, Some(Format::Csv)));
}

#[test]
fn the_order_of_parameters_means_nothing() {
    let parts = ["at=gt.1", "at=gt.0", "value=lt.5", "limit=3", "order=at", "select=id", "value=not.lt.5"];
    let query = |parts: &[&str]| planned("readings", &parts.join("&")).expect("known");
    let one = query(&parts);
    let reversed: std::vec::Vec<&str> = parts.iter().rev().copied().collect();
    let other = query(&reversed);
    assert_eq!(one.sql, other.sql);
    assert_eq!(binds(&one), binds(&other));
}

#[test]
fn a_token_goes_on_where_the_page_ended_and_only_there() {
    let catalog = fixture::catalog();
    let first = planned("readings", "order=value&at=neq.x").expect("known");
    let last = [Value::Real(0.5), Value::Integer(9)];
    let mut token: heapless::Vec<u8, 256> = heapless::Vec::new();
    next_token(&catalog, &first, 100, last.into_iter(), &mut token).expect("short");
    let token = std::str::from_utf8(&token).expect("base64");
    let next = planned("readings", &format!("after={token}&order=value&at=neq.x&limit=5")).expect("our own");
    assert!(
        next.sql.contains(r#"WHERE "at" <> ?1 AND "value" >= ?2 AND ("value" > ?2 OR ("value" = ?2 AND (rowid > ?3))) ORDER"#)
    );
    assert_eq!(binds(&next)[1..], [last[0], last[1], Value::Integer(6)]);
    assert_eq!((next.position, next.count_binds), (100, 1));
    for other in ["order=value.desc", "order=at", "", "order=value,at"] {
        let problem = planned("readings", &format!("{other}&after={token}")).err().expect(other);
        assert_eq!((problem.status, problem.slug), (400, "bad-page-token"));
    }
    assert!(planned("pairs", &format!("after={token}")).is_err());
}

#[test]
fn a_value_too_long_for_a_token_is_named() {
    let catalog = fixture::catalog();
    let query = planned("readings", "order=value,at").expect("known");
    let long = [b'x'; TOKEN_BYTES];
    let values = [Value::Null, Value::Text(&long), Value::Integer(1)];
    let mut sink: heapless::Vec<u8, 256> = heapless::Vec::new();
    match next_token(&catalog, &query, 1, values.into_iter(), &mut sink) {
        Err(TokenError::Problem(problem)) => {
            assert_eq!(problem.status, 500);
            assert!(problem.detail.starts_with("the value of 'at' is too long"));
        }
        other => panic!("{other:?}"),
    }
    let mut none: heapless::Vec<u8, 3> = heapless::Vec::new();
    let full = next_token(&catalog, &query, 1, [Value::Null].into_iter(), &mut none);
    assert_eq!(full, Err(TokenError::Full));
}

#[test]
fn views_are_paged_by_offset_up_to_a_bound() {
    let catalog = fixture::catalog();
    let first = planned("latest", "order=at").expect("known");
    assert_eq!(first.sql.as_str(), r#"SELECT "at", "value" FROM "latest" ORDER BY "at" LIMIT ?1 OFFSET ?2"#);
    assert!(first.trailing.is_empty());
    for (given, fits) in [(OFFSET_MAX, true), (OFFSET_MAX + 1, false)] {
        let mut token: heapless::Vec<u8, 64> = heapless::Vec::new();
        next_token(&catalog, &first, given, core::iter::empty(), &mut token).expect("short");
        let token = std::str::from_utf8(&token).expect("base64");
        let next = planned("latest", &format!("order=at&after={token}"));
        assert_eq!(next.is_ok(), fits);
        if let Ok(next) = next {
            assert_eq!(binds(&next)[1], Value::Integer(100_000));
        }
    }
}

#[test]
fn a_row_is_found_by_its_key() {
    let one = row("readings", "7", "select=at&_format=json").expect("one part");
    assert_eq!(one.sql.as_str(), r#"SELECT "at" FROM "readings" WHERE "id" = ?1 LIMIT 1"#);
    assert_eq!((binds(&one), one.format), (vec![Value::Integer(7)], Some(Format::Json)));
    let two = row("pairs", "1,a%2Cb%20+", "").expect("two parts");
    assert!(two.sql.ends_with(r#"FROM "pairs" WHERE "b" = ?1 AND "a" = ?2 LIMIT 1"#));
    assert_eq!(binds(&two), [Value::Integer(1), Value::Text(b"a,b +")]);
    let odd = row("odd%2F%25%22%E5%90%8D", "3", "").expect("by rowid");
    assert_eq!(odd.sql.as_str(), r#"SELECT "a.b", "limit", "say ""hi""" FROM "odd/%""名" WHERE rowid = ?1 LIMIT 1"#);
}

#[test]
fn what_is_no_row_key_is_explained() {
    let parts = row("pairs", "1", "").err().expect("one part of two");
    assert_eq!((parts.status, parts.allowed.as_str()), (400, "b, a"));
    assert_eq!(parts.detail.as_str(), "the key has 2 parts, not 1");
    let view = row("latest", "1", "").err().expect("a view");
    assert_eq!((view.status, view.slug), (404, "no-key"));
    for query in ["limit=1", "order=at", "after=x", "at=eq.1", "nothing=1"] {
        let problem = row("readings", "1", query).err().expect(query);
        assert_eq!((problem.status, problem.allowed.as_str()), (400, "select, _format"));
    }
    assert_eq!(row("readings", "%zz", "").err().map(|problem| problem.status), Some(400));
    assert_eq!(row("readings", "%ff", "").err().map(|problem| problem.status), Some(400));
}

#[test]
fn a_column_named_like_a_word_of_ours_is_quoted() {
    let query = planned("odd", "%22limit%22=eq.5&limit=2&a.b=eq.x&\"say+\\\"hi\\\"\"=is.null").expect("quoted");
    assert!(query.sql.contains(r#"WHERE "a.b" = ?1 AND "limit" = ?2 AND "say ""hi""" IS NULL ORDER"#));
    assert_eq!(query.limit, 2);
    let hint = planned("odd", "limit=eq.5").err().expect("no number").hint;
    assert!(hint.contains("1 to 1000"));
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("att=eq.1", "'att' is neither a parameter nor a column here", "did you mean 'at'?"),
        ("ordr=at", "'ordr' is neither a parameter nor a column here", "did you mean 'order'?"),
        ("\"att\"=eq.1", "'att' is not a column of 'readings'", "did you mean 'at'?"),
        ("limit=1&limit=1", "'limit' is given twice", ""),
        ("after=a&after=b", "'after' is given twice", ""),
        ("_format=xml", "_format='xml' is not a format", ""),
        ("at=eq.%zz", "'%zz' is not a percent escape", "write %25 for a percent sign"),
        ("at", "filter on 'at': '' has no operator", "write an operator and a dot first, as in eq.5"),
    ];
    for (query, detail, hint) in cases {
        let problem = planned("readings", query).err().expect(query);
        assert_eq!((problem.status, problem.detail.as_str(), problem.hint.as_str()), (400, detail, hint));
    }
    let table = planned("reading", "").err().expect("unknown");
    assert_eq!((table.status, table.hint.as_str()), (404, "did you mean 'readings'?"));
    let many = "at=is.null&".repeat(FILTERS + 1);
    assert_eq!(planned("readings", &many).err().map(|problem| problem.slug), Some("query-too-large"));
    let long = format!("at=eq.{}", "x".repeat(SCRATCH_BYTES));
    assert_eq!(planned("readings", &long).err().map(|problem| problem.slug), Some("query-too-large"));
    assert!(planned("readings", &"at=is.null&&".repeat(FILTERS)).is_ok());
}
