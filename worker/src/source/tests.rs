//! Real repositories: in folders, and served over HTTP by git itself behind a server that wants a password.

mod served;

use std::path::{Path, PathBuf};
use std::time::Duration;

use served::Served;

use super::*;
use crate::request::SignIn;

/// A repository in a folder, changed by git's own words.
struct Upstream(tempfile::TempDir);

impl Upstream {
    async fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        made.git(&["init", "--quiet", "--initial-branch", "main"])
            .await;
        made
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    async fn git(&self, words: &[&str]) -> String {
        let own = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
        let own = own.iter().chain(&["-c", "protocol.file.allow=always"]);
        let words: Vec<&str> = own.chain(words).copied().collect();
        Git::default()
            .line(self.path(), "test", &words)
            .await
            .unwrap()
    }

    async fn commit(&self, text: &str) -> String {
        std::fs::write(self.path().join("file"), text).unwrap();
        self.git(&["add", "."]).await;
        self.git(&["commit", "--quiet", "-m", text]).await;
        self.git(&["rev-parse", "HEAD"]).await
    }
}

/// Where builds fetch into, with mirrors beside.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn mirrors(&self) -> PathBuf {
        self.0.path().join("git")
    }

    fn of(&self, url: &str, revision: Option<&str>) -> Repository {
        Repository {
            mirrors: Some(self.mirrors()),
            ..Repository::new(url.to_string(), revision.map(str::to_string))
        }
    }

    fn packs(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for mirror in std::fs::read_dir(self.mirrors()).unwrap().flatten() {
            let Ok(packs) = std::fs::read_dir(mirror.path().join("objects/pack")) else {
                continue;
            };
            let packs = packs.flatten().map(|entry| entry.path());
            found.extend(packs.filter(|path| path.extension().is_some_and(|end| end == "pack")));
        }
        found
    }
}

async fn fetched(repository: &Repository) -> Result<(tempfile::TempDir, String), Error> {
    let into = tempfile::tempdir().unwrap();
    let commit = fetch(repository, into.path()).await?;
    Ok((into, commit))
}

async fn count(folder: &Path) -> String {
    let words = ["rev-list", "--count", "HEAD"];
    Git::default().line(folder, "test", &words).await.unwrap()
}

#[tokio::test]
async fn every_form_of_a_revision_is_fetched_with_and_without_a_mirror() {
    let upstream = Upstream::new().await;
    let one = upstream.commit("one").await;
    upstream.git(&["tag", "-a", "-m", "v1", "v1"]).await;
    upstream
        .git(&["update-ref", "refs/pull/7/head", &one])
        .await;
    let two = upstream.commit("two").await;
    let site = Site::new();
    let exact = format!("refs/heads/main^{{{one}}}");
    for (revision, commit) in [
        (None, &two),
        (Some("main"), &two),
        (Some("v1"), &one),
        (Some("refs/tags/v1"), &one),
        (Some("pr/7"), &one),
        (Some("refs/pull/7/head"), &one),
        (Some(exact.as_str()), &one),
        (Some(one.as_str()), &one),
        (Some(&one[..9]), &one),
    ] {
        let kept = site.of(&upstream.url(), revision);
        let anew = Repository {
            mirrors: None,
            ..kept.clone()
        };
        for repository in [kept, anew] {
            let (into, found) = fetched(&repository).await.unwrap();
            assert_eq!(&found, commit, "{revision:?}");
            let tags = Git::default().line(into.path(), "test", &["tag"]).await;
            assert_eq!(tags.unwrap(), "v1");
            let words = ["symbolic-ref", "--quiet", "HEAD"];
            assert!(
                Git::default()
                    .run(into.path(), "test", &words)
                    .await
                    .is_err()
            );
            let words = ["remote", "get-url", "origin"];
            let origin = Git::default().line(into.path(), "test", &words).await;
            assert_eq!(origin.unwrap(), upstream.url());
        }
    }
}

#[tokio::test]
async fn a_depth_is_so_many_commits_and_all_else_the_whole_history() {
    let upstream = Upstream::new().await;
    for text in ["1", "2", "3", "4"] {
        upstream.commit(text).await;
    }
    let site = Site::new();
    for (depth, commits) in [(Some(1), "1"), (Some(2), "2"), (None, "4"), (Some(26), "4")] {
        let repository = Repository {
            depth,
            ..site.of(&upstream.url(), Some("main"))
        };
        let (into, _) = fetched(&repository).await.unwrap();
        assert_eq!(count(into.path()).await, commits, "{depth:?}");
    }
    upstream.commit("5").await;
    let repository = Repository {
        depth: Some(2),
        ..site.of(&upstream.url(), Some("main"))
    };
    let (into, _) = fetched(&repository).await.unwrap();
    assert_eq!(count(into.path()).await, "2");
    assert_eq!(std::fs::read(into.path().join("file")).unwrap(), b"5");
}

#[tokio::test]
async fn a_checkout_shares_no_file_with_the_mirror_and_does_not_miss_it() {
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    let site = Site::new();
    let (into, _) = fetched(&site.of(&upstream.url(), None)).await.unwrap();
    let pack = site.packs().pop().unwrap();
    let mine = into
        .path()
        .join(".git/objects/pack")
        .join(pack.file_name().unwrap());
    use std::os::unix::fs::MetadataExt as _;
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    assert_ne!(inode(&pack), inode(&mine));
    std::fs::remove_dir_all(site.mirrors()).unwrap();
    let words = ["fsck", "--strict"];
    Git::default()
        .run(into.path(), "fsck", &words)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tag_that_was_removed_or_moved_upstream_is_so_in_the_next_build() {
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    upstream.git(&["tag", "gone"]).await;
    upstream.git(&["tag", "moved"]).await;
    let site = Site::new();
    let repository = site.of(&upstream.url(), Some("moved"));
    fetched(&repository).await.unwrap();
    upstream.git(&["tag", "-d", "gone"]).await;
    let two = upstream.commit("two").await;
    upstream.git(&["tag", "-f", "moved"]).await;
    let (into, commit) = fetched(&repository).await.unwrap();
    assert_eq!(commit, two);
    let tags = Git::default().line(into.path(), "test", &["tag"]).await;
    assert_eq!(tags.unwrap(), "moved");
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let upstream = Upstream::new().await;
    let one = upstream.commit("one").await;
    let site = Site::new();
    let repository = site.of(&upstream.url(), None);
    fetched(&repository).await.unwrap();
    for damage in ["pack", "head"] {
        let pack = site.packs().pop().unwrap();
        let mirror = pack.ancestors().nth(3).unwrap();
        if damage == "pack" {
            std::fs::remove_file(&pack).unwrap();
            std::fs::write(&pack, vec![0; 100]).unwrap();
        } else {
            std::fs::remove_file(mirror.join("HEAD")).unwrap();
        }
        let (_into, commit) = fetched(&repository).await.unwrap();
        assert_eq!(commit, one, "{damage}");
    }
}

#[tokio::test]
async fn what_a_killed_git_left_locked_does_not_hinder_the_next() {
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    let site = Site::new();
    let repository = site.of(&upstream.url(), None);
    fetched(&repository).await.unwrap();
    let pack = site.packs().pop().unwrap();
    let mirror = pack.ancestors().nth(3).unwrap();
    for name in ["packed-refs.lock", "shallow.lock", "HEAD.lock"] {
        std::fs::write(mirror.join(name), "").unwrap();
    }
    upstream.commit("two").await;
    fetched(&repository).await.unwrap();
    assert!(pack.exists(), "it was made anew");
}

#[tokio::test]
async fn builds_that_fetch_one_repository_at_once_share_a_mirror() {
    let upstream = Upstream::new().await;
    let one = upstream.commit("one").await;
    let site = Site::new();
    let repository = site.of(&upstream.url(), None);
    let all = (0..4).map(|_| fetched(&repository));
    for done in futures_util::future::join_all(all).await {
        assert_eq!(done.unwrap().1, one);
    }
    assert_eq!(site.packs().len(), 1);
}

#[tokio::test]
async fn a_commit_that_is_not_in_the_branch_it_is_asked_of_is_refused() {
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    upstream.git(&["checkout", "--quiet", "-b", "other"]).await;
    let other = upstream.commit("other").await;
    let site = Site::new();
    fetched(&site.of(&upstream.url(), Some("other")))
        .await
        .unwrap();
    let exact = format!("refs/heads/main^{{{other}}}");
    let error = fetched(&site.of(&upstream.url(), Some(&exact)))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is not in refs/heads/main"),
        "{error}"
    );
    assert!(!error.is_the_machines());
}

#[tokio::test]
async fn what_git_would_take_for_an_option_is_refused() {
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    let mark = upstream.path().join("ran");
    let option = format!("--upload-pack=touch {};x", mark.display());
    let url = upstream.url();
    for (url, revision) in [(url.as_str(), Some(option)), ("--help", None)] {
        let repository = Repository::new(url.to_string(), revision);
        let error = fetched(&repository).await.unwrap_err();
        assert!(matches!(error, Error::Option(_)), "{error}");
    }
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_private_repository_is_fetched_by_who_signs_in_and_by_nobody_else() {
    let upstream = Upstream::new().await;
    let one = upstream.commit("one").await;
    let server = Served::start(upstream.path(), "me:secretpassword");
    let site = Site::new();
    let sign_in = |password: &str| {
        Some(SignIn {
            user: "me".into(),
            password: password.into(),
        })
    };
    let repository = |password| Repository {
        sign_in: sign_in(password),
        ..site.of(&server.url(), None)
    };
    let (into, commit) = fetched(&repository("secretpassword")).await.unwrap();
    assert_eq!(commit, one);
    let with = server.url().replace("://", "://me:secretpassword@");
    let (_into, commit) = fetched(&site.of(&with, None)).await.unwrap();
    assert_eq!(commit, one);
    // Also with a mirror that has it all.
    for refused in [repository("wrongpassword"), site.of(&server.url(), None)] {
        let error = fetched(&refused).await.unwrap_err();
        assert!(!error.is_the_machines(), "{error}");
        assert!(!error.to_string().contains("wrongpassword"), "{error}");
    }
    for folder in [into.path().to_path_buf(), site.mirrors()] {
        let words = ["-r", "-l", "secretpassword", folder.to_str().unwrap()];
        let found = std::process::Command::new("grep")
            .args(words)
            .output()
            .unwrap();
        assert_eq!(found.status.code(), Some(1), "{found:?}");
    }
}

#[tokio::test]
async fn submodules_are_fetched_and_only_their_parents_server_is_signed_in_to() {
    let inner = Upstream::new().await;
    inner.commit("inner").await;
    let same = Served::start(inner.path(), "me:secretpassword");
    let upstream = Upstream::new().await;
    upstream.commit("outer").await;
    let module = format!("[submodule \"m\"]\n path = m\n url = {}\n", same.url());
    let inner_commit = inner.git(&["rev-parse", "HEAD"]).await;
    std::fs::write(upstream.path().join(".gitmodules"), module).unwrap();
    let link = format!("160000,{inner_commit},m");
    upstream
        .git(&["update-index", "--add", "--cacheinfo", &link])
        .await;
    upstream.git(&["add", ".gitmodules"]).await;
    upstream.git(&["commit", "--quiet", "-m", "module"]).await;
    let other = Served::start(upstream.path(), "me:secretpassword");
    let sign_in = Some(SignIn {
        user: "me".into(),
        password: "secretpassword".into(),
    });
    let repository = Repository {
        sign_in: sign_in.clone(),
        submodules: true,
        ..Repository::new(other.url(), None)
    };
    // Another port is another server.
    let error = fetched(&repository).await.unwrap_err();
    assert!(error.to_string().contains("submodule"), "{error}");
    assert_eq!(same.signed_in(), 0);
    let module = format!(
        "[submodule \"m\"]\n path = m\n url = {}\n",
        other.url_of("inner")
    );
    std::fs::write(upstream.path().join(".gitmodules"), module).unwrap();
    upstream.git(&["add", ".gitmodules"]).await;
    upstream
        .git(&["commit", "--quiet", "-m", "same server"])
        .await;
    other.add("inner", inner.path());
    let (into, _) = fetched(&repository).await.unwrap();
    assert_eq!(std::fs::read(into.path().join("m/file")).unwrap(), b"inner");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_the_machines_fault_and_a_missing_repository_the_users() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/x.git", listener.local_addr().unwrap());
    drop(listener);
    let error = fetched(&Repository::new(closed, None)).await.unwrap_err();
    assert!(error.is_the_machines(), "{error}");
    let nowhere = Repository::new("http://no-such-host.invalid/x.git".into(), None);
    let error = fetched(&nowhere).await.unwrap_err();
    assert!(error.is_the_machines(), "{error}");
    let upstream = Upstream::new().await;
    upstream.commit("one").await;
    let server = Served::start(upstream.path(), "");
    for (url, revision) in [
        (server.url_of("missing"), None),
        ("file:///no/such/repository".to_string(), None),
        (server.url(), Some("no-such-branch".to_string())),
    ] {
        let error = fetched(&Repository::new(url, revision)).await.unwrap_err();
        assert!(!error.is_the_machines(), "{error}");
    }
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_the_mirror_to_the_next() {
    let upstream = Upstream::new().await;
    let one = upstream.commit("one").await;
    // Takes connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new();
    let url = format!("http://{}/x.git", mute.local_addr().unwrap());
    let repository = site.of(&url, None);
    let given_up = tokio::time::timeout(Duration::from_millis(300), fetched(&repository)).await;
    assert!(given_up.is_err());
    let name = Asked::of(&repository).unwrap();
    mirror::hold(&site.mirrors(), &name, mirror::Use::AsItIs)
        .await
        .unwrap();
    assert_eq!(
        fetched(&site.of(&upstream.url(), None)).await.unwrap().1,
        one
    );
}
