//! The stream: made where there is none, then read back. Old servers drop settings they do not know and say nothing.

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, RetentionPolicy, StorageType,
};

use super::config::{Config, ConnectError};
use crate::EVENT_BYTES_MAX;

/// What a message is more than its event: headers, and the longest subject.
const MESSAGE_OVERHEAD_BYTES: usize = 4 << 10;

pub(super) fn context(client: &Client, config: &Config) -> Context {
    ContextBuilder::new()
        .timeout(config.timeout)
        .build(client.clone())
}

/// A stream that is what the ledger needs.
pub(super) async fn prepare(context: &Context, config: &Config) -> Result<(), ConnectError> {
    let wanted = wanted(config);
    let stream = context.get_or_create_stream(wanted.clone()).await;
    let stream = stream.map_err(|source| ConnectError::Stream {
        stream: config.stream.clone(),
        source: source.into(),
    })?;
    compare(&wanted, &stream.cached_info().config)?;
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
            ("no_ack", shown(&of.no_ack)),
            ("sealed", shown(&of.sealed)),
            ("allow_direct", shown(&of.allow_direct)),
            ("allow_atomic", shown(&of.allow_atomic_publish)),
            ("allow_rollup_hdrs", shown(&of.allow_rollup)),
            ("deny_delete", shown(&of.deny_delete)),
            ("deny_purge", shown(&of.deny_purge)),
            ("persist_mode", persistence(of)),
        ]
    };
    let name = &wanted.name;
    let pairs = settings(wanted).into_iter().zip(settings(found));
    for ((setting, wanted), (_, found)) in pairs {
        if wanted != found {
            return Err(ConnectError::Setting {
                stream: name.clone(),
                setting,
                wanted,
                found,
            });
        }
    }
    Ok(())
}

/// Asynchronous persistence acknowledges before it writes; the default is named or left out.
fn persistence(of: &Stream) -> String {
    of.persist_mode
        .as_ref()
        .map_or_else(|| "Default".into(), |mode| format!("{mode:?}"))
}
