//! Connecting. Receives a broker as it was configured; hands over a client of a server that is new enough.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr, rustls};

use crate::{Broker, Cause, ConnectError, Credentials};

/// The first that has atomic batches.
const VERSION_MIN: (i64, i64, i64) = (2, 12, 0);
/// A broker that is silent for this long is taken for gone, and the next one of the cluster is tried.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Messages that one listener of this process may be behind: a renewal from each of a thousand builds, or a page of the log.
/// More are lost on it; whoever reads the log notices the gap, and what the bus says comes again.
const BEHIND_MAX: usize = 1024;

impl Broker {
    /// A connected client. Clones of it share the connection: one may serve both a ledger and a bus. It connects again by
    /// itself whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]: whoever configured the broker can mend most.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
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
        let client = client.map_err(|error| self.explain(error))?;
        check_version(&client)?;
        Ok(client)
    }

    fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = match &self.credentials {
            Credentials::None => ConnectOptions::new(),
            Credentials::Password { user, password } => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            Credentials::Token(token) => ConnectOptions::with_token(token.clone()),
            Credentials::File(path) => ConnectOptions::with_credentials(&read(path)?)
                .map_err(|error| unusable(path, error))?,
        };
        let mut options = options
            .name(&self.name)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(self.timeout))
            .subscription_capacity(BEHIND_MAX)
            .event_callback(|event| async move { tracing::info!(%event, "connection to NATS") });
        if let Some(authorities) = &self.authorities {
            // The client would not say which file it cannot read.
            read(authorities)?;
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            read(certificate)?;
            read(key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    /// What a failed connection means, and what to do.
    fn explain(&self, error: async_nats::ConnectError) -> ConnectError {
        let refused = |advice, source| ConnectError::Refused { advice, source };
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                refused(self.credentials.advice(), error.into())
            }
            ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Dns
            | ConnectErrorKind::ServerParse
            | ConnectErrorKind::MaxReconnects => match alert(&error) {
                Some(rustls::Error::AlertReceived(_)) => {
                    let advice = "configure a certificate that they trust, and its key";
                    refused(advice.into(), error.into())
                }
                Some(_) => ConnectError::Untrusted {
                    source: error.into(),
                },
                None => ConnectError::Connect {
                    servers: self.servers.join(", "),
                    source: error.into(),
                },
            },
        }
    }
}

/// Checks that the server a client is connected to is new enough.
///
/// # Errors
///
/// [`ConnectError::TooOld`].
pub fn check_version(client: &Client) -> Result<(), ConnectError> {
    let (major, minor, patch) = VERSION_MIN;
    if client.is_server_compatible(major, minor, patch) {
        return Ok(());
    }
    let version = client.server_info().version;
    Err(ConnectError::TooOld { version })
}

/// JetStream of a client's account, with that patience for its answers.
#[must_use]
pub fn context(client: &Client, timeout: Duration) -> Context {
    ContextBuilder::new()
        .timeout(timeout)
        .ack_timeout(timeout)
        .build(client.clone())
}

fn read(path: &Path) -> Result<String, ConnectError> {
    std::fs::read_to_string(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, source: impl Into<Cause>) -> ConnectError {
    ConnectError::File {
        path: path.to_path_buf(),
        source: source.into(),
    }
}

/// What TLS says below an error of the client's, which calls it one of input and output.
fn alert(error: &async_nats::ConnectError) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        let wrapped = error.downcast_ref::<std::io::Error>();
        let wrapped = wrapped.and_then(std::io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|error| error.downcast_ref()) {
            return Some(found);
        }
        source = error.source();
    }
    None
}
