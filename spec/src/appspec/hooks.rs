//! `hooks`: which scripts run in which event.

use std::collections::BTreeMap;

use croft_proto::deploy::{LifecycleEvent, ScriptsFrom};
use croft_proto::{listed, nearest};

use super::account::{self, Account};
use super::files::bundle_path;
use super::{Os, Script, TIMEOUT_S_DEFAULT};
use crate::code::Code;
use crate::lines::Span;
use crate::read::{Fields, Reader};
use crate::yaml::{Entry, Kind, Node};

const KEYS: &[&str] = &["location", "timeout", "runas", "sudo"];

/// Seconds an event may take, all its scripts together.
const EVENT_S_MAX: u64 = 3600;

/// The section.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// No list is empty.
    pub(super) hooks: BTreeMap<LifecycleEvent, Vec<Script>>,
    /// Where each script's location stands.
    pub(super) scripts: BTreeMap<LifecycleEvent, Vec<Span>>,
    /// Events with nothing below them.
    pub(super) empty: Vec<(LifecycleEvent, Span)>,
}

/// The events and scripts that could be read.
pub(super) fn read(reader: &mut Reader<'_, '_>, top: &Fields<'_>, os: Os) -> Hooks {
    let mut hooks = Hooks::default();
    let Some(entry) = top.entry("hooks") else {
        return hooks;
    };
    if entry.value.is_null() {
        reader.empty(entry, "`hooks`");
        return hooks;
    }
    for entry in reader.map(&entry.value, "`hooks`").unwrap_or_default() {
        match entry.key.parse() {
            Ok(event) => one(reader, event, entry, os, &mut hooks),
            Err(_) => unknown(reader, entry),
        }
    }
    hooks
}

fn one(
    reader: &mut Reader<'_, '_>,
    event: LifecycleEvent,
    entry: &Entry,
    os: Os,
    hooks: &mut Hooks,
) {
    let items = reader.list(entry, &format!("`{event}`"));
    let nothing = match &entry.value.kind {
        Kind::List(items) => items.is_empty(),
        Kind::Scalar(_) | Kind::Map(_) => entry.value.is_null(),
    };
    if nothing {
        hooks.empty.push((event, entry.key_span));
        return;
    }
    if event.scripts_from() == ScriptsFrom::Nobody {
        let message = format!("`{event}` runs no scripts: Croft does its work");
        let help = format!("move them to {}", listed(&neighbours(event)));
        reader.add(Code::ReservedEvent, entry.key_span, message, help.as_str());
        return;
    }
    let (scripts, spans): (Vec<Script>, Vec<Span>) = items
        .iter()
        .filter_map(|item| script(reader, event, item, os))
        .unzip();
    if !scripts.is_empty() {
        hooks.hooks.insert(event, scripts);
        hooks.scripts.insert(event, spans);
    }
    check_sum(reader, event, entry);
}

/// The events with scripts around one without.
fn neighbours(event: LifecycleEvent) -> Vec<&'static str> {
    let scripted = |event: &&LifecycleEvent| event.scripts_from() != ScriptsFrom::Nobody;
    let before = LifecycleEvent::ALL
        .iter()
        .rev()
        .filter(scripted)
        .find(|other| {
            **other < event && other.needs_traffic_control() == event.needs_traffic_control()
        });
    let after = LifecycleEvent::ALL.iter().filter(scripted).find(|other| {
        **other > event && other.needs_traffic_control() == event.needs_traffic_control()
    });
    before
        .into_iter()
        .chain(after)
        .map(|event| event.name())
        .collect()
}

fn unknown(reader: &mut Reader<'_, '_>, entry: &Entry) {
    let known: Vec<&str> = LifecycleEvent::ALL
        .into_iter()
        .filter(|event| event.scripts_from() != ScriptsFrom::Nobody)
        .map(LifecycleEvent::name)
        .collect();
    let message = format!("`{}` is not a lifecycle event of a server", entry.key);
    if let Some(meant) = nearest(&entry.key, &known) {
        let help = format!("did you mean `{meant}`?");
        reader.add(Code::UnknownEvent, entry.key_span, message, help.as_str());
    } else {
        let help = format!(
            "its scripts never run; the events with scripts are {}",
            listed(&known)
        );
        reader.add(Code::IgnoredKey, entry.key_span, message, help.as_str());
    }
}

fn script(
    reader: &mut Reader<'_, '_>,
    event: LifecycleEvent,
    item: &Node,
    os: Os,
) -> Option<(Script, Span)> {
    let what = format!("a script of `{event}`");
    if let Kind::Scalar(scalar) = &item.kind
        && !item.is_null()
    {
        let message = format!("{what} must be a map with a `location`, and this is a text");
        let help = format!("write `- location: {}`", scalar.text);
        reader.add(Code::WrongType, item.span, message, help.as_str());
        return None;
    }
    let fields = reader.item_fields(item, &what, KEYS)?;
    let help = "name the script's file in the bundle, such as `scripts/start.sh`";
    let location = bundle_path(reader, &fields, "location", os, help);
    let timeout_s = timeout(reader, &fields);
    let runas = account::read(reader, &fields, "runas", Account::User);
    let sudo = reader.boolean(&fields, "sudo");
    if os == Os::Windows {
        ignored_on_windows(reader, &fields);
    }
    let (location, span) = location?;
    let script = Script {
        location,
        timeout_s: timeout_s?,
        runas,
        sudo,
        place: reader.place(fields.at),
    };
    Some((script, span))
}

fn ignored_on_windows(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) {
    for entry in ["runas", "sudo"].iter().filter_map(|key| fields.entry(key)) {
        let message = format!("`{}` has no meaning on Windows", entry.key);
        let help = "remove it: the script runs as the agent's own user";
        reader.add(Code::IgnoredOnWindows, entry.key_span, message, help);
    }
}

/// The script's seconds; `None` when they cannot be read.
fn timeout(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<u64> {
    if fields
        .entry("timeout")
        .is_none_or(|entry| entry.value.is_null())
    {
        return Some(TIMEOUT_S_DEFAULT);
    }
    let help = "write a number of seconds, such as `timeout: 300`";
    let (text, span) = reader.required_text(fields, "timeout", help)?;
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        let message = format!("`timeout: {text}` is not a number of seconds above 0");
        reader.add(Code::BadTimeout, span, message, help);
    }
    seconds
}

/// Warns when the timeouts that are written are more than the event's own. Those that are not written are its whole time
/// each, which nobody means.
fn check_sum(reader: &mut Reader<'_, '_>, event: LifecycleEvent, entry: &Entry) {
    let Kind::List(items) = &entry.value.kind else {
        return;
    };
    let written = items.iter().filter_map(|item| {
        let Kind::Map(entries) = &item.kind else {
            return None;
        };
        let timeout = entries.iter().find(|entry| entry.key == "timeout")?;
        match &timeout.value.kind {
            Kind::Scalar(scalar) => scalar.text.trim().parse::<u64>().ok(),
            Kind::List(_) | Kind::Map(_) => None,
        }
    });
    let sum_s = written.fold(0, u64::saturating_add);
    if sum_s > EVENT_S_MAX {
        let message = format!(
            "the scripts of `{event}` may take {sum_s} s, and the event ends after {EVENT_S_MAX} s"
        );
        let help = "lower the timeouts, or move a script to another event";
        reader.add(Code::LongTimeouts, entry.key_span, message, help);
    }
}
