//! From the YAML tree to the typed buildspec. Receives the findings of one file, hands back a draft; a draft with an
//! error among its findings never leaves the crate as a buildspec.
//!
//! One file per section of the format, all on top of the few questions in `reader`.

/// Questions to ask of a node.
mod reader;
/// The top level.
mod document;
/// `env`, and `environment_variables` of 0.1.
mod env;
/// `secrets-manager` references.
mod secret;
/// `phases`.
mod phases;
/// `commands` and `finally`.
mod commands;
/// `on-failure`.
mod on_failure;
/// `reports`.
mod reports;
/// `artifacts`.
mod artifacts;
/// `cache`.
mod cache;
/// `batch`.
mod batch;

pub(crate) use commands::Site;
pub(crate) use document::{Draft, document};
pub(crate) use reader::{Fields, Reader};
