//! Sources: fetching a git repository, asking a folder which commit it stands on. Receives a [`Repository`] from whoever
//! prepares a build, hands back the commit that lies in the build's folder.
//!
//! Everything goes through the `git` program, which knows every protocol and every way to sign in, with nothing of the
//! repository's own allowed to run. What was fetched is kept in a mirror, and copied from there: a build owns every byte of its
//! checkout, so it can neither change the mirror nor miss it.

/// Running git.
mod git;
/// What is asked of a repository.
mod asked;
/// What was fetched, for the next build.
mod mirror;
/// From a mirror to a build's folder.
mod copy;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use asked::Asked;
pub(crate) use copy::Given;
use git::Git;

use crate::request::Repository;

/// The primary source's folder in a build's own.
pub(crate) const PRIMARY_FOLDER: &str = "checkout";

/// A secondary source's folder in a build's own.
pub(crate) fn secondary_folder(identifier: &str) -> String {
    format!("{PRIMARY_FOLDER}-{identifier}")
}

/// Why a source could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("git cannot be run: install it, or give a folder")]
    NoProgram(#[source] io::Error),
    #[error("git {doing} failed: {words}")]
    Git { doing: &'static str, words: String },
    #[error("{0:?} is no address or revision of a repository: it starts with a hyphen")]
    Option(String),
    #[error("{0}")]
    Asked(String),
    #[error("cannot keep what is fetched in {folder}")]
    Mirror {
        folder: String,
        #[source]
        source: io::Error,
    },
    #[error("another build has been fetching the same repository for {0} minutes")]
    Busy(u64),
}

/// What git says when a server, or the way to it, is out of order: nobody's who wrote the project.
const OUT_OF_ORDER: [&str; 14] = [
    "Could not resolve host",
    "Temporary failure in name resolution",
    "Failed to connect",
    "Couldn't connect to server",
    "Could not connect to server",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Operation timed out",
    "Operation too slow",
    "No route to host",
    "Network is unreachable",
    "returned error: 5",
    "No space left on device",
];
/// What git says when a server answered and will not give what was asked for. The mirror is not to blame for it.
const REFUSED: [&str; 8] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "couldn't find remote ref",
    "not our ref",
    "does not appear to be a git repository",
    "unable to access",
    "Could not read from remote repository",
];
const NOT_FOUND: &str = "not found";

impl Error {
    /// Whether another machine, or this one later, may fetch it. Everything else is the user's to mend.
    pub(crate) fn is_the_machines(&self) -> bool {
        match self {
            Self::Git { words, .. } => OUT_OF_ORDER.iter().any(|known| words.contains(known)),
            Self::NoProgram(_) | Self::Mirror { .. } | Self::Busy(_) => true,
            Self::Option(_) | Self::Asked(_) => false,
        }
    }

    /// Whether what was kept of the repository may be to blame.
    fn may_be_damage(&self) -> bool {
        match self {
            Self::Git { words, .. } => {
                let known = OUT_OF_ORDER.iter().chain(&REFUSED);
                !known.chain([&NOT_FOUND]).any(|known| words.contains(known))
            }
            Self::Mirror { .. } => true,
            Self::NoProgram(_) | Self::Option(_) | Self::Asked(_) | Self::Busy(_) => false,
        }
    }
}

/// Fetches a repository into the empty folder `into`, as AWS does: a detached HEAD with full history, or so much of it as was
/// asked for. The commit that was checked out. Who signs in stays out of the repository's settings.
///
/// # Cancel
/// Safe: the mirror is good for the next build or made anew by it; `into` holds a part.
pub(crate) async fn fetch(repository: &Repository, into: &Path) -> Result<String, Error> {
    let asked = Asked::of(repository)?;
    let git = Git::of(repository)?;
    let got = get(&git, &asked, repository.mirrors.as_deref(), into).await;
    match got {
        // Many servers give no commit by its number alone; everything they have includes it.
        Err(Error::Git { words, .. }) if asked.is_commit() && !is_out_of_order(&words) => {
            git::empty(into)?;
            let asked = asked.with_all_branches();
            get(&git, &asked, repository.mirrors.as_deref(), into).await?;
        }
        other => other?,
    }
    if repository.submodules {
        git.submodules(into, &asked).await?;
    }
    head(into).await
}

fn is_out_of_order(words: &str) -> bool {
    OUT_OF_ORDER.iter().any(|known| words.contains(known))
}

async fn get(git: &Git, asked: &Asked, mirrors: Option<&Path>, into: &Path) -> Result<(), Error> {
    git.run(into, "init", &["init", "--quiet"]).await?;
    let remote = ["remote", "add", "origin", "--", &asked.address];
    git.run(into, "remote", &remote).await?;
    let Some(mirrors) = mirrors else {
        let commit = mirror::fetch(git, into, asked).await?;
        mirror::drop_anchors(git, into).await?;
        return checkout(git, into, &commit).await;
    };
    let (was_kept, outcome) = through(git, asked, mirrors, into, mirror::Use::AsItIs).await;
    match outcome {
        Err(error) if was_kept && error.may_be_damage() => {
            tracing::warn!(error = %crate::chain(&error), address = asked.address, "a mirror is made anew");
            git::empty(into)?;
            git.run(into, "init", &["init", "--quiet"]).await?;
            git.run(into, "remote", &remote).await?;
            through(git, asked, mirrors, into, mirror::Use::Anew)
                .await
                .1
        }
        outcome => outcome,
    }
}

/// Through the mirror into the folder; and whether there was a mirror.
async fn through(
    git: &Git,
    asked: &Asked,
    mirrors: &Path,
    into: &Path,
    how: mirror::Use,
) -> (bool, Result<(), Error>) {
    let held = match mirror::hold(mirrors, asked, how).await {
        Ok(held) => held,
        Err(error) => return (false, Err(error)),
    };
    let was_kept = held.was_kept();
    let filled = held.fill(git, asked, into).await;
    // Another build may fetch while this one's files are written.
    drop(held);
    let outcome = match filled {
        Ok(commit) => checkout(git, into, &commit).await,
        Err(error) => Err(error),
    };
    mirror::trim_sometimes(mirrors).await;
    (was_kept, outcome)
}

async fn checkout(git: &Git, into: &Path, commit: &str) -> Result<(), Error> {
    let words = ["checkout", "--quiet", "--detach", commit];
    git.run(into, "checkout", &words).await.map(drop)
}

/// The commit a folder stands on; an error when it is no git repository.
pub(crate) async fn head(folder: &Path) -> Result<String, Error> {
    let words = ["rev-parse", "--verify", "HEAD"];
    Git::default().line(folder, "rev-parse", &words).await
}

/// True when a folder or one above it is a git checkout.
pub(crate) fn is_checkout(folder: &Path) -> bool {
    folder.ancestors().any(|above| above.join(".git").exists())
}
