//! JSON forms: a value as JSON encoders write it inside a string. They must escape quotes, backslashes and control
//! characters, and differ in how, and in what else they escape.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Characters that may or must be escaped, as one encoder does it.
#[derive(Clone, Copy)]
struct Dialect {
    /// `\n`, `\"` and their like where JSON has a short escape; `\u000a` otherwise.
    short: bool,
    /// `\u001B` rather than `\u001b`.
    upper: bool,
    /// Everything beyond ASCII as `\uXXXX`, as Python does by itself.
    ascii: bool,
    /// `\/`, as PHP does by itself.
    slash: bool,
    /// Characters escaped for the sake of HTML.
    html: &'static str,
}

/// None; Go; .NET.
const HTML: [&str; 3] = ["", "<>&\u{2028}\u{2029}", "<>&'+`\u{2028}\u{2029}"];

/// Adds the JSON forms of `value`; most are the same for most values.
pub(super) fn add(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    for html in HTML {
        for bits in 0..16_u8 {
            let [short, upper, ascii, slash] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let form = escape(
                value,
                Dialect {
                    short,
                    upper,
                    ascii,
                    slash,
                    html,
                },
            );
            forms.insert(form.into_bytes());
        }
    }
}

fn escape(value: &str, dialect: Dialect) -> String {
    let mut text = String::with_capacity(value.len() + 16);
    for character in value.chars() {
        match short_escape(character) {
            Some(short) if dialect.short && !dialect.html.contains(character) => {
                text.push_str(short)
            }
            Some(_) => push_unicode(character, dialect.upper, &mut text),
            None if character == '/' && dialect.slash => text.push_str("\\/"),
            None if must_escape(character, dialect) => {
                push_unicode(character, dialect.upper, &mut text)
            }
            None => text.push(character),
        }
    }
    text
}

const fn short_escape(character: char) -> Option<&'static str> {
    Some(match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => return None,
    })
}

fn must_escape(character: char, dialect: Dialect) -> bool {
    (character as u32) < 0x20
        || (dialect.ascii && !character.is_ascii())
        || dialect.html.contains(character)
}

/// Appends the character as one or two `\uXXXX`.
fn push_unicode(character: char, upper: bool, text: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let written = if upper {
            write!(text, "\\u{unit:04X}")
        } else {
            write!(text, "\\u{unit:04x}")
        };
        written.expect("a String takes whatever is written to it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(value: &str) -> BTreeSet<Vec<u8>> {
        let mut forms = BTreeSet::new();
        add(value, &mut forms);
        forms
    }

    #[test]
    fn the_forms_hold_what_well_known_encoders_write() {
        let forms = forms("a\"b\\c\nd\u{1b}/é<😀");
        let known = [
            // serde_json, JSON.stringify
            "a\\\"b\\\\c\\nd\\u001b/é<😀",
            // Python
            "a\\\"b\\\\c\\nd\\u001b/\\u00e9<\\ud83d\\ude00",
            // PHP
            "a\\\"b\\\\c\\nd\\u001b\\/\\u00e9<\\ud83d\\ude00",
            // Go
            "a\\\"b\\\\c\\nd\\u001b/é\\u003c😀",
            // everything by number, in capitals
            "a\\u0022b\\u005Cc\\u000Ad\\u001B/é<😀",
        ];
        for form in known {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn serde_json_writes_one_of_the_forms() {
        let value = "tab\there \"quoted\" back\\slash \u{7f} \u{0} end";
        let json = serde_json::to_string(value).unwrap();
        assert!(forms(value).contains(json.trim_matches('"').as_bytes()));
    }

    #[test]
    fn a_plain_value_has_one_form() {
        assert_eq!(forms("plain-value_1").len(), 1);
    }
}
