//! The masker: however a stream is cut and flushed, no form of a secret that went in whole comes out, and without flushes the
//! output does not depend on the cuts.
//!
//! Input: two bytes that choose how the stream is cut, then texts separated by NUL; the last is the stream, the others
//! are secrets.

#![no_main]

use croft_exec::mask::{MASK, Masker, SECRET_LEN_MIN};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[step, pause], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let mut texts: Vec<&[u8]> = rest.split(|&byte| byte == 0).collect();
    let stream = texts.pop().unwrap_or_default();
    let secrets: Vec<String> = texts
        .iter()
        .filter_map(|text| String::from_utf8(text.to_vec()).ok())
        .collect();
    let at_once = pass(&secrets, stream, stream.len().max(1), None);
    let in_pieces = pass(&secrets, stream, usize::from(step).max(1), None);
    assert_eq!(at_once, in_pieces, "the cuts show in the output");
    let flushed = pass(
        &secrets,
        stream,
        usize::from(step).max(1),
        Some(usize::from(pause).max(1)),
    );
    for secret in secrets.iter().filter(|secret| is_masked(secret)) {
        for output in [&at_once, &flushed] {
            assert!(!contains(output, secret.as_bytes()), "a secret passed");
        }
    }
    if let Ok(text) = std::str::from_utf8(stream) {
        assert_eq!(
            Masker::new(secrets.clone()).mask_text(text).as_bytes(),
            at_once
        );
    }
});

/// The output when the stream comes in pieces of `step` bytes, with a flush after each `pause` pieces.
fn pass(secrets: &[String], stream: &[u8], step: usize, pause: Option<usize>) -> Vec<u8> {
    let mut masker = Masker::new(secrets.iter().cloned());
    let mut out = Vec::new();
    for (number, piece) in stream.chunks(step).enumerate() {
        masker.push(piece, &mut out);
        if pause.is_some_and(|pause| number % pause == pause - 1) {
            masker.flush(&mut out);
        }
    }
    masker.flush(&mut out);
    assert_eq!(masker.hold(), 0, "a flush leaves nothing held");
    out
}

/// Secrets that a mask itself can make part of are left out: `***` beside an asterisk reads like them.
fn is_masked(secret: &str) -> bool {
    secret.len() >= SECRET_LEN_MIN && !secret.trim().is_empty() && !secret.contains(&MASK[..1])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
