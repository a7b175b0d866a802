//! The forms in which a secret may be written. Receives a value, gives the byte strings that must not be shown.
//!
//! A form is left out when another form is always inside it: base64 with padding needs no entry beside the characters that
//! the value alone decides.

use std::collections::BTreeSet;

mod base64;
mod json;
mod url;

/// Values shorter than this are not masked: they would blot out ordinary words, and are no secrets worth the name.
pub const SECRET_LEN_MIN: usize = 6;

/// Every form of `value`; empty when it is too short or nothing but white space.
///
/// **Shape.** Each form has at least [`SECRET_LEN_MIN`] bytes and is valid UTF-8.
pub(super) fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    add_text(value, &mut forms);
    if value.trim().contains(['\n', '\r']) {
        for line in value.split(['\n', '\r']) {
            add_text(line, &mut forms);
        }
    }
    forms
}

/// Adds the forms of one text: the whole value, or a line of it.
fn add_text(text: &str, forms: &mut BTreeSet<Vec<u8>>) {
    // White space around a value is no secret, and tools drop it: what is between says it all. Where too little is between,
    // the value counts as it is.
    let Some(core) = [text.trim(), text]
        .into_iter()
        .find(|part| part.len() >= SECRET_LEN_MIN)
    else {
        return;
    };
    if core.trim().is_empty() {
        return;
    }
    forms.insert(core.as_bytes().to_vec());
    if core.contains('\n') {
        forms.insert(
            core.replace("\r\n", "\n")
                .replace('\n', "\r\n")
                .into_bytes(),
        );
    }
    json::add(core, forms);
    url::add(core, forms);
    base64::add(core.as_bytes(), forms);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(forms: &BTreeSet<Vec<u8>>, form: &str) -> bool {
        forms.contains(form.as_bytes())
    }

    #[test]
    fn a_short_value_and_one_of_white_space_have_no_forms() {
        assert!(of("12345").is_empty());
        assert!(of("").is_empty());
        assert!(of("        \n      ").is_empty());
    }

    #[test]
    fn white_space_around_a_value_does_not_hide_it() {
        assert!(holds(&of("  hunter2!\n"), "hunter2!"));
        assert!(
            holds(&of("  abc  "), "  abc  "),
            "too short without its spaces, so they count"
        );
    }

    #[test]
    fn a_value_of_several_lines_is_also_masked_line_by_line() {
        let forms = of("-----BEGIN-----\r\n  abcdefgh\r\nxyz\r\n-----END-----\r\n");
        assert!(holds(&forms, "-----BEGIN-----"));
        assert!(holds(&forms, "abcdefgh"));
        assert!(
            !holds(&forms, "xyz"),
            "a line of three bytes would be found everywhere"
        );
        assert!(holds(
            &forms,
            "-----BEGIN-----\\r\\n  abcdefgh\\r\\nxyz\\r\\n-----END-----"
        ));
    }

    #[test]
    fn every_form_is_long_enough_and_valid_text() {
        for value in [
            "pässwörd\"\\<>&/\u{1}",
            "line one\nline two\n",
            "a+b c=%&~!",
            "日本語",
        ] {
            for form in of(value) {
                assert!(form.len() >= SECRET_LEN_MIN, "{form:?}");
                assert!(std::str::from_utf8(&form).is_ok());
            }
        }
    }
}
