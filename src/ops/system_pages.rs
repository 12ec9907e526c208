//! What the operators' pages say of what surrounds the process. What the machine lacks has no metric; the status page says why.

use core::fmt::{self, Write};

use super::readings::Readings;
use super::system::{Pressure, Space, System, absent};
use super::text::{OrNull, Quoted, Thousandths, head, single};

/// Hundredths of a percent as a ratio.
struct Ratio(u32);

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}.{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

impl System {
    fn pressures(&self) -> [(&'static str, &'static str, Option<Pressure>); 4] {
        [
            ("memory", "system", self.memory_pressure),
            ("io", "system", self.io_pressure),
            ("cpu", "system", self.cpu_pressure),
            ("memory", "cgroup", self.cgroup_pressure),
        ]
    }

    fn spaces(&self) -> [(&'static str, Option<Space>); 2] {
        [("database", self.database_space), ("state", self.state_space)]
    }

    /// What is not there, and why.
    fn absent(&self) -> [(&'static str, Option<&'static str>); 9] {
        let why = |is_absent: bool, why| is_absent.then_some(why);
        [
            ("pressure", why(self.memory_pressure.is_none(), absent::PRESSURE)),
            ("cgroup", why(self.cgroup.is_none(), absent::CGROUP)),
            ("cgroup_pressure", why(self.cgroup_pressure.is_none(), absent::CGROUP_PRESSURE)),
            ("disks", why(self.spaces().iter().any(|(_, space)| space.is_none()), absent::SPACE)),
            ("temperature", why(self.temperature.is_none(), absent::TEMPERATURE)),
            ("throttled", why(self.throttled.is_none(), absent::THROTTLED)),
            ("under_voltage", why(self.under_voltage.is_none(), absent::UNDER_VOLTAGE)),
            ("wal", why(self.wal.is_none(), absent::WAL)),
            ("rss_anon_slope", why(self.rss_anon_slope.is_none(), absent::SLOPE)),
        ]
    }
}

/// Metrics of what there is.
pub(super) fn put_metrics(readings: &Readings, out: &mut impl Write) -> fmt::Result {
    let (process, system) = (&readings.process, &readings.system);
    single(out, "flagstone_memory_total_bytes", "gauge", "The machine's memory.", process.system_total_bytes)?;
    const AVAILABLE: &str = "How much of it could be had without swapping.";
    single(out, "flagstone_memory_available_bytes", "gauge", AVAILABLE, process.system_available_bytes)?;
    if let Some(slope) = system.rss_anon_slope {
        let name = "flagstone_rss_anon_slope_bytes_per_second";
        head(out, name, "gauge", "Growth of anonymous resident memory over the last 15 minutes, a second.")?;
        writeln!(out, "{name} {}", Thousandths(slope))?;
    }
    put_pressure(system, out)?;
    if let Some(cgroup) = system.cgroup {
        const USED: &str = "Memory of this process's cgroup, without inactive file pages.";
        single(out, "flagstone_cgroup_memory_bytes", "gauge", USED, cgroup.used_bytes)?;
        if let Some(limit) = cgroup.limit_bytes {
            single(out, "flagstone_cgroup_memory_limit_bytes", "gauge", "What the cgroup may use.", limit)?;
        }
    }
    put_disks(system, out)?;
    put_board(system, out)?;
    let Some(wal) = system.wal else { return Ok(()) };
    single(out, "flagstone_wal_frames", "gauge", "Frames in the write-ahead log.", wal.frames.into())?;
    single(out, "flagstone_wal_copied_frames", "gauge", "Those of them that are in the database.", wal.copied.into())?;
    const PINNED: &str = "How long a reader of an old state, or a checkpoint that does not get on, has kept the write-ahead log.";
    single(out, "flagstone_wal_pinned_seconds", "gauge", PINNED, system.wal_pin.map_or(0, |pin| pin.seconds))
}

fn put_pressure(system: &System, out: &mut impl Write) -> fmt::Result {
    const NAME: &str = "flagstone_pressure_ratio";
    if system.pressures().iter().all(|(_, _, pressure)| pressure.is_none()) {
        return Ok(());
    }
    head(out, NAME, "gauge", "Share of the last ten seconds in which some, or all, tasks waited for a resource.")?;
    for (resource, scope, pressure) in system.pressures() {
        let Some(Pressure { some, full }) = pressure else { continue };
        for (share, value) in [("some", some), ("full", full)] {
            let value = Ratio(value);
            writeln!(out, "{NAME}{{resource=\"{resource}\",scope=\"{scope}\",share=\"{share}\"}} {value}")?;
        }
    }
    Ok(())
}

fn put_disks(system: &System, out: &mut impl Write) -> fmt::Result {
    type Part = fn(Space) -> u64;
    let free: (&str, &str, Part) =
        ("flagstone_disk_free_bytes", "What may still be written to a file system.", |space| space.free_bytes);
    let total: (&str, &str, Part) = ("flagstone_disk_total_bytes", "Size of a file system.", |space| space.total_bytes);
    for (name, help, part) in [free, total] {
        if system.spaces().iter().any(|(_, space)| space.is_some()) {
            head(out, name, "gauge", help)?;
        }
        for (of, space) in system.spaces() {
            if let Some(space) = space {
                writeln!(out, "{name}{{of=\"{of}\"}} {}", part(space))?;
            }
        }
    }
    Ok(())
}

fn put_board(system: &System, out: &mut impl Write) -> fmt::Result {
    if let Some(temperature) = system.temperature {
        let name = "flagstone_temperature_celsius";
        head(out, name, "gauge", "Temperature of the board.")?;
        writeln!(out, "{name} {}", Thousandths(temperature))?;
    }
    if let Some(throttled) = system.throttled {
        const HELP: &str = "Whether the firmware lets the processor run slower than it could.";
        single(out, "flagstone_throttled", "gauge", HELP, u64::from(throttled.slowed()))?;
    }
    if let Some(weak) = system.under_voltage {
        single(out, "flagstone_under_voltage", "gauge", "Whether the board's supply is too weak.", u64::from(weak))?;
    }
    Ok(())
}

/// A member of the status page.
pub(super) fn put_status(readings: &Readings, out: &mut impl Write) -> fmt::Result {
    let system = &readings.system;
    out.write_str("\"system\":{\"pressure\":{")?;
    for (at, (resource, scope, pressure)) in system.pressures().into_iter().enumerate() {
        let name = if scope == "system" { resource } else { scope };
        write!(out, "{}\"{name}\":", if at == 0 { "" } else { "," })?;
        match pressure {
            Some(Pressure { some, full }) => write!(out, r#"{{"some":{},"full":{}}}"#, Ratio(some), Ratio(full))?,
            None => out.write_str("null")?,
        }
    }
    let cgroup = system.cgroup;
    let (used, limit) = (cgroup.map(|cgroup| cgroup.used_bytes), cgroup.and_then(|cgroup| cgroup.limit_bytes));
    write!(out, r#"}},"cgroup_memory_bytes":{},"cgroup_memory_limit_bytes":{}"#, OrNull(used), OrNull(limit))?;
    for (of, space) in system.spaces() {
        write!(out, r#","{of}_disk_free_bytes":{}"#, OrNull(space.map(|space| space.free_bytes)))?;
    }
    write!(out, r#","temperature_celsius":{}"#, OrNull(system.temperature.map(Thousandths)))?;
    write!(
        out,
        r#","throttled":{},"under_voltage":{}"#,
        OrNull(system.throttled.map(|bits| bits.0)),
        OrNull(system.under_voltage)
    )?;
    write!(out, r#","rss_anon_slope_bytes_per_second":{}"#, OrNull(system.rss_anon_slope.map(Thousandths)))?;
    put_wal(system, out)?;
    out.write_str(",\"absent\":{")?;
    let mut comma = "";
    for (name, why) in system.absent() {
        if let Some(why) = why {
            write!(out, "{comma}\"{name}\":\"{why}\"")?;
            comma = ",";
        }
    }
    out.write_str("}},")
}

fn put_wal(system: &System, out: &mut impl Write) -> fmt::Result {
    let Some(wal) = system.wal else { return out.write_str(",\"wal\":null") };
    write!(out, r#","wal":{{"frames":{},"copied":{},"pinned":"#, wal.frames, wal.copied)?;
    match system.wal_pin {
        None => out.write_str("null}"),
        Some(pin) => {
            write!(out, r#"{{"seconds":{},"reader":"#, pin.seconds)?;
            match pin.holder {
                None => out.write_str("null}}"),
                Some(holder) => write!(out, r#"{{"pid":{},"name":{}}}}}}}"#, holder.pid, Quoted(holder.name())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::system::{Cgroup, Holder, Pin, Throttled, Wal};
    use super::*;

    fn status(readings: &Readings) -> Value {
        let mut text = String::from("{");
        put_status(readings, &mut text).unwrap();
        serde_json::from_str(&(text + "\"end\":0}")).unwrap()
    }

    #[test]
    fn what_is_absent_is_null_and_says_why() {
        let status = status(&Readings::default());
        let system = &status["system"];
        assert!(system["pressure"]["memory"].is_null() && system["temperature_celsius"].is_null() && system["wal"].is_null());
        assert_eq!(system["absent"]["throttled"], "no Raspberry Pi firmware to ask");
        assert_eq!(system["absent"].as_object().unwrap().len(), 9);
        let mut metrics = String::new();
        put_metrics(&Readings::default(), &mut metrics).unwrap();
        assert_eq!(metrics.lines().filter(|line| !line.starts_with('#')).count(), 2, "{metrics}");
    }

    #[test]
    fn what_is_there_is_said_in_base_units() {
        let pressure = Some(Pressure { some: 1234, full: 7 });
        let space = Some(Space { free_bytes: 5, total_bytes: 9 });
        let mut name = [0; 16];
        name[..7].copy_from_slice(b"sqlite3");
        let system = System {
            memory_pressure: pressure,
            io_pressure: pressure,
            cpu_pressure: pressure,
            cgroup_pressure: pressure,
            cgroup: Some(Cgroup { used_bytes: 3, limit_bytes: Some(4) }),
            database_space: space,
            state_space: space,
            temperature: Some(48_312),
            throttled: Some(Throttled(0x50005)),
            under_voltage: Some(true),
            wal: Some(Wal { frames: 20, copied: 10, marks: [0; 5] }),
            wal_holders: None,
            wal_pin: Some(Pin { seconds: 61, holder: Some(Holder { pid: 42, name }) }),
            rss_anon_slope: Some(-1500),
        };
        let readings = Readings { system, ..Readings::default() };
        let status = status(&readings);
        let system = &status["system"];
        assert_eq!(system["pressure"]["cgroup"]["some"], 0.1234);
        assert_eq!(system["wal"]["pinned"]["reader"]["name"], "sqlite3");
        assert_eq!((&system["temperature_celsius"], &system["throttled"]), (&48.312.into(), &0x50005.into()));
        assert!(system["absent"].as_object().unwrap().is_empty());
        let mut metrics = String::new();
        put_metrics(&readings, &mut metrics).unwrap();
        for line in [
            "flagstone_pressure_ratio{resource=\"memory\",scope=\"cgroup\",share=\"full\"} 0.0007",
            "flagstone_rss_anon_slope_bytes_per_second -1.5",
            "flagstone_cgroup_memory_limit_bytes 4",
            "flagstone_disk_free_bytes{of=\"state\"} 5",
            "flagstone_temperature_celsius 48.312",
            "flagstone_throttled 1",
            "flagstone_under_voltage 1",
            "flagstone_wal_pinned_seconds 61",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
        }
    }
}
