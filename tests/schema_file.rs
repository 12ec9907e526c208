//! `tools/flagstone.schema.json` is the schema that is built in, as a file for editors.
//!
//! When it differs, the keys have changed: `UPDATE_SCHEMA=1 cargo test --test schema_file` writes it anew.

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/flagstone.schema.json");

#[test]
fn the_file_is_the_schema_that_is_built_in() {
    if flagstone::budget::PRESET != "pi-zero-2w" {
        eprintln!("the file is the default preset's, this is {}", flagstone::budget::PRESET);
        return;
    }
    let schema = flagstone::config::schema_json();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(FILE, schema).expect("the file can be written");
    } else {
        let shown = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            shown == schema,
            "tools/flagstone.schema.json is out of date; try: UPDATE_SCHEMA=1 cargo test --test schema_file"
        );
    }
}
