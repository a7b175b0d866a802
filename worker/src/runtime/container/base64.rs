//! Reading base64: `docker login` writes `user:password` that way.

/// The bytes in `text`; padding may be missing. `None` when it is not base64 of the standard alphabet.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for digit in group {
            word = word << 6 | value(*digit)?;
        }
        // A group of n digits holds n - 1 whole bytes; a lone digit holds none and is a mistake.
        let whole = group.len().checked_sub(1).filter(|whole| *whole > 0)?;
        word <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&word.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_come_out() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy\n", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        assert_eq!(decode("++//"), Some(vec![0xfb, 0xef, 0xff]));
        for wrong in ["Z", "Zm9vY", "Z-9v", "Zm 9"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
