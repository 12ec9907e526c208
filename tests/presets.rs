//! What compiles and what does not: the three presets, and sizes that are none or do not fit.
//!
//! `cargo check` in a target folder of its own, which all of them share: the dependencies once, then a second each.
//! What a preset does when it runs is `tools/check-presets.sh`.

mod server;

use std::process::{Command, Output};

/// Checks the library with some build variables set.
fn check(variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLAGSTONE_")) {
        command.env_remove(name);
    }
    let Output { status, stderr, .. } = command
        .args(["check", "--offline", "--quiet", "--package", "flagstone", "--lib", "--color", "never"])
        .arg("--target-dir")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/target/checks"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .envs(variables.iter().copied())
        .output()
        .expect("cargo runs");
    (status.success(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn presets_compile_and_impossible_sizes_do_not() {
    for preset in ["tiny", "pi-zero-2w", "pi-4"] {
        let (compiles, text) = check(&[("FLAGSTONE_PRESET", preset)]);
        assert!(compiles, "{preset}: {text}");
    }
    let sizes: [&[(&str, &str)]; 5] = [
        &[("FLAGSTONE_SLOTS", "20"), ("FLAGSTONE_OUTPUT_KIB", "2048")],
        &[("FLAGSTONE_CACHE_MIB", "0")],
        &[("FLAGSTONE_CACHE_MIB", "8")],
        // The index is largest beside the entries just above a power of two; one entry has all that does not grow with them.
        &[("FLAGSTONE_CACHE_ENTRIES", "257")],
        &[("FLAGSTONE_CACHE_ENTRIES", "1")],
    ];
    for variables in sizes {
        let (compiles, text) = check(variables);
        assert!(compiles, "{variables:?}: {text}");
    }
    let refused: [(&[(&str, &str)], &str); 7] = [
        (&[("FLAGSTONE_PRESET", "huge")], "FLAGSTONE_PRESET must be one of tiny, pi-zero-2w, pi-4"),
        (&[("FLAGSTONE_SLOTS", "abc")], "a FLAGSTONE_ size must be a whole number, digits only"),
        (&[("FLAGSTONE_SLOTS", "")], "a FLAGSTONE_ size must be a whole number of 1 to 9 digits"),
        (&[("FLAGSTONE_HEAP_KIB", "256")], "FLAGSTONE_HEAP_KIB must hold"),
        (&[("FLAGSTONE_OUTPUT_KIB", "512")], "FLAGSTONE_OUTPUT_KIB must hold one answer"),
        (&[("FLAGSTONE_CACHE_MIB", "128")], "FLAGSTONE_CACHE_MIB must be below 128"),
        (&[("FLAGSTONE_CACHE_ENTRIES", "0")], "FLAGSTONE_CACHE_ENTRIES must be 1 to 29999"),
    ];
    for (variables, reason) in refused {
        let (compiles, text) = check(variables);
        assert!(!compiles && text.contains(reason), "{variables:?}: {text}");
    }
}

#[test]
fn a_sheet_over_the_total_does_not_compile_and_says_by_how_much() {
    let (compiles, text) = check(&[("FLAGSTONE_PRESET", "pi-zero-2w"), ("FLAGSTONE_TOTAL_MIB", "20")]);
    assert!(!compiles);
    let over = text.split("the memory sheet is over FLAGSTONE_TOTAL_MIB by ").nth(1).unwrap_or_else(|| panic!("{text}"));
    let over: usize = over.split(" KiB").next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    if flagstone::budget::PRESET == "pi-zero-2w" {
        let both = flagstone::budget::PROCESS_BYTES + flagstone::budget::KERNEL_BYTES;
        assert_eq!(over, both.div_ceil(1024) - 20 * 1024);
    }
}

#[test]
fn a_size_set_when_it_runs_must_be_the_one_built_in() {
    let built = flagstone::budget::SLOTS;
    let run = |slots: &str| {
        let output = Command::new(server::binary()).arg("--version").env("FLAGSTONE_SLOTS", slots).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&(built + 1).to_string());
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains(&format!("built with {built}")) && text.contains("cargo build --release"), "{text}");
    assert_eq!(run(&built.to_string()), (Some(0), String::new()));
}
