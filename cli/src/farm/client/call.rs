//! One question to the server and its answer. Receives a connection and calls; hands back answers, or says who is at fault. What
//! may be asked twice is asked again while the server is away.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Certificate, Client, Method, Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::connection::Connection;
use super::problem::Problem;
use crate::exit::Wrong;

/// A host that does not answer a connection by then is down, or behind a firewall that swallows packets.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer to begin. Reads wait for the server's view for a second; uploads are packed on a slow disk.
const ANSWER: Duration = Duration::from_secs(60);
/// The first pause before asking again, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause that no server asked for.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Bytes kept of an answer that is no success.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// A farm that can be asked.
#[derive(Debug)]
pub(crate) struct Farm {
    http: Client,
    pub(crate) connection: Connection,
}

/// Whether a question may reach the server twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It changes nothing, or the second time nothing more.
    Harmless,
    /// Only when it surely has not arrived.
    OnlyUnsent,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Each part is one segment, whatever it holds.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<(&'static str, Bytes)>,
    pub(crate) again: Again,
}

/// Why there is no answer of use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The machine is there, the port is not.
    #[error("nothing listens at {server} ({from}); `croft up` starts a server on this machine")]
    Nobody { server: String, from: String },
    /// It could not be asked.
    #[error("cannot reach {server} ({from})")]
    Unreachable {
        server: String,
        from: String,
        #[source]
        source: reqwest::Error,
    },
    /// The connection was lost with the answer on its way.
    #[error("the answer of {server} broke off")]
    Broken {
        server: String,
        #[source]
        source: reqwest::Error,
    },
    /// The server took too long.
    #[error("{server} ({from}) takes the question and does not answer")]
    Silent { server: String, from: String },
    /// It answered that it will not.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// It answered something else than its API says.
    #[error(
        "{server} answers with something this croft does not understand; are both of one version?"
    )]
    Strange {
        server: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Failure {
    /// True when whoever typed the words can mend it.
    pub(crate) fn is_callers(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.is_callers(),
            Self::Nobody { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Strange { .. } => false,
        }
    }

    /// True when asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Nobody { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Silent { .. } => true,
            Self::Refused(problem) => problem.is_passing(),
            Self::Strange { .. } => false,
        }
    }

    /// True when what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 404)
    }

    fn was_unsent(&self) -> bool {
        match self {
            Self::Nobody { .. } => true,
            Self::Unreachable { source, .. } => source.is_connect(),
            // It was refused before anything was done.
            Self::Refused(problem) => problem.status == 429,
            Self::Broken { .. } | Self::Silent { .. } | Self::Strange { .. } => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.retry_after,
            Self::Nobody { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Strange { .. } => None,
        }
    }
}

impl Call {
    /// A question that changes nothing.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// A question that may be asked twice.
    pub(crate) fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(ToString::to_string).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            again: Again::Harmless,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub(crate) fn body(mut self, kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        self.body = Some((kind, bytes.into()));
        self
    }

    pub(crate) fn only_unsent(mut self) -> Self {
        self.again = Again::OnlyUnsent;
        self
    }
}

impl Farm {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub(crate) fn new(connection: Connection) -> Result<Self, Wrong> {
        choose_tls();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            // A token would go wherever the answer points to.
            .redirect(redirect::Policy::none());
        if connection.is_loopback() {
            // A proxy is another machine.
            builder = builder.no_proxy();
        }
        let certificates = connection.certificates.as_deref();
        if let Some(pem) = certificates {
            let wrong = |reason: &str| Wrong(format!("--ca-file: {reason}"));
            let chain = match Certificate::from_pem_bundle(pem) {
                Ok(chain) if chain.is_empty() => {
                    return Err(wrong("there is no certificate in it"));
                }
                Ok(chain) => chain,
                Err(error) => return Err(wrong(&error.to_string())),
            };
            builder = builder.tls_certs_only(chain);
        } else if connection.server.scheme() == "http" {
            // Reading the machine's own takes longer than the whole question.
            builder = builder.tls_certs_only([]);
        }
        match builder.build() {
            Ok(http) => Ok(Self { http, connection }),
            Err(error) => Err(Wrong(format!(
                "this machine's certificates cannot be used; name some with --ca-file: {:#}",
                anyhow::Error::from(error)
            ))),
        }
    }

    /// Asks, and asks again while the server is away and the question allows it. The answer has begun.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, Failure> {
        let deadline = Instant::now() + self.connection.retry;
        let mut pause = PAUSE_MIN;
        let mut is_first = true;
        loop {
            let failure = match self.once(call).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let may = match call.again {
                Again::Harmless => failure.is_passing(),
                Again::OnlyUnsent => failure.was_unsent(),
            };
            let wait = failure.retry_after().unwrap_or(pause);
            if !may || Instant::now() + wait > deadline {
                return Err(failure);
            }
            if std::mem::take(&mut is_first) {
                let limit = crate::render::duration(
                    u64::try_from(self.connection.retry.as_millis()).unwrap_or(u64::MAX),
                );
                eprintln!("croft: {failure}; asking again for {limit}");
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks once.
    pub(crate) async fn once(&self, call: &Call) -> Result<Response, Failure> {
        self.granted(self.sent(call).await?).await
    }

    /// What was answered, unless it was refused.
    pub(crate) async fn granted(&self, answer: Response) -> Result<Response, Failure> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Failure::Refused(Box::new(self.problem(answer).await)))
    }

    /// Asks once, and hands back whatever is answered.
    pub(crate) async fn sent(&self, call: &Call) -> Result<Response, Failure> {
        let mut url = self.connection.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .header(USER_AGENT, concat!("croft/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.connection.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, *kind).body(bytes.clone());
        }
        let server = self.connection.server.to_string();
        match tokio::time::timeout(ANSWER, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => {
                let from = self.connection.server_from.clone();
                if is_refused(&source) {
                    return Err(Failure::Nobody { server, from });
                }
                let source = source.without_url();
                Err(Failure::Unreachable {
                    server,
                    from,
                    source,
                })
            }
            Err(_) => {
                let from = self.connection.server_from.clone();
                Err(Failure::Silent { server, from })
            }
        }
    }

    async fn problem(&self, mut answer: Response) -> Problem {
        let status = answer.status().as_u16();
        let seconds = answer.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        // What cannot be read of it is not told.
        while let Ok(Some(chunk)) = answer.chunk().await
            && body.len() < PROBLEM_BYTES_MAX
        {
            body.extend_from_slice(&chunk);
        }
        let after = seconds.map(Duration::from_secs);
        Problem::read(status, &body, after, &self.connection.token_from)
    }

    /// Asks, and reads all of the answer.
    pub(crate) async fn bytes(&self, call: &Call) -> Result<Bytes, Failure> {
        self.whole(self.open(call).await?).await
    }

    /// All of an answer.
    pub(crate) async fn whole(&self, answer: Response) -> Result<Bytes, Failure> {
        let server = self.connection.server.to_string();
        match tokio::time::timeout(ANSWER, answer.bytes()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(source)) => Err(Failure::Broken { server, source }),
            Err(_) => Err(Failure::Silent {
                server,
                from: self.connection.server_from.clone(),
            }),
        }
    }

    /// Asks, and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Failure> {
        let bytes = self.bytes(call).await?;
        self.understood(&bytes)
    }

    /// JSON that the server sent.
    pub(crate) fn understood<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(bytes).map_err(|source| Failure::Strange {
            server: self.connection.server.to_string(),
            source,
        })
    }
}

/// Before the first client of a process is made: the TLS library wants to be told, once, which arithmetic to use. Whoever was first
/// told it the same.
pub(crate) fn choose_tls() {
    let chosen = rustls::crypto::ring::default_provider().install_default();
    if chosen.is_err() {
        tracing::trace!("the TLS provider was already chosen");
    }
}

/// True when the machine is there and the port is not.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
