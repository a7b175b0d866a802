//! Asking a farm's server from the command line: words become calls of its HTTP API, answers become rows and renderings. It holds
//! nothing of a farm: whatever is true is the server's.

/// Which server, and as whom.
pub(crate) mod connection;
/// What a server says when it does not do it.
pub(crate) mod problem;
/// One question and its answer.
mod call;
/// Server-sent events.
mod sse;
/// What a followed build has told.
mod story;
/// Following a build.
mod follow;
/// Showing a build that is followed.
mod watch;
/// What a folder lacks on the server.
mod upload;
/// `croft submit`.
mod submit;
/// `croft build`.
mod build;
/// A build's artifacts.
mod artifacts;
/// Why a build waits, and what happened to it.
mod explain;
/// Documents that people write.
mod written;
/// Applying them.
mod applying;
/// `croft project`.
mod project;
/// `croft secret`.
mod secret;
/// `croft token` and `croft audit`.
mod custody;
/// `croft worker list` and the like, and `croft queue`.
mod fleet;
/// Deploying.
mod deploying;
/// Lists that come in pages.
mod pages;
/// What is printed, row by row.
mod rows;

use std::future::Future;

use anyhow::Context as _;

use crate::args::Global;
use crate::config;
use crate::farm::words::Connect;
use crate::surroundings::home_path;
pub(crate) use build::build;
pub(crate) use call::Failure;
pub(crate) use call::{Call, Farm, choose_tls};
use connection::{Connection, Found, Up};
pub(crate) use custody::{audit, token};
pub(crate) use deploying::{alarm, app, deploy, deployment, deployment_config, group, host};
pub(crate) use fleet::{queue, worker};
pub(crate) use project::project;
pub(crate) use secret::secret;
pub(crate) use submit::submit;

/// The farm that the words, the environment and this machine's files name.
fn farm(global: &Global, words: &Connect) -> anyhow::Result<Farm> {
    let up = match home_path(global) {
        Ok(home) => Up::read(&home)?,
        // Nobody started anything in a home that there is not.
        Err(_) => None,
    };
    let found = Found {
        words,
        server_variable: std::env::var("CROFT_SERVER").ok(),
        token_variable: std::env::var("CROFT_TOKEN").ok(),
        table: config::farm_table()?,
        up,
    };
    Ok(Farm::new(Connection::of(&found)?)?)
}

/// The server to enrol at, if the words, the environment or `croft.toml` name one.
pub(crate) fn enrolment(global: &Global, words: &Connect) -> anyhow::Result<Option<Farm>> {
    let is_named = words.server.is_some() || config::farm_table()?.server.is_some();
    is_named.then(|| farm(global, words)).transpose()
}

/// Runs one command to its end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests;
