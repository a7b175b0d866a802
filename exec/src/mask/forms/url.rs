//! URL forms: a value percent-encoded. Encoders agree that letters and digits stay, and differ about the rest.

use std::collections::BTreeSet;

/// The punctuation an encoder leaves as it is.
const KEPT: [&str; 7] = [
    // RFC 3986, and most libraries
    "-._~",
    // encodeURIComponent
    "-._~!*'()",
    // Python's quote, and paths
    "-._~/",
    // encodeURI
    "-._~!*'();/?:@&=+$,#",
    // HTML forms
    "*-._",
    // older libraries
    "-._",
    // strictest
    "",
];

/// Adds the percent-encoded forms of `value`; most are the same for most values.
pub(super) fn add(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    for kept in KEPT {
        for space in ["+", "%20"] {
            for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
                forms.insert(encode(value, kept, space, digits));
            }
        }
    }
}

fn encode(value: &str, kept: &str, space: &str, digits: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if byte == b' ' {
            text.extend_from_slice(space.as_bytes());
        } else if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            text.push(byte);
        } else {
            text.extend([
                b'%',
                digits[usize::from(byte >> 4)],
                digits[usize::from(byte & 15)],
            ]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_hold_what_well_known_encoders_write() {
        let mut forms = BTreeSet::new();
        add("p ä/ss+w~rd!", &mut forms);
        let known = [
            "p%20%C3%A4%2Fss%2Bw~rd%21",
            "p%20%c3%a4%2fss%2bw~rd%21",
            "p%20%C3%A4%2Fss%2Bw~rd!",
            "p%20%C3%A4/ss%2Bw~rd%21",
            "p%20%C3%A4/ss+w~rd!",
            "p+%C3%A4%2Fss%2Bw%7Erd%21",
            "p+%C3%A4%2Fss%2Bw~rd%21",
        ];
        for form in known {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn a_value_of_letters_and_digits_has_one_form() {
        let mut forms = BTreeSet::new();
        add("abcDEF123", &mut forms);
        assert_eq!(forms.len(), 1);
    }
}
