//! Which bytes of a file are asked for: RFC 9110's `Range`, with one range of bytes. Asked by what sends files; whatever is no such
//! range is as if it had not been sent, as the RFC has it.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    Part(Range<u64>),
    /// The file has none of what was asked for.
    Nothing,
}

/// The range in a request's head. Files here have no validators, so what `If-Range` asks is never true.
pub(super) fn header(headers: &HeaderMap) -> Option<String> {
    if headers.contains_key(IF_RANGE) {
        return None;
    }
    Some(headers.get(RANGE)?.to_str().ok()?.to_string())
}

/// What that range is of a file of so many bytes.
pub(super) fn wanted(header: Option<&str>, size_bytes: u64) -> Wanted {
    let set = header.and_then(|header| header.split_once('='));
    let range = set
        .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
        .and_then(|(_, range)| range.trim().split_once('-'));
    let Some((first, last)) = range else {
        return Wanted::All;
    };
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size_bytes),
        (Some(first), None) if last.is_empty() => first..size_bytes,
        (None, Some(count)) if first.is_empty() => size_bytes.saturating_sub(count)..size_bytes,
        _ => return Wanted::All,
    };
    if part.is_empty() {
        return Wanted::Nothing;
    }
    Wanted::Part(part)
}

/// Digits and nothing else. More of them than a number has are past any file's end.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_taken_and_what_is_none_is_not_there() {
        let huge = format!("bytes=4-{}0", u64::MAX);
        let table = [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-5", Wanted::Part(2..6)),
            ("Bytes=2-5", Wanted::Part(2..6)),
            ("bytes=8-99", Wanted::Part(8..10)),
            (huge.as_str(), Wanted::Part(4..10)),
            ("bytes=7-", Wanted::Part(7..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("0-1", Wanted::All),
        ];
        for (text, expected) in table {
            assert_eq!(wanted(Some(text), 10), expected, "{text}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}
