//! Numbers as tools write them: with thousands separators, in other countries' notation, with an exponent, or not at all.
//! Receives attribute values, hands back counts and nanoseconds.

use std::time::Duration;

/// The nanoseconds of a time in seconds, or `None` when it is no time.
///
/// Both `.` and `,` occur as decimal point and as thousands separator. The last one in the number is the point, unless it
/// occurs more than once or is a comma with exactly three digits after it and one to three, not starting with 0, before.
pub(crate) fn nanos(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_suffix('s').unwrap_or(text).trim_end();
    let seconds: f64 = with_point(text).parse().ok()?;
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_nanos()).ok()
}

/// The number that a count means, or `None` when it is none: `1,234` is 1234, and so is `1234.0`.
pub(crate) fn count(text: &str) -> Option<u64> {
    let digits: String = text
        .trim()
        .chars()
        .filter(|character| !",_ '".contains(*character))
        .collect();
    let whole = digits
        .split_once('.')
        .map_or(digits.as_str(), |(whole, _)| whole);
    whole.parse().ok()
}

/// The number in the notation that Rust reads.
fn with_point(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(|character| !"_ '\u{a0}\u{202f}".contains(*character))
        .collect();
    let Some(last) = plain.rfind([',', '.']) else {
        return plain;
    };
    let separator = &plain[last..=last];
    let after = &plain[last + 1..];
    let before = &plain[..last];
    let groups = separator == ","
        && !before.contains('.')
        && after.len() == 3
        && after.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=3).contains(&before.len())
        && !before.starts_with('0');
    let repeated = before.contains(separator);
    let before = before.replace([',', '.'], "");
    if groups || repeated {
        format!("{before}{after}")
    } else {
        format!("{before}.{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_notation() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.001", Some(1_000_000)),
            ("1.5", Some(1_500_000_000)),
            ("1,234.5", Some(1_234_500_000_000)),
            ("1.234,5", Some(1_234_500_000_000)),
            ("1,234,567.25", Some(1_234_567_250_000_000)),
            ("1.234.567", Some(1_234_567_000_000_000)),
            ("1,234,567", Some(1_234_567_000_000_000)),
            ("1,234", Some(1_234_000_000_000)),
            ("0,123", Some(123_000_000)),
            ("12,34", Some(12_340_000_000)),
            ("0,5", Some(500_000_000)),
            ("1 234.5", Some(1_234_500_000_000)),
            ("1'234.5", Some(1_234_500_000_000)),
            (" 2.5 s ", Some(2_500_000_000)),
            ("2.5s", Some(2_500_000_000)),
            ("1e-3", Some(1_000_000)),
            ("5.0E-4", Some(500_000)),
            (".25", Some(250_000_000)),
            ("3.", Some(3_000_000_000)),
            ("", None),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("soon", None),
        ] {
            assert_eq!(nanos(text), expected, "{text:?}");
        }
    }

    #[test]
    fn counts_are_read_with_their_separators() {
        for (text, expected) in [
            ("12", Some(12)),
            ("1,234", Some(1234)),
            ("3.0", Some(3)),
            ("", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,30}") {
            nanos(&text);
            count(&text);
        }
    }
}
