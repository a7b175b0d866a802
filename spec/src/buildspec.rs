//! The typed buildspec: what a checked `buildspec.yml` says. Made by the parser, read by the worker's engine.

use croft_proto::{PhaseType, Place};

/// Which rules the file asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Every command starts from the original directory and environment.
    V0_1,
    /// Directory and variables carry over.
    V0_2,
}

/// Which shell runs the commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shell {
    /// `sh`, the default also where bash exists.
    #[default]
    Sh,
    /// `bash`.
    Bash,
}

/// Where a secret's value comes from: `secret-id[:json-key[:version-stage[:version-id]]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// A name or a full ARN.
    pub secret_id: String,
    /// One key of a JSON secret; `None` takes the whole text.
    pub json_key: Option<String>,
    /// `None` with no version id means `AWSCURRENT`.
    pub version_stage: Option<String>,
    /// Never together with a stage.
    pub version_id: Option<String>,
}

/// `env`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// Which shell.
    pub shell: Shell,
    /// Name and literal value, in the file's order.
    pub variables: Vec<(String, String)>,
    /// Name and parameter name, with its place.
    pub parameter_store: Vec<(String, String, Place)>,
    /// Name and reference, with its place.
    pub secrets_manager: Vec<(String, SecretReference, Place)>,
    /// Names.
    pub exported_variables: Vec<String>,
    /// Whether git inside the build gets the source's credentials.
    pub git_credential_helper: bool,
}

/// `proxy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Upload artifacts behind an explicit proxy.
    pub upload_artifacts: bool,
    /// Deliver logs behind an explicit proxy.
    pub logs: bool,
}

/// What happens when a phase fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// AWS's default transitions.
    #[default]
    Unset,
    /// Later command phases are skipped.
    Abort,
    /// The next phase follows.
    Continue,
    /// The build starts again.
    Retry {
        /// 0 to 100; 3 when the file gives none.
        count: u32,
        /// A checked regular expression over the error message; `None` matches any.
        pattern: Option<String>,
    },
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The shell text, as the YAML scalar gives it.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// One of the four command phases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// The user; wins over the file's.
    pub run_as: Option<String>,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// `install` only: runtime and raw version text, in the file's order.
    pub runtime_versions: Vec<(String, String)>,
    /// Run in order until one fails.
    pub commands: Vec<Command>,
    /// Run in order afterwards, whatever happened.
    pub finally: Vec<Command>,
}

/// `phases`. An absent phase is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// `install`.
    pub install: Phase,
    /// `pre_build`.
    pub pre_build: Phase,
    /// `build`.
    pub build: Phase,
    /// `post_build`.
    pub post_build: Phase,
}

impl Phases {
    /// The phase's contents; `None` for a phase that runs no commands of the user's.
    #[must_use]
    pub fn get(&self, phase: PhaseType) -> Option<&Phase> {
        match phase {
            PhaseType::Install => Some(&self.install),
            PhaseType::PreBuild => Some(&self.pre_build),
            PhaseType::Build => Some(&self.build),
            PhaseType::PostBuild => Some(&self.post_build),
            PhaseType::Submitted
            | PhaseType::Queued
            | PhaseType::Provisioning
            | PhaseType::DownloadSource
            | PhaseType::UploadArtifacts
            | PhaseType::Finalizing
            | PhaseType::Completed => None,
        }
    }
}

/// A report's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// `JUNITXML`, the default.
    #[default]
    JunitXml,
    /// `CUCUMBERJSON`.
    CucumberJson,
    /// `NUNITXML`.
    NunitXml,
    /// `NUNIT3XML`.
    Nunit3Xml,
    /// `TESTNGXML`.
    TestngXml,
    /// `VISUALSTUDIOTRX`.
    VisualStudioTrx,
    /// `JACOCOXML`.
    JacocoXml,
    /// `COBERTURAXML`.
    CoberturaXml,
    /// `CLOVERXML`.
    CloverXml,
    /// `SIMPLECOV`.
    Simplecov,
}

impl FileFormat {
    /// Every format, in the order of the guide.
    pub const ALL: &[Self] = &[
        Self::JunitXml,
        Self::CucumberJson,
        Self::NunitXml,
        Self::Nunit3Xml,
        Self::TestngXml,
        Self::VisualStudioTrx,
        Self::JacocoXml,
        Self::CoberturaXml,
        Self::CloverXml,
        Self::Simplecov,
    ];

    /// The word in the buildspec, in upper case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JunitXml => "JUNITXML",
            Self::CucumberJson => "CUCUMBERJSON",
            Self::NunitXml => "NUNITXML",
            Self::Nunit3Xml => "NUNIT3XML",
            Self::TestngXml => "TESTNGXML",
            Self::VisualStudioTrx => "VISUALSTUDIOTRX",
            Self::JacocoXml => "JACOCOXML",
            Self::CoberturaXml => "COBERTURAXML",
            Self::CloverXml => "CLOVERXML",
            Self::Simplecov => "SIMPLECOV",
        }
    }
}

/// One entry of `reports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportGroup {
    /// A name, perhaps with variables in it, or an ARN.
    pub name: String,
    /// Globs.
    pub files: Vec<String>,
    /// How the files are written.
    pub file_format: FileFormat,
    /// `None` is the source directory.
    pub base_directory: Option<String>,
    /// Flatten the paths of exported raw files.
    pub discard_paths: bool,
    /// Where the entry stands.
    pub place: Place,
}

/// `artifacts`, or one entry of `secondary-artifacts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// Globs.
    pub files: Vec<String>,
    /// Shell text expanded at build time.
    pub name: Option<String>,
    /// Flatten.
    pub discard_paths: bool,
    /// Literal or glob, perhaps with variables; `None` is the source directory.
    pub base_directory: Option<String>,
    /// Globs relative to the base directory.
    pub exclude_paths: Vec<String>,
    /// Keep links as links in a ZIP.
    pub enable_symlinks: bool,
    /// A key prefix with namespace `BUILD_ID`.
    pub s3_prefix: Option<String>,
    /// Identifier and contents, in the file's order; always empty in a secondary entry.
    pub secondary: Vec<(String, Artifacts)>,
    /// Where it stands.
    pub place: Place,
}

/// What the cache may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheAction {
    /// Restore and save.
    #[default]
    Both,
    /// Never save.
    Restore,
    /// Never restore.
    Save,
}

/// `cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Globs; absolute paths outside the source directory are normal.
    pub paths: Vec<String>,
    /// Shell text; an exact match once expanded.
    pub key: Option<String>,
    /// Shell texts; prefix matches in order, at most five, ignored without a key.
    pub fallback_keys: Vec<String>,
    /// Which way.
    pub action: CacheAction,
}

/// A checked buildspec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buildspec {
    /// Which rules.
    pub version: Version,
    /// The user for every command; `None` is root.
    pub run_as: Option<String>,
    /// Variables and shell.
    pub env: Env,
    /// Proxy wishes.
    pub proxy: Proxy,
    /// The commands.
    pub phases: Phases,
    /// In the file's order.
    pub reports: Vec<ReportGroup>,
    /// `None` when the file has no `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `None` when the file has no `cache`.
    pub cache: Option<Cache>,
    /// True when the file has a `batch` section, which a plain build ignores.
    pub has_batch: bool,
}
