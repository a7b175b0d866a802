//! Any bytes are a file someone could hand us: reading, checking and drawing them never panics, what is called usable has no
//! error, and no path of it leads out of a bundle.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = croft_spec::appspec::parse("appspec.yml", bytes);
    let errors = parsed
        .diagnostics
        .iter()
        .any(|found| found.level == croft_spec::Level::Error);
    assert_eq!(parsed.spec.is_some(), !errors);
    if let Some(spec) = parsed.spec {
        let inside = |script: &croft_spec::appspec::Script| script.location_in_bundle().is_some();
        assert!(
            spec.files
                .iter()
                .all(|file| file.source_in_bundle().is_some())
        );
        assert!(spec.hooks.values().flatten().all(inside));
    }
    let linted = croft_spec::appspec::lint("appspec.yml", bytes);
    let page = croft_spec::render(&linted, &String::from_utf8_lossy(bytes), true);
    assert_eq!(page.is_empty(), linted.is_empty());
    // By its contents alone, either answer is right.
    let _told = croft_spec::appspec::is_appspec("deploy.yml", bytes);
});
