//! The sandbox on the operators' pages.

use core::fmt::{self, Write};

use super::readings::Sandbox;
use super::text::{Quoted, head};

pub(super) fn put_metrics(sandbox: &Sandbox, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_sandbox", "gauge", "Whether this part of the sandbox is in force.")?;
    for (name, part) in sandbox.parts() {
        writeln!(out, "flagstone_sandbox{{part=\"{name}\"}} {}", u64::from(part.on))?;
    }
    Ok(())
}

/// Each part's state, and why it is off.
pub(super) fn put_status(sandbox: &Sandbox, out: &mut impl Write) -> fmt::Result {
    out.write_str(r#""sandbox":{"#)?;
    for (at, (name, part)) in sandbox.parts().into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let state = if part.on { "on" } else { "off" };
        write!(out, r#"{comma}"{name}":{{"state":"{state}","why":{}}}"#, Quoted(&part.why))?;
    }
    out.write_str("},")
}
