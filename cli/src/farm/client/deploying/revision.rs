//! What `--revision` names: something that is on the farm already, or files that come to a folder of this machine first. Read from the
//! word; handed to `croft deploy`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use croft_agent::{Bundle as _, BundleKind, LocalBundle, Site};
use croft_worker::Repository;
use croft_worker::bring::{self, NotBrought};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::exit::Wrong;
use crate::plan::{folder_of, is_url, split_revision};

/// A revision, as it is named.
#[derive(Debug)]
pub(super) enum Revision {
    /// By its digest.
    OnTheFarm(String),
    /// The artifacts of a build of the farm.
    Built(String),
    /// Files that the farm may not have.
    Elsewhere(Elsewhere),
}

/// Where files are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// On this machine, in a folder.
    Folder(PathBuf),
    /// On this machine, in an archive.
    Archive(PathBuf, BundleKind),
    /// In a repository: its address, and what of it.
    Repository(String, Option<String>),
    /// In a bucket: `bucket/key`, and its version.
    Bucket(String, Option<String>),
}

/// Files in a folder of this machine, for as long as this is held.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    origin: Value,
    _scratch: Option<TempDir>,
}

impl Files {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where they come from, as a deployment keeps it.
    pub(super) const fn origin(&self) -> &Value {
        &self.origin
    }
}

impl Revision {
    /// What that word names. What exists on this machine goes before all else.
    ///
    /// # Errors
    /// When it is nothing of all that.
    pub(super) fn of(word: &str) -> anyhow::Result<Self> {
        let path = Path::new(word);
        if path.is_file() {
            let kind = BundleKind::of(path).ok_or_else(|| {
                Wrong(format!(
                    "{word} is no folder, and no archive by its name: .zip, .tar, .tgz or .tar.gz"
                ))
            })?;
            let archive = std::fs::canonicalize(path).with_context(|| word.to_string())?;
            return Ok(Self::Elsewhere(Elsewhere::Archive(archive, kind)));
        }
        if path.exists() {
            return Ok(Self::Elsewhere(Elsewhere::Folder(folder_of(word)?)));
        }
        if is_digest(word) {
            return Ok(Self::OnTheFarm(word.to_string()));
        }
        if let Some(build) = word.strip_prefix("build:") {
            return Ok(Self::Built(build.to_string()));
        }
        if let Some(location) = word.strip_prefix("s3://") {
            let (location, version) = match location.split_once("?versionId=") {
                Some((location, version)) => (location, Some(version.to_string())),
                None => (location, None),
            };
            let location = location.to_string();
            return Ok(Self::Elsewhere(Elsewhere::Bucket(location, version)));
        }
        if is_url(word) {
            let (url, revision) = split_revision(word);
            return Ok(Self::Elsewhere(Elsewhere::Repository(url, revision)));
        }
        Err(Wrong(format!(
            "{word}: there is no such folder or archive; else a revision is build:ID, a git address, s3://bucket/key.zip, or a digest"
        ))
        .into())
    }
}

impl Elsewhere {
    /// Where a person knows the files to be, who has named them so; without what one signs in with.
    pub(super) fn shown(&self, word: &str) -> PathBuf {
        match self {
            Self::Folder(_) | Self::Archive(..) => word.into(),
            Self::Repository(url, _) => croft_worker::address::without_sign_in(url).into(),
            Self::Bucket(location, _) => format!("s3://{location}").into(),
        }
    }

    /// Its files, in a folder.
    ///
    /// # Errors
    /// When they cannot be had; whether the words or the machine are to blame decides how the program ends.
    pub(super) async fn bring(self) -> anyhow::Result<Files> {
        if let Self::Folder(folder) = self {
            let origin = local(&folder);
            return Ok(Files {
                folder,
                origin,
                _scratch: None,
            });
        }
        let scratch = tempfile::tempdir().context("cannot make a folder for the revision")?;
        let folder = scratch.path().join("revision");
        let origin = match self {
            Self::Folder(folder) => local(&folder),
            Self::Archive(path, kind) => unpacked(path, kind, &folder)?,
            Self::Repository(url, revision) => {
                std::fs::create_dir(&folder).context("cannot make a folder for the revision")?;
                let shown = croft_worker::address::without_sign_in(&url);
                eprintln!("croft: fetching {shown}");
                let repository = Repository::new(url, revision);
                let commit = bring::repository(&repository, &folder)
                    .await
                    .map_err(told)?;
                json!({"revisionType": "GitHub", "repository": shown, "commitId": commit})
            }
            Self::Bucket(location, version) => {
                eprintln!("croft: fetching s3://{location}");
                let brought = bring::object(&location, version.as_deref(), &folder).await;
                brought.map_err(told)?;
                let (bucket, key) = location.split_once('/').unwrap_or((&location, ""));
                let mut origin = json!({"revisionType": "S3", "bucket": bucket, "key": key});
                if let Some(version) = version {
                    origin["version"] = version.into();
                }
                origin
            }
        };
        Ok(Files {
            folder,
            origin,
            _scratch: Some(scratch),
        })
    }
}

fn local(path: &Path) -> Value {
    json!({"revisionType": "Local Directory", "location": path.display().to_string()})
}

fn unpacked(path: PathBuf, kind: BundleKind, into: &Path) -> anyhow::Result<Value> {
    let origin = local(&path);
    let shown = path.display().to_string();
    let bundle = LocalBundle { path, kind };
    // Nothing of it is kept for a next one.
    let notes = into.with_extension("notes");
    let site = Site {
        into,
        notes: &notes,
        earlier: &[],
    };
    bundle
        .bring(&site, &AtomicBool::new(false))
        .map_err(|error| Wrong(format!("{shown}: {:#}", anyhow::Error::from(error))))?;
    Ok(origin)
}

fn told(error: NotBrought) -> anyhow::Error {
    if error.is_the_machines {
        return anyhow::Error::from(error);
    }
    Wrong(error.why).into()
}

fn is_digest(word: &str) -> bool {
    word.len() == 64
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn elsewhere(word: &str) -> Elsewhere {
        match Revision::of(word).unwrap() {
            Revision::Elsewhere(elsewhere) => elsewhere,
            other @ (Revision::OnTheFarm(_) | Revision::Built(_)) => panic!("{word}: {other:?}"),
        }
    }

    async fn brought(word: &str) -> Files {
        elsewhere(word).bring().await.unwrap()
    }

    #[test]
    fn each_word_names_one_thing() {
        let digest = "ab".repeat(32);
        assert!(matches!(Revision::of(&digest), Ok(Revision::OnTheFarm(_))));
        let built = Revision::of("build:web:01a22331-40cf-721d-adee-beda771bfe9f").unwrap();
        assert!(
            matches!(&built, Revision::Built(id) if id.starts_with("web:01a2")),
            "{built:?}"
        );
        assert_eq!(
            elsewhere("https://example.com/shop.git@v2"),
            Elsewhere::Repository("https://example.com/shop.git".into(), Some("v2".into()))
        );
        assert_eq!(
            elsewhere("s3://releases/shop/1.zip?versionId=abc"),
            Elsewhere::Bucket("releases/shop/1.zip".into(), Some("abc".into()))
        );
        let nowhere = Revision::of("nowhere").unwrap_err().to_string();
        assert!(nowhere.contains("build:ID"), "{nowhere}");
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("app.txt");
        std::fs::write(&text, "").unwrap();
        let text = Revision::of(text.to_str().unwrap())
            .unwrap_err()
            .to_string();
        assert!(text.contains(".zip"), "{text}");
    }

    #[tokio::test]
    async fn an_archive_and_a_repository_come_as_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("appspec.yml"), "version: 0.0\nos: linux\n").unwrap();
        let ran = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).current_dir(&site);
            for (name, value) in [("NAME", "a"), ("EMAIL", "a@b.c")] {
                command.env(format!("GIT_AUTHOR_{name}"), value);
                command.env(format!("GIT_COMMITTER_{name}"), value);
            }
            assert!(command.status().unwrap().success(), "{program} {words:?}");
        };
        let archive = folder.path().join("site.tar");
        ran("tar", &["-cf", archive.to_str().unwrap(), "appspec.yml"]);
        let files = brought(archive.to_str().unwrap()).await;
        assert!(files.folder().join("appspec.yml").is_file());
        assert_eq!(files.origin()["location"], archive.display().to_string());

        ran("git", &["init", "-q", "-b", "main"]);
        ran("git", &["add", "."]);
        ran("git", &["commit", "-q", "-m", "one"]);
        let files = brought(&format!("file://{}@main", site.display())).await;
        assert!(files.folder().join("appspec.yml").is_file());
        assert!(!files.folder().join(".git").exists());
        assert_eq!(files.origin()["commitId"].as_str().unwrap().len(), 40);
        let none = elsewhere(&format!("file://{}@none", site.display())).bring();
        let none = none.await.unwrap_err();
        assert!(none.is::<Wrong>(), "{none}");
    }
}
