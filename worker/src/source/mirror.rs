//! What was fetched of repositories, for the next build: one bare repository for each address. Receives what is asked from
//! `fetch`, hands the objects to the build's folder.
//!
//! A mirror is used by whoever holds its lock, beside it. One that cannot be used is thrown away and made anew; one that nobody has used for
//! long goes, and so do the oldest when all together are too many bytes.

/// The lock beside each.
mod lock;
/// Which go.
mod trim;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::asked::{Asked, Wanted};
use super::git::Git;
use super::{Error, copy};
pub(super) use trim::trim_sometimes;

/// How long a build waits for others that fetch the same repository.
const WAIT: Duration = Duration::from_secs(30 * 60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// The branches and tags that were asked for stand under so many names at most: enough that what is fetched next finds most of itself
/// there, and a bound for what a server is told of.
const ANCHORS: &str = "refs/croft/wanted";
const BRANCHES: &str = "refs/croft/branches";

/// What to make of a mirror that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    AsItIs,
    /// Throw it away first.
    Anew,
}

/// A mirror, and nobody else's for as long as this is held.
#[derive(Debug)]
pub(super) struct Held {
    folder: PathBuf,
    was_kept: bool,
    _lock: std::fs::File,
}

/// Waits for the mirror of what is asked.
pub(super) async fn hold(mirrors: &Path, asked: &Asked, how: Use) -> Result<Held, Error> {
    let failed = |source| Error::Mirror {
        folder: mirrors.display().to_string(),
        source,
    };
    let path = mirrors.join(asked.mirror_name());
    lock::private(mirrors).map_err(failed)?;
    let waiting = async {
        loop {
            if let Some(lock) = lock::try_hold(&path)? {
                return Ok(lock);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let waited = tokio::time::timeout(WAIT, waiting).await;
    let lock = waited
        .map_err(|_elapsed: tokio::time::error::Elapsed| Error::Busy(WAIT.as_secs() / 60))?
        .map_err(failed)?;
    if how == Use::Anew {
        remove(&path).map_err(failed)?;
    }
    let was_kept = path.exists();
    lock::private(&path).map_err(failed)?;
    Ok(Held {
        folder: path,
        was_kept,
        _lock: lock,
    })
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Held {
    pub(super) fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Fetches what is missing, and copies everything into the repository `into`. The commit that was asked for.
    pub(super) async fn fill(
        &self,
        git: &Git,
        asked: &Asked,
        into: &Path,
    ) -> Result<String, Error> {
        if !self.was_kept {
            git.run(&self.folder, "init", &["init", "--quiet", "--bare"])
                .await?;
        }
        lock::drop_stale(&self.folder);
        let commit = fetch(git, &self.folder, asked).await?;
        git.run(&self.folder, "gc", &GATHER).await?;
        let (from, to) = (self.folder.clone(), into.join(".git"));
        copy::copy(from, to).await?;
        Ok(commit)
    }
}

/// Packs become one when there are twenty: every build copies them.
const GATHER: [&str; 9] = [
    "-c",
    "gc.auto=2000",
    "-c",
    "gc.autoPackLimit=20",
    "-c",
    "gc.autoDetach=false",
    "gc",
    "--auto",
    "--quiet",
];

/// Fetches what is asked into the repository at `folder`; the commit that it is.
pub(super) async fn fetch(git: &Git, folder: &Path, asked: &Asked) -> Result<String, Error> {
    let mut words = vec![
        "fetch",
        "--quiet",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
    ];
    let depth = asked.depth.map(|depth| depth.to_string());
    match &depth {
        Some(depth) => words.extend(["--depth", depth]),
        None => forget_tags(git, folder).await?,
    }
    let (anchor, wanted) = match &asked.wanted {
        Wanted::Name(name) => {
            let first = blake3::hash(name.as_bytes()).to_hex();
            let anchor = format!("{ANCHORS}/{}", &first[..2]);
            let wanted = format!("+{name}:{anchor}");
            (Some(anchor), wanted)
        }
        Wanted::Branches => (None, format!("+refs/heads/*:{BRANCHES}/*")),
    };
    words.extend(["--end-of-options", &asked.address, &wanted]);
    if asked.depth.is_none() {
        words.push("+refs/tags/*:refs/tags/*");
    }
    git.run(folder, "fetch", &words).await?;
    let end = anchor.as_deref().or(asked.exact.as_deref());
    let of = |name: &str| format!("{name}^{{commit}}");
    let end = of(end.unwrap_or("HEAD"));
    let Some(exact) = &asked.exact else {
        return git
            .line(folder, "rev-parse", &["rev-parse", "--verify", &end])
            .await;
    };
    let is_in = ["merge-base", "--is-ancestor", &of(exact), &end];
    if git.run(folder, "merge-base", &is_in).await.is_err() {
        let place = match &asked.wanted {
            Wanted::Name(name) => name.as_str(),
            Wanted::Branches => "any branch of the repository",
        };
        return Err(Error::Asked(format!("commit {exact} is not in {place}")));
    }
    git.line(folder, "rev-parse", &["rev-parse", "--verify", &of(exact)])
        .await
}

/// A tag that the server has no more must not be in a build.
async fn forget_tags(git: &Git, folder: &Path) -> Result<(), Error> {
    forget(git, folder, "refs/tags").await
}

/// Takes our own names out of a repository that becomes a build's.
pub(super) async fn drop_anchors(git: &Git, folder: &Path) -> Result<(), Error> {
    forget(git, folder, "refs/croft").await
}

async fn forget(git: &Git, folder: &Path, names: &str) -> Result<(), Error> {
    let words = ["for-each-ref", "--format=delete %(refname)", names];
    let listed = git.run(folder, "for-each-ref", &words).await?;
    if listed.stdout.is_empty() {
        return Ok(());
    }
    let words = ["update-ref", "--no-deref", "--stdin"];
    git.run_with(folder, "update-ref", &words, &listed.stdout)
        .await
        .map(drop)
}
