//! Why a broker cannot be used. Each says who can mend it.

use std::error::Error;
use std::path::PathBuf;

/// What a file system, a broker or its client said.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An address is none; whoever configured it can fix that.
    #[error("failed to understand the NATS server's address `{server}`")]
    Address {
        /// As configured.
        server: String,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// A file that is configured cannot be read or used: credentials, authorities, a certificate or its key.
    #[error("failed to use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// A server answered, and wants other credentials, or a certificate. Whoever configured them can fix that.
    #[error("failed to log in to NATS, since its servers refuse it: {advice}")]
    Refused {
        /// What to do.
        advice: String,
        /// What the server said.
        #[source]
        source: Cause,
    },
    /// A server is there, and TLS with it cannot be agreed on.
    #[error(
        "failed to trust the NATS server: check that its certificate names the host of its address, and configure the certificate \
         of the authority that signed it"
    )]
    Untrusted {
        /// What TLS says.
        #[source]
        source: Cause,
    },
    /// No server answers.
    #[error("failed to connect to NATS at {servers}")]
    Connect {
        /// Those configured.
        servers: String,
        /// What was tried last.
        #[source]
        source: Cause,
    },
    /// It lacks what a ledger and a bus need. Its owner has to install a newer one.
    #[error("failed to use nats-server {version}: 2.12 or newer is needed")]
    TooOld {
        /// What it says it is.
        version: String,
    },
    /// JetStream is off, or not permitted, or has no room for the stream.
    #[error("failed to open the stream {stream}")]
    Stream {
        /// Its name.
        stream: String,
        /// What the server said.
        #[source]
        source: Cause,
    },
    /// A cluster that has just begun, or lost a server, and does not make or find a stream yet. Tried again for a minute;
    /// then its owner has to look why a server is away.
    #[error(
        "failed to open the stream {stream}: the NATS servers have no leader, or too few of them are there for its copies, or this \
         user may not ask JetStream; check that all of them run and hear each other, and what the user may publish to"
    )]
    Unsettled {
        /// Its name.
        stream: String,
        /// What the server said last, or that none answered.
        #[source]
        source: Cause,
    },
    /// The stream is not as it must be: somebody else's, another croft's, or the server dropped what it does not know.
    #[error("failed to use the stream {stream}: its {setting} must be {wanted} and is {found}")]
    Setting {
        /// Its name.
        stream: String,
        /// Which setting, as the server calls it.
        setting: &'static str,
        /// What is needed.
        wanted: String,
        /// What is there.
        found: String,
    },
}

/// An error and what is below it, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let below = error.source().map(chain);
    below.map_or_else(|| error.to_string(), |below| format!("{error}: {below}"))
}
