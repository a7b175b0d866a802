//! Sources on their way in: which chunks are lacking, the chunks, and the tree that they make. What comes is read by the store as if an
//! enemy had written it; this only bounds how much of it there is, and has all of a body before the store is asked for anything.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use croft_cache::{Adoption, Offer, ReceiveLimits, Store, encode_ids};
use serde_json::json;

use super::call::{Answer, Call, json as answer_json, typed};
use super::intake::Taken;
use super::limits::{CHUNKS_BYTES_MAX, OFFER_BODY_BYTES_MAX};
use super::problem::Problem;
use super::state::State;

/// What lists of ids and offers are.
const OCTETS: &str = "application/octet-stream";

/// Bytes of the chunks of one body, before compression: a body is small because it compresses well, or because it is a bomb.
const CHUNKS_RAW_BYTES_MAX: u64 = 64 << 20;

/// Chunks of one body.
const CHUNKS_MAX: u64 = 64 << 10;

/// `POST /v1/sources/wanting`
pub(super) async fn wanting(mut call: Call) -> Answer {
    let (offer, taken) = offer(&mut call).await?;
    let asked = in_store(&call.state, taken, move |kept, _bytes| {
        kept.wanting(&offer.ids())
    });
    let wanted = asked.await?;
    Ok(typed(
        StatusCode::OK,
        OCTETS,
        Body::from(encode_ids(&wanted)),
    ))
}

/// `POST /v1/sources/chunks`
pub(super) async fn chunks(mut call: Call) -> Answer {
    let taken = take(&mut call, CHUNKS_BYTES_MAX).await?;
    let clock = call.state.farm.clock.clone();
    let limits = ReceiveLimits {
        bytes_max: CHUNKS_RAW_BYTES_MAX,
        chunks_max: CHUNKS_MAX,
    };
    let receiving = in_store(&call.state, taken, move |kept, mut bytes| {
        kept.receive(&mut bytes, &limits, &|| clock.now())
    });
    let received = receiving.await?;
    let body = json!({
        "chunks": received.chunks,
        "bytes": received.bytes,
        "newChunks": received.new_chunks,
    });
    answer_json(StatusCode::OK, &body)
}

/// `POST /v1/sources/trees`
pub(super) async fn trees(mut call: Call) -> Answer {
    let (offer, taken) = offer(&mut call).await?;
    let id = offer.tree().id;
    call.is_about(format!("tree.{id}"));
    let now = call.state.farm.clock.now();
    let adopting = in_store(&call.state, taken, move |kept, _bytes| {
        kept.adopt(&offer, now)
    });
    let adopted = adopting.await?;
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

/// The call's body, in its caller's share of the room.
async fn take(call: &mut Call, bytes_max: usize) -> Result<Taken, Problem> {
    let caller = call.caller.as_ref().ok_or_else(Problem::unauthorized)?;
    let (token, body) = (caller.id, call.take_body());
    call.state.room.take(token, body, bytes_max).await
}

async fn offer(call: &mut Call) -> Result<(Offer, Taken), Problem> {
    let taken = take(call, OFFER_BODY_BYTES_MAX).await?;
    let offer = Offer::decode(&taken.bytes);
    let offer = offer.map_err(|error| Problem::invalid(format!("the offer: {error}")))?;
    Ok((offer, taken))
}

/// Does something of an upload with the store, in turn. Turn and room are held until it is done, also when the caller has gone.
async fn in_store<T: Send + 'static>(
    state: &State,
    taken: Taken,
    work: impl FnOnce(Store, &[u8]) -> Result<T, croft_cache::Error> + Send + 'static,
) -> Result<T, Problem> {
    let turn = Arc::clone(&state.uploads).acquire_owned().await;
    let turn = turn.map_err(|error| Problem::internal(&error))?;
    let kept = state.kept();
    let working = state.tasks.spawn_blocking(move || {
        let done = work(kept, &taken.bytes);
        drop((turn, taken));
        done
    });
    let done = working.await.map_err(|error| Problem::internal(&error))?;
    done.map_err(refused)
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
