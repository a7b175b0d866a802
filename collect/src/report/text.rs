//! Characters of a report: bytes in the declared encoding, and entities. Receives raw bytes from the XML reader, hands
//! back text in which whatever made no sense is still visible.

use std::borrow::Cow;

/// How a file's bytes become characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8; other bytes become `U+FFFD`.
    #[default]
    Utf8,
    /// One byte is one character.
    Latin1,
}

impl Encoding {
    /// The encoding that an XML declaration names. One that is not known is read as UTF-8: its ASCII part is right.
    pub(crate) fn named(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match name.as_str() {
            "iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" | "iso-8859-15" | "windows-1252"
            | "cp1252" => Self::Latin1,
            _ => Self::Utf8,
        }
    }

    /// The characters of `bytes`.
    pub(crate) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Latin1 => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
        }
    }
}

/// The text with its entities replaced; one that is not known, or is none, stays as it is written.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('&') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find('&') {
        let (before, from) = rest.split_at(start);
        text.push_str(before);
        // The longest entity with a meaning is `&#1114111;`.
        let end = from.bytes().take(12).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&from[1..end])?, end))) {
            Some((character, end)) => {
                text.push(character);
                rest = &from[end + 1..];
            }
            None => {
                text.push('&');
                rest = &from[1..];
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that the entity of that name stands for.
pub(crate) fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
            None => number.parse(),
        };
        return code
            .ok()
            .and_then(char::from_u32)
            .filter(|character| *character != '\0');
    }
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// The first `chars` characters.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    match text.char_indices().nth(chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_replaced_and_what_is_none_stays() {
        for (raw, expected) in [
            ("plain", "plain"),
            ("a &lt; b &amp;&amp; c", "a < b && c"),
            ("&#10;&#x41;&#X42;", "\nAB"),
            ("&nbsp;&unknown;", "&nbsp;&unknown;"),
            ("&#0;&#xFFFFFFFF;&#xD800;", "&#0;&#xFFFFFFFF;&#xD800;"),
            ("a & b; &", "a & b; &"),
            (
                "&\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc};",
                "&\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc};",
            ),
        ] {
            assert_eq!(unescape(raw), expected);
        }
    }

    #[test]
    fn bytes_follow_the_declared_encoding() {
        assert_eq!(
            Encoding::named(b"ISO-8859-1").decode(b"gr\xfcn"),
            "gr\u{fc}n"
        );
        assert_eq!(Encoding::named(b"UTF-8").decode(b"gr\xfcn"), "gr\u{fffd}n");
        assert_eq!(Encoding::named(b"utf-8").decode("grün".as_bytes()), "grün");
        assert_eq!(Encoding::named(b"KOI8-R").decode(b"abc"), "abc");
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
