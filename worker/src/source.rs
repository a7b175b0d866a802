//! Sources: fetching a git repository, asking a folder which commit it stands on. Uses the `git` program, which knows
//! every protocol and every way to sign in, with nothing of the repository's own allowed to run.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::{address, program};

/// What of git's own variables a person sets for signing in and for the way to a server. All others would tell git to work on
/// another repository than the folder it is started in, `GIT_DIR` first of all.
const GIT_KEPT: [&str; 6] = [
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_ASKPASS",
    "GIT_TERMINAL_PROMPT",
    "GIT_HTTP_",
    "GIT_PROXY_",
];

/// Why a source could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("git cannot be run: install it, or give a folder")]
    NoProgram(#[source] io::Error),
    #[error("git {doing} failed: {words}")]
    Git { doing: &'static str, words: String },
    #[error("{0:?} is no address or revision of a repository: it starts with a hyphen")]
    Option(String),
}

/// Fetches `revision` (the default branch when absent) of the repository at `url` into the empty folder `into`, as AWS does:
/// a detached HEAD with full history. The commit that was checked out. What signs in stays out of the repository's settings.
pub(crate) async fn fetch(url: &str, revision: Option<&str>, into: &Path) -> Result<String, Error> {
    for word in [Some(url), revision].into_iter().flatten() {
        // Git would take it for an option, some of which name programs to run.
        if word.starts_with('-') {
            return Err(Error::Option(word.to_string()));
        }
    }
    git(into, "init", &["init", "--quiet"]).await?;
    git(into, "remote", &["remote", "add", "origin", "--", url]).await?;
    let wanted = revision.unwrap_or("HEAD");
    let commit = match get(into, wanted).await {
        Ok(_) => "FETCH_HEAD".to_string(),
        // Many servers give no commit by its number alone; everything they have includes it.
        Err(Error::Git { .. }) if is_commit(wanted) => {
            get(into, "+refs/heads/*:refs/remotes/origin/*").await?;
            wanted.to_string()
        }
        Err(error) => return Err(error),
    };
    git(
        into,
        "checkout",
        &["checkout", "--quiet", "--detach", &commit],
    )
    .await?;
    let shown = address::without_sign_in(url);
    if shown != url {
        let set = ["remote", "set-url", "--", "origin", &shown];
        git(into, "remote", &set).await?;
    }
    head(into).await
}

async fn get(into: &Path, wanted: &str) -> Result<Output, Error> {
    let words = [
        "fetch",
        "--quiet",
        "--tags",
        "--end-of-options",
        "origin",
        wanted,
    ];
    git(into, "fetch", &words).await
}

/// The commit a folder stands on; an error when it is no git repository.
pub(crate) async fn head(folder: &Path) -> Result<String, Error> {
    let output = git(folder, "rev-parse", &["rev-parse", "--verify", "HEAD"]).await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// True when a folder or one above it is a git checkout.
pub(crate) fn is_checkout(folder: &Path) -> bool {
    folder.ancestors().any(|above| above.join(".git").exists())
}

fn is_commit(revision: &str) -> bool {
    (7..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn git(folder: &Path, doing: &'static str, arguments: &[&str]) -> Result<Output, Error> {
    let mut command = program::command("git");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") && !GIT_KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    let output = command
        .args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "safe.directory=*",
        ])
        .args([
            "-c",
            "advice.detachedHead=false",
            "-c",
            "protocol.ext.allow=never",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(Error::NoProgram)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::Git {
        doing,
        words: String::from_utf8_lossy(&output.stderr).trim().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn repository() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), "init", &["init", "--quiet"])
            .await
            .unwrap();
        std::fs::write(folder.path().join("file"), "one").unwrap();
        git(folder.path(), "add", &["add", "."]).await.unwrap();
        let commit = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@localhost",
            "commit",
            "--quiet",
            "-m",
            "one",
        ];
        git(folder.path(), "commit", &commit).await.unwrap();
        git(folder.path(), "tag", &["tag", "v1"]).await.unwrap();
        let head = head(folder.path()).await.unwrap();
        (folder, head)
    }

    #[tokio::test]
    async fn the_default_branch_a_tag_and_a_commit_are_fetched() {
        let (repository, commit) = repository().await;
        let url = repository.path().to_str().unwrap();
        for revision in [None, Some("v1"), Some(commit.as_str())] {
            let into = tempfile::tempdir().unwrap();
            assert_eq!(
                fetch(url, revision, into.path()).await.unwrap(),
                commit,
                "{revision:?}"
            );
            assert_eq!(
                std::fs::read_to_string(into.path().join("file")).unwrap(),
                "one"
            );
        }
    }

    #[tokio::test]
    async fn what_git_would_take_for_an_option_is_refused() {
        let (repository, _) = repository().await;
        let url = format!("file://{}", repository.path().display());
        let into = tempfile::tempdir().unwrap();
        let mark = into.path().join("ran");
        let option = format!("--upload-pack=touch {};x", mark.display());
        for (url, revision) in [(url.as_str(), Some(option.as_str())), ("--help", None)] {
            let error = fetch(url, revision, into.path()).await.unwrap_err();
            assert!(matches!(error, Error::Option(_)), "{error}");
        }
        let told = get(into.path(), &option).await;
        assert!(told.is_err() && !mark.exists());
    }

    #[tokio::test]
    async fn a_revision_that_is_not_there_is_said_in_gits_words() {
        let (repository, _) = repository().await;
        let into = tempfile::tempdir().unwrap();
        let error = fetch(
            repository.path().to_str().unwrap(),
            Some("no-such"),
            into.path(),
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("no-such"), "{error}");
    }
}
