//! Where the broker is and as whom to speak to it. Given by the composition root; hands over a connected client.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};

use crate::{ConnectError, Settings};

/// The one that the ledger needs; a farm has one broker.
const VERSION_MIN: (i64, i64, i64) = (2, 12, 0);
/// A broker that is silent for this long is taken for gone, and the next one of the cluster is tried.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Messages that one listener of this process may be behind: a renewal from each of a thousand builds, or what a follower
/// of output has asked for. More are lost on it, and come again.
const BEHIND_MAX: usize = 1024;

/// As whom.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A name and its password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
}

/// Says which kind, and no secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// Which streams of which broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of a cluster's servers: `nats://host:4222`, `tls://host:4222`. More are learned from the first that answers.
    pub servers: Vec<String>,
    /// As whom.
    pub credentials: Credentials,
    /// Certificates of authorities to trust, in PEM, instead of none beyond the system's.
    pub authorities: Option<PathBuf>,
    /// This client's certificate and key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What the streams' names begin with: `<stream>_HINTS`, `<stream>_OUTPUT`.
    pub stream: String,
    /// What all subjects begin with. It belongs to this bus alone.
    pub prefix: String,
    /// Copies of the streams in the memory of as many servers. One is enough, since all can be rebuilt; three spare a farm the
    /// rebuilding when a server restarts.
    pub replicas: usize,
    /// How long an answer may take before it counts as lost.
    pub timeout: Duration,
    /// How much and how long.
    pub settings: Settings,
}

impl Config {
    /// The streams `CROFT_BUS_...` with one copy, on that server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            credentials: Credentials::None,
            authorities: None,
            certificate: None,
            stream: "CROFT_BUS".into(),
            prefix: "croft.bus".into(),
            replicas: 1,
            timeout: Duration::from_secs(5),
            settings: Settings::default(),
        }
    }

    pub(super) fn hints(&self) -> String {
        format!("{}_HINTS", self.stream)
    }

    pub(super) fn output(&self) -> String {
        format!("{}_OUTPUT", self.stream)
    }

    pub(super) async fn connect(&self) -> Result<Client, ConnectError> {
        let addresses = self.servers.iter().map(|server| {
            server
                .parse::<ServerAddr>()
                .map_err(|source| ConnectError::Address {
                    server: server.clone(),
                    source: source.into(),
                })
        });
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let client = self.options().connect(addresses).await;
        let client = client.map_err(|source| ConnectError::Connect {
            source: source.into(),
        })?;
        let (major, minor, patch) = VERSION_MIN;
        if client.is_server_compatible(major, minor, patch) {
            return Ok(client);
        }
        let version = client.server_info().version;
        Err(ConnectError::TooOld { version })
    }

    fn options(&self) -> ConnectOptions {
        let options = match &self.credentials {
            Credentials::None => ConnectOptions::new(),
            Credentials::Password { user, password } => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            Credentials::Token(token) => ConnectOptions::with_token(token.clone()),
        };
        let mut options = options
            .name("croft")
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(self.timeout))
            .subscription_capacity(BEHIND_MAX)
            .event_callback(|event| async move { tracing::info!(%event, "bus connection") });
        if let Some(authorities) = &self.authorities {
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}
