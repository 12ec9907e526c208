//! The board: its temperature, and what a Raspberry Pi's firmware says of its supply.

use std::ffi::CString;
use std::path::Path;

use crate::ops::kernel_file::{present, read, read_number};

/// `hwmonN` that are looked at for the supply's.
const MONITORS: usize = 16;

/// What the firmware has throttled now; bits as in `vcgencmd get_throttled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled(pub u32);

impl Throttled {
    const UNDER_VOLTAGE: u32 = 1 << 0;
    const CAPPED: u32 = 1 << 1;
    const SLOWED: u32 = 1 << 2;
    const SOFT_LIMIT: u32 = 1 << 3;

    /// Whether the processor runs slower than it could.
    pub const fn slowed(self) -> bool {
        self.0 & (Throttled::CAPPED | Throttled::SLOWED | Throttled::SOFT_LIMIT) != 0
    }

    /// Whether the supply is too weak.
    pub const fn under_voltage(self) -> bool {
        self.0 & Throttled::UNDER_VOLTAGE != 0
    }
}

/// Where it is read.
#[derive(Clone, Debug)]
pub(super) struct Files {
    temperature: Option<CString>,
    throttled: Option<CString>,
    under_voltage: Option<CString>,
}

impl Files {
    pub(super) fn find(root: &Path) -> Files {
        let hwmon = root.join("sys/class/hwmon");
        let monitors = (0..MONITORS).map(|number| hwmon.join(format!("hwmon{number}")));
        let supply = monitors
            .filter(|folder| std::fs::read_to_string(folder.join("name")).is_ok_and(|name| name.trim() == "rpi_volt"))
            .find_map(|folder| present(&folder.join("in0_lcrit_alarm")));
        Files {
            temperature: present(&root.join("sys/class/thermal/thermal_zone0/temp")),
            throttled: present(&root.join("sys/devices/platform/soc/soc:firmware/get_throttled")),
            under_voltage: supply,
        }
    }

    /// Thousandths of a degree Celsius.
    pub(super) fn temperature(&self) -> Option<i64> {
        let mut text = [0; 32];
        std::str::from_utf8(read(self.temperature.as_deref()?, &mut text).ok()?).ok()?.trim().parse().ok()
    }

    pub(super) fn throttled(&self) -> Option<Throttled> {
        let mut text = [0; 32];
        let text = std::str::from_utf8(read(self.throttled.as_deref()?, &mut text).ok()?).ok()?.trim();
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(Throttled)
    }

    /// As the firmware says it, else as the kernel's monitor of the supply does.
    pub(super) fn under_voltage(&self, throttled: Option<Throttled>) -> Option<bool> {
        let alarm = || read_number(self.under_voltage.as_deref()?).map(|alarm| alarm != 0);
        throttled.map(Throttled::under_voltage).or_else(alarm)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_raspberry_pi_tells_temperature_and_supply() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/class/thermal/thermal_zone0/temp", "48312\n");
        put(root.path(), "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
        let files = Files::find(root.path());
        assert_eq!(files.temperature(), Some(48_312));
        let throttled = files.throttled().unwrap();
        assert_eq!(throttled, Throttled(0x50005));
        assert!(throttled.slowed() && throttled.under_voltage());
        assert_eq!(files.under_voltage(Some(throttled)), Some(true));
        // What was, is in the upper bits.
        assert!(!Throttled(0x50000).slowed() && !Throttled(0x50000).under_voltage());
    }

    #[test]
    fn the_kernels_monitor_stands_in_for_the_firmware() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
        put(root.path(), "sys/class/hwmon/hwmon1/name", "rpi_volt\n");
        put(root.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        let files = Files::find(root.path());
        assert_eq!((files.temperature(), files.throttled()), (None, None));
        assert_eq!(files.under_voltage(None), Some(true));
        put(root.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
        assert_eq!(files.under_voltage(None), Some(false));
    }
}
