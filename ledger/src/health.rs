//! Whether all is well with a log, for `croft doctor` and a metric.

/// What a log says of itself.
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
