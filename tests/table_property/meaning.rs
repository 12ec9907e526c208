//! What single filters, keys and odd corners mean, against SQL written by hand.

use super::database::{Cell, Database, Row};

fn rowids(rows: &[Row]) -> Vec<i64> {
    let number = |row: &Row| match row[0] {
        Cell::Integer(number) => number,
        ref other => panic!("{other:?}"),
    };
    rows.iter().map(number).collect()
}

/// Every filter value means what `column op 'value'` means, whatever the affinity; where there is none, what
/// `column op value` means.
#[test]
fn values_compare_as_sqls_own_literals_do() {
    let types = ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", ""];
    let stored = "NULL,1,100,7,9007199254740993,9007199254740992.0,0.1,-0.0,5.0,'1e2','007','7','100','5.0',' 7','',x'37',1e308";
    let values = ["1e2", "007", "7", "5", "5.0", "9007199254740993", "0.1", "-0", " 7", "abc", "", "0x7", "1e999", "100"];
    for declared in types {
        let mut script = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a {declared});");
        stored.split(',').for_each(|value| script += &format!("INSERT INTO t (a) VALUES ({value});"));
        let mut database = Database::new(&script);
        for (word, operator) in [("eq", "="), ("neq", "<>"), ("lt", "<"), ("gte", ">=")] {
            for value in values {
                let is_number = value.parse::<f64>().is_ok_and(|_| value != "abc");
                let bare = is_number && matches!(declared, "BLOB" | "");
                let literal = if bare { value.to_string() } else { format!("'{value}'") };
                let wanted = database.reference(&format!("SELECT id FROM t WHERE a {operator} {literal}"));
                let value = value.replace(' ', "+");
                let (found, _) = database.walk("t", &format!("select=id&a={word}.{value}"), &[100]);
                assert_eq!(found, wanted, "{declared}: {word}.{value}");
                if word == "eq" {
                    let (found, _) = database.walk("t", &format!("select=id&a=in.(zz,{value})"), &[100]);
                    assert_eq!(found, wanted, "{declared}: in.({value})");
                }
            }
        }
    }
}

#[test]
fn patterns_match_as_promised() {
    let mut database = Database::new(
        r#"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
           INSERT INTO t (a) VALUES ('abc'), ('ABC'), ('a*c'), ('a?c'), ('a[b]c'), ('a%c'), ('a_c'), ('aüc'), ('a\c'), (NULL);"#,
    );
    for (filter, wanted) in [
        ("like.a_c", &[1, 3, 4, 6, 7, 8, 9][..]),
        ("like.a*", &[1, 3, 4, 5, 6, 7, 8, 9]),
        ("like.%25C", &[2]),
        ("ilike.*B*", &[1, 2, 5]),
        ("ilike.a_C", &[1, 2, 3, 4, 6, 7, 8, 9]),
        ("like.a\\*c", &[3]),
        ("like.a?c", &[4]),
        ("like.a[b]c", &[5]),
        ("like.a\\%25c", &[6]),
        ("ilike.A\\%25c", &[6]),
        ("like.a\\_c", &[7]),
        ("ilike.a\\_c", &[7]),
        ("ilike.a\\\\c", &[9]),
        ("like.a\\\\c", &[9]),
        ("not.ilike.a*", &[]),
        ("ilike.*%C3%BC*", &[8]),
    ] {
        let (rows, _) = database.walk("t", &format!("select=id&a={filter}"), &[3]);
        assert_eq!(rowids(&rows), wanted, "{filter}");
    }
}

#[test]
fn sets_hold_every_kind_of_text() {
    let mut database = Database::new(
        r#"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n);
           INSERT INTO t (a, n) VALUES ('a,b', 9007199254740993), ('"', 1.5), ('\', 'x'), ('ü🌡', 9223372036854775807),
             (char(10), 1e300), ('null', NULL), ('', 2), (NULL, -9223372036854775808), ('a' || char(0) || 'b', '3');"#,
    );
    for (filter, wanted) in [
        ("a=in.(\"a,b\",\"\\\"\",\"\\\\\")", &[1, 2, 3][..]),
        ("a=in.(%C3%BC%F0%9F%8C%A1,%0A,null)", &[4, 5, 6]),
        ("a=in.(\"\")", &[7]),
        ("a=in.()", &[]),
        ("a=not.in.()", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("a=in.(a%00b)", &[9]),
        ("a=eq.a%00b", &[9]),
        ("n=in.(9007199254740993,1.5,x)", &[1, 2, 3]),
        ("n=in.(9007199254740992)", &[]),
        ("n=in.(9223372036854775807,1e300,-9223372036854775808)", &[4, 5, 8]),
        ("n=in.(3)", &[]),
        ("n=in.(\"3\")", &[9]),
    ] {
        let (rows, _) = database.walk("t", &format!("select=id&{filter}"), &[100]);
        assert_eq!(rowids(&rows), wanted, "{filter}");
    }
}

#[test]
fn rows_are_found_by_keys_of_every_kind() {
    let mut database = Database::new(
        "CREATE TABLE w (a TEXT, b, v, PRIMARY KEY (b, a)) WITHOUT ROWID;
         INSERT INTO w VALUES ('x,y', 1, 'one'), ('x,y', '1', 'two'), ('ü', 1.5, 'three'), ('', 2, 'four');
         CREATE TABLE k (a TEXT PRIMARY KEY, rowid, oid);
         INSERT INTO k VALUES ('007', 1, 1), ('7', 2, 2), ('a/b', 3, 3);
         CREATE TABLE plain (v); INSERT INTO plain VALUES ('first'), ('second');",
    );
    let text = |text: &str| Cell::Text(text.as_bytes().to_vec());
    for (table, key, column, wanted) in [
        ("w", "1,x%2Cy", 2, Some("one")),
        ("w", "1.5,%C3%BC", 2, Some("three")),
        ("w", "2,", 2, Some("four")),
        ("w", "3,", 2, None),
        ("k", "007", 0, Some("007")),
        ("k", "7", 0, Some("7")),
        ("k", "a%2Fb", 0, Some("a/b")),
        ("plain", "2", 0, Some("second")),
        ("plain", "2.0", 0, Some("second")),
        ("plain", "x", 0, None),
    ] {
        let found = database.row(table, key);
        assert_eq!(found.first().map(|row| row[column].clone()), wanted.map(text), "{table}/{key}");
    }
}

/// A view's column may promise an affinity that not all of its arms apply (`x`): numbers are found all the same.
#[test]
fn filters_on_view_expressions_find_numbers() {
    let mut database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INT); INSERT INTO t (a, n) VALUES ('x', 5), ('x', 6), ('y', 7);
         CREATE VIEW v AS SELECT a, count(*) AS c, sum(n) AS s, n + 0 AS e, CAST(n AS TEXT) AS k, n FROM t GROUP BY a;
         CREATE VIEW u AS SELECT n FROM t UNION ALL SELECT a FROM t;
         CREATE VIEW x AS SELECT n + 0 AS n FROM t UNION ALL SELECT n FROM t;
         CREATE VIEW y AS SELECT n FROM (SELECT n + 0 AS n FROM t LIMIT 9);
         CREATE VIEW z(n) AS VALUES (5), (6);",
    );
    for (table, filter, rows) in [
        ("v", "c=eq.2", 1),
        ("v", "s=eq.11", 1),
        ("v", "e=eq.7", 1),
        ("v", "n=in.(7)", 1),
        ("v", "k=eq.7", 1),
        ("v", "s=gt.6&s=lt.8", 1),
        ("u", "n=eq.5", 1),
        ("u", "n=in.(5,x)", 3),
        ("x", "n=eq.5", 2),
        ("x", "n=in.(5)", 2),
        ("y", "n=eq.5", 1),
        ("z", "n=lt.6", 1),
    ] {
        assert_eq!(database.walk(table, filter, &[1]).0.len(), rows, "{table}?{filter}");
    }
}

#[test]
fn any_in_a_strict_table_converts_nothing() {
    let mut database = Database::new(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY) STRICT; INSERT INTO s (a) VALUES (5), ('5'), ('x');
         CREATE TABLE n (id INTEGER PRIMARY KEY, a ANY); INSERT INTO n (a) VALUES (5), ('5'), ('x');",
    );
    for (table, wanted) in [("s", &[1][..]), ("n", &[1, 2])] {
        for filter in ["a=eq.5", "a=in.(5)"] {
            let (rows, _) = database.walk(table, &format!("select=id&{filter}"), &[100]);
            assert_eq!(rowids(&rows), wanted, "{table}?{filter}");
        }
    }
}

#[test]
fn hidden_and_internal_things_do_not_show() {
    let database = Database::new(
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b, g AS (b + 1)); INSERT INTO t (b) VALUES (1);
         CREATE VIRTUAL TABLE f USING fts5(body);",
    );
    let names: Vec<&str> = database.catalog.tables().iter().map(|table| database.catalog.table_name(table)).collect();
    assert_eq!(names, ["f", "t"]);
    let columns = |index: usize| database.catalog.column_names(database.catalog.table(index)).collect::<Vec<_>>();
    assert_eq!(columns(0), ["body"]);
    assert_eq!(columns(1), ["a", "b", "g"]);
}

/// `INTEGER PRIMARY KEY DESC` is not the rowid (a quirk that SQLite keeps): it has an index of its own, and NULLs.
#[test]
fn an_integer_key_that_is_not_the_rowid_may_hold_nulls() {
    let mut database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, a);
         INSERT INTO t VALUES (NULL, 1), (2, 2), (NULL, 3), (1, 4), (NULL, 5);",
    );
    for (query, wanted) in [("order=id", [1, 3, 5, 4, 2]), ("order=id.desc", [2, 4, 5, 3, 1])] {
        let (rows, _) = database.walk("t", &format!("select=a&{query}"), &[1]);
        assert_eq!(rowids(&rows), wanted, "{query}");
    }
}
