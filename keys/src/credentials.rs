//! What a client sent to show who it is. Received from the HTTP fronts; handed to [`crate::Tokens::check`].

/// Bytes of an `Authorization` header that are looked at. A token in Base64 with a long user name needs 300.
const HEADER_BYTES_MAX: usize = 4096;

/// The token in the value of an `Authorization` header: what follows `Bearer`, or the password of `Basic` (the user name
/// says nothing, but many tools insist on one). None when there is neither; what it is worth is for others to say.
///
/// **Source.** RFC 6750, RFC 7617.
#[must_use]
pub fn token_of_authorization(value: &str) -> Option<String> {
    if value.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(decode(rest)?).ok()?;
    // A user name has no colon, a password may.
    let (_user, password) = pair.split_once(':')?;
    Some(password.into())
}

/// The bytes of Base64 text (RFC 4648, section 4), with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_suffix("==").or(text.strip_suffix('='));
    let digits = digits.unwrap_or(text).as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    for group in digits.chunks(4) {
        let mut bits: u32 = 0;
        for digit in group {
            bits = bits << 6 | u32::from(sextet(*digit)?);
        }
        let whole = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            // Six bits are no byte.
            _ => return None,
        };
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_its_specification_says() {
        let rows = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmE", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, bytes) in rows {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["Z", "Zm9v=Zg", "Zm9v!A==", "Zm 9", "Zg===", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_found_in_bearer_and_in_the_password_of_basic() {
        let rows = [
            ("Bearer croft_reader_1", Some("croft_reader_1")),
            ("bearer  croft_reader_1 ", Some("croft_reader_1")),
            ("Basic dXNlcjpwYXNz", Some("pass")),
            ("BASIC dXNlcjpwYTpzcw==", Some("pa:ss")),
            ("Basic OnBhc3M=", Some("pass")),
            ("Basic dXNlcg==", None),
            ("Basic not base64", None),
            ("Basic //////8=", None),
            ("Digest croft_reader_1", None),
            ("croft_reader_1", None),
            ("", None),
        ];
        for (value, token) in rows {
            assert_eq!(token_of_authorization(value).as_deref(), token, "{value}");
        }
        assert_eq!(
            token_of_authorization(&format!("Bearer {}", "x".repeat(5000))),
            None
        );
    }
}
