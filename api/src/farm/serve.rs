//! Connections: accepted within limits, drained at the end. Given what a server's front stands on and a listener; hands every
//! request to the front, and runs what goes on beside requests.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::audit;
use super::deploy;
use super::front::{self, Peer};
use super::limits::{HANDSHAKE_WAIT, NOTES_MAX, READ_BUFFER_BYTES_MAX, STALL_MAX, TOKENS_EVERY};
use super::metrics::Metrics;
use super::refusals;
use super::reseal;
use super::state::{Farm, State};
use crate::accept::{ACCEPT_AGAIN, accept};

/// What is sent before a connection too many is closed.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Why a front ended, or never began.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The registry has metrics of these names already: there is a second front in this process.
    #[error("failed to register the metrics of the HTTP front")]
    Metrics(#[from] prometheus::Error),
    /// The tokens cannot be read.
    #[error("failed to read the tokens")]
    Tokens(#[from] croft_views::QueryError),
    /// This server's audit chain cannot be gone on with.
    #[error("failed to resume the audit chain")]
    Audit(#[from] audit::ResumeError),
}

/// Where connections come from.
#[derive(Clone)]
pub struct Door {
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.tls.is_some() { "TLS" } else { "plain" };
        f.debug_tuple("Door").field(&kind).finish()
    }
}

impl Door {
    /// Without TLS: for loopback, and behind something that has it.
    #[must_use]
    pub const fn plain() -> Self {
        Self { tls: None }
    }

    /// With TLS.
    #[must_use]
    pub fn tls(config: Arc<tokio_rustls::rustls::ServerConfig>) -> Self {
        Self {
            tls: Some(TlsAcceptor::from(config)),
        }
    }
}

/// Serves a farm until `stop` is true or its sender is gone; then accepts nothing more, lets requests end within the grace, ends
/// streams of events, and closes what is left.
///
/// # Errors
/// When it cannot begin: see [`ServeError`].
///
/// **Cancel.** Not safe: dropped, it closes every connection at once.
pub async fn serve(
    farm: Farm,
    listener: TcpListener,
    door: Door,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let metrics = Metrics::new(&farm.registry)?;
    let writer = audit::Writer::resume(&farm).await?;
    let (notes, noted) = mpsc::channel(NOTES_MAX);
    let (grace, connections_max) = (farm.settings.grace, farm.settings.connections_max);
    let state = Arc::new(State::new(farm, metrics, notes));
    state.load_tokens().await?;
    let mut beside = JoinSet::new();
    beside.spawn(watch_tokens(Arc::clone(&state)));
    beside.spawn(reseal::keep_sealed(Arc::clone(&state)));
    beside.spawn(deploy::keep_revisions(Arc::clone(&state)));
    let mut noting = JoinSet::new();
    noting.spawn(refusals::keep_noted(Arc::clone(&state)));
    beside.spawn(writer.run(noted, state.is_stuck.clone()));
    let mut connections = JoinSet::new();
    let router = front::router(&state);
    accept(
        listener,
        connections_max,
        &mut connections,
        stop.wait_for(|stop| *stop),
        |socket| {
            state.metrics.refused("connections");
            // It fits a new socket's buffer; whoever does not get it sees the connection close.
            socket.try_write(TURNED_AWAY).unwrap_or_default();
        },
        |socket| connection(Arc::clone(&state), router.clone(), socket, door.clone()),
    )
    .await;
    state.draining.cancel();
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("some requests did not end within the grace and are cut off");
    }
    connections.shutdown().await;
    // It ends with the draining. What it took until then is among the tasks now, and what it did not is noted after them.
    while noting.join_next().await.is_some() {}
    state.tasks.close();
    if timeout(grace.max(ACCEPT_AGAIN), state.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("changes or the store did not end in time what they were asked for");
    }
    refusals::note_all(&state, state.refusals.rest()).await;
    beside.shutdown().await;
    Ok(())
}

/// One connection's life.
async fn connection(state: Arc<State>, router: Router, socket: TcpStream, door: Door) {
    let from = Peer::of(&socket);
    // Answers are written whole: waiting for more to send with them only costs time.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Some(acceptor) = door.tls else {
        return requests(&state, router, Stalling::new(socket), from).await;
    };
    match timeout(HANDSHAKE_WAIT, acceptor.accept(socket)).await {
        Ok(Ok(socket)) => requests(&state, router, Stalling::new(socket), from).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_late) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn requests<S>(state: &State, router: Router, socket: Stalling<S>, from: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(state.farm.settings.head_wait)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(from);
        inner.call(request)
    });
    let mut served = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut drain = pin!(state.draining.cancelled());
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = &mut drain, if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Keeps the tokens as the view has them: within a moment of any change.
async fn watch_tokens(state: Arc<State>) {
    let mut positions = state.farm.views.positions();
    while positions.changed().await.is_ok() {
        if let Err(error) = state.load_tokens().await {
            let error = crate::chain::chain(&error);
            tracing::warn!(%error, "the tokens cannot be read; those known stay good");
        }
        sleep(TOKENS_EVERY).await;
    }
}

/// A socket whose other side must take what it is sent: one that does not for a while is closed.
struct Stalling<S> {
    socket: S,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalling<S> {
    const fn new(socket: S) -> Self {
        Self {
            socket,
            stalled: None,
        }
    }

    /// What became of a write: how long it waits is counted.
    fn took<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + STALL)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

const STALL: Duration = STALL_MAX;

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.took(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.took(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(context);
        self.took(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_shutdown(context);
        self.took(context, polled)
    }
}
