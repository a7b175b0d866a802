//! Deploying and taking back: which host is next, how much traffic moves, and when a revision goes back.
//!
//! In: entries of the ledger, in order, what is heard of hosts and balancers, and the advice of whoever watches. Out: [`Action`]s,
//! which whoever runs a server carries out: events to append, commands to hosts, weights to balancers. [`admit`], [`stop`], [`go_on`] and
//! [`roll_back`] decide about what people ask for the same way.
//!
//! What holds by absence: nothing here but [`server`] reads a clock, a file or a socket, or draws a random number. Nothing here is the truth: all
//! of it is folded anew from the ledger when a server starts, and an action that another server has taken already is refused by the
//! ledger's expected sequences and changes nothing. There is no second road back: taking back is a deployment.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What is wanted of the ledger.
mod intent;
/// Which hosts a group means.
mod select;
/// How many hosts may be changed at once.
mod health;
/// All that was recorded, folded.
mod state;
/// What is done, made when a deployment's turn comes.
mod plan;
/// What people ask for.
mod ask;
/// What those who watch say.
mod advice;
/// What is next for one deployment.
mod decide;
/// How a deployment ends, and what takes it back.
mod finish;
/// Where traffic should go.
mod traffic;
/// How a deployment is shown.
mod show;
/// What a deployment waits for.
mod waits;
/// All of it, an input at a time.
mod step;
/// Whether a release is a good one: detectors over what is measured, and one decision.
pub mod verdict;
/// Alarms, our own and from outside.
pub mod alarm;
/// Where metrics are asked for.
pub mod metrics;
/// One deployment under watch: what is measured becomes one decision.
pub mod watch;
/// Simulated releases, for tests and benchmarks.
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
/// The loop.
pub mod server;

pub use advice::Advice;
pub use ask::{Refusal, Then, Watchers, admit, go_on, roll_back, stop};
pub use finish::{failure, rollback_id};
pub use health::{Begin, Count, Invalid, Tally, begin, begin_in_zone, is_met, rule};
pub use intent::{GroupName, Intent, Recorded, deployment_subject, host_subject, target_subject};
pub use plan::{Refused, TARGETS_MAX, plan};
pub use select::{is_of_group, is_of_targets};
pub use show::{Stamps, TARGETS_SHOWN_MAX};
pub use state::{
    App, Deployment, End, FoldError, Good, Group, Host, Installed, Running, State, Target,
};
pub use step::{Action, Answer, Engine, Input, Now, Report, Said};
pub use traffic::{Needs, WEIGHT_FULL, Weight, Weights, host_of, weights};

#[cfg(test)]
mod tests;
