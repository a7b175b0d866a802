//! Accepting connections within a limit, for every front here. Given a listener and what a connection's life is; each life lands in
//! the caller's set, who ends what is left of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// After a failure to accept. Out of file descriptors, most likely: those that are there must close first.
pub(crate) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Accepts until `stop` is ready, at most `connections_max` at once; whoever comes beyond them is handed to `turn_away` and then
/// closed. The listener closes with it.
///
/// # Cancel
/// Safe: connections live on in the set.
pub(crate) async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections_max: usize,
    connections: &mut JoinSet<()>,
    stop: impl Future,
    turn_away: impl Fn(&TcpStream),
    connection: impl Fn(TcpStream) -> C,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            _ = &mut stop => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((socket, _)), Ok(place)) => {
                let life = connection(socket);
                connections.spawn(async move {
                    life.await;
                    drop(place);
                });
            }
            (Ok((socket, _)), Err(_)) => turn_away(&socket),
            (Err(error), _) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}
