//! Variables that are not what they look like: `env.variables` is literal, and replaces what the image or Croft set.

use crate::code::Code;
use crate::findings::Findings;
use crate::read::Draft;

/// Variables that tools read and that every build has a value for.
const WELL_KNOWN: &[&str] = &["AWS_REGION", "AWS_DEFAULT_REGION", "HOME", "PATH"];

pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    for (name, value, span) in &draft.variables {
        if WELL_KNOWN.contains(&name.as_str()) && value.trim().is_empty() {
            let message = format!("`{name}` replaces the value a build has by itself with nothing");
            findings.add(
                Code::EmptiedVariable,
                *span,
                message,
                "remove the variable to keep the default",
            );
        } else if let Some(part) = expandable(value) {
            let message =
                format!("`{name}` is set to this very text: `{part}` is not expanded here");
            let help = format!(
                "set it in a command, such as `- export {name}=\"...\"`, where the shell expands it"
            );
            findings.add(Code::LiteralValue, *span, message, help.as_str());
        }
    }
}

/// The first `$NAME`, `${NAME}` or `$(` of a value.
fn expandable(value: &str) -> Option<&str> {
    value.match_indices('$').find_map(|(at, _)| {
        let rest = &value[at + 1..];
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find('}')?;
            let named =
                inner.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            return named.then(|| &value[at..at + end + 3]);
        }
        if rest.starts_with('(') {
            return Some(&value[at..at + 2]);
        }
        let named = rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let length = rest
            .find(|character| !is_name(character))
            .unwrap_or(rest.len());
        named.then(|| &value[at..=at + length])
    })
}
