//! The rooms of this workspace and the arrows between them: arrows only point down. And two habits of its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room with the rooms it may use, from the bottom up. Who adds an arrow adds it here, and says why in ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("croft-proto", &[]),
    ("croft-beneath", &[]),
    ("croft-unpack", &["croft-beneath"]),
    ("croft-runner", &[]),
    ("croft-spec", &["croft-proto"]),
    ("croft-nats-testing", &[]),
    ("croft-nats", &["croft-nats-testing"]),
    (
        "croft-ledger",
        &["croft-proto", "croft-nats", "croft-nats-testing"],
    ),
    ("croft-bus", &["croft-nats", "croft-nats-testing"]),
    (
        "croft-scheduler",
        &["croft-proto", "croft-ledger", "croft-bus"],
    ),
    ("croft-keys", &[]),
    (
        "croft-views",
        &["croft-proto", "croft-ledger", "croft-keys"],
    ),
    (
        "croft-cache",
        &["croft-proto", "croft-beneath", "croft-keys"],
    ),
    (
        "croft-archive",
        &[
            "croft-proto",
            "croft-ledger",
            "croft-nats-testing",
            "croft-cache",
            "croft-views",
        ],
    ),
    (
        "croft-collect",
        &["croft-proto", "croft-beneath", "croft-spec"],
    ),
    ("croft-exec", &["croft-proto", "croft-runner"]),
    (
        "croft-worker",
        &[
            "croft-proto",
            "croft-beneath",
            "croft-unpack",
            "croft-spec",
            "croft-bus",
            "croft-ledger",
            "croft-keys",
            "croft-cache",
            "croft-collect",
            "croft-exec",
            "croft-runner",
        ],
    ),
    ("croft-balance", &[]),
    (
        "croft-deploy",
        &["croft-proto", "croft-ledger", "croft-bus", "croft-balance"],
    ),
    (
        "croft-agent",
        &["croft-proto", "croft-beneath", "croft-unpack", "croft-spec"],
    ),
    (
        "croft-api",
        &[
            "croft-proto",
            "croft-ledger",
            "croft-scheduler",
            "croft-bus",
            "croft-views",
            "croft-keys",
            "croft-cache",
            "croft-deploy",
        ],
    ),
    (
        "croft",
        &[
            "croft-proto",
            "croft-beneath",
            "croft-spec",
            "croft-keys",
            "croft-cache",
            "croft-exec",
            "croft-runner",
            "croft-worker",
            "croft-agent",
            "croft-api",
            "croft-deploy",
            "croft-agent",
            "croft-nats",
            "croft-ledger",
            "croft-bus",
            "croft-scheduler",
            "croft-views",
            "croft-archive",
        ],
    ),
    ("croft-tests", &["croft", "croft-nats-testing"]),
    (
        "croft-benches",
        &[
            "croft",
            "croft-proto",
            "croft-beneath",
            "croft-nats-testing",
            "croft-keys",
            "croft-ledger",
            "croft-bus",
            "croft-views",
            "croft-scheduler",
            "croft-cache",
            "croft-deploy",
            "croft-exec",
            "croft-worker",
        ],
    ),
];

/// Packages that a room must not build, at any depth.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("croft-proto", &["tokio", "bollard", "object_store"]),
    ("croft-beneath", &["tokio", "bollard", "object_store"]),
    ("croft-unpack", &["tokio", "bollard", "object_store"]),
    (
        "croft-nats",
        &["bollard", "object_store", "croft-nats-testing"],
    ),
    (
        "croft-ledger",
        &["bollard", "object_store", "croft-nats-testing"],
    ),
    ("croft-scheduler", &["bollard", "object_store"]),
    ("croft-deploy", &["bollard", "object_store"]),
    (
        "croft-bus",
        &["bollard", "object_store", "croft-nats-testing"],
    ),
    ("croft-views", &["bollard", "object_store"]),
    ("croft-keys", &["tokio", "bollard", "object_store"]),
    ("croft-spec", &["tokio", "bollard", "object_store"]),
    ("croft-collect", &["tokio", "bollard", "object_store"]),
    ("croft-exec", &["tokio", "bollard", "object_store"]),
    ("croft-runner", &["tokio", "bollard", "object_store"]),
    ("croft-cache", &["bollard"]),
    ("croft-archive", &["bollard", "croft-nats-testing"]),
    // Only tests and benchmarks start servers of their own.
    ("croft", &["croft-nats-testing"]),
];

/// No source file is longer: it would hold more than one idea.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn cargo(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Every room with the rooms it uses, for whatever purpose.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]))
    .unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_string();
    let packages = metadata["packages"].as_array().unwrap();
    let all: BTreeSet<String> = packages.iter().map(name).collect();
    let uses = |package: &Value| {
        package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .filter(|used| all.contains(used))
            .collect()
    };
    packages
        .iter()
        .map(|package| (name(package), uses(package)))
        .collect()
}

#[test]
fn arrows_only_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, uses) in rooms() {
        match allowed.get(room.as_str()) {
            None => wrong.push(format!("{room} is a new room: give it a line in the table")),
            Some(allowed) => {
                let new = uses.iter().filter(|used| !allowed.contains(&used.as_str()));
                wrong.extend(
                    new.map(|used| format!("{room} uses {used}, which the table does not allow")),
                );
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_table_itself_points_down() {
    for (at, (room, uses)) in ARROWS.iter().enumerate() {
        for used in *uses {
            assert!(
                ARROWS[..at].iter().any(|(below, _)| below == used),
                "{room} uses {used}, which is not below it"
            );
        }
    }
}

#[test]
fn the_table_names_no_room_that_is_gone() {
    let rooms = rooms();
    for (room, _) in ARROWS {
        assert!(rooms.contains_key(*room), "{room}");
    }
}

#[test]
fn low_rooms_build_no_heavy_packages() {
    for (room, forbidden) in FORBIDDEN {
        let tree = cargo(&[
            "tree",
            "--package",
            room,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--offline",
        ]);
        let built: BTreeSet<&str> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(built.contains(room), "{tree}");
        for package in *forbidden {
            assert!(!built.contains(package), "{room} builds {package}");
        }
    }
}

/// Rust sources of the workspace, with their path below it.
fn sources() -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name().display().to_string();
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_path_buf(), text));
            }
        }
    }
    found
}

/// A file of tests is explained by the module it tests.
fn is_tests(path: &Path) -> bool {
    path.ends_with("tests.rs")
        || path
            .parent()
            .is_some_and(|folder| folder.ends_with("tests"))
}

#[test]
fn every_module_says_first_what_it_is_for() {
    let all = sources();
    assert!(all.len() > 100, "{}", all.len());
    let silent: Vec<PathBuf> = all
        .into_iter()
        .filter(|(path, text)| !is_tests(path) && !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(long, Vec::<PathBuf>::new());
}
