//! `Date` values: IMF-fixdate, RFC 9110 §5.6.7. The time is passed in.

/// Length of every IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// 9999-12-31T23:59:59Z: the format has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;
const DAY_SECONDS: u64 = 86_400;
/// Days in 400 years, after which the Gregorian calendar repeats.
const ERA_DAYS: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// `unix` seconds as IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`. Beyond the year 9999 its last second.
pub fn format(unix: u64) -> [u8; DATE_BYTES] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let unix = unix.min(LAST_SECOND);
    let (days, second) = (unix / DAY_SECONDS, unix % DAY_SECONDS);
    let (year, month, day) = civil(days);
    let mut text = *b"Www, 00 Mmm 0000 00:00:00 GMT";
    text[..3].copy_from_slice(name(DAYS, days % 7));
    two_digits(&mut text[5..7], day);
    text[8..11].copy_from_slice(name(MONTHS, month - 1));
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second / 3600);
    two_digits(&mut text[20..22], second / 60 % 60);
    two_digits(&mut text[23..25], second % 60);
    text
}

/// Year, month and day of the `days`th day after 1970-01-01. Years begin in March here, so the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + EPOCH_DAYS;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

fn name(names: &[u8], index: u64) -> &[u8] {
    let start = usize::try_from(index).expect("an index into twelve names") * 3;
    &names[start..start + 3]
}

fn two_digits(room: &mut [u8], value: u64) {
    debug_assert!(value < 100, "two digits");
    room[0] = b'0' + (value / 10) as u8;
    room[1] = b'0' + (value % 10) as u8;
}

/// The last second's text: many answers fall into one second.
#[derive(Debug, Clone)]
pub struct DateCache {
    second: Option<u64>,
    text: [u8; DATE_BYTES],
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

impl DateCache {
    /// A cache that has formatted nothing yet.
    pub const fn new() -> Self {
        Self { second: None, text: [0; DATE_BYTES] }
    }

    /// The text for `unix` seconds, formatted anew only when the second is another.
    pub fn at(&mut self, unix: u64) -> &[u8; DATE_BYTES] {
        if self.second != Some(unix) {
            self.text = format(unix);
            self.second = Some(unix);
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix: u64) -> String {
        String::from_utf8(format(unix).to_vec()).unwrap()
    }

    #[test]
    fn known_dates_read_as_they_should() {
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(951_868_799), "Tue, 29 Feb 2000 23:59:59 GMT");
        assert_eq!(text(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
        assert_eq!(text(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(text(LAST_SECOND), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(text(u64::MAX), text(LAST_SECOND));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let leap = |year| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..LAST_SECOND / DAY_SECONDS {
            assert_eq!(civil(days), (year, month, day));
            let length = match month {
                2 => 28 + u64::from(leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn the_cache_follows_the_second_in_both_directions() {
        let mut cache = DateCache::new();
        for unix in [0, 0, 1, 1, 0, 784_111_777] {
            assert_eq!(*cache.at(unix), format(unix));
        }
    }
}
