//! Base64 forms: the characters that a value decides wherever it stands in what was encoded.
//!
//! Three bytes become four characters, so what is encoded before a value shifts it by zero, one or two bytes. The characters
//! at its edges mix with its neighbours and are left out.

use std::collections::BTreeSet;

use super::SECRET_LEN_MIN;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Line lengths at which well-known tools break: `base64` at 76, PEM and OpenSSL at 64.
const LINE_LENS: [usize; 2] = [76, 64];

/// Adds the base64 forms of `value`.
pub(super) fn add(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for alphabet in [STANDARD, URL_SAFE] {
        for shift in 0..3 {
            insert(middle(value, shift, alphabet), forms);
        }
        add_alone(value, alphabet, forms);
    }
}

/// The value encoded by itself: to its last character, padded, and as the lines into which tools break it.
fn add_alone(value: &[u8], alphabet: &[u8; 64], forms: &mut BTreeSet<Vec<u8>>) {
    let mut whole = encode(value, alphabet);
    for line_len in LINE_LENS {
        if whole.len() > line_len {
            whole
                .chunks(line_len)
                .for_each(|line| insert(line.to_vec(), forms));
        }
    }
    whole.resize(whole.len().next_multiple_of(4), b'=');
    insert(whole, forms);
}

/// The characters `value` decides when `shift` bytes (modulo three) stand before it.
fn middle(value: &[u8], shift: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let mut shifted = vec![0; shift];
    shifted.extend_from_slice(value);
    let first = (shift * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    encode(&shifted, alphabet)[first..end].to_vec()
}

/// Base64 without padding.
fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for at in 0..=group.len() {
            let index = bits >> (18 - 6 * at) & 63;
            text.push(alphabet[index as usize]);
        }
    }
    text
}

fn insert(form: Vec<u8>, forms: &mut BTreeSet<Vec<u8>>) {
    if form.len() >= SECRET_LEN_MIN {
        forms.insert(form);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let cases = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in cases {
            assert_eq!(encode(plain.as_bytes(), STANDARD), encoded.as_bytes());
        }
        assert_eq!(encode(&[0xfb, 0xff], STANDARD), b"+/8");
        assert_eq!(encode(&[0xfb, 0xff], URL_SAFE), b"-_8");
    }

    #[test]
    fn whatever_stands_around_a_value_its_middle_is_in_the_encoding() {
        let value = b"s3cret-value";
        for before in 0..7_usize {
            for after in 0..4_usize {
                let whole = [vec![b'x'; before], value.to_vec(), vec![b'y'; after]].concat();
                let encoded = encode(&whole, STANDARD);
                let form = middle(value, before % 3, STANDARD);
                assert!(
                    encoded.windows(form.len()).any(|window| window == form),
                    "{before} before, {after} after"
                );
            }
        }
    }

    #[test]
    fn a_long_value_is_also_known_by_the_lines_tools_break_it_into() {
        let value = [b'k'; 100];
        let mut forms = BTreeSet::new();
        add(&value, &mut forms);
        let encoded = encode(&value, STANDARD);
        for line in encoded.chunks(76).chain(encoded.chunks(64)) {
            assert!(forms.contains(line));
        }
    }
}
