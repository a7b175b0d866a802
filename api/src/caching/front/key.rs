//! What a key may look like. Keys become parts of names in the pool; only what is plainly a key of a protocol passes.

/// The bytes that these 64 hexadecimal digits, in lower case, stand for.
pub(in super::super) fn sha256(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(bytes)
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
    fn digits_are_read_and_nothing_else_is() {
        let digits = format!("0f{}", "a0".repeat(31));
        assert_eq!(sha256(&digits).unwrap()[..2], [0x0f, 0xa0]);
        for odd in [
            String::new(),
            "0".repeat(63),
            "0".repeat(65),
            "A".repeat(64),
            "g".repeat(64),
            format!("{}%2", "0".repeat(62)),
            "é".repeat(32),
        ] {
            assert_eq!(sha256(&odd), None, "{odd}");
        }
    }
}
