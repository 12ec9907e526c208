//! Random tables, rows and queries: walking every page gives exactly the rows that plain SQL, written here a second
//! time and without paging, gives. The seed is printed; `FLAGSTONE_SEED` repeats it, `FLAGSTONE_CASES` asks for more.

#[path = "table_property/case.rs"]
mod case;
#[path = "table_property/database.rs"]
mod database;
#[path = "table_property/meaning.rs"]
mod meaning;
#[path = "table_property/plan.rs"]
mod plan;

use std::hash::{BuildHasher, RandomState};

use case::{Case, cases, encode};
use database::{Cell, Database};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn walk_equals_reference(case: &Case) -> Result<(), TestCaseError> {
    let mut database = Database::new(&case.script());
    let table = encode(case.table()).replace('+', "%20");
    let (rows, count) = database.walk(&table, &case.query(), &case.limits);
    let (sql, count_sql) = case.reference();
    let plan = database.plan(&table, &case.query()).expect("planned before").sql.clone();
    let mut ranked = database.reference(&sql);
    let ranks: Vec<Cell> = ranked.iter_mut().filter_map(Vec::pop).collect();
    prop_assert_eq!(rows.len(), ranked.len(), "\nplanned {}\nwanted {}", plan, sql);
    let mut start = 0;
    for rank in ranks.chunk_by(PartialEq::eq) {
        let group = start..start + rank.len();
        let (mut found, mut wanted) = (rows[group.clone()].to_vec(), ranked[group].to_vec());
        found.sort();
        wanted.sort();
        prop_assert_eq!(found, wanted, "\nplanned {}\nwanted {}", plan, sql);
        start += rank.len();
    }
    prop_assert_eq!(vec![vec![Cell::Integer(count)]], database.reference(&count_sql));
    Ok(())
}

#[test]
fn all_pages_together_are_the_rows_of_plain_sql() {
    let seed = std::env::var("FLAGSTONE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let cases_wanted = std::env::var("FLAGSTONE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    println!("FLAGSTONE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: cases_wanted, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&cases(), |case| walk_equals_reference(&case)) {
        panic!("FLAGSTONE_SEED={seed}: {error}");
    }
}
