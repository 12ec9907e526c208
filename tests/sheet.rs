//! memory_budget.md carries the sheet of the default preset exactly as `flagstone --budget` prints it.
//!
//! When it differs, the sizes have changed: look whether the page's words still hold, then
//! `UPDATE_SHEET=1 cargo test --test sheet` puts the new sheet into the page.

use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/memory_budget.md");
const BEGIN: &str = "<!-- sheet: begin -->\n";
const END: &str = "<!-- sheet: end -->";

#[test]
fn the_page_carries_the_binarys_sheet() {
    if flagstone::budget::PRESET != "pi-zero-2w" {
        eprintln!("the page shows the default preset, this is {}", flagstone::budget::PRESET);
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_flagstone")).arg("--budget").output().expect("the binary runs");
    assert!(output.status.success());
    let sheet = String::from_utf8(output.stdout).expect("UTF-8");
    let page = std::fs::read_to_string(PAGE).expect("memory_budget.md");
    let (before, rest) = page.split_once(BEGIN).expect("the marker before the sheet");
    let (shown, after) = rest.split_once(END).expect("the marker behind the sheet");
    if std::env::var_os("UPDATE_SHEET").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{sheet}{END}{after}")).expect("memory_budget.md can be written");
    } else {
        assert!(shown == sheet, "memory_budget.md is out of date; try: UPDATE_SHEET=1 cargo test --test sheet\n{sheet}");
    }
}
