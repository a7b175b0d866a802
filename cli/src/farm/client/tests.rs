//! The client against a server on loopback that answers by a script.

/// The server.
mod stub;
/// One question: what is sent, repeated, told.
mod calls;
/// Following over connections that break.
mod following;
/// Uploads into a real store, and what starts a build.
mod submitting;
/// Following a deployment, and what takes it back.
mod deploying;
/// Files that are written.
mod taking;

use std::time::Duration;

use super::call::Farm;
use super::connection::Connection;

/// A farm at that address which is asked again for so long.
fn farm_at(address: &str, retry: Duration) -> Farm {
    Farm::new(Connection {
        server: format!("http://{address}/").parse().unwrap(),
        server_from: "from a test".into(),
        token: Some("croft_secret".into()),
        token_from: "a test".into(),
        certificates: None,
        retry,
    })
    .unwrap()
}
