//! What the operators' pages say of the configuration and of the flags.

use core::fmt::{self, Write};

use super::readings::Configuration;
use super::text::{Quoted, head, single};

/// A flag as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct FlagUse {
    /// Its name.
    pub name: &'static str,
    /// The share that the configuration wants, in percent; `None` when that cannot be.
    pub configured: Option<u8>,
    /// The share that was set at run time.
    pub set: Option<u8>,
    /// Whether it is off whatever was said, because the server is hard pressed.
    pub forced_off: bool,
    /// Asks since the start.
    pub asked: u64,
    /// Those answered with on.
    pub on: u64,
    /// Those that fell to the safe default.
    pub doubtful: u64,
    /// How far the seen share was from the wanted one, in hundredths of a percent.
    pub drift: Option<u16>,
}

impl FlagUse {
    /// The share of the clients that have it, in percent.
    fn wanted(&self) -> u8 {
        if self.forced_off { 0 } else { self.set.or(self.configured).unwrap_or(0) }
    }
}

/// Metrics of both.
pub(super) fn put_metrics(configuration: &Configuration, flags: &[FlagUse], out: &mut impl Write) -> fmt::Result {
    if configuration.present {
        const LAST: &str = "Whether the last configuration that was loaded is in use.";
        single(out, "flagstone_config_last_reload_successful", "gauge", LAST, u64::from(configuration.last_successful))?;
        const AT: &str = "Since when the running configuration is in use, in seconds since 1970.";
        single(out, "flagstone_config_last_reload_success_timestamp_seconds", "gauge", AT, configuration.since)?;
        single(
            out,
            "flagstone_config_reload_failures_total",
            "counter",
            "Configurations that were refused.",
            configuration.failures,
        )?;
        const DRIFT: &str = "Whether the file, or a flag set at run time, says something else than the running version.";
        let drift = configuration.file_differs || flags.iter().any(differs);
        single(out, "flagstone_config_drift", "gauge", DRIFT, u64::from(drift))?;
    }
    let wanted = "flagstone_flag_wanted_ratio";
    head(out, wanted, "gauge", "For which share of the clients a feature is wanted.")?;
    for flag in flags {
        let percent = flag.wanted();
        writeln!(out, "{wanted}{{flag=\"{}\"}} {}.{:02}", flag.name, percent / 100, percent % 100)?;
    }
    let asked = "flagstone_flag_evaluations_total";
    head(out, asked, "counter", "How often a flag was asked for, by what it said.")?;
    for flag in flags {
        writeln!(out, "{asked}{{flag=\"{}\",result=\"on\"}} {}", flag.name, flag.on)?;
        writeln!(out, "{asked}{{flag=\"{}\",result=\"off\"}} {}", flag.name, flag.asked - flag.on)?;
    }
    Ok(())
}

/// A member of the status page: version, what differs, and the last versions.
pub(super) fn put_status(configuration: &Configuration, flags: &[FlagUse], out: &mut impl Write) -> fmt::Result {
    let Configuration { number, hash, since, last_successful, failures, file_differs, kept, .. } = configuration;
    if !configuration.present {
        return out.write_str("\"configuration\":null,");
    }
    write!(
        out,
        r#""configuration":{{"version":{number},"hash":"{hash:016x}","since":{since},"last_reload_successful":{last_successful},"#
    )?;
    write!(out, r#""refused":{failures},"error":{},"drift":{{"file":{file_differs},"flags":["#, Quoted(&configuration.error))?;
    for (at, flag) in flags.iter().filter(|flag| differs(flag)).enumerate() {
        write!(out, "{}\"{}\"", if at == 0 { "" } else { "," }, flag.name)?;
    }
    write!(out, r#"]}},"kept":{kept},"versions":["#)?;
    for (at, version) in configuration.versions.iter().enumerate() {
        write!(out, "{}{}", if at == 0 { "" } else { "," }, Quoted(version))?;
    }
    out.write_str("]},")
}

/// `/-/flags`.
pub(super) fn put_flags(flags: &[FlagUse], out: &mut impl Write) -> fmt::Result {
    out.write_str("[")?;
    for (at, flag) in flags.iter().enumerate() {
        let FlagUse { name, asked, on, doubtful, .. } = flag;
        let wanted = flag.wanted();
        write!(out, r#"{}{{"name":"{name}","wanted":"{wanted}%","configured":"#, if at == 0 { "" } else { "," })?;
        put_share(flag.configured, out)?;
        out.write_str(",\"set\":")?;
        put_share(flag.set, out)?;
        write!(out, r#","forced_off":{},"asked":{asked},"on":{on},"doubtful":{doubtful},"drift_percent":"#, flag.forced_off)?;
        match flag.drift {
            Some(drift) => write!(out, "{}.{:02}}}", drift / 100, drift % 100)?,
            None => out.write_str("null}")?,
        }
    }
    out.write_str("]")
}

fn put_share(share: Option<u8>, out: &mut impl Write) -> fmt::Result {
    match share {
        Some(percent) => write!(out, "\"{percent}%\""),
        None => out.write_str("null"),
    }
}

fn differs(flag: &FlagUse) -> bool {
    flag.set.is_some() && flag.set != flag.configured
}
