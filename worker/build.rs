//! Builds the static runner and hands its path to the crate, which carries it in its binary.
//!
//! A program that must run in any image links everything into itself. That needs another linker mode than the rest of
//! Croft, so it is a build of its own, in a target directory of its own, with the C library that is installed anyway.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let target = std::env::var("TARGET").expect("cargo sets it");
    let runner = manifest.join("../exec/runner");
    for watched in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", runner.join(watched).display());
    }
    let binary = build(&runner, &out.join("runner"), &target);
    println!("cargo::rustc-env=CROFT_RUNNER_BINARY={}", binary.display());
    println!("cargo::rustc-env=CROFT_RUNNER_VERSION={}", version(&binary));
}

/// A name that differs whenever the program does: its length and a checksum.
fn version(binary: &Path) -> String {
    let bytes = std::fs::read(binary).expect("the runner was just built");
    let sum = bytes
        .chunks(8)
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            (sum ^ u64::from_le_bytes(word))
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23)
        });
    format!("{:x}-{sum:016x}", bytes.len())
}

fn build(runner: &Path, directory: &Path, target: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").expect("cargo sets it");
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--bin",
            "croft-runner",
            "--target",
            target,
        ])
        .arg("--manifest-path")
        .arg(runner.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(directory)
        // The flags of the outer build are not for this one; clippy's wrapper would only check and build nothing.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CLIPPY_ARGS")
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C relocation-model=static -C strip=symbols",
        )
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .status()
        .expect("cargo can be started, since it started this");
    assert!(
        status.success(),
        "the static runner does not build: see above"
    );
    directory.join(target).join("release/croft-runner")
}
