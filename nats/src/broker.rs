//! Where the broker is, and as whom to speak to it. Given by the composition root; used by `connect` and `monitoring`.

use std::path::PathBuf;
use std::time::Duration;

/// As whom.
#[derive(Clone, Default, PartialEq, Eq)]
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

impl Credentials {
    /// What whoever was refused with these can do.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::None => {
                "they ask for credentials: configure a user and password, a token or a credentials file".into()
            }
            Self::Password { user, .. } => {
                format!("check the password of `{user}`, and that the servers know this user")
            }
            Self::Token(_) => "check the token against the one in the servers' `authorization`".into(),
            Self::File(path) => format!(
                "check that {} has not expired or been revoked, and that the servers know the account that signed it",
                path.display()
            ),
        }
    }
}

/// A NATS server or cluster. A farm has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Addresses of a cluster's servers: `nats://host:4222`, `tls://host:4222`. More are learned from the first that answers.
    pub servers: Vec<String>,
    /// As whom.
    pub credentials: Credentials,
    /// Certificates of authorities to trust, in PEM, instead of the system's.
    pub authorities: Option<PathBuf>,
    /// This client's certificate and key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How long an answer may take before it counts as lost. Electing a new leader takes up to 7 s, during which a caller
    /// may as well be told.
    pub timeout: Duration,
    /// What this client is called in the servers' lists of connections.
    pub name: String,
    /// Addresses of the servers' monitoring, one for each server: `http://host:8222`. Only there do servers say whether they
    /// wait for their disks; without it, nobody knows.
    pub monitoring: Vec<String>,
}

impl Broker {
    /// The server there, without credentials, certificates or monitoring.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            credentials: Credentials::None,
            authorities: None,
            certificate: None,
            timeout: Duration::from_secs(5),
            name: "croft".into(),
            monitoring: Vec::new(),
        }
    }
}
