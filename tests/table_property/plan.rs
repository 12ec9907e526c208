//! What SQLite makes of the planned statements: searches where there is an index, and no sorting.

use super::database::Database;

fn database() -> Database {
    Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b REAL, c);
         CREATE INDEX t_a ON t (a); CREATE INDEX t_b ON t (b);
         CREATE TABLE w (x TEXT, y INT, z, PRIMARY KEY (x, y)) WITHOUT ROWID;
         WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 300)
         INSERT INTO t SELECT n, 'a' || (n % 7), n % 5 / 2.0, n FROM n;
         INSERT INTO w SELECT a, id, b FROM t;",
    )
}

/// The plan of the second page of a query, and how many rows all its pages have.
fn second_page(table: &str, query: &str) -> String {
    let mut database = database();
    let limits = [7, 1000];
    let (rows, _) = database.walk(table, query, &limits);
    assert!(rows.len() > 7);
    database.explain()
}

#[test]
fn paging_by_key_searches() {
    assert_eq!(second_page("t", ""), "SEARCH t USING INTEGER PRIMARY KEY (rowid>?)");
    assert_eq!(second_page("t", "order=id.desc"), "SEARCH t USING INTEGER PRIMARY KEY (rowid<?)");
    assert_eq!(second_page("w", ""), "SEARCH w USING PRIMARY KEY (x>?)");
}

#[test]
fn paging_by_an_indexed_column_searches_its_index_and_does_not_sort() {
    for (query, plan) in [
        ("order=a", "SEARCH t USING INDEX t_a (a>?)"),
        ("order=a.desc", "SEARCH t USING INDEX t_a (a<?)"),
        ("order=b", "SEARCH t USING INDEX t_b (b>?)"),
        ("select=id&order=b.nullsfirst", "SEARCH t USING COVERING INDEX t_b (b>?)"),
        // NULLs may follow: the index is walked from its end, but nothing is sorted.
        ("order=b.desc", "SCAN t USING INDEX t_b"),
    ] {
        assert_eq!(second_page("t", query), plan, "{query}");
    }
}

#[test]
fn a_row_is_searched_by_its_key() {
    let mut database = database();
    assert_eq!(database.row("t", "7").len(), 1);
    assert_eq!(database.explain(), "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)");
    assert_eq!(database.row("w", "a1,8").len(), 1);
    assert_eq!(database.explain(), "SEARCH w USING PRIMARY KEY (x=? AND y=?)");
    assert_eq!(database.row("t", "999").len(), 0);
}

#[test]
fn filters_use_indexes() {
    let mut database = database();
    for (query, part) in [("a=eq.a1", "t_a (a=?)"), ("b=in.(1,2)", "t_b (b=?)"), ("b=gte.1&b=lt.2", "t_b (b>? AND b<?)")] {
        database.plan("t", query).expect("known");
        assert!(database.explain().contains(part), "{query}: {}", database.explain());
    }
}

#[test]
fn counts_stop_at_their_bound() {
    let mut database = Database::new(
        "CREATE TABLE t (a);
         WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 12000) INSERT INTO t SELECT n FROM n;",
    );
    let (rows, count) = database.walk("t", "", &[1000]);
    assert_eq!((rows.len(), count), (12_000, 10_001));
}
