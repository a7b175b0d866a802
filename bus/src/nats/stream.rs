//! The streams: made where there are none, then read back. Old servers drop settings they do not know and say nothing.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, RetentionPolicy, StorageType,
};

use super::config::Config;
use crate::{ConnectError, HINTS_MAX};

/// Nothing of output is told apart by an id, and a broker wants a window of some length.
const NO_WINDOW: Duration = Duration::from_secs(1);

pub(super) fn context(client: &Client, config: &Config) -> Context {
    ContextBuilder::new()
        .timeout(config.timeout)
        .ack_timeout(config.timeout)
        .build(client.clone())
}

/// Both streams are what the bus needs.
pub(super) async fn prepare(context: &Context, config: &Config) -> Result<(), ConnectError> {
    for wanted in [hints(config), output(config)] {
        let name = wanted.name.clone();
        let stream = context.get_or_create_stream(wanted.clone()).await;
        let stream = stream.map_err(|source| ConnectError::Stream {
            stream: name,
            source: source.into(),
        })?;
        compare(&wanted, &stream.cached_info().config)?;
    }
    Ok(())
}

fn hints(config: &Config) -> Stream {
    Stream {
        name: config.hints(),
        description: Some("Croft's builds that wait".into()),
        subjects: vec![format!("{}.hint.*", config.prefix)],
        retention: RetentionPolicy::WorkQueue,
        // Full, it says so; it does not forget who has waited longest.
        discard: DiscardPolicy::New,
        max_messages: i64::try_from(HINTS_MAX).unwrap_or(i64::MAX),
        max_bytes: -1,
        max_messages_per_subject: -1,
        duplicate_window: config.settings.dedupe_window,
        ..common(config)
    }
}

fn output(config: &Config) -> Stream {
    let kept = &config.settings.output;
    Stream {
        name: config.output(),
        description: Some("Croft's live output".into()),
        subjects: vec![format!("{}.output.*", config.prefix)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_bytes: i64::try_from(kept.bytes_max_in_all).unwrap_or(i64::MAX),
        max_messages_per_subject: i64::try_from(kept.chunks_max).unwrap_or(i64::MAX),
        duplicate_window: NO_WINDOW,
        ..common(config)
    }
}

fn common(config: &Config) -> Stream {
    Stream {
        storage: StorageType::Memory,
        num_replicas: config.replicas,
        ..Stream::default()
    }
}

/// The first setting that is not as wanted.
fn compare(wanted: &Stream, found: &Stream) -> Result<(), ConnectError> {
    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let settings = |of: &Stream| {
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
            ("duplicate_window", shown(&of.duplicate_window)),
            ("no_ack", shown(&of.no_ack)),
            ("sealed", shown(&of.sealed)),
            ("deny_purge", shown(&of.deny_purge)),
        ]
    };
    let pairs = settings(wanted).into_iter().zip(settings(found));
    for ((setting, wanted_is), (_, found_is)) in pairs {
        if wanted_is != found_is {
            return Err(ConnectError::Setting {
                stream: wanted.name.clone(),
                setting,
                wanted: wanted_is,
                found: found_is,
            });
        }
    }
    Ok(())
}
