//! `/-/budget`: every limit, its use now, its high-water mark; the sheet; the build constants.

use core::fmt::{self, Write};

use super::snapshot::{Snapshot, Use};
use crate::budget;

/// The whole object.
pub(super) fn put(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    out.write_str("{\"use\":[")?;
    for (at, part) in all.uses.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let Use { name, unit, limit, now, high } = part;
        write!(out, r#"{comma}{{"name":"{name}","unit":"{unit}","limit":{limit},"now":{now},"high":{high}}}"#)?;
    }
    for (name, rows, total) in
        [("process", budget::PROCESS, budget::PROCESS_BYTES), ("kernel", budget::KERNEL, budget::KERNEL_BYTES)]
    {
        write!(out, "],\"{name}_bytes\":{total},\"{name}\":[")?;
        for (at, row) in rows.iter().enumerate() {
            write!(
                out,
                r#"{}{{"name":"{}","bytes":{},"sum":"{}"}}"#,
                if at == 0 { "" } else { "," },
                row.name,
                row.bytes,
                row.sum
            )?;
        }
    }
    write!(out, "],\"memory_max_bytes\":{},\"settings\":[", budget::MEMORY_MAX_BYTES)?;
    for (at, setting) in budget::SETTINGS.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"name":"{}","value":{},"unit":"{}"}}"#, setting.variable, setting.value, setting.unit)?;
    }
    out.write_str("]}")
}
