//! memory_budget.md carries the sheet of the default preset exactly as `flagstone --budget` prints it.
//!
//! When it differs, the sizes have changed: look whether the page's words still hold, then
//! `UPDATE_SHEET=1 cargo test --test sheet` puts the new sheet into the page, and its sum into the unit.

use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/memory_budget.md");
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/unit/flagstone.service");
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

#[test]
fn the_unit_allows_what_the_sheet_adds_up_to_and_no_more() {
    if flagstone::budget::PRESET != "pi-zero-2w" {
        eprintln!("the unit is for the default preset, this is {}", flagstone::budget::PRESET);
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_flagstone")).arg("--budget").output().expect("the binary runs");
    let sheet = String::from_utf8(output.stdout).expect("UTF-8");
    let kib = sheet.split("MemoryMax: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("the sheet has it");
    let unit = std::fs::read_to_string(UNIT).expect("tools/unit/flagstone.service");
    let line = unit.lines().find(|line| line.starts_with("MemoryMax=")).expect("the unit has it");
    let wanted = format!("MemoryMax={kib}K");
    if std::env::var_os("UPDATE_SHEET").is_some() {
        std::fs::write(UNIT, unit.replace(line, &wanted)).expect("the unit can be written");
    } else {
        assert_eq!(line, wanted, "the unit is out of date; try: UPDATE_SHEET=1 cargo test --test sheet");
    }
}
