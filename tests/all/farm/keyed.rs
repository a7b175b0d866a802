//! A master key that is another one than the farm was begun with.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::rig::{Rig, each_size};

each_size!(small large |plan| plan;
    another_master_key_is_refused_at_the_start_and_named,
);

/// Of a usage that cannot be.
const USAGE: i32 = 5;

fn another_master_key_is_refused_at_the_start_and_named(rig: &mut Rig) {
    let other = rig.folder().join("other.key");
    std::fs::write(&other, format!("croft-master-key-v1 {}\n", "5a".repeat(32))).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let own = rig.folder().join("master.key").display().to_string();
    let other = other.display().to_string();

    let server = &mut rig.servers[0];
    server.kill();
    let before = server.log().len();
    server.set("CROFT_MASTER_KEY_FILE", &other);
    server.start();
    assert_eq!(server.ended().code(), Some(USAGE));
    let said = server.log()[before..].to_string();
    let said: Vec<&str> = said.lines().filter(|line| line.contains(&other)).collect();
    let [said] = said[..] else {
        panic!("{said:#?}");
    };
    for part in [
        "--master-key-file",
        "is not the one that this farm's data was sealed with",
        "name the file of the key that the farm was begun with",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    server.set("CROFT_MASTER_KEY_FILE", own);
    rig.restart_server(0);
}
