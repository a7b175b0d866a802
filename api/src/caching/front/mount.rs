//! Where a front is found: below a prefix of all paths. The engine asks the mounts for the one that a path belongs to.

use std::sync::Arc;

use super::{Bazel, Ccache, Front};

/// A front and the prefix of its paths.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Begins and ends with a slash.
    prefix: String,
    pub(in super::super) front: Arc<dyn Front>,
}

impl Mount {
    /// The front at `prefix`; slashes around it do not matter.
    #[must_use]
    pub fn new(prefix: &str, front: Arc<dyn Front>) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => "/".to_string(),
            inner => format!("/{inner}/"),
        };
        Self { prefix, front }
    }

    /// Every front where its users expect it: Bazel's at `/`, ccache's at `/ccache/`.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        vec![
            Self::new("/", Arc::new(Bazel)),
            Self::new("/ccache", Arc::new(Ccache)),
        ]
    }

    /// What follows the prefix in a path that begins with it.
    pub(in super::super) fn below<'path>(&self, path: &'path str) -> Option<&'path str> {
        path.strip_prefix(&self.prefix)
    }

    /// The longest prefix wins.
    pub(in super::super) fn rank(&self) -> usize {
        self.prefix.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_folders() {
        let mount = Mount::new("tools/ccache", Arc::new(Ccache));
        assert_eq!(mount.below("/tools/ccache/ab/cd"), Some("ab/cd"));
        assert_eq!(mount.below("/tools/ccachee/ab"), None);
        assert_eq!(mount.below("/tools/ccache"), None);
        let root = Mount::new("/", Arc::new(Bazel));
        assert_eq!(root.below("/ac/1"), Some("ac/1"));
    }
}
