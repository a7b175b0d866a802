//! What the masker promises: tables for the forms and borders, laws for everything else.

use proptest::prelude::*;

use super::*;
use crate::mask::SECRET_LEN_MIN;
use crate::mask::access_key::{self, Look};

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

/// The stream's output when `input` comes in pieces that end at these places.
fn in_pieces(masker: &mut Masker, input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut from = 0;
    for &cut in cuts {
        masker.push(&input[from..cut], &mut out);
        from = cut;
    }
    masker.push(&input[from..], &mut out);
    masker.flush(&mut out);
    out
}

/// The same masking written without any thought of speed or streams.
fn plainly(masker: &Masker, input: &[u8]) -> Vec<u8> {
    let longest_at = |at: usize| {
        let text = &input[at..];
        let key = if let Look::Whole(len) = access_key::look(text) {
            len
        } else {
            0
        };
        masker
            .forms
            .iter()
            .filter(|form| text.starts_with(form))
            .map(Vec::len)
            .max()
            .unwrap_or(0)
            .max(key)
    };
    let mut out = Vec::new();
    let mut masked_to = 0;
    for (at, &byte) in input.iter().enumerate() {
        let len = longest_at(at);
        if len > 0 && at >= masked_to {
            out.extend_from_slice(MASK.as_bytes());
        }
        if len > 0 {
            masked_to = masked_to.max(at + len);
        }
        if at >= masked_to {
            out.push(byte);
        }
    }
    out
}

#[test]
fn a_secret_is_masked_in_every_form() {
    let masker = masker(&["pass word/\"1\""]);
    let cases = [
        "pass word/\"1\"",
        "pass word/\\\"1\\\"",
        "pass word\\/\\\"1\\\"",
        "pass word/\\u00221\\u0022",
        "pass%20word%2F%221%22",
        "pass%20word%2f%221%22",
        "pass+word%2F%221%22",
        "pass%20word/%221%22",
        "cGFzcyB3b3JkLyIxIg==",
    ];
    for form in cases {
        assert_eq!(masker.mask_text(&format!("<{form}>")), "<***>", "{form}");
    }
    // printf 'xpass word/"1"' | base64, and with two bytes before it
    assert_eq!(
        masker.mask_text("eHBhc3Mgd29yZC8iMSI="),
        "eH***I=",
        "the last letter mixes with what follows"
    );
    assert_eq!(masker.mask_text("eHhwYXNzIHdvcmQvIjEi"), "eHh***");
}

#[test]
fn access_key_ids_are_masked_without_being_named() {
    let masker = masker(&[]);
    assert_eq!(masker.mask_text("id AKIAIOSFODNN7EXAMPLE."), "id ***.");
    assert_eq!(masker.mask_text("id ASIAIOSFODNN7EXAMPLE."), "id ***.");
    assert_eq!(
        masker.mask_text("AKIA is where it began"),
        "AKIA is where it began"
    );
}

#[test]
fn short_values_are_left_alone() {
    assert_eq!(masker(&["12345", ""]).mask_text("12345"), "12345");
}

#[test]
fn overlapping_secrets_become_one_mask_and_touching_ones_two() {
    let masker = masker(&["abcdef", "defghi", "abcdefxyz"]);
    assert_eq!(masker.mask_text("-abcdefghi-"), "-***-");
    assert_eq!(masker.mask_text("-abcdefabcdef-"), "-******-");
    assert_eq!(masker.mask_text("-abcdefxyz-"), "-***-");
    assert_eq!(masker.mask_text("-abcdefxy-"), "-***xy-");
}

#[test]
fn only_what_may_become_a_secret_is_held() {
    let mut masker = masker(&["secret-value"]);
    assert_eq!(masker.mask(b"a line\n"), b"a line\n");
    assert_eq!(masker.hold(), 0);
    assert_eq!(masker.mask(b"a secret-v"), b"a ");
    assert_eq!(masker.hold(), 8);
    assert_eq!(masker.mask(b"ault "), b"secret-vault ");
    assert_eq!(masker.hold(), 0);
}

#[test]
fn a_piece_without_secrets_is_passed_on_without_a_copy() {
    let mut masker = masker(&["secret-value"]);
    let input = b"nothing to see".repeat(100);
    assert_eq!(masker.mask(&input).as_ptr(), input.as_ptr());
}

#[test]
fn a_secret_cut_by_a_flush_is_masked_from_there_on() {
    let mut masker = masker(&["secret-value"]);
    let mut out = Vec::new();
    masker.push(b"a secret-", &mut out);
    masker.flush(&mut out);
    assert_eq!(
        (out.as_slice(), masker.hold()),
        (b"a secret-".as_slice(), 0)
    );
    masker.push(b"value and more", &mut out);
    assert_eq!(out, b"a secret-*** and more");
}

#[test]
fn a_secret_added_later_is_masked_from_then_on() {
    let mut masker = masker(&[]);
    let mut out = Vec::new();
    masker.push(b"token-123 ", &mut out);
    masker.add("token-123");
    masker.push(b"token-123", &mut out);
    masker.flush(&mut out);
    assert_eq!(out, b"token-123 ***");
}

#[test]
fn secrets_are_not_in_the_debug_form() {
    let mut masker = masker(&["secret-value"]);
    masker.push(b"secret-val", &mut Vec::new());
    assert_eq!(format!("{masker:?}"), "Masker { forms: 6, hold: 10, .. }");
}

#[test]
fn a_thousand_secrets_are_masked_like_one() {
    let many: Vec<String> = (0..1000)
        .map(|number| format!("token-{number:04}"))
        .collect();
    let masker = Masker::new(many.clone());
    let text = many.join(", ");
    assert_eq!(masker.mask_text(&text), vec![MASK; 1000].join(", "));
}

/// Secrets of few letters, so that they overlap, repeat and begin alike.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    let secret = prop_oneof![
        "[ab]{6,9}",
        "[ab\n]{6,20}",
        "[a/\"é ]{6,10}",
        "[a-z0-9]{6,40}"
    ];
    prop::collection::vec(secret, 1..5)
}

/// Text with whole and cut forms of these secrets in it.
fn text_around(secrets: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let forms: Vec<Vec<u8>> = masker(&secrets.iter().map(String::as_str).collect::<Vec<_>>())
        .forms
        .into_iter()
        .collect();
    let forms = if forms.is_empty() {
        vec![b"none".to_vec()]
    } else {
        forms
    };
    let whole = prop::sample::select(forms);
    let cut = (whole.clone(), any::<prop::sample::Index>())
        .prop_map(|(form, at)| form[..at.index(form.len())].to_vec());
    let piece = prop_oneof![
        3 => whole,
        3 => cut,
        2 => "[ab\n]{0,8}".prop_map(String::into_bytes),
        1 => "A[KS]IA[A-Z0-9]{14,17}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn case() -> impl Strategy<Value = (Vec<String>, Vec<u8>, Vec<usize>)> {
    secrets().prop_flat_map(|secrets| {
        let text = text_around(&secrets);
        (Just(secrets), text).prop_flat_map(|(secrets, text)| {
            let cuts = prop::collection::vec(0..=text.len(), 0..8);
            (
                Just(secrets),
                Just(text),
                cuts.prop_map(|mut cuts| {
                    cuts.sort_unstable();
                    cuts
                }),
            )
        })
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn however_a_stream_is_cut_the_output_is_the_same((secrets, text, cuts) in case()) {
        let mut masker = Masker::new(secrets);
        let expected = plainly(&masker, &text);
        prop_assert_eq!(in_pieces(&mut masker, &text, &cuts).escape_ascii().to_string(), expected.escape_ascii().to_string());
        let bytewise: Vec<usize> = (0..text.len()).collect();
        let mut masker = Masker { tail: Vec::new(), done: Done::default(), ..masker };
        prop_assert_eq!(in_pieces(&mut masker, &text, &bytewise), expected);
    }

    #[test]
    fn no_form_of_a_secret_is_in_the_output_however_often_it_is_flushed((secrets, text, cuts) in case()) {
        let mut masker = Masker::new(secrets);
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts {
            masker.push(&text[from..cut], &mut out);
            masker.flush(&mut out);
            from = cut;
        }
        masker.push(&text[from..], &mut out);
        masker.flush(&mut out);
        for form in &masker.forms {
            prop_assert!(!contains(&out, form), "{} in {}", form.escape_ascii(), out.escape_ascii());
        }
    }

    #[test]
    fn text_without_secrets_passes_unchanged(text in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let mut masker = masker(&["zq-secret-one", "zq-secret-two"]);
        prop_assume!(plainly(&masker, &text) == text);
        let cut = cut.index(text.len() + 1);
        prop_assert_eq!(in_pieces(&mut masker, &text, &[cut]), text);
    }

    #[test]
    fn a_text_masked_at_once_is_what_the_stream_gives((secrets, text, cuts) in case()) {
        let text = String::from_utf8_lossy(&text).into_owned();
        let cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut <= text.len()).collect();
        let mut masker = Masker::new(secrets);
        let at_once = masker.mask_text(&text);
        prop_assert_eq!(at_once.into_bytes(), in_pieces(&mut masker, text.as_bytes(), &cuts));
    }

    #[test]
    fn the_last_bytes_held_are_fewer_than_the_longest_form_has((secrets, text, cuts) in case()) {
        let mut masker = Masker::new(secrets);
        let longest = masker.forms.iter().map(Vec::len).max().unwrap_or(SECRET_LEN_MIN).max(20);
        let mut from = 0;
        for cut in cuts {
            masker.mask(&text[from..cut]);
            prop_assert!(masker.hold() < longest);
            from = cut;
        }
    }
}
