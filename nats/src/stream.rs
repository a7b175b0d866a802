//! Streams: made where there are none, then read back. Old servers drop settings they do not know and say nothing.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::Config as Stream;
use async_nats::jetstream::{Context, ErrorCode};

use crate::{ConnectError, chain};

/// A cluster whose leader has died answers again within seconds, one that has just begun on a busy machine within some more.
const SETTLING_MAX: Duration = Duration::from_secs(60);
const SETTLING_PAUSE: Duration = Duration::from_millis(500);

/// Makes the stream where there is none, and checks that it is what was wanted.
///
/// # Errors
///
/// [`ConnectError::Stream`] when there is none and none can be made, [`ConnectError::Unsettled`] when that may pass;
/// [`ConnectError::Setting`] names the first setting that differs, as the server calls it.
pub async fn open(context: &Context, wanted: &Stream) -> Result<(), ConnectError> {
    let stream = context.get_or_create_stream(wanted.clone()).await;
    let stream = stream.map_err(|error| refused(&wanted.name, error))?;
    compare(wanted, &stream.cached_info().config)
}

/// Opens streams, and again while it fails since the servers have not settled yet: for whoever starts, and has nothing else to do.
///
/// # Errors
///
/// That of `opening` which does not pass, or has not within a minute.
pub async fn once_settled<F>(mut opening: impl FnMut() -> F) -> Result<(), ConnectError>
where
    F: Future<Output = Result<(), ConnectError>>,
{
    let mut unsettled = match opening().await {
        Err(error @ ConnectError::Unsettled { .. }) => error,
        over => return over,
    };
    tracing::info!(error = %chain(&unsettled), "waiting for the NATS servers to settle");
    let settling = async {
        loop {
            tokio::time::sleep(SETTLING_PAUSE).await;
            match opening().await {
                Err(error @ ConnectError::Unsettled { .. }) => unsettled = error,
                over => return over,
            }
        }
    };
    let settled = tokio::time::timeout(SETTLING_MAX, settling).await;
    settled.unwrap_or(Err(unsettled))
}

fn refused(stream: &str, error: CreateStreamError) -> ConnectError {
    let stream = stream.to_string();
    if may_pass(&error.kind()) {
        let source = error.into();
        return ConnectError::Unsettled { stream, source };
    }
    let source = error.into();
    ConnectError::Stream { stream, source }
}

/// Whether that is a cluster without a leader, or one that does not hear all of its servers.
fn may_pass(kind: &CreateStreamErrorKind) -> bool {
    match kind {
        CreateStreamErrorKind::TimedOut => true,
        CreateStreamErrorKind::JetStream(error) => matches!(
            error.error_code(),
            ErrorCode::CLUSTER_INCOMPLETE
                | ErrorCode::CLUSTER_NO_PEERS
                | ErrorCode::CLUSTER_NOT_ACTIVE
                | ErrorCode::CLUSTER_NOT_ASSIGNED
                | ErrorCode::CLUSTER_NOT_AVAILABLE
                | ErrorCode::CLUSTER_NOT_LEADER
        ),
        CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => false,
    }
}

fn compare(wanted: &Stream, found: &Stream) -> Result<(), ConnectError> {
    let pairs = settings(wanted, wanted).into_iter();
    let mut pairs = pairs.zip(settings(found, wanted));
    match pairs.find(|(wanted, found)| wanted != found) {
        None => Ok(()),
        Some(((setting, wanted_is), (_, found))) => Err(ConnectError::Setting {
            stream: wanted.name.clone(),
            setting,
            wanted: wanted_is,
            found,
        }),
    }
}

/// What decides whether a stream does what its room promises. Left out is what a broker's owner may choose: compression,
/// placement, descriptions; and what a server fills in where nothing was wanted.
fn settings(of: &Stream, wanted: &Stream) -> [(&'static str, String); 18] {
    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let window = Some(of.duplicate_window).filter(|_| !wanted.duplicate_window.is_zero());
    let direct = of.allow_direct || !wanted.allow_direct;
    [
        ("subjects", shown(&of.subjects)),
        ("storage", shown(&of.storage)),
        ("num_replicas", shown(&of.num_replicas)),
        ("retention", shown(&of.retention)),
        ("discard", shown(&of.discard)),
        ("max_msgs", shown(&of.max_messages)),
        ("max_bytes", shown(&of.max_bytes)),
        ("max_msgs_per_subject", shown(&of.max_messages_per_subject)),
        ("max_age", shown(&of.max_age)),
        ("duplicate_window", shown(&window.unwrap_or_default())),
        ("no_ack", shown(&of.no_ack)),
        ("sealed", shown(&of.sealed)),
        ("allow_direct", shown(&direct)),
        ("allow_atomic", shown(&of.allow_atomic_publish)),
        ("allow_rollup_hdrs", shown(&of.allow_rollup)),
        ("deny_delete", shown(&of.deny_delete)),
        ("deny_purge", shown(&of.deny_purge)),
        ("persist_mode", persistence(of)),
    ]
}

/// Asynchronous persistence acknowledges before it writes; the default is named or left out.
fn persistence(of: &Stream) -> String {
    of.persist_mode
        .as_ref()
        .map_or_else(|| "Default".into(), |mode| format!("{mode:?}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wanted() -> Stream {
        Stream {
            name: "S".into(),
            allow_direct: true,
            allow_atomic_publish: true,
            ..Stream::default()
        }
    }

    fn found(change: impl FnOnce(&mut Stream)) -> String {
        let mut found = wanted();
        change(&mut found);
        compare(&wanted(), &found)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn a_setting_that_was_dropped_is_named() {
        let error = found(|stream| stream.allow_atomic_publish = false);
        assert_eq!(
            error,
            "failed to use the stream S: its allow_atomic must be true and is false"
        );
        let error = found(|stream| stream.allow_direct = false);
        assert!(error.contains("its allow_direct must be true and is false"));
        let error = found(|stream| stream.max_age = Duration::from_secs(3600));
        assert!(error.contains("its max_age must be 0ns and is 3600s"));
    }

    #[test]
    fn what_a_server_fills_in_is_no_difference() {
        let filled_in = |stream: &mut Stream| {
            stream.duplicate_window = Duration::from_secs(120);
            stream.max_consumers = -1;
            stream.description = Some("mine".into());
        };
        assert_eq!(found(filled_in), "");
        let plain = Stream::default();
        let with_direct = Stream {
            allow_direct: true,
            ..Stream::default()
        };
        assert!(compare(&plain, &with_direct).is_ok());
        let with_window = Stream {
            duplicate_window: Duration::from_secs(1),
            ..Stream::default()
        };
        assert!(compare(&with_window, &plain).is_err());
    }
}
