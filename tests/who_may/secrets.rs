//! A token's value stands nowhere: not in the log, however much is logged, not on a page, not in the state directory.

use super::{COUNT, SQL, bearer};
use crate::configured::{ADMIN, DISPLAY, Log, SENSOR, route, start, toml};
use crate::server::{Server, wait_for};

/// What somebody wrote where its digest belongs.
const PASTED: &str = "flg_wWp5bORnxJaGM6fryIVvN9SR0_Lf-1BIDw-WqxIy-OA";
const OWN: &str = "hunter2hunter2hunter2";

fn reload(server: &Server, text: &str) -> u16 {
    std::fs::write(server.config_path(), text).expect("the test's file");
    server.operate("POST", "/-/reload", "").status
}

#[test]
fn tokens_are_written_nowhere() {
    let (stderr, log) = Log::pipe();
    let good = toml("", &route("/r", COUNT, "auth = \"display\""));
    let server = start(SQL, &good).environment("RUST_LOG", "trace").stderr(stderr).run();
    let mut said = server.block.clone();
    for token in [ADMIN, DISPLAY, SENSOR, PASTED, OWN] {
        for target in ["/r", "/-/status", "/-/metrics", "/-/flags", "/-/budget", "/nowhere", "/r?x=1"] {
            said += &server.get_with(token, target).text();
            said += &server.request("POST", target, &[("Authorization", &bearer(token))]).text();
        }
    }
    // Mistakes show their lines.
    let tokens = [
        format!("admin = \"{PASTED}\""),
        format!("admin = \"{OWN}\""),
        format!("admin = '{OWN}'"),
        format!("admin = {PASTED}"),
        format!("admin = \"{PASTED}"),
        format!("admin = [\"{OWN}\"]"),
        format!("\"{PASTED}\" = 1"),
    ];
    for line in &tokens {
        assert_eq!(reload(&server, &format!("[tokens]\n{line}\n")), 422, "{line}");
        said += &server.operate("POST", "/-/reload", "").text();
    }
    assert_eq!(reload(&server, &format!("[tokens]\nadmin = \"{OWN}\"\n[[route]]\npath = 3\n")), 422);
    assert_eq!(reload(&server, &format!("tokens = {{ admin = \"{OWN}\" }}\n")), 422);
    assert_eq!(reload(&server, &format!("tokens.admin = \"{OWN}\"\n")), 422);
    assert_eq!(reload(&server, &format!("ops_auth = \"{PASTED}\"\n")), 422);
    assert_eq!(reload(&server, &format!("{good}\nauth = \"{PASTED}\"\n")), 422);
    said += &server.status().to_string();
    let refused = tokens.len() * 2 + 5;
    wait_for("all is logged", || log.text().matches("the configuration is refused").count() == refused);
    said += &log.text();
    let state = server.folder.path().join(".local/state/flagstone");
    let folder = std::fs::read_dir(state).expect("a state directory").next().expect("one database's").expect("a folder").path();
    for entry in std::fs::read_dir(folder).expect("a state directory") {
        said += &String::from_utf8_lossy(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    assert!(said.contains("admin"), "names are fine");
    for token in [ADMIN, DISPLAY, SENSOR, PASTED, &PASTED[4..], OWN] {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(token)).collect();
        assert!(lines.is_empty(), "{token}: {lines:#?}");
    }
}
