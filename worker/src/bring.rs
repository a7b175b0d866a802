//! Sources for whoever is not a build: what a person names, brought to a folder of this machine as a build's sources are. Asked by whoever
//! deploys out of a repository or a bucket.

use std::path::Path;

use crate::chain;
use crate::farm::source::{NoSource, bucket};
use crate::request::Repository;

/// Why it did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotBrought {
    /// In a sentence.
    pub why: String,
    /// Whether this machine, or the way, is to blame, and not what was named.
    pub is_the_machines: bool,
}

/// Fetches a repository's files into the empty folder `into`, without its history; the commit.
///
/// # Errors
/// When there is no such repository or revision, or it cannot be reached. Who signs in is not in the words.
pub async fn repository(repository: &Repository, into: &Path) -> Result<String, NotBrought> {
    let fetched = crate::source::fetch(repository, into).await;
    let commit = fetched.map_err(|error| NotBrought {
        why: chain(&error),
        is_the_machines: error.is_the_machines(),
    })?;
    let history = into.join(".git");
    std::fs::remove_dir_all(&history).map_err(|error| NotBrought {
        why: format!("cannot remove {}: {error}", history.display()),
        is_the_machines: true,
    })?;
    Ok(commit)
}

/// Unpacks an archive of a bucket, or copies all below a folder of it, into `into`, with this machine's credentials for AWS. `location` is
/// `bucket/key.zip` (`.tar`, `.tgz`, `.tar.gz`) or `bucket/folder/`.
///
/// # Errors
/// When there is no such object, it is no such archive, or the bucket cannot be reached.
pub async fn object(location: &str, version: Option<&str>, into: &Path) -> Result<(), NotBrought> {
    let brought = bucket::bring(location, version, into, &[]).await;
    brought.map_err(|error| match error {
        NoSource::User(why) => NotBrought {
            why,
            is_the_machines: false,
        },
        NoSource::Machine(why) => NotBrought {
            why,
            is_the_machines: true,
        },
    })
}
