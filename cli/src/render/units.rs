//! Sizes, times and counts for people.

use croft_proto::Timestamp;

/// `950 B`, `3.4 KiB`, `210.0 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut unit_bytes, mut unit) = (1024_u128, 0);
    while u128::from(bytes) >= unit_bytes * 1024 && unit + 1 < UNITS.len() {
        unit_bytes *= 1024;
        unit += 1;
    }
    let tenths = u128::from(bytes) * 10 / unit_bytes;
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `0.3s`, `42.0s`, `1m 05s`, `2h 10m`, `3d 04h`.
#[must_use]
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", millis % 1000 / 100),
        60.. => long_duration(seconds),
    }
}

/// As [`duration`], in whole seconds: for times that run.
pub(super) fn seconds(millis: u64) -> String {
    let seconds = millis / 1000;
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        long_duration(seconds)
    }
}

fn long_duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours) => format!("{hours}h {minutes:02}m"),
        (days, hours) => format!("{days}d {hours:02}h"),
    }
}

/// `1,204`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment by this machine's clock, to the minute: `2026-11-28 03:31`.
#[must_use]
pub fn date(moment: Timestamp) -> String {
    local(moment).map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// The same with its seconds: `2026-02-01 03:31:20`.
#[must_use]
pub fn date_and_seconds(moment: Timestamp) -> String {
    local(moment).map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A moment beside now, to the second: `03:31:20` of a moment less than half a day away, else as [`date`].
#[must_use]
pub fn clock(moment: Timestamp, now: Timestamp) -> String {
    const NEAR_MS: u64 = 12 * 3_600_000;
    if moment.millis().abs_diff(now.millis()) >= NEAR_MS {
        return date(moment);
    }
    local(moment).map_or_else(String::new, |at| at.format("%H:%M:%S").to_string())
}

fn local(moment: Timestamp) -> Option<chrono::DateTime<chrono::Local>> {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    let utc = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(utc.with_timezone(&chrono::Local))
}

/// `1 file`, `1,204 files`.
pub(super) fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3500, "3.4 KiB"),
            (1_048_575, "1023.9 KiB"),
            (220_200_960, "210.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_written_for_people() {
        let cases = [
            (0, "0.0s"),
            (399, "0.3s"),
            (59_999, "59.9s"),
            (65_000, "1m 05s"),
            (7_801_000, "2h 10m"),
            (86_399_000, "23h 59m"),
            (273_600_000, "3d 04h"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(millis), text);
        }
        assert_eq!(seconds(59_999), "59s");
        assert_eq!(seconds(65_000), "1m 05s");
    }

    #[test]
    fn counts_have_separators() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1204, "1,204"),
            (1_000_000, "1,000,000"),
        ];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
    }
}
