//! Images that one test needs, made of the test image and removed again.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::At;

/// An image of this test's own. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct TestImage(String);

impl TestImage {
    /// The test image with that folder at its root, and with those Dockerfile instructions.
    pub(crate) fn make(folder: Option<&Path>, changes: &[&str]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "croft-test/own-{}-{}:1",
            std::process::id(),
            MADE.fetch_add(1, Ordering::Relaxed)
        );
        let container = docker(&["create", At::CONTAINER.image.unwrap(), "true"]);
        if let Some(folder) = folder {
            docker(&["cp", folder.to_str().unwrap(), &format!("{container}:/")]);
        }
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        docker(
            &["commit"]
                .into_iter()
                .chain(changes)
                .chain([container.as_str(), &name])
                .collect::<Vec<_>>(),
        );
        docker(&["rm", &container]);
        Self(name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for TestImage {
    fn drop(&mut self) {
        // A test that failed because the engine is gone should say so, and not panic twice.
        Command::new("docker")
            .args(["rmi", "--force", &self.0])
            .output()
            .map(|_| ())
            .unwrap_or_default();
    }
}

/// What `docker` prints for these words; it must succeed.
#[track_caller]
pub(crate) fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}
