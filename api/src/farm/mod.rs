//! The farm's front: REST in AWS's shapes, over a server's scheduler, views, ledger, bus and store.
//!
//! In: requests with a token. Out: what the ledger says, as far as the token may see it, and changes that are durable before they
//! are answered. What holds by absence: no route is outside of the one table; no request but for health is answered before its
//! token was looked at; no secret's value leaves; nothing that changes something goes unrecorded.

/// How much of everything.
mod limits;
/// Connections.
mod serve;
/// What all requests share.
mod state;
/// From a request to its route and back.
mod front;
/// Every route there is.
mod table;
/// A request that was let in.
mod call;
/// What went wrong, as a caller is told.
mod problem;
/// Bodies whose names are in the path.
mod body;
/// How fast somebody may ask.
mod pace;
/// Appending to a subject.
mod record;
/// Who did what.
mod audit;
/// Who was refused what, gathered.
mod refusals;
/// What is measured.
mod metrics;
/// Whether this server should be asked.
mod ready;
/// The document of all this.
mod openapi;
/// Hosts that are deployed to.
mod agents;
/// What revisions are made of.
mod offers;
/// What Alertmanager pushes.
mod alerts;
/// What is deployed, where and how.
mod deploy;
/// What is built.
mod projects;
/// Projects as builds of them are started.
mod configured;
/// Sources that are kept for builds.
mod held;
/// Starting, stopping, starting again.
mod start;
/// Builds as they are.
mod builds;
/// Why a build waits, and what happened to it.
mod explain;
/// What happens in a build, as it happens.
mod events;
/// What happened in a build that is over.
mod replay;
/// Which bytes of a file are asked for.
mod range;
/// Logs and artifacts.
mod files;
/// Large bodies, until they are here.
mod intake;
/// Sources on their way in.
mod sources;
/// Who runs builds, and who waits.
mod workers;
/// Who may ask.
mod tokens;
/// Values that only builds may see.
mod secrets;
/// Keys that open those.
mod pools;
/// Secrets for every pool there is.
mod reseal;
/// With which master key.
mod sealed;

pub use audit::ResumeError;
pub use pools::{Enrolled, GivenKey, KeysError, keys_of_pool, signer_of_store};
pub use sealed::{KeyRefused, claim_master_key};
pub use serve::{Door, ServeError, serve};
pub use state::{Farm, MetricsAccess, Settings};
pub use tokens::{FirstTokenError, first_token, token_of_this_machine};

#[cfg(test)]
mod tests;
