//! What people see.

use super::MINIMAL;
use crate::{lint, render};

fn page(text: &str) -> String {
    render(&lint("buildspec.yml", text.as_bytes()), text, false)
}

#[test]
fn mistakes_are_shown_with_their_line_and_the_fix() {
    let text = "version: 0.2\nphases:\n  build:\n    comands: [x]\n    commands:\n      - echo \"Build: done\"\n      - [ -f x ] && y\n      -\n";
    insta::assert_snapshot!(page(text));
}

#[test]
fn wide_characters_marks_and_windows_ends_keep_the_underline_in_place() {
    let text = "\u{feff}versoin: 0.2\r\nversion: 0.2\r\nphases:\r\n  build:\r\n    commands:\r\n      - echo \"日本: é\" && x\r\n";
    insta::assert_snapshot!(page(text));
}

#[test]
fn warnings_are_shown_inside_a_block_at_the_line_itself() {
    let text = "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        npm ci\n        npm test\n  post_build:\n    commands:\n      \
                - docker push \"$IMAGE\"\n";
    insta::assert_snapshot!(page(text));
}

#[test]
fn findings_about_the_file_name_it_without_a_line() {
    insta::assert_snapshot!(page(""));
}

#[test]
fn nothing_wrong_renders_as_nothing() {
    assert_eq!(page(MINIMAL), "");
}

#[test]
fn color_adds_escapes_and_changes_no_word() {
    let found = lint("b.yml", b"version: 0.3\n");
    let plain = render(&found, "version: 0.3\n", false);
    let colored = render(&found, "version: 0.3\n", true);
    assert!(colored.contains("\u{1b}[") && !plain.contains('\u{1b}'));
    let mut stripped = String::new();
    let mut escape = false;
    for character in colored.chars() {
        escape = escape || character == '\u{1b}';
        if !escape {
            stripped.push(character);
        }
        escape = escape && character != 'm';
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_source_that_is_not_the_one_checked_is_survived() {
    let found = lint("b.yml", "version: 0.3\nphases: é\nx: [\n".as_bytes());
    for source in ["", "é", "\n\n\n\n", "version"] {
        assert!(render(&found, source, false).contains("bad-version"));
    }
}
