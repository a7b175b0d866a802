//! What a pipe gets, for each scripted build.

use croft_proto::Timestamp;

use super::*;
use crate::render::script;

fn played(script: &script::Script, color: bool) -> Vec<u8> {
    let mut written = Vec::new();
    let mut plain = Plain::new(&mut written, Style { color });
    script.play(&mut plain);
    plain.finish();
    drop(plain);
    written
}

fn output(pieces: &[&[u8]]) -> Vec<u8> {
    let mut written = Vec::new();
    let mut plain = Plain::new(&mut written, Style { color: false });
    for bytes in pieces {
        plain.output(&Chunk {
            seq: 1,
            time: Timestamp::default(),
            phase: PhaseType::Build,
            bytes,
        });
    }
    plain.finish();
    drop(plain);
    written
}

#[test]
fn a_pipe_gets_every_build_as_lines() {
    for (name, script) in script::all() {
        let text = played(&script, false);
        insta::assert_snapshot!(format!("plain_{name}"), String::from_utf8_lossy(&text));
    }
}

#[test]
fn colours_are_used_only_where_they_are_asked_for() {
    for (name, script) in script::all() {
        // Commands may colour their own output; that passes.
        let text = |color| String::from_utf8_lossy(&played(&script, color)).into_owned();
        assert_eq!(
            text(false)
                .lines()
                .filter(|line| line.contains('\u{1b}') && !line.contains("1 - parses"))
                .count(),
            0,
            "{name}"
        );
        assert!(
            text(true).matches('\u{1b}').count() > text(false).matches('\u{1b}').count(),
            "{name}"
        );
    }
}

#[test]
fn lines_that_come_in_pieces_get_one_prefix() {
    assert_eq!(
        output(&[b"one\ntw", b"o", b"\n", b"\nthree"]),
        b"[BUILD] one\n[BUILD] two\n[BUILD] \n[BUILD] three\n"
    );
}

#[test]
fn bytes_that_are_no_text_pass_as_they_are() {
    assert_eq!(output(&[b"a\xff\xfe\n"]), b"[BUILD] a\xff\xfe\n");
}

#[test]
fn a_line_of_ten_megabytes_passes_in_pieces() {
    let piece: &[u8] = &[b'x'; 65536];
    let written = output(&[piece; 160]);
    assert_eq!(written.len(), "[BUILD] ".len() + 160 * piece.len() + 1);
}
