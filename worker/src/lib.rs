//! Running a build: from a source and a buildspec to an outcome.
//!
//! A request enters (source, buildspec, variables, where to run); events leave through the output writer, and an outcome at
//! the end. A build that fails is a value, never an error. What absent means: nothing here reads flags or configuration, and
//! nothing here outlives its build: a sweeper removes what a killed process left.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What a build is asked to be.
mod request;
/// One build from submission to outcome.
mod run;
/// One try of it.
mod attempt;
/// Its source, variables and cache.
mod prepare;
/// Its phases.
mod phases;
/// What it leaves.
mod results;
/// Which phase follows which.
mod journey;
/// The record of its phases.
mod timeline;
/// What cuts it short.
mod interrupt;
/// Where commands run: sandbox or container.
pub mod runtime;
/// Git repositories and folders.
mod source;
/// Their addresses without who signs in.
pub mod address;
/// Programs that end with us.
mod program;
/// Values of parameters and secrets.
mod secrets;
/// Switching an image's runtimes.
mod runtimes;
/// What commands find in their environment.
mod environment;
/// Running a phase's commands.
mod commands;
/// From their pipe to the writer.
mod pump;
/// Text that a shell must read.
mod expand;
/// The build's cache.
mod cached;
/// Reports and artifacts.
mod deliver;
/// What outlives a build on one machine.
mod record;
/// Removing what killed processes left.
pub mod sweep;
/// A farm's worker: claims builds and runs them.
pub mod farm;
/// Sources for others than builds.
pub mod bring;
/// Tests that cannot run here.
#[cfg(test)]
mod skip;

pub use croft_collect::Packaging;
pub use environment::is_reserved;
pub use interrupt::Stop;
pub use record::{Home, Scratch};
pub use request::{
    AwsAccess, BuildRequest, BuildspecFile, Expected, NoValue, PrimarySource, Repository,
    SecretSource, SignIn, Vault,
};
pub use run::{Engine, Outcome, look_at, run};

/// An error and everything beneath it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
