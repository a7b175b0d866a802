//! `on-failure`: `ABORT`, `CONTINUE`, `RETRY`, `RETRY-<count>`, `RETRY-<regex>` and `RETRY-<count>-<regex>`, in any case.

use super::reader::Reader;
use crate::buildspec::OnFailure;
use crate::code::Code;
use crate::lines::Span;

/// Retries when the file gives no count; the format's own default.
const RETRIES: u32 = 3;

/// The format's own limit.
const RETRIES_MAX: u32 = 100;

/// Memory a compiled pattern may take; a line of text compiles to a few kilobytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Reader<'_, '_> {
    pub(super) fn on_failure(&mut self, text: &str, span: Span) -> OnFailure {
        match parse(text.trim()) {
            Ok(on_failure) => on_failure,
            Err(why) => {
                let help = "write `ABORT`, `CONTINUE`, `RETRY`, `RETRY-<count>`, `RETRY-<regex>` or `RETRY-<count>-<regex>`";
                self.add(
                    Code::BadOnFailure,
                    span,
                    format!("`on-failure: {text}` cannot be read: {why}"),
                    help,
                );
                OnFailure::Unset
            }
        }
    }
}

fn parse(text: &str) -> Result<OnFailure, String> {
    if text.eq_ignore_ascii_case("abort") {
        return Ok(OnFailure::Abort);
    }
    if text.eq_ignore_ascii_case("continue") {
        return Ok(OnFailure::Continue);
    }
    match text.split_at_checked("retry".len()) {
        Some((word, "")) if word.eq_ignore_ascii_case("retry") => Ok(OnFailure::Retry {
            count: RETRIES,
            pattern: None,
        }),
        Some((word, rest)) if word.eq_ignore_ascii_case("retry") && rest.starts_with('-') => {
            retry(&rest[1..])
        }
        Some(_) | None => Err("the word is unknown".to_owned()),
    }
}

fn retry(rest: &str) -> Result<OnFailure, String> {
    let (first, after) = rest
        .split_once('-')
        .map_or((rest, None), |(first, after)| (first, Some(after)));
    let is_count = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    if !is_count {
        return Ok(OnFailure::Retry {
            count: RETRIES,
            pattern: Some(pattern(rest)?),
        });
    }
    let count = first.parse().ok().filter(|count| *count <= RETRIES_MAX);
    let count = count.ok_or_else(|| format!("the count must be 0 to {RETRIES_MAX}"))?;
    let pattern = after.map(pattern).transpose()?;
    Ok(OnFailure::Retry { count, pattern })
}

fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("nothing follows the last `-`".to_owned());
    }
    match regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
    {
        Ok(_) => Ok(text.to_owned()),
        Err(regex::Error::CompiledTooBig(_)) => Err("the pattern is too large".to_owned()),
        Err(error) => Err(format!(
            "`{text}` is not a regular expression: {}",
            reason(&error.to_string())
        )),
    }
}

/// The last line of the library's several: the ones before draw the pattern.
fn reason(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::buildspec::OnFailure;

    fn retry(count: u32, pattern: Option<&str>) -> OnFailure {
        OnFailure::Retry {
            count,
            pattern: pattern.map(str::to_owned),
        }
    }

    #[test]
    fn every_form_is_read_in_any_case() {
        for (text, expected) in [
            ("ABORT", OnFailure::Abort),
            ("abort", OnFailure::Abort),
            ("Continue", OnFailure::Continue),
            ("RETRY", retry(3, None)),
            ("Retry-0", retry(0, None)),
            ("retry-100", retry(100, None)),
            ("RETRY-.*timeout.*", retry(3, Some(".*timeout.*"))),
            (
                "RETRY-5-connection-reset",
                retry(5, Some("connection-reset")),
            ),
            ("RETRY-no-space", retry(3, Some("no-space"))),
            ("RETRY-(?i)Timed out", retry(3, Some("(?i)Timed out"))),
            ("RETRY-12ab", retry(3, Some("12ab"))),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused_with_the_reason() {
        for (text, why) in [
            ("FAIL", "unknown"),
            ("RETRYING", "unknown"),
            ("RETRY-", "nothing follows"),
            ("RETRY-3-", "nothing follows"),
            ("RETRY-101", "0 to 100"),
            ("RETRY-99999999999", "0 to 100"),
            ("RETRY-(", "unclosed group"),
            ("RETRY-2-[", "unclosed character class"),
            ("RETRY-(a{999}){999}", "too large"),
            ("é", "unknown"),
            ("retré-1", "unknown"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
