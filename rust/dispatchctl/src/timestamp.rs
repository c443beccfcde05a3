// SPDX-License-Identifier: GPL-2.0

//! Time stamps, in the form of RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now, in UTC and to the millisecond.
pub fn now() -> String {
    // A clock before 1970 is wrong anyway.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    format(since.as_secs(), since.subsec_millis())
}

/// A time, given in seconds since 1970 and milliseconds.
fn format(seconds: u64, milliseconds: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// Year, month and day, of the days since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin with March here, so that the leap day is the last of one.
    const ERA: u64 = 146_097; // days of 400 years
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let next_year = u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_calendar_has_it() {
        assert_eq!(format(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(format(951_868_800, 0), "2000-03-01T00:00:00.000Z");
        assert_eq!(format(1_735_689_599, 999), "2024-12-31T23:59:59.999Z");
        assert_eq!(format(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_of_a_century_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..=36_525 {
            let (year, month, day) = date(days);
            let (last_year, last_month, last_day) = before;
            let follows = if day != 1 {
                (year, month, day) == (last_year, last_month, last_day + 1)
            } else if month != 1 {
                last_day >= 28 && (year, month) == (last_year, last_month + 1)
            } else {
                (last_month, last_day) == (12, 31) && year == last_year + 1
            };
            assert!(follows, "{year}-{month}-{day} after {before:?}");
            before = (year, month, day);
        }
    }
}
