//! Laws that hold for any input.

use proptest::collection::vec;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::test_runner::TestCaseError;

use super::{FULL, is_error};
use crate::appspec::{AppSpec, is_appspec, lint, parse};
use crate::{Code, render};

fn laws(bytes: &[u8]) -> Result<(), TestCaseError> {
    let parsed = parse("appspec.yml", bytes);
    prop_assert_eq!(
        parsed.spec.is_some(),
        !parsed.diagnostics.iter().any(is_error)
    );
    let linted = lint("appspec.yml", bytes);
    for found in parsed.diagnostics.iter().chain(&linted) {
        prop_assert!(
            found.start <= found.end && found.end <= bytes.len(),
            "{:?}",
            found
        );
        let known = |code: &Code| code.name() == found.code && code.level() == found.level;
        prop_assert!(Code::ALL.iter().any(known), "{:?}", found);
        prop_assert_eq!(found.message.lines().count(), 1);
    }
    let page = render(&linted, &String::from_utf8_lossy(bytes), false);
    prop_assert_eq!(page.is_empty(), linted.is_empty());
    // Its name decides, and without one its contents are looked at.
    prop_assert!(is_appspec("appspec.yml", bytes) && !is_appspec("buildspec.yml", bytes));
    let told = is_appspec("deploy.yml", bytes);
    prop_assert!(
        parsed.spec.is_none() || told || String::from_utf8_lossy(bytes).contains("phases")
    );
    if let Some(spec) = parsed.spec {
        promises(&spec)?;
    }
    Ok(())
}

/// What a type made here promises to who uses it without a second look.
fn promises(spec: &AppSpec) -> Result<(), TestCaseError> {
    for file in &spec.files {
        prop_assert!(file.source_in_bundle().is_some(), "{:?}", file);
        prop_assert!(
            !file.destination.split('/').any(|part| part == ".."),
            "{:?}",
            file
        );
    }
    for permission in &spec.permissions {
        prop_assert!(permission.object.starts_with('/'), "{:?}", permission);
        prop_assert!(permission.mode.is_none_or(|mode| mode <= 0o7777));
        prop_assert!(
            !permission
                .acls
                .iter()
                .any(|acl| acl.default && !permission.kinds.directories())
        );
    }
    for (event, scripts) in &spec.hooks {
        prop_assert!(!scripts.is_empty(), "{}", event);
        for script in scripts {
            prop_assert!(script.location_in_bundle().is_some(), "{:?}", script);
            prop_assert!(script.timeout_s > 0, "{:?}", script);
            let option = |name: &String| name.is_empty() || name.starts_with('-');
            prop_assert!(!script.runas.as_ref().is_some_and(option), "{:?}", script);
        }
    }
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
        Just("*prepare"),
        Just("<<: "),
        Just("#"),
        Just("|\n"),
        Just("\u{feff}"),
        Just("é"),
        Just("../"),
        Just("/"),
        Just("$X"),
        Just("*"),
        Just("0"),
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

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        laws(&bytes)?;
    }

    #[test]
    fn any_text_of_yaml_and_path_characters_is_answered(text in "[-a-c0-9:'\"{}\\[\\]|&*!#$./~,\\\\ \\n\\t]{0,200}") {
        laws(text.as_bytes())?;
        for (os, entry) in [
            ("linux", "files:\n  - source: "),
            ("windows", "files:\n  - destination: "),
            ("linux", "permissions:\n  - object: /x\n    acls: "),
            ("linux", "hooks:\n  AfterInstall:\n    - location: "),
        ] {
            laws(format!("version: 0.0\nos: {os}\n{entry}{text}\n").as_bytes())?;
        }
    }

    #[test]
    fn any_broken_file_is_answered(bytes in broken()) {
        laws(&bytes)?;
    }

    #[test]
    fn any_path_in_a_bundle_is_below_its_root(text in "[a./]{0,20}") {
        let Some(path) = crate::appspec::path_in_bundle(&text) else { return Ok(()) };
        prop_assert!(!path.starts_with('/') && !path.ends_with('/'));
        prop_assert!(path.is_empty() || path.split('/').all(|part| !["", ".", ".."].contains(&part)));
        prop_assert_eq!(crate::appspec::path_in_bundle(&path), Some(path));
    }
}
