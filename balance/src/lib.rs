//! Telling a balancer where traffic goes: so much for each server of a backend. Received from whoever is beside the balancer, a
//! server or an agent; carried out over HAProxy's runtime API, or by a program.
//!
//! A balancer forgets what it is told when it is reloaded, so it is told again and again: [`HaProxy::apply`] looks first and changes
//! only what differs. What absent means: nothing here knows of deployments, and nothing is written to a balancer's files.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// How much each server should have.
mod wanted;
/// HAProxy, over its runtime API.
mod haproxy;
/// A program that is told.
mod script;

pub use haproxy::{HaProxy, HaProxyError};
pub use script::{Script, ScriptError};
pub use wanted::{Applied, Seen, WEIGHT_FULL, Wanted};
