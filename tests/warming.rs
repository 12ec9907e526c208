//! Critical answers are there before anybody asks: at the start, after others' commits, and not where the flag says no.

mod configured;
mod server;

use std::time::{Duration, Instant};

use configured::{open, route, serve, toml};
use serde_json::Value;
use server::Server;

const SQL: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1);";

fn with(flags: &str) -> Server {
    let routes = [
        route(
            "/hot",
            "SELECT max(v) AS v FROM t WHERE v < :below",
            "critical = true\nparams = { below = { type = \"integer\", default = 100 } }",
        ),
        route("/asked", "SELECT max(v) AS v FROM t", ""),
        route("/of/:v", "SELECT v FROM t WHERE v = :v", "critical = true"),
    ]
    .concat();
    serve(SQL, &toml("", &format!("[flags]\n{flags}\n{routes}")))
}

fn warmed(status: &Value) -> u64 {
    status["cache"]["warmed"].as_u64().expect("a count")
}

fn asked(server: &Server, target: &str) -> (String, String) {
    let answer = server.get(target);
    (answer.field("x-cache").expect("a field").to_string(), answer.text())
}

#[test]
fn a_critical_answer_is_there_before_it_is_asked_for() {
    let server = with("");
    server.wait_for_status("it is made at the start", |status| warmed(status) == 1);
    assert_eq!(asked(&server, "/hot"), ("hit".to_string(), r#"[{"v":1}]"#.to_string()));
    assert_eq!(asked(&server, "/hot?below=100").0, "hit", "it is the same answer");
    assert_eq!(asked(&server, "/asked").0, "miss", "others are made when they are asked for");
    open(&server.database()).execute_batch("UPDATE t SET v = 7").expect("a commit");
    server.wait_for_status("it is made again", |status| warmed(status) == 2);
    assert_eq!(asked(&server, "/hot"), ("hit".to_string(), r#"[{"v":7}]"#.to_string()));
    assert_eq!(server.status()["requests"]["abandoned"], 0);
}

#[test]
fn nothing_is_made_where_a_flag_says_no() {
    for flags in ["warming = false", "cache = false"] {
        let server = with(flags);
        let turns = server.status()["turns"].as_u64().expect("a count");
        server.wait_for_status("the loop goes round", |status| status["turns"].as_u64() > Some(turns + 3));
        assert_eq!(warmed(&server.status()), 0, "{flags}");
        assert_ne!(asked(&server, "/hot").0, "hit", "{flags}");
    }
}

#[test]
fn a_client_never_waits_for_warming_which_is_made_good_when_there_is_time() {
    const ROWS: u32 = 1_500_000;
    let slow =
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT count(*) AS n FROM n");
    let routes = [route("/slow", &slow, "critical = true"), route("/asked/:x", "SELECT :x AS x FROM t", "ttl = \"0\"")].concat();
    let server = serve(SQL, &toml("", &routes));
    server.wait_for_status("it is being made", |status| warmed(status) >= 1);
    let mut longest = Duration::ZERO;
    for x in 0..20 {
        let began = Instant::now();
        assert_eq!(asked(&server, &format!("/asked/{x}")), ("bypass".to_string(), format!(r#"[{{"x":"{x}"}}]"#)));
        longest = longest.max(began.elapsed());
    }
    // Pages of operators ask nothing of the database, so this stops nothing.
    server.wait_for_status("it is there all the same", |status| status["cache"]["inserted"] == 1);
    let tries = warmed(&server.status());
    assert!(tries >= 2, "it was stopped for a client: {tries}");
    assert_eq!(asked(&server, "/slow"), ("hit".to_string(), format!(r#"[{{"n":{ROWS}}}]"#)));
    server.operate("DELETE", "/-/cache", "");
    let began = Instant::now();
    assert_eq!(server.get("/slow").status, 200);
    let whole = began.elapsed();
    assert!(longest * 2 < whole, "a client waited {longest:?} of a job that takes {whole:?}");
}
