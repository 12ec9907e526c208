//! README.md keeps its word: its tutorial is typed as it stands, its clients' routes answer in the shapes that those clients read, and no key
//! is left out.

#[path = "readme/clients.rs"]
mod clients;
mod configured;
#[path = "readme/page.rs"]
mod page;
mod server;
#[path = "readme/shell.rs"]
mod shell;

use flagstone::config::keys::{KEYS, Section};
use shell::Shell;

#[test]
fn the_tutorial_does_what_the_page_shows() {
    let steps = page::tutorial();
    assert!(steps.len() > 15, "the page has a tutorial: {} steps", steps.len());
    let Some(mut shell) = Shell::new() else { return };
    for step in &steps {
        shell.take(step);
    }
    shell.has_stopped_the_server();
}

#[test]
fn the_page_names_every_key() {
    let page = page::README;
    for key in KEYS.iter().filter(|key| key.section != Section::Param) {
        assert!(page.contains(&format!("`{}`", key.name)) || page.contains(&format!("] {}`", key.name)), "{}", key.name);
    }
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    let cases = [
        ("a", "a", true),
        ("a", "b", false),
        ("a...c", "abbc", true),
        ("a...c", "ac", true),
        ("a...c", "abcd", false),
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("a\n...\nd", "a\nb\nc", false),
        ("a\nb", "a", false),
        ("", "", true),
        ("", "a", false),
        ("x...", "xyz", true),
        ("...1...2", "01122", true),
    ];
    for (shown, seen, expected) in cases {
        assert_eq!(page::matches(shown, seen), expected, "{shown:?} {seen:?}");
    }
}
