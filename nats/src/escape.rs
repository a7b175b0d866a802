//! Names of any bytes as parts of subjects. Used by whoever addresses something by its name.

/// Whether a byte stands for itself in a token: `[A-Za-z0-9_-]`.
#[must_use]
pub const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The name as one token of a subject: `[A-Za-z0-9_-]` as they are, any other byte as `=XX`. Different names give different
/// tokens, and none has a meaning to a broker.
///
/// **Shape.** Empty for the empty name, which no subject may have as a part.
#[must_use]
pub fn escape(name: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if is_plain(byte) {
            token.push(char::from(byte));
        } else {
            let digits = [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]);
            token.push('=');
            token.extend(digits.map(char::from));
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_names_are_different_tokens_without_meaning() {
        assert_eq!(escape("app:1-a_B"), "app=3A1-a_B");
        assert_eq!(escape("a.*>="), "a=2E=2A=3E=3D");
        assert_eq!(escape("ü\n"), "=C3=BC=0A");
        assert_eq!(escape(""), "");
    }
}
