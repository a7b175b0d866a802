//! Values out of files and words: variables, secrets, sizes, times. Pure but for the reading.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::exit::Wrong;

/// The variables of an env file, as AWS's local agent reads it: `NAME=VALUE` lines, `#` comments, no quotes removed.
pub(crate) fn env_file(path: &Path) -> Result<Vec<(String, String)>, Wrong> {
    let text = read(path)?;
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let place = format!("{}:{}", path.display(), index + 1);
        variables.push(variable(line).map_err(|reason| Wrong(format!("{place}: {reason}")))?);
    }
    Ok(variables)
}

/// One `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("{text:?} has no `=`: write NAME=VALUE"));
    };
    let name = name.trim_start();
    let name = name.strip_prefix("export ").unwrap_or(name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty()
        || name.starts_with(|first: char| first.is_ascii_digit())
        || !name.bytes().all(good)
    {
        return Err(format!(
            "{name:?} is no name for a variable: letters, digits and _, not starting with a digit"
        ));
    }
    if croft_worker::is_reserved(name) {
        return Err(format!(
            "{name} is set by Croft: names starting with CODEBUILD_ cannot be given"
        ));
    }
    if value.contains('\0') {
        return Err(format!("the value of {name} has a NUL byte"));
    }
    Ok((name.to_string(), value.to_string()))
}

/// The values of a secret file: one JSON object, whose inner objects stay JSON text, or `NAME=VALUE` lines.
pub(crate) fn secret_file(path: &Path) -> Result<BTreeMap<String, String>, Wrong> {
    let text = read(path)?;
    if !text.trim_start().starts_with('{') {
        let mut values = BTreeMap::new();
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let Some((name, value)) = line.split_once('=') else {
                return Err(Wrong(format!(
                    "{}:{}: no `=`: write NAME=VALUE",
                    path.display(),
                    index + 1
                )));
            };
            values.insert(name.to_string(), value.to_string());
        }
        return Ok(values);
    }
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|error| Wrong(format!("{}: {error}", path.display())))?;
    let plain = |value: serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_string)
    };
    Ok(values
        .into_iter()
        .map(|(name, value)| (name, plain(value)))
        .collect())
}

fn read(path: &Path) -> Result<String, Wrong> {
    let refused = |error: io::Error| Wrong(format!("{}: {}", path.display(), why(&error)));
    std::fs::read_to_string(path).map_err(refused)
}

/// Why a file that somebody named cannot be read, in a person's words where there are some.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system knows forty errors; these are the slips people make"
)]
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_string(),
        io::ErrorKind::PermissionDenied => "it may not be read by this user".to_string(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".to_string(),
        io::ErrorKind::InvalidData => "it is no text".to_string(),
        _ => error.to_string(),
    }
}

/// A time out of `90s`, `30m`, `2h`; a plain number is minutes, as AWS counts them.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time: write 90s, 30m or 2h");
    let (number, seconds) = match text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic())
    {
        number if number.len() == text.len() => (number, 60),
        number => match &text[number.len()..] {
            "s" => (number, 1),
            "m" => (number, 60),
            "h" => (number, 3600),
            _ => return Err(wrong()),
        },
    };
    let number: u64 = number.parse().ok().ok_or_else(wrong)?;
    let total = number
        .checked_mul(seconds)
        .filter(|total| *total > 0 && *total <= 36 * 3600);
    total
        .map(Duration::from_secs)
        .ok_or_else(|| format!("'{text}': a build takes from 1 second to 36 hours"))
}

/// Milliseconds out of `30d`, `12h`, `90m` or `10s`. A number alone could be any of them, and things are removed by it.
pub(crate) fn parse_span_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a span of time: write 30d, 12h, 90m or 10s");
    let text = text.trim();
    let unit_ms = match text.chars().last() {
        Some('d') => 24 * 3600 * 1000,
        Some('h') => 3600 * 1000,
        Some('m') => 60 * 1000,
        Some('s') => 1000,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().ok().ok_or_else(wrong)?;
    number
        .checked_mul(unit_ms)
        .ok_or_else(|| format!("'{text}' is longer than anything is kept"))
}

/// Bytes out of `20g`, `512m`, `64k` or a plain number.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size: write 512m or 20g");
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (number, shift) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 10),
        Some('m') => (&lower[..lower.len() - 1], 20),
        Some('g') => (&lower[..lower.len() - 1], 30),
        Some('t') => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    let number: u64 = number.parse().ok().ok_or_else(wrong)?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_names_its_unit() {
        let span = parse_span_ms;
        assert_eq!(span("30d"), Ok(30 * 24 * 3_600_000));
        assert_eq!(span("48h"), Ok(48 * 3_600_000));
        assert_eq!((span("90m"), span("0s")), (Ok(5_400_000), Ok(0)));
        for wrong in ["30", "", "d", "-1d", "1.5h", "3w", "99999999999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_env_file_keeps_quotes_and_skips_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vars");
        std::fs::write(&path, "# comment\nA=1\r\n\nQ=\"x y\"\nE=\nT==a=b\n").unwrap();
        let expected = [("A", "1"), ("Q", "\"x y\""), ("E", ""), ("T", "=a=b")];
        assert_eq!(
            env_file(&path).unwrap(),
            expected.map(|(name, value)| (name.to_string(), value.to_string()))
        );
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vars");
        for (text, line, word) in [
            ("A=1\nB\n", ":2:", "NAME=VALUE"),
            ("1A=x\n", ":1:", "digit"),
            ("CODEBUILD_X=1\n", ":1:", "CODEBUILD_"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = env_file(&path).unwrap_err().to_string();
            assert!(
                message.contains(line) && message.contains(word),
                "{message}"
            );
        }
    }

    #[test]
    fn a_secret_file_is_json_or_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        std::fs::write(&path, r#"{"/app/token": "t", "db": {"password": "p"}}"#).unwrap();
        let values = secret_file(&path).unwrap();
        assert_eq!(values["/app/token"], "t");
        assert_eq!(values["db"], r#"{"password":"p"}"#);
        std::fs::write(&path, "/app/token=t=1\n").unwrap();
        assert_eq!(secret_file(&path).unwrap()["/app/token"], "t=1");
    }

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(parse_time("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_time("5").unwrap(), Duration::from_secs(300));
        assert_eq!(parse_size("2g").unwrap(), 2 << 30);
        assert_eq!(parse_size("1MiB").unwrap(), 1 << 20);
        for wrong in ["", "x", "5d", "0s", "37h"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
        assert!(parse_size("many").is_err());
    }
}
