//! Where the sources are: an uploaded tree, made once for all builds of it on this machine; a repository, left to the engine to
//! fetch, with who signs in there; or nothing. Receives what was requested, hands [`Sources`] to whoever makes the request.

/// Who one is to a repository's server.
mod sign_in;
/// What others put into buckets.
pub(crate) mod bucket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use croft_cache::{Anchor, Id, Live, Store};
use croft_proto::Timestamp;
use croft_proto::farm::{Requested, Source};

use super::request::Folders;
use super::vault::Opened;
use crate::{Home, PrimarySource, Repository, chain};

/// A store that does not answer for longer is this attempt's end: others may reach it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause before the next try: it grows to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where the sources are. The trees stay as long as this is held.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) primary: PrimarySource,
    /// Whether it is a folder that was made for this build.
    pub(crate) primary_is_own: bool,
    pub(crate) secondary: Vec<(String, PathBuf)>,
    pub(crate) repositories: Vec<(String, Repository)>,
    _held: Vec<Live>,
}

/// Why there is no source.
#[derive(Debug)]
pub(crate) enum NoSource {
    /// The user's to mend.
    User(String),
    /// The store's or this machine's fault; elsewhere, or later, it may work.
    Machine(String),
}

/// What sources are brought from, and for whom.
pub(crate) struct Bringing<'a> {
    pub(crate) kept: &'a Arc<Store>,
    pub(crate) home: &'a Home,
    /// Where the store and the cache are.
    pub(crate) own: &'a [croft_cache::Place],
    pub(crate) folders: &'a Folders,
    pub(crate) vault: &'a Opened,
    pub(crate) now: Timestamp,
}

impl Sources {
    /// No source at all, for a build that is stopped before it has one.
    pub(crate) fn none(folders: &Folders) -> Result<Self, NoSource> {
        Ok(Self {
            primary: PrimarySource::Folder(empty(folders, None)?),
            primary_is_own: true,
            secondary: Vec::new(),
            repositories: Vec::new(),
            _held: Vec::new(),
        })
    }
}

/// All sources of a build.
///
/// # Cancel
/// Safe: what was unpacked by then lies in the build's own folder.
pub(crate) async fn bring(
    requested: &Requested,
    bringing: &Bringing<'_>,
) -> Result<Sources, NoSource> {
    let mut sources = Sources::none(bringing.folders)?;
    let version = requested.source_version.as_deref();
    let place = bringing.place(&requested.source, None, version).await?;
    sources.primary_is_own = matches!(place, Place::Folder(_));
    sources.primary = match place {
        Place::Tree(live) => {
            let folder = live.folder(Anchor::Source);
            sources._held.push(live);
            PrimarySource::Folder(folder)
        }
        Place::Git(repository) => PrimarySource::Git(repository),
        Place::Folder(folder) => PrimarySource::Folder(folder),
    };
    for source in &requested.secondary_sources {
        let identifier = source.source_identifier.clone().unwrap_or_default();
        if !is_identifier(&identifier) {
            return Err(NoSource::User(format!(
                "sourceIdentifier `{identifier}`: 1 to {} of [A-Za-z0-9_]",
                IDENTIFIER_CHARS_MAX
            )));
        }
        let versions = requested.secondary_source_versions.iter();
        let version = versions
            .filter(|version| version.source_identifier == identifier)
            .map(|version| version.source_version.as_str())
            .next_back();
        match bringing.place(source, Some(&identifier), version).await? {
            Place::Tree(live) => {
                let folder = live.folder(Anchor::Source);
                sources.secondary.push((identifier, folder));
                sources._held.push(live);
            }
            Place::Folder(folder) => sources.secondary.push((identifier, folder)),
            Place::Git(repository) => sources.repositories.push((identifier, repository)),
        }
    }
    Ok(sources)
}

/// AWS's longest identifier of a source.
const IDENTIFIER_CHARS_MAX: usize = 127;

fn is_identifier(text: &str) -> bool {
    (1..=IDENTIFIER_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

enum Place {
    Tree(Live),
    Git(Repository),
    Folder(PathBuf),
}

impl Bringing<'_> {
    /// `secondary` is what it is called when it is not the primary one.
    async fn place(
        &self,
        source: &Source,
        secondary: Option<&str>,
        version: Option<&str>,
    ) -> Result<Place, NoSource> {
        if let Some(tree) = source.tree() {
            return tree_of(tree, self.kept, self.now).await.map(Place::Tree);
        }
        match &source.location {
            Some(url) if source.source_type.is_git() => {
                self.repository(source, url, version).await.map(Place::Git)
            }
            Some(location) => {
                let into = self.folders.scratch.join(folder_of("unpacked", secondary));
                bucket::bring(location, version, &into, self.own).await?;
                Ok(Place::Folder(into))
            }
            None => empty(self.folders, secondary).map(Place::Folder),
        }
    }

    async fn repository(
        &self,
        source: &Source,
        url: &str,
        version: Option<&str>,
    ) -> Result<Repository, NoSource> {
        self.refuse_own(url)?;
        let submodules = source.git_submodules_config.as_ref();
        Ok(Repository {
            depth: source.git_clone_depth,
            submodules: submodules.is_some_and(|config| config.fetch_submodules),
            sign_in: sign_in::of(source, self.vault).await?,
            mirrors: Some(self.home.mirrors()),
            ..Repository::new(url.to_string(), version.map(str::to_string))
        })
    }

    /// What this worker keeps, other projects' repositories first of all, is nobody's source.
    fn refuse_own(&self, url: &str) -> Result<(), NoSource> {
        let path = match url.split_once("://") {
            Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => path,
            Some(_) => return Ok(()),
            None => url,
        };
        let is_own =
            std::fs::canonicalize(path).is_ok_and(|path| path.starts_with(self.home.path()));
        if is_own {
            return Err(NoSource::User(format!(
                "source {url}: a worker's own folders are no source"
            )));
        }
        Ok(())
    }
}

async fn tree_of(tree: &str, kept: &Arc<Store>, now: Timestamp) -> Result<Live, NoSource> {
    let id = Id::parse(tree)
        .ok_or_else(|| NoSource::User(format!("source tree {tree} is no digest")))?;
    let begun = tokio::time::Instant::now();
    let mut pause = PAUSE;
    loop {
        let kept = Arc::clone(kept);
        let made = tokio::task::spawn_blocking(move || match kept.tree(&id, now)? {
            Some(found) => kept.materialise(&found, now).map(Some),
            None => Ok(None),
        });
        let failed = match made.await {
            Ok(Ok(Some(live))) => return Ok(live),
            Ok(Ok(None)) => {
                return Err(NoSource::User(format!(
                    "source tree {tree} is not in the farm's store: upload it again, as `croft submit` does"
                )));
            }
            Ok(Err(error)) => error,
            Err(gone) => return Err(NoSource::Machine(gone.to_string())),
        };
        // The build was accepted: attempts that fail one after the other while the store is away must not use it up.
        if failed.is_unusable() || begun.elapsed() >= PATIENCE {
            return Err(NoSource::Machine(chain(&failed)));
        }
        tracing::warn!(tree, failed = %chain(&failed), "a source is waited for");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Where in a build's own folder a source is that is made there: each has its own.
fn folder_of(kind: &str, secondary: Option<&str>) -> String {
    match secondary {
        Some(identifier) => format!("{kind}-{identifier}"),
        None => kind.to_string(),
    }
}

fn empty(folders: &Folders, secondary: Option<&str>) -> Result<PathBuf, NoSource> {
    let folder = folders.scratch.join(folder_of("no-source", secondary));
    std::fs::create_dir_all(&folder)
        .map_err(|error| NoSource::Machine(format!("cannot make an empty source: {error}")))?;
    Ok(folder)
}
