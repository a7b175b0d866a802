//! The streams as the bus needs them.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, RetentionPolicy, StorageType,
};

use croft_nats::ConnectError;

use super::config::Config;
use crate::HINTS_MAX;

/// Nothing of output is told apart by an id, and a broker wants a window of some length.
const NO_WINDOW: Duration = Duration::from_secs(1);

/// The streams are what the bus needs.
pub(super) async fn prepare(context: &Context, config: &Config) -> Result<(), ConnectError> {
    for wanted in [hints(config), output(config), printed(config)] {
        croft_nats::open(context, &wanted).await?;
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

fn printed(config: &Config) -> Stream {
    let kept = &config.settings.printed;
    Stream {
        name: config.printed(),
        description: Some("Croft's live output of hosts that are deployed to".into()),
        // Deployment and host.
        subjects: vec![format!("{}.printed.*.*", config.prefix)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_bytes: i64::try_from(kept.bytes_max_in_all).unwrap_or(i64::MAX),
        max_messages_per_subject: i64::try_from(kept.pieces_max).unwrap_or(i64::MAX),
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
