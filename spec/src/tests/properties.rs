//! Laws that hold for any input.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::is_error;
use crate::{lint, parse, render};

/// A file with every section, to be broken.
const FULL: &str = "version: 0.2\nrun-as: me\nenv:\n  shell: bash\n  variables: &vars\n    A: 1\n    B: \"x: y\"\n  parameter-store:\n    P: /p\n  \
                    secrets-manager:\n    S: db:key\n  exported-variables: [A]\n  git-credential-helper: yes\nproxy:\n  logs: no\nphases:\n  install:\n    \
                    runtime-versions:\n      python: 3.10\n    commands:\n      - a \"é\" # c\n  build:\n    on-failure: RETRY-2-x\n    commands:\n      - |\n        \
                    set -e\n        if [ -f x ]; then make; fi\n      - 'it''s'\n      - >-\n        b\n        c\n    finally:\n      - d\nreports:\n  r:\n    \
                    files: ['**/*.xml']\n    file-format: JUNITXML\nartifacts:\n  files:\n    - '**/*'\n  secondary-artifacts:\n    s: {files: [x]}\ncache:\n  \
                    paths: ['a/**/*']\n  key: k\n  fallback-keys: [k-]\nx-croft: {<<: *vars}\n";

fn laws(bytes: &[u8]) -> Result<(), proptest::test_runner::TestCaseError> {
    let parsed = parse("buildspec.yml", bytes);
    prop_assert_eq!(
        parsed.spec.is_some(),
        !parsed.diagnostics.iter().any(is_error)
    );
    let linted = lint("buildspec.yml", bytes);
    for found in parsed.diagnostics.iter().chain(&linted) {
        prop_assert!(
            found.start <= found.end && found.end <= bytes.len(),
            "{:?}",
            found
        );
        prop_assert!(
            crate::Code::ALL
                .iter()
                .any(|code| code.name() == found.code && code.level() == found.level)
        );
        prop_assert!(
            !found.message.is_empty() && found.message.lines().count() == 1,
            "{:?}",
            found
        );
        if let Ok(text) = std::str::from_utf8(bytes) {
            prop_assert!(
                text.is_char_boundary(found.start) && text.is_char_boundary(found.end),
                "{:?}",
                found
            );
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let page = render(&linted, &text, false);
    prop_assert_eq!(page.is_empty(), linted.is_empty());
    Ok(())
}

/// A piece of a file replaced by another: the mistakes people make, and worse.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(": "),
        Just("- "),
        Just("'"),
        Just("\""),
        Just("{"),
        Just("]"),
        Just("\t"),
        Just("\r\n"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("#"),
        Just("|\n"),
        Just("\u{feff}"),
        Just("é"),
        Just("!"),
        Just("---\n"),
        Just("\u{0}"),
        Just(""),
    ];
    let edits = vec((any::<prop::sample::Index>(), 0..12_usize, piece), 1..6);
    edits.prop_map(|edits| {
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, length, piece) in edits {
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece.bytes());
        }
        bytes
    })
}

use proptest::prelude::prop;

#[test]
fn the_file_to_break_is_whole() {
    let parsed = parse("b", FULL.as_bytes());
    assert!(
        parsed.spec.is_some() && parsed.diagnostics.is_empty(),
        "{:#?}",
        parsed.diagnostics
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        laws(&bytes)?;
    }

    #[test]
    fn any_text_of_yaml_and_shell_characters_is_answered(text in "[-a-c:'\"{}\\[\\]|>&*!#%@`$();= \\n\\t]{0,200}") {
        laws(text.as_bytes())?;
        laws(format!("version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        {}\n", text.replace('\n', "\n        ")).as_bytes())?;
    }

    #[test]
    fn any_broken_file_is_answered(bytes in broken()) {
        laws(&bytes)?;
    }

    #[test]
    fn any_literal_text_of_a_variable_comes_back_unchanged(value in "[ -~éü]{0,40}") {
        let text = format!("version: 0.2\nenv:\n  variables:\n    V: '{}'\nphases:\n  build:\n    commands: [a]\n", value.replace('\'', "''"));
        prop_assert_eq!(&parse("b", text.as_bytes()).spec.unwrap().env.variables[0].1, &value);
    }
}
