//! Where the broker is and as whom to speak to it. Given by the composition root; hands over a connected client.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};

use super::sign::Signer;
use crate::Cause;

/// The first that has atomic batches.
const VERSION_MIN: (i64, i64, i64) = (2, 12, 0);
/// A broker that is silent for this long is taken for gone, and the next one of the cluster is tried.
const PING_INTERVAL: Duration = Duration::from_secs(2);

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
    /// A file of a JWT and the key that signs for it, as `nsc` writes them.
    File(PathBuf),
}

/// Says which kind, and no secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Token(_) => f.write_str("Token"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Which stream of which broker.
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
    /// The stream's name.
    pub stream: String,
    /// What its subjects begin with. It belongs to this stream alone.
    pub prefix: String,
    /// Copies of the log; 3 is what a farm wants, and an odd number what a broker can use.
    pub replicas: usize,
    /// How long an answer may take before it counts as lost. Electing a new leader takes up to 7 s, during which a caller
    /// may as well be told.
    pub timeout: Duration,
}

impl Config {
    /// The stream `CROFT_LEDGER` with one copy, on that server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            credentials: Credentials::None,
            authorities: None,
            certificate: None,
            stream: "CROFT_LEDGER".into(),
            prefix: "croft.ledger".into(),
            replicas: 1,
            timeout: Duration::from_secs(5),
        }
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
        let client = self.options()?.connect(addresses).await;
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

    fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = match &self.credentials {
            Credentials::None => ConnectOptions::new(),
            Credentials::Password { user, password } => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            Credentials::Token(token) => ConnectOptions::with_token(token.clone()),
            Credentials::File(path) => Signer::read(path)?.options(),
        };
        let mut options = options
            .name("croft")
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(self.timeout))
            .event_callback(|event| async move { tracing::info!(%event, "ledger connection") });
        if let Some(authorities) = &self.authorities {
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }
}

/// Why a broker cannot be the ledger.
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
    /// The credentials file cannot be read or used.
    #[error("failed to use the credentials in {}: {reason}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No server answers, or not to these credentials.
    #[error("failed to connect to NATS")]
    Connect {
        /// What was tried last.
        #[source]
        source: Cause,
    },
    /// It cannot append batches. Its owner has to install a newer one.
    #[error("failed to use nats-server {version}: the ledger needs 2.12 or newer")]
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
    /// The stream is not as it must be: somebody else's, an older croft's, or the server dropped what it does not know.
    #[error("failed to use the stream {stream}: its {setting} must be {wanted} and is {found}")]
    Setting {
        /// Its name.
        stream: String,
        /// Which setting, as the server calls it.
        setting: &'static str,
        /// What the ledger needs.
        wanted: String,
        /// What is there.
        found: String,
    },
}
