//! Waiting for a future on a plain thread. Received from `objects`, which speaks to asynchronous stores from blocking code.
//!
//! No runtime is entered: a store on the local folder then works right on this thread, without handing each read to a pool.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The future's output, waited for on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_woken_by_another_thread_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        thread::scope(|scope| {
            scope.spawn(move || sender.send(7).unwrap());
            assert_eq!(wait(receiver).unwrap(), 7);
        });
    }
}
