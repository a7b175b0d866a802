//! Whether all is well, for `croft doctor` and a metric. Filled in by ledgers and buses of every kind.

use async_nats::Client;
use async_nats::connection::State;

use crate::check_version;

/// What a ledger or a bus says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Which implementation, and what of: `memory`, `embedded: SQLite 3.50.4`, `jetstream: nats-server 2.15.1`.
    pub backend: String,
    /// Whether what was acknowledged survives a loss of power, as far as can be told from here.
    pub durable: Option<bool>,
    /// What is wrong, each in a sentence that says what to do. Empty when all is well.
    pub wrong: Vec<String>,
}

impl Health {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// What is wrong with a client's connection: there is none, or it is one to a server that is too old. A cluster may have
/// servers of several versions, and a client comes to another one when its own goes away.
#[must_use]
pub fn wrong_with(client: &Client) -> Option<String> {
    if client.connection_state() != State::Connected {
        return Some("there is no connection to a NATS server".into());
    }
    check_version(client).err().map(|error| error.to_string())
}
