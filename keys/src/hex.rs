//! Bytes as lower-case hexadecimal digits, and back. Used by keys, signatures and tokens, whose text has exactly one form.

/// The digits of those bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16"));
        }
    }
    text
}

/// The bytes written as `text`, or none when it is not exactly `2 * N` lower-case digits.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// The bytes written as `text`, however many, or none when it is not pairs of lower-case digits.
pub(crate) fn decode_all(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    });
    pairs.collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_digits_are_read_back() {
        assert_eq!(encode(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(decode("009fff"), Some([0, 0x9f, 0xff]));
        assert_eq!(decode::<3>("009FFF"), None);
        assert_eq!(decode::<3>("009ff"), None);
        assert_eq!(decode::<3>("009ff "), None);
        assert_eq!(decode::<2>("éé"), None);
        assert_eq!(decode_all("009fff"), Some(vec![0, 0x9f, 0xff]));
        assert_eq!(decode_all(""), Some(Vec::new()));
        for text in ["0", "009ff", "009fFF", "é", "00 9f"] {
            assert_eq!(decode_all(text), None, "{text}");
        }
    }
}
