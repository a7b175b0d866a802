//! Large bodies, read before anything is asked of the store: whoever sends slowly holds the room of what has come, and nothing that
//! others wait for. A token has a share of the room, and no more. Used for sources; hands on bytes, with the room they take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use croft_keys::TokenId;
use http_body::{Body as _, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{BODY_WAIT, UPLOAD_BYTES_PER_SECOND_MIN, UPLOAD_GRACE};
use super::problem::Problem;
use crate::pace::{Allowance, Pace, TooSlow};

/// Bytes that uploads may have in memory together.
#[derive(Debug)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    share_bytes_max: usize,
    /// Shares of the tokens that upload now.
    shares: Mutex<HashMap<TokenId, Weak<Semaphore>>>,
    wait: Duration,
}

/// A body that is here. Its room is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

impl Room {
    /// Room for so many bytes, and for so many of one token's. An upload waits so long for others.
    pub(super) fn new(bytes_max: usize, share_bytes_max: usize, wait: Duration) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            share_bytes_max,
            shares: Mutex::default(),
            wait,
        }
    }

    /// All of a body, when it is not too large, comes on fast enough, and there is room.
    pub(super) async fn take(
        &self,
        token: TokenId,
        mut body: Body,
        bytes_max: usize,
    ) -> Result<Taken, Problem> {
        let share = self.share(token, body.size_hint(), bytes_max).await?;
        let mut pace = Pace::new(Allowance {
            grace: UPLOAD_GRACE,
            bytes_per_second_min: UPLOAD_BYTES_PER_SECOND_MIN,
            wait_max: BODY_WAIT,
        });
        let mut room = self.more(0).await?;
        let mut bytes = Vec::new();
        loop {
            let frame = pace.within(bytes.len() as u64, body.frame()).await;
            let frame = match frame.map_err(|TooSlow| too_slow())? {
                None => {
                    return Ok(Taken {
                        bytes,
                        _room: room,
                        _share: share,
                    });
                }
                Some(Err(error)) => {
                    return Err(Problem::invalid(format!("the body broke off: {error}")));
                }
                Some(Ok(frame)) => frame,
            };
            // Trailers say nothing that is wanted here.
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            if bytes.len() + piece.len() > bytes_max {
                return Err(Problem::too_large(bytes_max));
            }
            room.merge(self.more(piece.len()).await?);
            bytes.extend_from_slice(&piece);
        }
    }

    /// What a body may need of its token's share, all at once: a token's uploads that had some each would wait for each other.
    async fn share(
        &self,
        token: TokenId,
        size: SizeHint,
        bytes_max: usize,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let most = u64::try_from(bytes_max).map_err(|error| Problem::internal(&error))?;
        // One that is said to be too large is read up to the limit like others: refused before, its sender sees a reset connection.
        let needed = size.upper().map_or(most, |upper| upper.min(most));
        let needed = u32::try_from(needed).map_err(|error| Problem::internal(&error))?;
        let share = self.share_of(token).acquire_many_owned(needed);
        match timeout(self.wait, share).await {
            Ok(share) => share.map_err(|error| Problem::internal(&error)),
            Err(_elapsed) => Err(Problem::unavailable(
                "this token uploads too much at this moment; nothing was stored: ask again",
            )),
        }
    }

    fn share_of(&self, token: TokenId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&token).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share_bytes_max));
        shares.insert(token, Arc::downgrade(&share));
        share
    }

    /// Room for so many bytes more. Uploads that have some each and wait for each other do not do so for ever.
    async fn more(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = u32::try_from(bytes).map_err(|error| Problem::internal(&error))?;
        let room = Arc::clone(&self.bytes).acquire_many_owned(bytes);
        match timeout(self.wait, room).await {
            Ok(room) => room.map_err(|error| Problem::internal(&error)),
            Err(_elapsed) => Err(Problem::unavailable(
                "others upload too much at this moment; nothing was stored: ask again",
            )),
        }
    }
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "RequestTimeoutException",
        format!(
            "the body came at less than {UPLOAD_BYTES_PER_SECOND_MIN} bytes a second or took longer than {} s; nothing was stored",
            BODY_WAIT.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn token(digit: char) -> TokenId {
        digit.to_string().repeat(12).parse().unwrap()
    }

    #[tokio::test]
    async fn room_is_for_all_together_and_comes_back() {
        let room = Room::new(10, 10, Duration::from_millis(1));
        let take = |token, text: &'static str| room.take(token, Body::from(text), 8);
        let (one, other) = (token('1'), token('2'));
        let first = take(one, "123456").await.unwrap();
        assert_eq!(first.bytes, b"123456");
        let refused = take(other, "12345").await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        take(other, "12345").await.unwrap();
        let refused = take(other, "123456789").await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        let unsized_body = |texts: [&'static str; 2]| {
            let texts = texts.map(Ok::<_, std::convert::Infallible>);
            Body::from_stream(futures_util::stream::iter(texts))
        };
        let refused = room.take(other, unsized_body(["12345", "6789"]), 8).await;
        assert_eq!(refused.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let taken = room.take(other, unsized_body(["1234", "5678"]), 8).await;
        assert_eq!(taken.unwrap().bytes, b"12345678");
        assert_eq!(room.bytes.available_permits(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_stops_in_the_middle_of_its_uploads_leaves_room_for_others() {
        let room = Room::new(32, 8, Duration::from_millis(1));
        let (greedy, other) = (token('1'), token('2'));
        let stalled = || {
            let most = futures_util::stream::iter([Ok::<_, std::convert::Infallible>("123")]);
            Body::from_stream(most.chain(futures_util::stream::pending()))
        };
        let mut uploads: Vec<_> = (0..8)
            .map(|_| Box::pin(room.take(greedy, stalled(), 4)))
            .collect();
        let mut refused = 0;
        for upload in &mut uploads {
            if let Ok(answer) = timeout(Duration::from_millis(50), upload).await {
                assert_eq!(answer.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
        }
        assert_eq!(refused, 6, "two have the share");
        assert_eq!(room.bytes.available_permits(), 32 - 2 * 3);
        let taken = room.take(other, Body::from("12345678"), 8).await.unwrap();
        assert_eq!(taken.bytes, b"12345678");
        drop((uploads, taken));
        room.take(greedy, Body::from("12345678"), 8).await.unwrap();
        room.take(token('3'), Body::from("1"), 8).await.unwrap();
        assert_eq!(
            room.shares.lock().unwrap().len(),
            1,
            "who has gone is forgotten"
        );
    }
}
