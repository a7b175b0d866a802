//! Which streams of which broker. Given by the composition root.

use croft_nats::Broker;

use crate::Settings;

/// Which streams of which broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the broker is and as whom to speak to it.
    pub broker: Broker,
    /// What the streams' names begin with: `<stream>_HINTS`, `<stream>_OUTPUT`, `<stream>_PRINTED`.
    pub stream: String,
    /// What all subjects begin with. It belongs to this bus alone.
    pub prefix: String,
    /// Copies of the streams in the memory of as many servers. One is enough, since all can be rebuilt; three spare a farm the
    /// rebuilding when a server restarts.
    pub replicas: usize,
    /// How much and how long.
    pub settings: Settings,
}

impl Config {
    /// The streams `CROFT_BUS_...` with one copy, on that server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            broker: Broker::new(server),
            stream: "CROFT_BUS".into(),
            prefix: "croft.bus".into(),
            replicas: 1,
            settings: Settings::default(),
        }
    }

    pub(super) fn hints(&self) -> String {
        format!("{}_HINTS", self.stream)
    }

    pub(super) fn output(&self) -> String {
        format!("{}_OUTPUT", self.stream)
    }

    pub(super) fn printed(&self) -> String {
        format!("{}_PRINTED", self.stream)
    }
}
