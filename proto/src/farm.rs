//! The farm's vocabulary: what is recorded of projects and builds in the ledger. Written by whoever decides (servers admit and
//! expire, workers claim and settle); folded by everybody.

/// Which build.
mod id;
/// What is built again and again.
mod project;
/// A project's configuration in AWS's shape.
mod settings;
/// What is asked for, and what is to be built.
mod request;
/// What happened to it, and to its builds.
mod journal;
/// What lost attempts count for.
mod losses;
/// Which keys a project may have.
mod shapes;
/// How long an attempt may be silent.
mod lease;
/// Secrets, keys, tokens, workers, and who did what.
mod custody;
/// Names as labels of metrics.
mod names;

pub use custody::{
    AuditEvent, PoolEvent, SealedFor, SecretEvent, SecretKind, TokenEvent, WorkerEvent,
};
pub use id::BuildId;
pub use journal::{
    AutoRetry, BuildEvent, GivenBackFor, LossReason, ProjectEvent, SettledBy, Submitted,
    TOKEN_VALID_MS,
};
pub use lease::Lease;
pub use losses::{LEAVING_MAX, Losses};
pub use names::{Names, POOLS_SHOWN_MAX, PROJECTS_SHOWN_MAX};
pub use project::{
    Concurrency, ConcurrencyMode, PRIORITIES, Priority, ProjectRules, WEIGHT_MAX, Weight,
};
pub use request::{OwnOfStart, Requested, StartBuild};
pub use settings::{
    ATTEMPTS_MAX, Artifacts, DEFAULT_POOL, Environment, GitSubmodules, OwnOfProject, OwnOfSource,
    Project, QUEUED_TIMEOUT_MINUTES, RegistryCredential, Source, SourceAuth, SourceType,
    SourceVersion, TIMEOUT_MINUTES, Variable, VariableType, is_project_name,
};
