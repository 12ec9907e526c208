//! What is compared: for each case whom it is asked of, how, and what a right answer is.

use super::peer::Peer;
use super::scene::{TOKEN, name_of};

/// The row that a key look-up asks for.
const ROW: usize = 4711;

/// What a right answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Exactly the body of this length.
    Body(usize),
    /// It holds the names of these rows, first and last.
    Rows(usize, usize),
    /// Only the status counts.
    Status,
}

/// How hard a case is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub depth: usize,
    /// A connection for each request.
    pub churn: bool,
}

/// One comparison.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name in options.
    pub name: &'static str,
    /// What it is, in the table.
    pub title: &'static str,
    /// How hard it is asked.
    pub load: Load,
    /// What a right answer is.
    pub right: Right,
    /// While it is measured a query of three seconds runs in flagstone.
    pub beside_slow_query: bool,
    /// Who answers it, and under which path. The first is what the others are set beside.
    pub paths: &'static [(Peer, &'static str)],
    /// What it is without a server: a statement with a parameter.
    pub in_process: Option<(&'static str, i64)>,
}

const KEPT: Load = Load { connections: 50, depth: 1, churn: false };
/// Four fifths of flagstone's slots, beyond which it sheds what would wait for long: nothing is to be shed while it is measured.
const UNCACHED: Load = Load { connections: 40, ..KEPT };

/// Bodies of a length, as every server that has files gives them.
macro_rules! files {
    ($name:literal) => {
        &[
            (Peer::Flagstone, concat!("/body/", $name)),
            (Peer::Nginx, concat!("/", $name, ".txt")),
            (Peer::H2o, concat!("/", $name, ".txt")),
            (Peer::Lighttpd, concat!("/", $name, ".txt")),
            (Peer::Caddy, concat!("/", $name, ".txt")),
        ]
    };
}

const ONE_KB: &[(Peer, &str)] = &[
    (Peer::Flagstone, "/body/1k"),
    (Peer::Bare, "/"),
    (Peer::NginxReturn, "/"),
    (Peer::Nginx, "/1k.txt"),
    (Peer::H2o, "/1k.txt"),
    (Peer::Lighttpd, "/1k.txt"),
    (Peer::Caddy, "/1k.txt"),
];

const fn kept(name: &'static str, title: &'static str, right: Right, paths: &'static [(Peer, &'static str)]) -> Case {
    Case { name, title, load: KEPT, right, beside_slow_query: false, paths, in_process: None }
}

/// All comparisons, in the order of the table.
pub const CASES: &[Case] = &[
    kept("cached-1k", "cached answer of 1 KB, 50 connections", Right::Body(1024), ONE_KB),
    kept("cached-10k", "cached answer of 10 KB", Right::Body(10 * 1024), files!("10k")),
    kept("cached-100k", "cached answer of 100 KB", Right::Body(100 * 1024), files!("100k")),
    Case { load: Load { depth: 16, ..KEPT }, ..kept("pipelined", "1 KB, pipelined by 16", Right::Body(1024), ONE_KB) },
    kept("not-modified", "304 for 1 KB", Right::Status, files!("1k")),
    Case {
        load: Load { connections: 20, churn: true, ..KEPT },
        ..kept("churn", "1 KB, a connection each", Right::Body(1024), ONE_KB)
    },
    Case {
        load: UNCACHED,
        in_process: Some(("SELECT id, name, value, note FROM items WHERE id = ?1", ROW as i64)),
        ..kept(
            "key",
            "one row by key, uncached",
            Right::Rows(ROW, ROW),
            &[
                (Peer::Uncached, "/tables/items/4711"),
                (Peer::Flagstone, "/tables/items/4711"),
                (Peer::Datasette, "/data/items/4711.json?_shape=objects"),
                (Peer::SqliteWeb, "/items/content/?ordering=id&page=95"),
            ],
        )
    },
    Case {
        load: UNCACHED,
        in_process: Some(("SELECT id, name, value, note FROM items ORDER BY id LIMIT ?1", 101)),
        ..kept(
            "page",
            "page of 100 rows, uncached",
            Right::Rows(1, 100),
            &[
                (Peer::Uncached, "/tables/items?limit=100"),
                (Peer::Flagstone, "/tables/items?limit=100"),
                (Peer::Datasette, "/data/items.json?_size=100&_shape=array&_nocount=1&_nofacet=1"),
            ],
        )
    },
    Case {
        load: Load { connections: 1, ..KEPT },
        ..kept("write-1", "durable write, 1 client", Right::Status, &[(Peer::Flagstone, "/write")])
    },
    Case {
        load: Load { connections: 32, ..KEPT },
        ..kept("write-32", "durable write, 32 clients", Right::Status, &[(Peer::Flagstone, "/write")])
    },
    Case {
        load: Load { connections: 10, ..KEPT },
        beside_slow_query: true,
        ..kept("slow-query", "1 KB while a query of 3 s runs", Right::Body(1024), &[(Peer::Flagstone, "/body/1k")])
    },
];

impl Case {
    /// The load driver's arguments beside target, time and connections.
    pub fn arguments(&self, tag: Option<&str>) -> Vec<String> {
        let mut arguments = vec!["-c".to_owned(), self.load.connections.to_string()];
        if self.load.depth > 1 {
            arguments.extend(["-p".to_owned(), self.load.depth.to_string()]);
        }
        if self.load.churn {
            arguments.push("--no-keep-alive".to_owned());
        }
        if let Some(tag) = tag {
            arguments.extend(["-H".to_owned(), format!("If-None-Match: {tag}")]);
        }
        if self.writes() {
            let fields = [format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".to_owned()];
            fields.into_iter().for_each(|field| arguments.extend(["-H".to_owned(), field]));
            arguments.extend(["--body".to_owned(), r#"{"value":1.5}"#.to_owned()]);
        }
        arguments
    }

    /// Whether it writes.
    pub fn writes(&self) -> bool {
        self.name.starts_with("write")
    }

    /// What is wrong with an answer's body.
    pub fn objection(&self, given: &[u8]) -> Option<String> {
        match self.right {
            Right::Status => None,
            Right::Body(length) if given == super::scene::body(length).as_bytes() => None,
            Right::Body(length) => Some(format!("{} bytes that are not the {length} of the others", given.len())),
            Right::Rows(first, last) => {
                let text = String::from_utf8_lossy(given);
                let missing = [first, last].into_iter().map(name_of).find(|name| !text.contains(name.as_str()));
                missing.map(|name| format!("'{name}' is not in it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::body;
    use super::*;

    #[test]
    fn an_answer_that_is_not_the_others_is_objected_to() {
        let case = |name: &str| CASES.iter().find(|case| case.name == name).unwrap();
        assert_eq!(case("cached-1k").objection(body(1024).as_bytes()), None);
        assert!(case("cached-1k").objection(body(1023).as_bytes()).is_some());
        assert!(case("cached-1k").objection(&[b'x'; 1024]).is_some());
        assert_eq!(case("page").objection(br#"[{"name":"item 1"},{"name":"item 100"}]"#), None);
        assert!(case("page").objection(br#"[{"name":"item 1"}]"#).is_some());
        assert_eq!(case("write-1").objection(b""), None);
    }

    #[test]
    fn every_case_begins_with_flagstone_and_has_a_name_of_its_own() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(case.paths[0].0.is_ours(), "{}", case.name);
            assert!(CASES[..at].iter().all(|other| other.name != case.name));
        }
    }
}
