//! The stream as the ledger needs it.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, RetentionPolicy, StorageType,
};

use croft_nats::ConnectError;

use super::config::Config;
use crate::EVENT_BYTES_MAX;

/// What a message is more than its event: headers, and the longest subject.
const MESSAGE_OVERHEAD_BYTES: usize = 4 << 10;

/// A stream that is what the ledger needs.
pub(super) async fn prepare(context: &Context, config: &Config) -> Result<(), ConnectError> {
    croft_nats::open(context, &wanted(config)).await?;
    let (wanted, found) = (
        EVENT_BYTES_MAX + MESSAGE_OVERHEAD_BYTES,
        context.client().max_payload(),
    );
    if found >= wanted {
        return Ok(());
    }
    Err(ConnectError::Setting {
        stream: config.stream.clone(),
        setting: "server's max_payload",
        wanted: format!("at least {wanted}"),
        found: found.to_string(),
    })
}

fn wanted(config: &Config) -> Stream {
    Stream {
        name: config.stream.clone(),
        description: Some("Croft's event log".into()),
        subjects: vec![format!("{}.>", config.prefix)],
        storage: StorageType::File,
        num_replicas: config.replicas,
        retention: RetentionPolicy::Limits,
        // A log that is full refuses; it does not forget its beginning.
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        allow_direct: true,
        allow_atomic_publish: true,
        // Roll-ups leave tombstones; nobody removes single messages.
        allow_rollup: true,
        deny_delete: true,
        ..Stream::default()
    }
}
