//! Which stream of which broker. Given by the composition root.

use croft_nats::Broker;

/// Which stream of which broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the broker is and as whom to speak to it.
    pub broker: Broker,
    /// The stream's name.
    pub stream: String,
    /// What its subjects begin with. It belongs to this stream alone.
    pub prefix: String,
    /// Copies of the log; 3 is what a farm wants, and an odd number what a broker can use.
    pub replicas: usize,
}

impl Config {
    /// The stream `CROFT_LEDGER` with one copy, on that server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            broker: Broker::new(server),
            stream: "CROFT_LEDGER".into(),
            prefix: "croft.ledger".into(),
            replicas: 1,
        }
    }
}
