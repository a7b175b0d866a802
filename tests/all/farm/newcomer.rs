//! Somebody's first minute: nothing configured, `croft up`, `croft submit` of an example, green.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::rig::{Rig, in_size};

in_size!(small SMALL, |plan| plan;
    a_newcomers_first_build_is_green_within_a_minute,
);

fn a_newcomers_first_build_is_green_within_a_minute(rig: &mut Rig) {
    let begun = Instant::now();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c-library");
    let mut command = rig.croft(&["submit", example.to_str().unwrap(), "-o", "plain"]);
    // As a newcomer has it: what `croft up` left in the home is all that is known.
    command.env_remove("CROFT_SERVER").env_remove("CROFT_TOKEN");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("SUCCEEDED"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let id = rig
        .told(&["build", "list", "-o", "name"])
        .trim()
        .to_string();
    let artifacts = rig.told(&["build", "artifacts", &id, "-o", "name"]);
    assert!(artifacts.contains("libranges"), "{artifacts}");
    rig.assert_nothing_left();
}
