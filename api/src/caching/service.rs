//! Connections: accepted within limits, watched while they live, drained at the end. Given a listener and what to serve;
//! hands every request to the engine.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout_at};
use tokio_util::sync::CancellationToken;

use super::counts::Summary;
use super::engine::Engine;
use super::front::Mount;
use super::gate::Gate;
use super::limits::{Limits, READ_BUFFER_BYTES_MAX};
use super::pool::Pool;
use super::pulse::{Beating, Pulse};
use crate::accept::{ACCEPT_AGAIN, accept};

/// What is sent before a connection too many is closed.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 63\r\n\r\n\
    croft: too many connections at once: come with fewer, or later\n";

/// What to serve, to whom, and how much of it.
#[derive(Debug)]
pub struct Options {
    /// The blobs.
    pub pool: Arc<dyn Pool>,
    /// Who may come in.
    pub gate: Arc<dyn Gate>,
    /// The protocols; [`Mount::usual`] has them all.
    pub mounts: Vec<Mount>,
    /// How much.
    pub limits: Limits,
}

/// A cache for other tools, not yet on any address.
#[derive(Debug)]
pub struct Service {
    engine: Arc<Engine>,
}

impl Service {
    /// A service that waits to be run.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            engine: Arc::new(Engine::new(options)),
        }
    }

    /// Serves until `drain` is ready; then accepts nothing more, lets requests end within the grace (or until `cut` is
    /// ready), closes everything and returns the figures.
    ///
    /// **Cancel.** Not safe: dropped, it closes every connection at once, and uploads that are on their way to the pool end
    /// on their own threads.
    pub async fn run(
        self,
        listener: TcpListener,
        drain: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) -> Summary {
        let (engine, draining) = (self.engine, CancellationToken::new());
        let mut connections = JoinSet::new();
        accept(
            listener,
            engine.limits.connections_max,
            &mut connections,
            drain,
            |socket| {
                engine.turned_away.one();
                // It fits a new socket's buffer; whoever does not get it sees the connection close.
                socket.try_write(TURNED_AWAY).unwrap_or_default();
            },
            |socket| connection(Arc::clone(&engine), socket, draining.clone()),
        )
        .await;
        draining.cancel();
        let end = Instant::now() + engine.limits.grace;
        let all = async { while connections.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = cut => {}
            () = tokio::time::sleep_until(end) => {}
        }
        connections.shutdown().await;
        // Clients have gone, so that uploads fail at their next read; what the storage has begun it may end.
        engine.calls.close();
        if timeout_at(end.max(Instant::now() + ACCEPT_AGAIN), engine.calls.wait())
            .await
            .is_err()
        {
            tracing::warn!("the storage did not end in time what it was asked for");
        }
        engine.summary()
    }
}

/// One connection's life.
async fn connection(engine: Arc<Engine>, socket: TcpStream, draining: CancellationToken) {
    // Answers are written whole: waiting for more to send with them only costs time.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let pulse = Pulse::default();
    let (engine, pulse) = (&*engine, &pulse);
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(engine.answer(request, pulse).await)
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER_BYTES_MAX);
    let socket = TokioIo::new(Beating { socket, pulse });
    let mut served = pin!(builder.serve_connection(socket, service));
    let mut silence = pin!(silence(pulse, engine.limits.silence_max));
    let mut drain = pin!(draining.cancelled());
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
            () = &mut silence => {
                tracing::debug!("a client was silent for too long");
                return;
            }
        }
    }
}

/// Ready when the client has neither sent nor taken anything for between one and two times `silence_max`.
async fn silence(pulse: &Pulse, silence_max: Duration) {
    let mut looks = interval_at(Instant::now() + silence_max, silence_max);
    let mut last = None;
    loop {
        looks.tick().await;
        let now = pulse.silent_since();
        if now.is_some() && now == last {
            return;
        }
        last = now;
    }
}
