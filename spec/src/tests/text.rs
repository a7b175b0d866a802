//! YAML beneath the format: anchors, merges, places, limits.

use super::{MINIMAL, around, codes, good, only, pointed, with};
use crate::{FILE_BYTES_MAX, parse};

#[test]
fn anchors_aliases_and_merge_keys_are_resolved() {
    let text = "version: 0.2\nx-common: &common\n  - one\n  - two\nx-vars: &vars\n  A: 1\n  B: 2\nx-more: &more\n  B: 3\n  C: 4\n\
                env:\n  variables:\n    <<: [*vars, *more]\n    A: own\nphases:\n  pre_build:\n    commands: *common\n  build:\n    \
                commands:\n      - &step make\n      - *step\n";
    let spec = good(text);
    let commands = |phase: &crate::Phase| {
        phase
            .commands
            .iter()
            .map(|command| command.text.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(commands(&spec.phases.pre_build), ["one", "two"]);
    assert_eq!(commands(&spec.phases.build), ["make", "make"]);
    let mut variables = spec.env.variables;
    variables.sort();
    let expected = [("A", "own"), ("B", "2"), ("C", "4")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables, expected);
    assert_eq!(codes(text), ["unknown-top-level-key"; 3]);
}

#[test]
fn a_whole_phase_can_be_merged() {
    let spec = good(
        "version: 0.2\nx: &x\n  run-as: me\n  commands: [a]\nphases:\n  build:\n    <<: *x\n    commands: [b]\n",
    );
    assert_eq!(spec.phases.build.run_as.as_deref(), Some("me"));
    assert_eq!(spec.phases.build.commands[0].text, "b");
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut text = "version: 0.2\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![alias; 10].join(", ")
        ));
    }
    text.push_str("phases: *a29\n");
    assert!(
        codes(&text).contains(&"too-many-nodes".to_owned()),
        "{:?}",
        codes(&text)
    );
}

#[test]
fn a_bomb_of_long_texts_is_refused_quickly() {
    let long = "x".repeat(500_000);
    let aliases = vec!["*a"; 50_000].join(", ");
    let text = format!("version: 0.2\nphases: {{build: {{commands: [&a {long}, {aliases}]}}}}\n");
    assert!(codes(&text).contains(&"too-many-nodes".to_owned()));
    let once = format!("version: 0.2\nphases: {{build: {{commands: [&a {long}, *a]}}}}\n");
    assert!(codes(&once).is_empty());
}

#[test]
fn a_merge_bomb_is_refused_quickly() {
    let entries: String = (0..1000).map(|key| format!("  k{key}: x\n")).collect();
    let merges: String = (0..10_000)
        .map(|map| format!("m{map}: {{<<: *a}}\n"))
        .collect();
    let text = format!("version: 0.2\na: &a\n{entries}{merges}");
    assert!(codes(&text).contains(&"too-many-nodes".to_owned()));
}

#[test]
fn aliases_that_lead_nowhere_or_to_themselves_are_errors() {
    for (text, at) in [
        ("x: *nothing", "*nothing"),
        ("x: &a [*a]", "*a"),
        ("x: &a {k: *a}", "*a"),
    ] {
        let text = around(text);
        let found = parse("b", text.as_bytes()).diagnostics;
        let alias = found
            .iter()
            .find(|found| found.code == "unknown-alias")
            .unwrap();
        assert_eq!(pointed(&text, alias), at);
    }
}

#[test]
fn duplicate_keys_are_errors_that_name_the_first() {
    for (text, key, line) in [
        ("env: {}\nenv: {}", "env", 6),
        (
            "env:\n  variables:\n    A: 1\n    B: 2\n    'A': 3",
            "'A'",
            8,
        ),
        ("x-croft: {a: 1, a: 2}", "a", 6),
    ] {
        let text = around(text);
        let found = only(&text);
        assert_eq!(
            (found.code.as_str(), pointed(&text, &found)),
            ("duplicate-key", key)
        );
        assert!(
            found.message.contains(&format!("line {line}")),
            "{}",
            found.message
        );
    }
}

#[test]
fn merge_keys_take_only_maps_and_keys_are_only_texts() {
    for (text, code, at) in [
        ("x-croft: {<<: a}", "bad-merge", "a"),
        ("x-croft:\n  <<: [{a: b}, [c]]", "bad-merge", "[c]"),
        ("x-croft: {[a]: b}", "bad-key", "[a]"),
        ("x-croft:\n  ? {a: b}\n  : c", "bad-key", "{a: b}"),
    ] {
        let text = around(text);
        let found = only(&text);
        assert_eq!((found.code.as_str(), pointed(&text, &found)), (code, at));
    }
    assert_eq!(codes(&around("x-croft: {'<<': a}")), [""; 0]);
}

#[test]
fn tags_are_errors_except_those_of_yaml_itself() {
    assert_eq!(
        with("env: {variables: {A: !!str 1.10}}").env.variables[0].1,
        "1.10"
    );
    let text = MINIMAL.replace("make", "! grep x f");
    let found = only(&text);
    assert_eq!(
        (found.code.as_str(), pointed(&text, &found)),
        ("yaml-tag", "!")
    );
    assert!(found.help.unwrap().contains("`- '! grep x f'`"));
}

/// The same mistake wherever it stands and however the file is written is found at the same place.
#[test]
fn places_are_right_with_marks_windows_ends_and_wide_characters() {
    let text = "# ünïcödé\nversion: 0.2\nphases:\n  build:\n    commands:\n      - 'ö'\n  'ä': b\n  \"é😀\": c\n";
    for (mark, end) in [
        ("", "\n"),
        ("\u{feff}", "\n"),
        ("", "\r\n"),
        ("\u{feff}", "\r\n"),
    ] {
        let text = format!("{mark}{}", text.replace('\n', end));
        let found = parse("b.yml", text.as_bytes()).diagnostics;
        let places: Vec<_> = found
            .iter()
            .map(|found| (found.place.line, found.place.column, pointed(&text, found)))
            .collect();
        assert_eq!(
            places,
            [(7, 3, "'ä'"), (8, 3, "\"é😀\"")],
            "{mark:?} {end:?}"
        );
    }
    let text = "\u{feff}versoin: 0.2\nphases: {build: {commands: [a]}}\n";
    let found = parse("b.yml", text.as_bytes()).diagnostics;
    assert_eq!(
        (
            found[0].place.line,
            found[0].place.column,
            pointed(text, &found[0])
        ),
        (1, 1, "versoin")
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let mut bytes = MINIMAL.as_bytes().to_vec();
    bytes.extend(b"x: \xff\n");
    let found = parse("b", &bytes).diagnostics.remove(0);
    assert_eq!(
        (found.code.as_str(), found.place.line, found.place.column),
        ("not-utf8", 6, 4)
    );
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(MINIMAL.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let found = parse("b", &wide).diagnostics.remove(0);
    assert_eq!((found.code.as_str(), found.place.line), ("not-utf8", 0));
    assert!(found.message.contains("UTF-16"));
}

#[test]
fn files_without_a_buildspec_in_them_say_so() {
    for (text, code) in [
        ("", "empty-file"),
        ("\u{feff}", "empty-file"),
        ("# only a comment\n", "empty-file"),
        ("---\n", "empty-file"),
        ("~\n", "empty-file"),
        ("- a\n", "wrong-type"),
        ("version:0.2\n", "wrong-type"),
    ] {
        assert_eq!(only(text).code, code, "{text:?}");
    }
    assert_eq!(
        codes(&format!("{MINIMAL}---\na: b\n")),
        ["several-documents"]
    );
    good(&format!("---\n{MINIMAL}...\n"));
}

#[test]
fn files_beyond_the_limits_are_refused() {
    let comment = format!("{MINIMAL}#{}", "x".repeat(FILE_BYTES_MAX));
    assert_eq!(codes(&comment), ["file-too-large"]);
    let deep = format!("{MINIMAL}x-park: {}{}\n", "[".repeat(60), "]".repeat(60));
    assert_eq!(codes(&deep), ["too-deep"]);
    let deeper = format!("{MINIMAL}x-croft: {}", "[".repeat(500_000));
    assert!(parse("b", deeper.as_bytes()).spec.is_none());
    let many = format!("{MINIMAL}x-park: [{}]\n", vec!["a"; 150_000].join(","));
    assert_eq!(codes(&many), ["unknown-top-level-key", "too-many-nodes"]);
}

#[test]
fn a_flood_of_findings_is_cut_and_stays_an_error() {
    let keys: String = (0..1000).map(|key| format!("  zzz{key}: x\n")).collect();
    let parsed = parse(
        "b",
        format!("{MINIMAL}{}", keys.replace("  ", "")).as_bytes(),
    );
    assert!(
        parsed.spec.is_some(),
        "warnings alone do not make a file unusable"
    );
    assert_eq!(parsed.diagnostics.len(), crate::findings::FINDINGS_MAX + 1);
    assert_eq!(parsed.diagnostics.last().unwrap().code, "too-many-findings");
    let text = format!(
        "{MINIMAL}{}phasess: {{\nversion: 0.2\n",
        keys.replace("  ", "")
    );
    assert!(parse("b", text.as_bytes()).spec.is_none());
}
