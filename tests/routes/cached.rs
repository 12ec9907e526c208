//! What is kept, for how long, and what is given when the data has changed or the back fails.

use super::{SQL, slug, with, x_cache};
use crate::configured::{self, open, route, serve, toml, write};
use crate::server::{Answer, wait_for};
use crate::wire::Wire;

const COUNT: &str = "SELECT count(*) AS n FROM things";

#[test]
fn answers_live_as_long_as_their_data_and_no_longer_than_their_ttl() {
    let server = with(&[
        route("/usual", COUNT, ""),
        route("/never", COUNT, "ttl = \"0\""),
        route("/short", COUNT, "ttl = \"300ms\""),
        route("/now", "SELECT datetime('now', 'subsec') AS now", ""),
        route("/now/named", "SELECT datetime('now', 'subsec') AS now", "ttl = \"1h\""),
        route("/random", "SELECT random() AS r", ""),
        route("/random/named", "SELECT random() AS r", "ttl = \"1h\""),
    ]);
    let twice = |target: &str| (server.get(target), server.get(target));
    for (target, first, second) in [
        ("/usual", "miss", "hit"),
        ("/never", "bypass", "bypass"),
        ("/now", "bypass", "bypass"),
        ("/now/named", "miss", "hit"),
        ("/random", "bypass", "bypass"),
        ("/random/named", "miss", "hit"),
    ] {
        let (one, two) = twice(target);
        assert_eq!((x_cache(&one), x_cache(&two)), (first, second), "{target}");
        assert_eq!(one.field("age"), None);
        if second == "hit" {
            assert_eq!(one.body, two.body, "{target}");
        }
    }
    assert_ne!(server.get("/random").body, server.get("/random").body);
    assert_eq!(x_cache(&server.get("/short")), "miss");
    wait_for("the entry's end", || x_cache(&server.get("/short")) == "miss");
    write(&server, "INSERT INTO things VALUES ('more', '')");
    for target in ["/usual", "/now/named", "/random/named"] {
        assert_eq!((x_cache(&server.get(target)), target), ("miss", target), "whatever time a route names, a commit ends it");
    }
    assert_eq!(server.get("/usual").json()[0]["n"], 6);
    assert_eq!(server.get("/usual?").json()[0]["n"], 6);
}

#[test]
fn the_default_time_is_the_configurations() {
    let server = serve(
        SQL,
        &toml("", &format!("[limits]\ncache_ttl = \"0s\"\n{}{}", route("/a", COUNT, ""), route("/b", COUNT, "ttl = \"1m\""))),
    );
    for (target, then) in [("/a", "bypass"), ("/b", "hit")] {
        server.get(target);
        assert_eq!((x_cache(&server.get(target)), target), (then, target));
    }
}

#[test]
fn different_values_have_different_entries_and_equal_ones_share_one() {
    let server = with(&[route("/r", "SELECT :a AS a, :b AS b", "params = { b = { type = \"integer\", default = 1 } }")]);
    assert_eq!(x_cache(&server.get("/r?a=x")), "miss");
    for same in ["/r?a=x", "/r?a=x&b=1", "/r?b=1&a=x", "/r?b=%31&a=%78", "/r?&a=x&", "/r?a=x&_format=json"] {
        assert_eq!((x_cache(&server.get(same)), same), ("hit", same));
    }
    for other in ["/r?a=x&b=2", "/r?a=y", "/r?a=x%00", "/r?a=1", "/r?a=x%26b%3D1", "/r?a=x&_format=csv"] {
        assert_eq!((x_cache(&server.get(other)), other), ("miss", other));
    }
    assert_eq!(server.get("/r?a=x%26b%3D1").json()[0]["a"], "x&b=1");
}

#[test]
fn an_answer_may_lag_as_far_as_its_route_allows() {
    let server = with(&[route("/lag", COUNT, "stale_ok = \"3s\""), route("/exact", COUNT, "")]);
    let n = |answer: &Answer| answer.json()[0]["n"].as_u64().expect("a number");
    assert_eq!((n(&server.get("/lag")), n(&server.get("/exact"))), (5, 5));
    // The time runs from when the entry was last known to be true.
    assert_eq!(x_cache(&server.get("/lag")), "hit");
    write(&server, "INSERT INTO things VALUES ('more', '')");
    let stale = server.get("/lag");
    assert_eq!((n(&stale), x_cache(&stale)), (5, "stale"));
    assert!(stale.field("age").and_then(|age| age.parse::<u64>().ok()).is_some_and(|age| age <= 3), "{stale:?}");
    assert_eq!((n(&server.get("/exact")), server.get("/exact").field("age")), (6, None));
    let mut last = stale;
    wait_for("too old", || {
        last = server.get("/lag");
        x_cache(&last) != "stale"
    });
    assert_eq!((n(&last), x_cache(&last), last.field("age")), (6, "miss", None));
    let tag = last.field("etag").expect("a tag").to_string();
    write(&server, "INSERT INTO things VALUES ('again', '')");
    let unchanged = server.request("GET", "/lag", &[("If-None-Match", &tag)]);
    assert_eq!((unchanged.status, x_cache(&unchanged)), (304, "stale"));
    assert!(unchanged.field("age").is_some());
}

#[test]
fn an_old_answer_is_better_than_a_locked_database() {
    // Rollback mode: an exclusive lock keeps readers out, and the cache cannot be asked about the present state.
    let sql = SQL.replace("WAL", "DELETE");
    let limits = "[limits]\nbusy_timeout = \"50ms\"\n";
    let routes = [route("/old", COUNT, "stale_if_error = \"1h\""), route("/plain", COUNT, "ttl = \"1ms\"")].concat();
    let server = serve(&sql, &toml("", &format!("{limits}{routes}")));
    let fresh = server.get("/old");
    assert_eq!((fresh.status, x_cache(&fresh)), (200, "miss"));
    server.get("/plain");
    {
        let other = open(&server.database());
        other.execute_batch("BEGIN EXCLUSIVE; DELETE FROM things").expect("a lock");
        assert_eq!(server.get("/old").body, fresh.body, "what is not committed is not there");
        other.execute_batch("COMMIT; BEGIN EXCLUSIVE").expect("a lock");
        for _ in 0..2 {
            let stale = server.get("/old");
            assert_eq!((stale.status, x_cache(&stale), &stale.body), (200, "stale", &fresh.body));
            assert!(stale.field("age").is_some(), "{stale:?}");
        }
        let refused = server.get("/plain");
        assert_eq!((refused.status, slug(&refused).as_str(), refused.field("retry-after")), (503, "database-busy", Some("1")));
        other.execute_batch("COMMIT").expect("a commit");
    }
    let after = server.get("/old");
    assert_eq!((after.status, after.json()[0]["n"].clone()), (200, 0.into()), "as soon as it can be known: {}", x_cache(&after));
}

#[test]
fn an_old_answer_is_better_than_one_that_takes_too_long() {
    let slow = "SELECT CASE WHEN (SELECT count(*) FROM things) > 5 THEN (SELECT n FROM forever) ELSE 1 END AS n";
    let limits = "[limits]\nroute_query = \"100ms\"\n";
    let routes = [route("/old", slow, "stale_if_error = \"1h\""), route("/plain", slow, "")].concat();
    let server = serve(SQL, &toml("", &format!("{limits}{routes}")));
    for target in ["/old", "/plain"] {
        assert_eq!((server.get(target).status, target), (200, target));
    }
    write(&server, "INSERT INTO things VALUES ('more', '')");
    let refused = server.get("/plain");
    assert!(matches!(refused.status, 503 | 504), "{}", refused.text());
    let kind = slug(&refused);
    assert_eq!(kind, "query-timeout");
    for _ in 0..2 {
        let stale = server.get("/old");
        assert_eq!((stale.status, x_cache(&stale), stale.json()[0]["n"].clone()), (200, "stale", 1.into()), "{}", stale.text());
    }
    write(&server, "DELETE FROM things WHERE name = 'more'");
    assert_eq!(x_cache(&server.get("/old")), "miss", "the back works again");
}

#[test]
fn an_old_answer_is_better_than_a_full_queue_and_than_no_database() {
    let limits = "[limits]\nqueue = \"200ms\"\nroute_query = \"2s\"\n";
    let routes = [
        route("/old", COUNT, "stale_if_error = \"1h\""),
        route("/plain", COUNT, ""),
        route("/forever", "SELECT n FROM forever", ""),
    ]
    .concat();
    let server = serve(SQL, &toml("", &format!("{limits}{routes}")));
    let fresh = server.get("/old");
    write(&server, "INSERT INTO things VALUES ('more', '')");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/forever"));
        server.wait_for_status("the back is busy", |status| status["connections"]["running"] == 1);
        let (old, plain) = (scope.spawn(|| server.get("/old")), scope.spawn(|| server.get("/plain")));
        let (old, plain) = (old.join().expect("an answer"), plain.join().expect("an answer"));
        assert_eq!((plain.status, slug(&plain).as_str()), (503, "queue-timeout"));
        assert_eq!((old.status, &old.body, old.field("x-cache")), (200, &fresh.body, Some("stale")), "{}", old.text());
        slow.join().expect("an answer");
    });
    let rubbish = server.folder.path().join("rubbish");
    std::fs::write(&rubbish, "rubbish").expect("the test's folder");
    std::fs::rename(&rubbish, server.database()).expect("one folder");
    wait_for("it is noticed", || server.get("/-/ready").status == 503);
    let (old, plain) = (server.get("/old"), server.get("/plain"));
    assert_eq!((plain.status, slug(&plain).as_str()), (503, "no-database"));
    assert_eq!((old.status, &old.body, x_cache(&old)), (200, &fresh.body, "stale"));
}

#[test]
fn others_may_keep_what_the_route_says() {
    let auth = "auth = \"display\"\n";
    let server = with(&[
        route("/usual", COUNT, ""),
        route("/minute", COUNT, "max_age = \"1m\""),
        route("/private", COUNT, auth),
        route("/private/minute", COUNT, &format!("{auth}max_age = \"60s\"")),
        route("/critical", COUNT, "critical = true"),
    ]);
    for (target, store) in [
        ("/usual", "no-cache"),
        ("/minute", "max-age=60"),
        ("/private", "private, no-cache"),
        ("/private/minute", "private, max-age=60"),
        ("/critical", "no-cache"),
    ] {
        let token = if target.starts_with("/private") { configured::DISPLAY } else { configured::SENSOR };
        let first = server.get_with(token, target);
        assert_eq!((first.status, first.field("cache-control")), (200, Some(store)), "{target}");
        let hit = server.get_with(token, target);
        assert_eq!((x_cache(&hit), hit.field("cache-control")), ("hit", Some(store)), "{target}");
        let tag = [("If-None-Match", hit.field("etag").expect("a tag")), ("Authorization", &format!("Bearer {token}"))];
        let unchanged = server.request("GET", target, &tag);
        assert_eq!((unchanged.status, unchanged.field("cache-control")), (304, Some(store)), "{target}");
        assert!(first.field("vary").is_some_and(|vary| vary.contains("Authorization")), "{target}");
    }
    let problem = server.get("/private/minute");
    assert_eq!((problem.status, problem.field("cache-control")), (401, Some("no-store")));
}

#[test]
fn critical_answers_are_evicted_last() {
    let server = with(&[
        route("/critical", "SELECT 'kept' AS k", "critical = true\nttl = \"1h\""),
        route("/:n", "SELECT :n AS n", "ttl = \"1h\""),
    ]);
    // Made at the start, or now.
    assert_eq!(server.get("/critical").status, 200);
    let entries = server.setting("CACHE_ENTRIES");
    let mut wire = Wire::to(server.address);
    for n in 0..2 * entries {
        assert_eq!(wire.ask(&format!("/{n}")).status, 200);
    }
    let status = server.status();
    assert!(status["cache_gone"]["evicted"].as_u64() >= Some(entries as u64 / 2), "{status}");
    assert_eq!(x_cache(&server.get("/critical")), "hit");
    assert_eq!(x_cache(&server.get("/0")), "miss");
}

#[test]
fn equal_requests_in_flight_share_a_query_and_the_answer() {
    let slow =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300000) SELECT count(*) AS n, :x AS x FROM c";
    let server = with(&[route("/slow", slow, "")]);
    let bodies: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| server.get("/slow?x=1"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert!(bodies.iter().all(|answer| answer.status == 200 && answer.body == bodies[0].body));
    let status = server.status();
    let joined = status["cache"]["joined"].as_u64().expect("a number") + status["cache"]["hit"].as_u64().expect("a number");
    assert_eq!(joined, 7, "{status}");
}
