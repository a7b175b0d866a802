//! Bash features in a build that runs `sh`: they work where `sh` happens to be bash, and nowhere else.

use std::ops::Range;

use super::lex::{Token, TokenKind, lex};
use super::scene::Scene;
use super::script::{Simple, simples};
use crate::code::Code;
use crate::findings::Findings;

const HELP: &str = "set `shell: bash` under `env`, or write it for `sh`";

/// Builtins and keywords that only bash has.
const WORDS: &[&str] = &[
    "[[",
    "((",
    "source",
    "shopt",
    "declare",
    "typeset",
    "pushd",
    "popd",
    "mapfile",
    "readarray",
    "let",
    "function",
];

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings<'_>) {
    let Some(block) = &scene.block else { return };
    let tokens = lex(&scene.site.text).unwrap_or_default();
    let text = scene.site.text.as_str();
    let mut found: Vec<(Range<usize>, String)> = Vec::new();
    for simple in simples(block) {
        found.extend(in_command(simple));
    }
    found.extend(tokens.iter().filter_map(|token| in_token(token, text)));
    found.sort_by_key(|(range, _)| range.start);
    found.dedup_by(|a, b| a.1 == b.1);
    for (range, what) in found {
        let message = format!("{what} is a feature of bash, and this build runs `sh`");
        findings.add(Code::Bashism, scene.span(&range), message, HELP);
    }
}

fn in_command(simple: &Simple) -> Option<(Range<usize>, String)> {
    let name = simple.command_words().first()?;
    let arguments = simple.arguments();
    let has = |text: &str| arguments.iter().find(|word| word.text == text);
    match name.text.as_str() {
        word if WORDS.contains(&word) => Some((name.range.clone(), format!("`{word}`"))),
        "set" => has("pipefail").map(|word| (word.range.clone(), "`pipefail`".to_owned())),
        "[" | "test" => has("==").map(|word| (word.range.clone(), "`==` in a test".to_owned())),
        "export" => has("-f").map(|word| (word.range.clone(), "`export -f`".to_owned())),
        "echo" => arguments
            .first()
            .filter(|word| word.text == "-e")
            .map(|word| (word.range.clone(), "`echo -e`".to_owned())),
        _ => None,
    }
}

/// `{1..3}`, which `sh` hands on as it is.
fn is_range(word: &str) -> bool {
    let inside = word
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let ends = inside.and_then(|inside| inside.split_once(".."));
    ends.is_some_and(|(first, last)| !first.is_empty() && !last.is_empty())
}

fn in_token(token: &Token, text: &str) -> Option<(Range<usize>, String)> {
    let word = text.get(token.range.clone())?;
    let what = match token.kind {
        TokenKind::Newline => return None,
        TokenKind::Operator(operator) if ["<<<", "&>", "&>>", "|&"].contains(&operator) => {
            format!("`{operator}`")
        }
        TokenKind::Operator(_) => return None,
        // As the first word of `function name` the parser has already taken it for a definition.
        TokenKind::Word if word == "function" => "`function`".to_owned(),
        // Also in the condition of an `if` or `while`.
        TokenKind::Word if word == "[[" => "`[[`".to_owned(),
        TokenKind::Word if is_range(word) => "a brace range".to_owned(),
        TokenKind::Word if word.starts_with("<(") || word.starts_with(">(") => {
            "process substitution".to_owned()
        }
        TokenKind::Word if word.contains("=(") && !word.starts_with(['"', '\'', '$']) => {
            "an array".to_owned()
        }
        TokenKind::Word if word.starts_with("$'") => "`$'..'`".to_owned(),
        TokenKind::Word if word.starts_with('\'') => return None,
        TokenKind::Word => expansion(word)?.to_owned(),
    };
    Some((token.range.clone(), what))
}

/// What is special about a `${..}` in the word.
fn expansion(word: &str) -> Option<&'static str> {
    let mut rest = word;
    while let Some(at) = rest.find("${") {
        let inside = &rest[at + 2..];
        let name = inside.len()
            - inside
                .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
                .len();
        let after = &inside[name..];
        if name > 0 && after.starts_with(['/', '^', ',']) {
            return Some("changing a value inside `${..}`");
        }
        if name > 0 && after.starts_with('[') {
            return Some("an array");
        }
        if name > 0
            && after
                .strip_prefix(':')
                .is_some_and(|offset| offset.starts_with(|c: char| c.is_ascii_digit()))
        {
            return Some("a substring in `${..}`");
        }
        if inside.starts_with('!') {
            return Some("`${!..}`");
        }
        rest = inside;
    }
    None
}
