//! Large bodies, read before anything is asked of the store: whoever sends slowly holds the room of what has come, and nothing that
//! others wait for. Used for sources; hands on bytes, with the room they take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
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
    wait: Duration,
}

/// A body that is here. Its room is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(bytes_max: usize, wait: Duration) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            wait,
        }
    }

    /// All of a body, when it is not too large, comes on fast enough, and there is room.
    pub(super) async fn take(&self, mut body: Body, bytes_max: usize) -> Result<Taken, Problem> {
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
                None => return Ok(Taken { bytes, _room: room }),
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
    use super::*;

    #[tokio::test]
    async fn room_is_for_all_together_and_comes_back() {
        let room = Room::new(10, Duration::from_millis(1));
        let first = room.take(Body::from("123456"), 8).await.unwrap();
        assert_eq!(first.bytes, b"123456");
        let refused = room.take(Body::from("12345"), 8).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        room.take(Body::from("12345"), 8).await.unwrap();
        let refused = room.take(Body::from("123456789"), 8).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(room.bytes.available_permits(), 10);
    }
}
