//! memory_budget.md carries the sheet of the default preset exactly as `flagstone --budget` prints it, and none of it stands in the binary.
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

/// A static with one byte that is not zero stands in the file with all its others, and is read from there at each start.
#[test]
fn what_is_reserved_for_later_takes_no_room_in_the_binary() {
    const WRITABLE: u64 = 2;
    const LOAD: u64 = 1;
    const RELRO: u64 = 0x6474_e552;
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_flagstone")).expect("the binary");
    let field =
        |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    // An ELF file of 64 bits: where its program headers stand, how long each is, and how many there are.
    let (table, size, count) = (field(0x20, 8) as usize, field(0x36, 2) as usize, field(0x38, 2) as usize);
    let headers = || (0..count).map(|at| table + at * size);
    let segments = headers().filter(|&at| field(at, 4) == LOAD && field(at + 4, 4) & WRITABLE != 0);
    let (in_file, in_memory) = segments.fold((0, 0), |sum, at| (sum.0 + field(at + 0x20, 8), sum.1 + field(at + 0x28, 8)));
    assert!(in_memory > flagstone::budget::SQLITE_HEAP_BYTES as u64, "the arenas were seen: {in_memory}");
    // Tables of addresses, which grow with the code, can be written by the loader alone.
    let addresses: u64 = headers().filter(|&at| field(at, 4) == RELRO).map(|at| field(at + 0x20, 8)).sum();
    let stands = in_file - addresses;
    assert!(stands < 64 * 1024, "{stands} of {in_memory} bytes of writable memory stand in the file");
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
