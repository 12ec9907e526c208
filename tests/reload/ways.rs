//! How a new configuration comes in, and what is said of one that does not.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{SQL, looks, put, saying, seen, versions, word};
use crate::configured::{ADMIN, Log, route, start, toml};
use crate::server::{Server, wait_for};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Signal,
    Request,
    Rename,
    InPlace,
}

const WAYS: [Way; 4] = [Way::Signal, Way::Request, Way::Rename, Way::InPlace];

/// Brings a text in, good or bad.
fn bring(server: &Server, way: Way, text: &str, good: bool) {
    match way {
        Way::InPlace => std::fs::write(server.config_path(), text).expect("the test's file"),
        _ => put(server, text),
    }
    match way {
        Way::Signal => server.signal(Signal::HUP),
        Way::Request => {
            let answer = server.operate("POST", "/-/reload", "");
            assert_eq!(answer.status, if good { 200 } else { 422 }, "{}", answer.text());
            if good {
                assert_eq!(answer.json()["version"], seen(server)["version"]);
                assert_eq!(answer.json()["hash"], seen(server)["hash"]);
            } else {
                assert!(answer.text().contains("line ") && answer.text().contains("configuration-refused"), "{}", answer.text());
            }
        }
        Way::Rename | Way::InPlace => {}
    }
}

#[test]
fn each_way_brings_a_good_one_in_and_keeps_a_bad_one_out() {
    let (stderr, log) = Log::pipe();
    let server = start(SQL, &saying("first")).stderr(stderr).run();
    let mut running = "first".to_string();
    assert_eq!(server.metric("flagstone_config_last_reload_successful"), 1.0);
    for (refused, way) in (1..).zip(WAYS) {
        let bad = saying(&format!("bad{refused}")).replace("FROM t", "FROM nowhere");
        let before = seen(&server);
        bring(&server, way, &bad, false);
        wait_for("it is refused", || seen(&server)["refused"] == refused);
        let now = seen(&server);
        assert_eq!(
            (word(&server), &now["version"], &now["hash"]),
            (running.clone(), &before["version"], &before["hash"]),
            "{way:?}"
        );
        assert_eq!((&now["last_reload_successful"], &now["drift"]["file"]), (&false.into(), &true.into()));
        assert!(now["error"].as_str().is_some_and(|error| error.contains("no such table: nowhere")), "{now}");
        assert_eq!(server.metric("flagstone_config_last_reload_successful"), 0.0);
        assert_eq!(server.metric("flagstone_config_reload_failures_total"), f64::from(refused));
        assert_eq!(server.metric("flagstone_config_drift"), 1.0);
        let newest = versions(&server).remove(0);
        assert_eq!((newest.1.as_str(), newest.3.as_str()), ("refused", ""), "{way:?}");
        let said = "FROM nowhere LIMIT 1";
        wait_for("the log shows the line", || log.text().contains(said) && log.text().contains("configuration is refused"));

        running = format!("good {way:?}");
        bring(&server, way, &saying(&running), true);
        wait_for("it is in use", || word(&server) == running);
        let now = seen(&server);
        assert_eq!(
            (&now["last_reload_successful"], &now["drift"]["file"], &now["error"]),
            (&true.into(), &false.into(), &"".into())
        );
        assert!(now["version"].as_u64() > before["version"].as_u64(), "{now}");
        assert_eq!(server.metric("flagstone_config_last_reload_successful"), 1.0);
        let since = server.metric("flagstone_config_last_reload_success_timestamp_seconds");
        assert_eq!(now["since"].as_f64(), Some(since));
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64() - since;
        assert!((-1.0..30.0).contains(&age), "{age}");
        assert_eq!(server.metric("flagstone_config_drift"), 0.0);
        let newest = versions(&server).remove(0);
        assert_eq!((newest.1.as_str(), newest.3.as_str()), ("reloaded", "GET /r"), "{way:?}");
    }
    // What has been read is not read again for having been edited.
    looks(&server, 3);
    assert_eq!(versions(&server)[0].0, 9);
    let numbers: Vec<u64> = versions(&server).iter().map(|version| version.0).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "{numbers:?}");
}

#[test]
fn whatever_the_file_holds_the_running_one_stays() {
    let server = start(SQL, &saying("first")).run();
    let good = saying("second");
    let huge = format!("{}#{}\n", saying("huge"), "x".repeat(70 * 1024));
    let rubbish: Vec<(Vec<u8>, &str)> = vec![
        (good.as_bytes()[..good.len() / 2].to_vec(), "line "),
        (huge.into_bytes(), "65536"),
        ((0..=255).cycle().take(4096).collect(), "UTF-8"),
        (b"[[route]]\npaht = '/r'\n".to_vec(), "line 1"),
        (b"\xef\xbb\xbf[[route]".to_vec(), "line 1"),
        (good.replace("LIMIT 1", "LIMT 1").into_bytes(), "line 10"),
    ];
    for (at, (bytes, says)) in rubbish.iter().enumerate() {
        put(&server, bytes);
        let refused = server.operate("POST", "/-/reload", "");
        assert_eq!(refused.status, 422, "{at}");
        let now = seen(&server);
        let error = now["error"].as_str().expect("an error");
        assert!(error.contains(says) || refused.text().contains(says), "{at}: {error} {}", refused.text());
        assert_eq!((word(&server), now["refused"].as_u64()), ("first".to_string(), Some(at as u64 + 1)));
    }
    std::fs::remove_file(server.config_path()).expect("the test's file");
    let gone = server.operate("POST", "/-/reload", "");
    assert_eq!(gone.status, 422, "{}", gone.text());
    assert!(gone.text().contains("cannot be read"), "{}", gone.text());
    looks(&server, 3);
    assert_eq!(word(&server), "first");
    assert_eq!(seen(&server)["refused"].as_u64(), Some(rubbish.len() as u64 + 1), "a missing file may be a rename in progress");
    put(&server, saying("third"));
    wait_for("it is back", || word(&server) == "third");
}

#[test]
fn what_is_no_file_and_what_is_empty_is_kept_out() {
    let server = start(SQL, &saying("first")).run();
    let path = server.config_path();
    for (at, make) in [0, 1, 2, 3].into_iter().zip([
        // A pipe that nobody writes into would be waited for without end; a full disk leaves an empty file.
        &(|path: &std::path::Path| {
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe")
        }) as &dyn Fn(&std::path::Path),
        &|path| std::fs::create_dir(path).expect("a folder"),
        &|path| std::fs::write(path, "").expect("a file"),
        &|path| std::fs::write(path, " \n\t\n").expect("a file"),
    ]) {
        if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }.expect("the test's file");
        make(&path);
        let refused = server.operate("POST", "/-/reload", "");
        assert_eq!(refused.status, 422, "{at}: {}", refused.text());
        assert_eq!(word(&server), "first");
        looks(&server, 3);
        assert_eq!(seen(&server)["refused"].as_u64(), Some(at + 1), "it is refused once, not at every look");
    }
    std::fs::remove_file(&path).expect("the test's file");
    put(&server, saying("second"));
    wait_for("it is in use", || word(&server) == "second");
}

#[test]
fn only_addresses_that_change_are_warned_of() {
    let (stderr, log) = Log::pipe();
    let with = |top: &str| saying("x").replace("ops_auth", &format!("{top}\nops_auth"));
    let server = start(SQL, &with("listen = \"127.0.0.1:1\"")).stderr(stderr).run();
    put(&server, with("hosts = [\"pi.example.org\"]\nlisten = \"127.0.0.1:1\""));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    wait_for("it is logged", || log.text().contains("reloaded"));
    assert!(!log.text().contains("at the next start"), "{}", log.text());
    put(&server, with("listen = \"127.0.0.1:2\""));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    wait_for("it is warned of", || log.text().contains("listen, ops and state change at the next start only"));
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let server = start(SQL, &saying("first")).run();
    let text = saying("written slowly");
    let mut file = std::fs::File::create(server.config_path()).expect("the test's file");
    // Longer than three looks, and never still for one; then whole.
    let pieces = 16;
    let begun = Instant::now();
    for piece in text.as_bytes().chunks(text.len().div_ceil(pieces)) {
        file.write_all(piece).expect("the test's file");
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed();
    wait_for("it is in use", || word(&server) == "written slowly");
    if took < Duration::from_secs(4) {
        assert_eq!(seen(&server)["refused"], 0, "{took:?}");
    }
}

#[test]
fn the_same_text_again_is_no_version() {
    let server = start(SQL, &saying("first")).run();
    for _ in 0..3 {
        put(&server, saying("first"));
        assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
        server.signal(Signal::HUP);
    }
    looks(&server, 2);
    assert_eq!(versions(&server).len(), 1);
}

#[test]
fn changed_keys_are_named() {
    let server = start(SQL, &saying("first")).run();
    let next = toml(
        "hosts = [\"pi.example.org\"]",
        &format!(
            "[limits]\nidle = \"1m\"\n[flags]\nwarming = \"off\"\n{}{}",
            route("/r", "SELECT 1 AS word", ""),
            route("/new", "SELECT 1 AS a", "")
        ),
    );
    put(&server, next);
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!(versions(&server)[0].3, "hosts, flags.warming, limits.idle, GET /r, GET /new");
    put(&server, saying("first").replace("ops_auth = \"admin\"", "ops_auth = \"admin\"\nlisten = \"127.0.0.1:1\""));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    let newest = versions(&server)[0].3.clone();
    assert!(newest.contains("listen") && newest.contains("GET /new"), "{newest}");
    assert_eq!(server.get("/new").status, 404);
    assert_eq!(server.get("/-/health").status, 200, "addresses change at the next start");
}

#[test]
fn limits_tokens_and_hosts_change_at_once() {
    let server = start(SQL, &saying("first")).run();
    let kept = server.connect();
    assert_eq!(crate::configured::ask_from(1, server.address, "GET", "/r", &[("Host", "pi.example.org")]).status, 421);
    put(&server, saying("second").replace("ops_auth = \"admin\"", "ops_auth = \"sensor\"\nhosts = [\"pi.example.org\"]"));
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!(crate::configured::ask_from(1, server.address, "GET", "/r", &[("Host", "pi.example.org")]).status, 200);
    assert_eq!(server.get_with(ADMIN, "/-/status").status, 403, "no longer the operators'");
    assert_eq!(server.get_with(crate::configured::SENSOR, "/-/status").status, 200);
    drop(kept);
}

#[test]
fn without_a_configuration_there_is_nothing_to_reload() {
    let mut server = Server::with(SQL);
    let refused = server.request("POST", "/-/reload", &[]);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(server.status()["configuration"], serde_json::Value::Null);
    server.signal(Signal::HUP);
    let end = server.wait();
    assert_eq!(end.signal(), Some(1), "as a terminal that closes expects: {end:?}");
}
