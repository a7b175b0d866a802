//! Reading the files a team already has: parse, check, explain.
//!
//! Text enters; typed specifications and diagnostics leave. What absent means: nothing here runs a command, reads a file
//! or knows a clock, and a type made here needs no second check.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

/// The typed buildspec.
mod buildspec;

pub use buildspec::{
    Artifacts, Buildspec, Cache, CacheAction, Command, Env, FileFormat, OnFailure, Phase, Phases, Proxy, ReportGroup,
    SecretReference, Shell, Version,
};
