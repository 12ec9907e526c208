//! A token's value stands nowhere: not in the log, however much is logged, not on a page, not in the state directory.

use flagstone::policy::log_limit::LINES;

use super::{COUNT, SQL, bearer};
use crate::configured::{ADMIN, DISPLAY, Log, SENSOR, route, start, toml};
use crate::server::wait_for;

/// What somebody wrote where its digest belongs.
const PASTED: &str = "flg_wWp5bORnxJaGM6fryIVvN9SR0_Lf-1BIDw-WqxIy-OA";
const OWN: &str = "hunter2hunter2hunter2";

/// Configurations with a token's value where it should not be, each of which is refused.
fn mistaken(good: &str) -> Vec<String> {
    let lines = [
        format!("admin = \"{PASTED}\""),
        format!("admin = \"{OWN}\""),
        format!("admin = '{OWN}'"),
        format!("admin = {PASTED}"),
        format!("admin = \"{PASTED}"),
        format!("admin = [\"{OWN}\"]"),
        format!("\"{PASTED}\" = 1"),
    ];
    let whole = [
        format!("[tokens]\nadmin = \"{OWN}\"\n[[route]]\npath = 3\n"),
        format!("tokens = {{ admin = \"{OWN}\" }}\n"),
        format!("tokens.admin = \"{OWN}\"\n"),
        format!("ops_auth = \"{PASTED}\"\n"),
        format!("{good}\nauth = \"{PASTED}\"\n"),
    ];
    lines.iter().map(|line| format!("[tokens]\n{line}\n")).chain(whole).collect()
}

/// Everything that a server says and keeps which is asked with every token and given these configurations.
fn said_of(good: &str, mistaken: &[String]) -> String {
    let (stderr, log) = Log::pipe();
    let server = start(SQL, good).environment("RUST_LOG", "trace").stderr(stderr).run();
    let mut said = server.block.clone();
    for token in [ADMIN, DISPLAY, SENSOR, PASTED, OWN] {
        for target in ["/r", "/-/status", "/-/metrics", "/-/flags", "/-/budget", "/nowhere", "/r?x=1"] {
            said += &server.get_with(token, target).text();
            said += &server.request("POST", target, &[("Authorization", &bearer(token))]).text();
        }
    }
    // Mistakes show their lines.
    for text in mistaken {
        std::fs::write(server.config_path(), text).expect("the test's file");
        let answer = server.operate("POST", "/-/reload", "");
        assert_eq!(answer.status, 422, "{text}");
        said += &answer.text();
    }
    said += &server.status().to_string();
    wait_for("all is logged", || log.text().matches("the configuration is refused").count() == mistaken.len());
    said += &log.text();
    let state = server.folder.path().join(".local/state/flagstone");
    let folder = std::fs::read_dir(state).expect("a state directory").next().expect("one database's").expect("a folder").path();
    for entry in std::fs::read_dir(folder).expect("a state directory") {
        said += &String::from_utf8_lossy(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    said
}

#[test]
fn tokens_are_written_nowhere() {
    let good = toml("", &route("/r", COUNT, "auth = \"display\""));
    // As many at a time as the log writes lines of one kind.
    let said: String = mistaken(&good).chunks(LINES as usize).map(|some| said_of(&good, some)).collect();
    assert!(said.contains("admin"), "names are fine");
    for token in [ADMIN, DISPLAY, SENSOR, PASTED, &PASTED[4..], OWN] {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(token)).collect();
        assert!(lines.is_empty(), "{token}: {lines:#?}");
    }
}
