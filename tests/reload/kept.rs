//! What is kept over a restart: versions, the last good copy; and the ways back.

use std::process::Output;

use super::{SQL, put, saying, seen, state, versions, word};
use crate::configured::{ADMIN, Log, open, route, start, toml};
use crate::server::{Server, Start, wait_for};

/// Ends a server and starts another one in its folder, with these arguments more.
fn again(mut server: Server, arguments: &[&str]) -> Start {
    assert_eq!(server.end().code(), Some(0));
    let (config, database) = (server.config_path(), server.database());
    let words = |path: &std::path::Path| path.to_str().expect("UTF-8").to_string();
    let start = Start::new().folder_of(server).arguments(arguments);
    start.arguments(&["-c", &words(&config), &words(&database)])
}

/// What such a start says, where it must not serve.
fn ends(start: &Start, arguments: &[&str]) -> Output {
    let words = |name: &str| start.folder().join(name).to_str().expect("UTF-8").to_string();
    let (config, database) = (words("flagstone.toml"), words("data.db"));
    start.output(&[&["-l", "127.0.0.1:0", "-c", &config, &database], arguments].concat())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn versions_go_on_after_a_restart() {
    let server = start(SQL, &saying("first")).run();
    put(&server, "broken");
    server.operate("POST", "/-/reload", "");
    put(&server, saying("second"));
    server.operate("POST", "/-/reload", "");
    let before = versions(&server);
    assert_eq!(before.iter().map(|version| version.1.as_str()).collect::<Vec<_>>(), ["reloaded", "refused", "started"]);
    assert!(before.iter().all(|version| version.2.len() == 16));
    let server = again(server, &[]).run();
    let after = versions(&server);
    assert_eq!((after[0].0, after[0].1.as_str(), &after[0].2), (4, "started", &before[0].2));
    assert_eq!(after[1..], before[..], "the earlier ones are still there");
    assert_eq!(seen(&server)["version"], 4);
    for name in ["config.audit", "config.good.toml", "config.before.toml"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(state(&server).join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // A state directory of one's own may be named.
    let mut elsewhere = server.folder.path().join("state");
    let named = saying("third").replace("ops_auth", &format!("state = \"{}\"\nops_auth", elsewhere.display()));
    put(&server, &named);
    let server = again(server, &[]).run();
    elsewhere.push("config.good.toml");
    assert_eq!(std::fs::read_to_string(elsewhere).expect("a copy"), named);
    assert_eq!(versions(&server).len(), 1);
}

#[test]
fn a_broken_file_is_an_error_of_the_start_unless_there_is_a_copy_and_it_may_be_used() {
    let broken = saying("broken").replace("SELECT", "SELEKT");
    let first = start(SQL, &broken);
    for arguments in [&[][..], &["--fallback"]] {
        let output = ends(&first, arguments);
        assert_eq!(output.status.code(), Some(78), "{}", text(&output));
        assert!(text(&output).contains("SELEKT") && text(&output).contains("flagstone.toml:"), "{}", text(&output));
        assert!(arguments.is_empty() || text(&output).contains("no last good copy"), "{}", text(&output));
    }
    // A mistake of the text, one of the SQL, and no file at all.
    let no_toml = "this is no configuration";
    for (at, file) in
        [Some(no_toml.to_string()), Some(saying("x").replace("FROM t", "FROM nowhere")), None].into_iter().enumerate()
    {
        let server = start(SQL, &saying("good")).run();
        assert_eq!(word(&server), "good");
        match &file {
            Some(file) => put(&server, file),
            None => std::fs::remove_file(server.config_path()).expect("the test's file"),
        }
        let next = again(server, &["--fallback"]);
        let output = ends(&next, &[]);
        assert_eq!(output.status.code(), Some(78), "{at}: {}", text(&output));
        let (stderr, log) = Log::pipe();
        let server = next.stderr(stderr).run();
        assert_eq!(word(&server), "good", "{at}");
        let said = ["key with no value", "no such table: nowhere", "cannot be read"][at];
        wait_for("the log says what is wrong", || log.text().contains(said) && log.text().contains("last good copy runs"));
        let now = seen(&server);
        assert_eq!((&now["last_reload_successful"], &now["drift"]["file"]), (&false.into(), &true.into()), "{at}: {now}");
        assert!(now["error"].as_str().is_some_and(|error| error.contains("last good copy")), "{at}: {now}");
        assert_eq!(server.metric("flagstone_config_last_reload_successful"), 0.0);
        put(&server, saying("mended"));
        wait_for("it is mended", || word(&server) == "mended");
        assert_eq!(seen(&server)["last_reload_successful"], true);
    }
}

#[test]
fn a_good_file_needs_no_fallback() {
    let server = start(SQL, &saying("first")).run();
    put(&server, saying("second"));
    let server = again(server, &["--fallback"]).run();
    assert_eq!((word(&server), seen(&server)["last_reload_successful"].clone()), ("second".to_string(), true.into()));
}

#[test]
fn safe_keeps_the_last_good_one_and_switches_what_is_optional_off() {
    let server = start(SQL, &saying("good")).run();
    put(&server, saying("untried"));
    let server = again(server, &["--safe"]).run();
    for _ in 0..2 {
        let answer = server.get("/r");
        assert_eq!((answer.json()[0]["word"].clone(), answer.field("x-cache")), ("good".into(), Some("bypass")));
    }
    let flags = server.operate("GET", "/-/flags", "").json();
    assert!(flags.as_array().expect("flags").iter().all(|flag| flag["wanted"] == "0%"), "{flags}");
    assert_eq!(seen(&server)["drift"]["file"], true);
    assert_eq!(server.get("/-/status").status, 401, "its tokens are kept");
}

#[test]
fn safe_starts_with_nothing_usable_and_shows_nothing() {
    for broken in ["this is no configuration", &saying("x").replace("FROM t", "FROM nowhere")] {
        let (stderr, log) = Log::pipe();
        let server = start(SQL, broken).arguments(&["--safe"]).stderr(stderr).run();
        wait_for("the log says what is wrong", || {
            log.text().contains("flagstone.toml:") && log.text().contains("nothing is served")
        });
        for target in ["/", "/tables", "/tables/t", "/r"] {
            assert_eq!((server.get(target).status, target), (404, target));
        }
        assert!(matches!(server.get("/-/status").status, 401 | 403));
        assert!(!state(&server).join("config.good.toml").exists(), "what is broken is no good copy");
        let mut server = server;
        assert_eq!(server.end().code(), Some(0));
    }
}

#[test]
fn safe_with_nothing_usable_is_for_this_machine_alone() {
    let server = start(SQL, "this is no configuration").arguments(&["--safe", "-l", "0.0.0.0:0"]).run();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("our child");
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let ours: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row[3] == "0A" && ours.contains(&format!("socket:[{}]", row[9])));
    let addresses: Vec<String> = listening.map(|row| row[1].split(':').next().unwrap_or_default().to_string()).collect();
    assert_eq!(addresses, ["0100007F", "0100007F"]);
}

#[test]
fn safe_starts_though_the_good_copy_does_not_fit_the_database_any_more() {
    let server = start(SQL, &saying("good")).run();
    let database = server.database();
    let next = again(server, &["--safe"]);
    open(&database).execute_batch("ALTER TABLE t RENAME TO other").expect("SQL");
    let server = next.run();
    assert_eq!(server.get("/tables/other").status, 404);
    assert_eq!(server.get("/-/health").status, 200);
    assert!(std::fs::read_to_string(state(&server).join("config.good.toml")).expect("a copy").contains("good"), "it stays");
}

#[test]
fn a_rollback_returns_to_the_one_before() {
    let server = start(SQL, &saying("first")).run();
    let nothing = server.operate("POST", "/-/rollback", "");
    assert_eq!(nothing.status, 409, "{}", nothing.text());
    assert_eq!(word(&server), "first");
    let now = seen(&server);
    assert_eq!(
        (&now["refused"], &now["last_reload_successful"]),
        (&0.into(), &true.into()),
        "no configuration was refused: {now}"
    );
    put(&server, saying("second"));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    put(&server, "broken");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 422);
    put(&server, saying("second"));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    let back = server.operate("POST", "/-/rollback", "");
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(word(&server), "first");
    let newest = versions(&server).remove(0);
    assert_eq!((newest.1.as_str(), newest.3.as_str()), ("rolled-back", "GET /r"));
    let now = seen(&server);
    assert_eq!((&now["drift"]["file"], &now["last_reload_successful"]), (&true.into(), &true.into()), "{now}");
    assert_eq!(server.metric("flagstone_config_drift"), 1.0);
    // The file, which has not been edited since, does not come back by itself.
    super::looks(&server, 3);
    assert_eq!(word(&server), "first");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!((word(&server), seen(&server)["drift"]["file"].clone()), ("second".to_string(), false.into()));
    assert_eq!(server.operate("POST", "/-/rollback", "").status, 200);
    assert_eq!(word(&server), "first");
}

#[test]
fn a_reset_gives_limits_and_flags_their_defaults() {
    let own = toml(
        "",
        &format!(
            "[flags]\ncache = \"off\"\n[limits]\ncache_ttl = \"0s\"\n{}",
            route("/r", "SELECT 'own' AS word FROM t LIMIT 1", "")
        ),
    );
    let server = start(SQL, &own).run();
    let cached = || [server.get("/r"), server.get("/r")].map(|answer| answer.field("x-cache").expect("a field").to_string());
    assert_eq!(cached(), ["bypass", "bypass"]);
    server.operate("PUT", "/-/flags/warming", "off");
    let reset = server.operate("POST", "/-/reset", "");
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert_eq!(cached(), ["miss", "hit"]);
    let newest = versions(&server).remove(0);
    assert_eq!((newest.1.as_str(), newest.3.as_str()), ("reset", "flags.cache, limits.cache_ttl"));
    assert_eq!((word(&server), seen(&server)["drift"]["file"].clone()), ("own".to_string(), true.into()));
    assert_eq!(seen(&server)["drift"]["flags"], serde_json::json!([]), "flags of the run time too");
    assert_eq!(server.get_with(ADMIN, "/-/status").status, 200, "tokens stay");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!((cached(), seen(&server)["drift"]["file"].clone()), (["bypass", "bypass"].map(str::to_string), false.into()));
}

#[test]
fn the_drift_of_flags_is_told() {
    let server = start(SQL, &saying("first")).run();
    assert_eq!(
        (seen(&server)["drift"].clone(), server.metric("flagstone_config_drift")),
        (serde_json::json!({"file": false, "flags": []}), 0.0)
    );
    server.operate("PUT", "/-/flags/single_flight", "50%");
    server.operate("PUT", "/-/flags/warming", "on");
    assert_eq!(
        (seen(&server)["drift"]["flags"].clone(), server.metric("flagstone_config_drift")),
        (serde_json::json!(["single_flight"]), 1.0)
    );
    server.operate("PUT", "/-/flags/single_flight", "configured");
    assert_eq!(server.metric("flagstone_config_drift"), 0.0);
}

#[test]
fn where_nothing_can_be_kept_it_is_said_and_reloads_work() {
    let start = start(SQL, &saying("first")).environment("STATE_DIRECTORY", "/proc/nowhere");
    let server = start.run();
    assert!(server.block.contains("/proc/nowhere"), "{}", server.block);
    assert_eq!(seen(&server)["kept"], false);
    put(&server, saying("second"));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!((word(&server), versions(&server).len()), ("second".to_string(), 2));
    assert_eq!(server.operate("POST", "/-/rollback", "").status, 409);
}
