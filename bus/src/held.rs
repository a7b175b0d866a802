//! What a receiver holds and has to let go of in one way or another. Made by the implementations.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::message::cut;
use crate::{Hint, REASON_BYTES_MAX, Renewal, Unavailable, Verdict};

/// How an implementation lets go of a hint.
pub(crate) trait Receipt: Send + Sync {
    fn done(self: Box<Self>) -> BoxFuture<'static, Result<(), Unavailable>>;
    fn give_back(self: Box<Self>, delay: Duration) -> BoxFuture<'static, Result<(), Unavailable>>;
}

/// A hint that nobody else is given until `ack_wait` has passed. Dropped, it comes back then.
pub struct Taken {
    /// The hint.
    pub hint: Hint,
    receipt: Box<dyn Receipt>,
}

impl Taken {
    pub(crate) fn new(hint: Hint, receipt: impl Receipt + 'static) -> Self {
        let receipt = Box::new(receipt);
        Self { hint, receipt }
    }

    /// Removes it: the claim is in the ledger, or there is nothing to claim.
    ///
    /// There is no fence: done too late, it removes the hint from under its next holder, whose claim decides.
    ///
    /// # Errors
    ///
    /// Unknown whether it is removed; if not, it comes back.
    pub async fn done(self) -> Result<(), Unavailable> {
        self.receipt.done().await
    }

    /// Leaves it to another, or to the same again, after that long.
    ///
    /// # Errors
    ///
    /// Unknown whether it is given back; if not, it comes back after `ack_wait`.
    pub async fn give_back(self, delay: Duration) -> Result<(), Unavailable> {
        self.receipt.give_back(delay).await
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&self.hint).finish()
    }
}

/// How an implementation carries a verdict back.
pub(crate) trait Answer: Send + Sync {
    fn answer(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Unavailable>>;
}

/// A renewal to answer. Who does not know what to say drops it: another server may know, and the worker tries again.
pub struct RenewalRequest {
    /// What it says.
    pub renewal: Renewal,
    answer: Box<dyn Answer>,
}

impl RenewalRequest {
    pub(crate) fn new(renewal: Renewal, answer: impl Answer + 'static) -> Self {
        let answer = Box::new(answer);
        Self { renewal, answer }
    }

    /// Says it to the worker, unless another server did before.
    ///
    /// # Errors
    ///
    /// It did not leave; the worker tries again.
    pub async fn answer(self, mut verdict: Verdict) -> Result<(), Unavailable> {
        if let Verdict::Stop { reason } = &mut verdict {
            cut(reason, REASON_BYTES_MAX);
        }
        self.answer.answer(verdict).await
    }
}

impl fmt::Debug for RenewalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RenewalRequest")
            .field(&self.renewal)
            .finish()
    }
}
