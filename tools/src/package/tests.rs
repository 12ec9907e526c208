//! The manual pages and completions name every option and every key, and the programs that read them find nothing wrong.

use std::process::{Command, Stdio};

use flagstone::cli::option::{OPTIONS, Takes};
use flagstone::config::keys::KEYS;

use super::source::Source;
use super::{completion, files, manual, manual_toml, roff};

fn source() -> Source {
    Source { commit: "0123456789ab".to_owned(), time: 1_136_214_245 }
}

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("{program} is not installed: left out");
    }
    there
}

/// What a program says, on both outputs, about a file or a script.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// All papers in a folder.
fn papers() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files::papers(folder.path(), &source()).expect("written");
    folder
}

#[test]
fn the_manual_says_of_every_option_what_help_says() {
    let page = manual::flagstone(&source().day());
    for option in OPTIONS {
        assert!(page.lines().any(|line| line == roff::item(option)), "--{}", option.long);
        let mut described = roff::Page::new("", 1, "");
        described.text(&manual::sentence(option.doc));
        let described = described.finish();
        assert!(described.lines().skip(3).all(|line| page.contains(line)), "{described}");
    }
    assert!(page.starts_with(".Dd January 2, 2006\n"));
}

#[test]
fn the_manual_of_the_configuration_has_every_key() {
    let page = manual_toml::flagstone_toml(&source().day());
    for key in KEYS {
        assert!(page.contains(&manual_toml::shown(key)), "{}", key.name);
        let mut described = roff::Page::new("", 5, "");
        described.text(key.doc);
        let described = described.finish();
        assert!(described.lines().skip(3).all(|line| page.contains(line)), "{described}");
    }
}

#[test]
fn mandoc_finds_nothing_to_complain_about() {
    if !is_there("mandoc") {
        return;
    }
    let folder = papers();
    for page in ["man/man1/flagstone.1", "man/man5/flagstone.toml.5"] {
        let path = folder.path().join(page);
        let path = path.to_str().expect("UTF-8");
        let lint = said("mandoc", &["-T", "lint", "-W", "all", path]);
        // It looks for other pages where they are installed, and these two are not.
        let wrong: Vec<&str> = lint.lines().filter(|line| !line.contains("not found: Xr flagstone")).collect();
        assert!(wrong.is_empty(), "{lint}");
        let shown = said("mandoc", &["-T", "utf8", path]);
        assert!(shown.contains("January 2, 2006") && !shown.contains("\\e"), "{shown}");
    }
}

#[test]
fn every_option_can_be_completed() {
    let (bash, zsh, fish) = (completion::bash(), completion::zsh(), completion::fish());
    for option in OPTIONS {
        assert!(bash.contains(&format!("--{} ", option.long)), "bash: --{}", option.long);
        let equals = if option.takes == Takes::Nothing { "" } else { "=" };
        assert!(zsh.contains(&format!("--{}{equals}", option.long)), "zsh: --{}", option.long);
        assert!(fish.contains(&format!(" -l {} ", option.long)), "fish: --{}", option.long);
        if let Some(short) = option.short {
            assert!(bash.contains(&format!(" -{short}")) && zsh.contains(&format!("-{short},")), "-{short}");
            assert!(fish.contains(&format!(" -s {short} ")), "-{short}");
        }
    }
}

/// What bash offers for a line, as if Tab were pressed at its end; the last word may be empty.
fn bash_offers(folder: &std::path::Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source {}/completions/flagstone.bash; cd {0}; COMP_WORDS=({}); COMP_CWORD={}; _flagstone; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        folder.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let mut offers: Vec<String> = said("bash", &["-c", &script]).lines().map(str::to_owned).collect();
    offers.sort();
    offers
}

#[test]
fn bash_offers_options_files_and_folders() {
    let folder = papers();
    std::fs::write(folder.path().join("data.db"), "").expect("written");
    let offers = |words: &[&str]| bash_offers(folder.path(), words);
    assert_eq!(offers(&["flagstone", "--li"]), ["--listen"]);
    assert_eq!(offers(&["flagstone", "-"]).len(), OPTIONS.len() + OPTIONS.iter().filter(|option| option.short.is_some()).count());
    assert_eq!(offers(&["flagstone", "da"]), ["data.db"]);
    assert_eq!(offers(&["flagstone", "to"]), ["token"]);
    assert_eq!(offers(&["flagstone", "-c", "data"]), ["data.db"]);
    assert_eq!(offers(&["flagstone", "--config", "=", "data"]), ["data.db"]);
    assert_eq!(offers(&["flagstone", "--demo", ""]), ["completions", "man"]);
    assert_eq!(offers(&["flagstone", "--demo", "--ops"]), ["--ops"], "its folder may be left out");
    assert_eq!(offers(&["flagstone", "--get", "/t"]), ["/tables"]);
    assert_eq!(offers(&["flagstone", "-l", ""]), ["8080"]);
}

#[test]
fn the_other_shells_can_read_theirs() {
    let folder = papers();
    let file = |name: &str| folder.path().join("completions").join(name).to_str().expect("UTF-8").to_owned();
    if is_there("zsh") {
        assert_eq!(said("zsh", &["-n", &file("_flagstone")]), "");
    }
    if is_there("fish") {
        let script = format!("source {}; complete -C 'flagstone --li'; complete -C 'flagstone -'", file("flagstone.fish"));
        let offers = said("fish", &["--no-config", "-c", &script]);
        assert!(offers.starts_with("--listen\twhere to listen"), "{offers}");
        for option in OPTIONS {
            assert!(offers.contains(&format!("--{}", option.long)), "--{}: {offers}", option.long);
        }
    }
}
