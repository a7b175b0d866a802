//! Any bytes are a file someone could hand us: reading, checking and drawing them never panics, and what is called usable
//! has no error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = croft_spec::parse("buildspec.yml", bytes);
    let errors = parsed
        .diagnostics
        .iter()
        .any(|found| found.level == croft_spec::Level::Error);
    assert_eq!(parsed.spec.is_some(), !errors);
    let linted = croft_spec::lint("buildspec.yml", bytes);
    let text = String::from_utf8_lossy(bytes);
    let page = croft_spec::render(&linted, &text, true);
    assert_eq!(page.is_empty(), linted.is_empty());
});
