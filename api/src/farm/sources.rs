//! Sources on their way in: which chunks are lacking, the chunks, and the tree that they make. What comes is read by the store as if an
//! enemy had written it; this only bounds how much of it there is.

use axum::body::Body;
use axum::http::StatusCode;
use croft_cache::{Adoption, Offer, ReceiveLimits, encode_ids};
use serde_json::json;

use super::call::{Answer, Call, json as answer_json, typed};
use super::limits::{CHUNKS_BYTES_MAX, OFFER_BODY_BYTES_MAX};
use super::problem::Problem;

/// What lists of ids and offers are.
const OCTETS: &str = "application/octet-stream";

/// Bytes of the chunks of one body, before compression: a body is small because it compresses well, or because it is a bomb.
const CHUNKS_RAW_BYTES_MAX: u64 = 64 << 20;

/// Chunks of one body.
const CHUNKS_MAX: u64 = 64 << 10;

/// `POST /v1/sources/wanting`
pub(super) async fn wanting(mut call: Call) -> Answer {
    let offer = offer(&mut call).await?;
    let kept = call.state.kept();
    let asked = call
        .state
        .tasks
        .spawn_blocking(move || kept.wanting(&offer.ids()))
        .await;
    let wanted = asked
        .map_err(|error| Problem::internal(&error))?
        .map_err(refused)?;
    Ok(typed(
        StatusCode::OK,
        OCTETS,
        Body::from(encode_ids(&wanted)),
    ))
}

/// `POST /v1/sources/chunks`
pub(super) async fn chunks(mut call: Call) -> Answer {
    let state = std::sync::Arc::clone(&call.state);
    let _turn = state
        .uploads
        .acquire()
        .await
        .map_err(|error| Problem::internal(&error))?;
    let bytes = call.bytes(CHUNKS_BYTES_MAX).await?;
    let (kept, clock) = (state.kept(), state.farm.clock.clone());
    let limits = ReceiveLimits {
        bytes_max: CHUNKS_RAW_BYTES_MAX,
        chunks_max: CHUNKS_MAX,
    };
    let taken = state
        .tasks
        .spawn_blocking(move || kept.receive(&mut &bytes[..], &limits, &|| clock.now()))
        .await;
    let received = taken
        .map_err(|error| Problem::internal(&error))?
        .map_err(refused)?;
    let body = json!({
        "chunks": received.chunks,
        "bytes": received.bytes,
        "newChunks": received.new_chunks,
    });
    answer_json(StatusCode::OK, &body)
}

/// `POST /v1/sources/trees`
pub(super) async fn trees(mut call: Call) -> Answer {
    let offer = offer(&mut call).await?;
    let id = offer.tree().id;
    call.is_about(format!("tree.{id}"));
    let (kept, now) = (call.state.kept(), call.state.farm.clock.now());
    let adopted = call
        .state
        .tasks
        .spawn_blocking(move || kept.adopt(&offer, now))
        .await;
    let adopted = adopted
        .map_err(|error| Problem::internal(&error))?
        .map_err(refused)?;
    match adopted {
        Adoption::Visible {
            files, size_bytes, ..
        } => answer_json(
            StatusCode::CREATED,
            &json!({"tree": id.to_string(), "files": files, "sizeBytes": size_bytes}),
        ),
        Adoption::Missing(missing) => Ok(typed(
            StatusCode::CONFLICT,
            OCTETS,
            Body::from(encode_ids(&missing)),
        )),
    }
}

async fn offer(call: &mut Call) -> Result<Offer, Problem> {
    let state = std::sync::Arc::clone(&call.state);
    let _turn = state
        .uploads
        .acquire()
        .await
        .map_err(|error| Problem::internal(&error))?;
    let bytes = call.bytes(OFFER_BODY_BYTES_MAX).await?;
    Offer::decode(&bytes).map_err(|error| Problem::invalid(format!("the offer: {error}")))
}

/// What the store did not take, and why: the sender's fault, or ours.
fn refused(error: croft_cache::Error) -> Problem {
    let is_the_senders = matches!(
        error,
        croft_cache::Error::Sent(_) | croft_cache::Error::TooLarge { .. }
    );
    if is_the_senders {
        return Problem::invalid(error.to_string());
    }
    error.into()
}
