//! What a build is asked to be. Made by the command line, read by the engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use croft_collect::Packaging;
use croft_proto::{PhaseType, Timestamp};
use futures_util::future::BoxFuture;

/// Where the primary source comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrimarySource {
    /// A folder of this machine, absolute.
    Folder(PathBuf),
    /// A git repository that has to be fetched.
    Git(Repository),
}

/// A git repository, which version of it, and how it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Whatever `git fetch` takes. Who signs in may stand in it; it is used and shown nowhere.
    pub url: String,
    /// A branch, tag, commit, `pr/N`, `refs/...`, or one of these with `^{<commit>}`; `None` is the remote's default branch.
    pub revision: Option<String>,
    /// So many commits of its history; `None` is all.
    pub depth: Option<u32>,
    /// Whether its submodules are fetched too.
    pub submodules: bool,
    /// Who one is there; wins over what stands in the address.
    pub sign_in: Option<SignIn>,
    /// The folder of this machine that keeps what was fetched for the next build; fetched anew without.
    pub mirrors: Option<PathBuf>,
}

impl Repository {
    /// With all its history, for anybody, and kept nowhere.
    #[must_use]
    pub fn new(url: String, revision: Option<String>) -> Self {
        Self {
            url,
            revision,
            depth: None,
            submodules: false,
            sign_in: None,
            mirrors: None,
        }
    }
}

/// Who one is to a server.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The user's name.
    pub user: String,
    /// Their password, or a token. Never shown.
    pub password: String,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Which buildspec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildspecFile {
    /// `buildspec.yml` in the primary source.
    Default,
    /// That path below the primary source.
    InSource(PathBuf),
    /// That file of this machine.
    OnHost(PathBuf),
}

/// Where values of `parameter-store` and `secrets-manager` come from.
#[derive(Clone, Debug, Default)]
pub struct SecretSource {
    /// Names of parameters and ids of secrets with their values, from `--secret-file`.
    pub values: BTreeMap<String, String>,
    /// Ask a farm's own.
    pub vault: Option<Arc<dyn Vault>>,
    /// Ask AWS with the caller's own credentials.
    pub aws: Option<AwsAccess>,
}

/// Where a farm keeps values.
pub trait Vault: std::fmt::Debug + Send + Sync {
    /// The value of a parameter or secret of that name; none when there is none that this build may have.
    ///
    /// **Errors.** It is there and cannot be had.
    fn value(&self, name: &str) -> BoxFuture<'_, Result<Option<String>, NoValue>>;
}

/// Why a value that is there cannot be had, a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    /// The user's to mend.
    #[error("{0}")]
    User(String),
    /// This machine's fault or its farm's; elsewhere, or later, it may be had.
    #[error("{0}")]
    Machine(String),
}

/// The caller's own AWS settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsAccess {
    /// `-p`: a named profile.
    pub profile: Option<String>,
    /// The person's home, where the settings are; this process's own when absent.
    pub home: Option<PathBuf>,
}

/// How long things took in the last successful build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The whole build, in milliseconds.
    pub total_ms: Option<u64>,
    /// Each phase, in milliseconds.
    pub phases_ms: BTreeMap<PhaseType, u64>,
}

/// A build to run.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// `[A-Za-z0-9][A-Za-z0-9_-]*`.
    pub project: String,
    /// Whose cache this is: builds of equal scope share entries, others never do.
    pub cache_scope: String,
    /// Lower-case, with hyphens.
    pub uuid: String,
    /// What its places are labelled with besides the project: the name of its own folder in `run`, so that what a killed process
    /// left is told from what still runs.
    pub folder_name: String,
    /// From 1.
    pub build_number: u64,
    /// When it was accepted, if it has waited since; it counts as queued until it runs.
    pub submitted: Option<Timestamp>,
    /// Whether it runs by `croft run` and not in a farm; builds are told, as AWS's local agent tells them.
    pub is_local: bool,
    /// Who asks.
    pub initiator: String,
    /// The image's reference, or `sandbox`.
    pub image: String,
    /// The primary source.
    pub source: PrimarySource,
    /// Identifier and folder of each secondary source.
    pub secondary_sources: Vec<(String, PathBuf)>,
    /// Identifier and repository of each secondary source that has to be fetched.
    pub secondary_repositories: Vec<(String, Repository)>,
    /// Work on the folders themselves (`-m`).
    pub in_place: bool,
    /// Whether the primary source's folder is this build's alone and goes with it: the build works on the folder itself, and nothing
    /// has to be laid over it.
    pub source_is_own: bool,
    /// Which buildspec.
    pub buildspec: BuildspecFile,
    /// Variables that win over the buildspec's; checked names.
    pub overrides: Vec<(String, String)>,
    /// Where secret values come from.
    pub secrets: SecretSource,
    /// Variables that come before everything of the user's: credentials with `-c`.
    pub credentials: Vec<(String, String)>,
    /// More folders of this machine for the build to read, and where.
    pub extra_folders: Vec<(PathBuf, PathBuf)>,
    /// The region AWS's tools are told.
    pub region: String,
    /// Longest time for the whole build.
    pub timeout: Duration,
    /// Where artifacts go.
    pub artifacts_directory: PathBuf,
    /// How artifacts are packed.
    pub packaging: Packaging,
    /// Where reports go as JSON, and raw report files.
    pub reports_directory: PathBuf,
    /// For the renderings.
    pub expected: Expected,
    /// The build's own folder, removed by the caller.
    pub directory: PathBuf,
    /// What of Croft's the build must not see.
    pub hidden: Vec<PathBuf>,
    /// The masked log.
    pub log_path: PathBuf,
}

impl BuildRequest {
    /// What the secondary sources are called, in the order of their places.
    pub(crate) fn secondary_identifiers(&self) -> impl Iterator<Item = &str> {
        let folders = self.secondary_sources.iter();
        let folders = folders.map(|(identifier, _)| identifier.as_str());
        let repositories = self.secondary_repositories.iter();
        folders.chain(repositories.map(|(identifier, _)| identifier.as_str()))
    }
}
