//! Reading the files a team already has: parse, check, explain.
//!
//! Text enters; typed specifications and diagnostics leave. What absent means: nothing here runs a command, reads a file
//! or knows a clock, and a type made here needs no second check.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// From bytes to a checked buildspec, or to everything that is wrong with them.
mod parse;
/// Bytes to places.
mod lines;
/// YAML to a tree with places.
mod yaml;
/// The tree to the typed buildspec.
mod read;
/// The typed buildspec.
mod buildspec;
/// The typed AppSpec, and how it is read.
pub mod appspec;
/// What a valid file may still do wrong.
mod lint;
/// What is wrong, collected.
mod findings;
/// Every kind of finding.
mod code;
/// A buildspec against the project it is built for.
mod project;
/// Documents of the farm, with places.
mod sheet;
/// Files of another name.
mod misnamed;
/// Findings for people.
mod render;
/// Which runtimes an image offers.
mod runtimes;

#[cfg(test)]
mod tests;

pub use buildspec::{
    Artifacts, Buildspec, Cache, CacheAction, Command, Env, FileFormat, OnFailure, Phase, Phases,
    Proxy, ReportGroup, SecretReference, Shell, Version,
};
pub use code::Code;
pub use croft_proto::{Diagnostic, Level, Place};
pub use misnamed::misnamed;
pub use parse::{FILE_BYTES_MAX, Parsed, lint, parse};
pub use project::unmatched_secondary;
pub use render::render;
pub use runtimes::{RuntimeVersion, Runtimes};
pub use sheet::Sheet;
