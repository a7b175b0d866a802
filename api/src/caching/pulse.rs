//! Whether a client still moves. The connection's socket, the engine and the uploads beat; the service looks from time to
//! time, and closes what had no beat for too long unless it is ourselves who keep the client waiting.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One connection's signs of life. Reading a request's head is none: a client could send one byte a minute for ever.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: AtomicU64,
    working: AtomicUsize,
}

impl Pulse {
    /// The client sent a whole head or a part of a body, or took something.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// From now until the guard is dropped the client waits for us.
    pub(super) fn work(&self) -> Working<'_> {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(self)
    }

    /// The number of beats, or none while the client waits for us.
    pub(super) fn silent_since(&self) -> Option<u64> {
        (self.working.load(Ordering::Relaxed) == 0).then(|| self.beats.load(Ordering::Relaxed))
    }
}

/// While it lives, nothing is expected of the client.
#[derive(Debug)]
pub(super) struct Working<'a>(&'a Pulse);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.beat();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that beats when the client takes something.
#[derive(Debug)]
pub(super) struct Beating<'a> {
    pub(super) socket: TcpStream,
    pub(super) pulse: &'a Pulse,
}

impl Beating<'_> {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.pulse.beat();
        }
        result
    }
}

impl AsyncRead for Beating<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Beating<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
