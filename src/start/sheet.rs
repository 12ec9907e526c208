//! The memory sheet as text, the same that memory_budget.md carries, and the guard against sizes that came too late.

use super::{Exit, StartError};
use crate::budget::{self, Row, Setting};

/// The sheet: settings, both sums with their rows, and what follows from them.
pub fn sheet() -> String {
    let mut text = format!("Preset `{}`, at most {} MiB.\n\n", budget::PRESET, budget::TOTAL_MIB);
    table(&mut text, "Process memory, compared with RssAnon", budget::PROCESS, budget::PROCESS_BYTES);
    table(&mut text, "Kernel memory that the server causes", budget::KERNEL, budget::KERNEL_BYTES);
    text.push_str(&format!(
        "Both: {} KiB. SQLite may use {} KiB of its heap (memsys5's bound). MemoryMax: {} KiB.\n\n",
        kib(budget::PROCESS_BYTES + budget::KERNEL_BYTES),
        kib(budget::SQLITE_HEAP_LIMIT_BYTES),
        kib(budget::MEMORY_MAX_BYTES),
    ));
    text.push_str("| build constant | value | unit | why |\n|---|---:|---|---|\n");
    for Setting { variable, value, unit, why } in budget::SETTINGS {
        text.push_str(&format!("| {variable} | {value} | {unit} | {} |\n", why.trim()));
    }
    text
}

fn table(text: &mut String, title: &str, rows: &[Row], total: usize) {
    text.push_str(&format!("| {title} | KiB | sum |\n|---|---:|---|\n"));
    for Row { name, bytes, sum } in rows {
        text.push_str(&format!("| {name} | {} | {sum} |\n", kib(*bytes)));
    }
    text.push_str(&format!("| **together** | **{}** | |\n\n", kib(total)));
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// Refuses to run when a FLAGSTONE_ size is set to another value than the one built in: whoever set it believes that it counts.
///
/// # Errors
/// A configuration error (78) that names the variable and how to build with it.
pub fn refuse_run_time_sizes() -> Result<(), StartError> {
    let differs = |variable: &str, built: &str| match std::env::var(variable) {
        Ok(set) if set.trim() != built => Err(StartError::new(
            Exit::Configuration,
            format!(
                "{variable}={set} is set, but sizes are fixed when the program is built, and this one was built with {built}"
            ),
            &[format!("{variable}={set} cargo build --release"), format!("unset {variable}")],
        )),
        _ => Ok(()),
    };
    differs("FLAGSTONE_PRESET", budget::PRESET)?;
    budget::SETTINGS.iter().try_for_each(|setting| differs(setting.variable, &setting.value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_adds_up() {
        let text = sheet();
        let sums = |rows: &[Row]| rows.iter().map(|row| row.bytes).sum::<usize>();
        assert_eq!(sums(budget::PROCESS), budget::PROCESS_BYTES);
        assert_eq!(sums(budget::KERNEL), budget::KERNEL_BYTES);
        assert!(text.contains(&format!("**{}**", kib(budget::PROCESS_BYTES))));
    }
}
