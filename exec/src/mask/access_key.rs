//! AWS access key IDs: `AKIA` or `ASIA` and sixteen capitals or digits. They are masked wherever they stand, because
//! CodeBuild does so; the finder asks at each place where one of the two words begins.

/// How an access key ID begins: a long-lived one, and one of a session.
pub(super) const WORDS: [&[u8]; 2] = [b"AKIA", b"ASIA"];

/// The bytes of an access key ID.
const LEN: usize = 20;

/// What stands at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing of interest.
    No,
    /// An access key ID of so many bytes.
    Whole(usize),
    /// The text ends before it can be told.
    Partial,
}

/// What `text` begins with.
pub(super) fn look(text: &[u8]) -> Look {
    let seen = &text[..text.len().min(LEN)];
    let (head, tail) = seen.split_at(seen.len().min(4));
    let may_be = WORDS.iter().any(|word| word.starts_with(head))
        && tail
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match may_be {
        false => Look::No,
        true if seen.len() == LEN => Look::Whole(LEN),
        true => Look::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_id_is_known_by_its_word_and_its_letters() {
        assert_eq!(look(b"AKIAIOSFODNN7EXAMPLE"), Look::Whole(20));
        assert_eq!(look(b"ASIAIOSFODNN7EXAMPLE and more"), Look::Whole(20));
        assert_eq!(look(b"AKIAIOSFODNN7EXAMPL"), Look::Partial);
        assert_eq!(look(b"AK"), Look::Partial);
        assert_eq!(look(b"AKIAIOSFODNN7EXAMPLe"), Look::No);
        assert_eq!(look(b"AKIB"), Look::No);
        assert_eq!(look(b"AKIA is a word"), Look::No);
    }
}
