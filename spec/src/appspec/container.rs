//! `x-croft.container`: what a revision runs in a container of a host, instead of files that it puts in place.

use std::collections::BTreeMap;

use super::account::{self, Account};
use super::paths::climbs;
use super::{Os, path_in_bundle};
use crate::code::Code;
use crate::lines::Span;
use crate::read::{Fields, Reader};
use crate::yaml::{Kind, Node};

const KEYS: &[&str] = &[
    "image",
    "port",
    "command",
    "environment",
    "user",
    "volumes",
    "memoryMiB",
    "healthCheck",
    "stopSeconds",
];
const HEALTH_KEYS: &[&str] = &[
    "path",
    "command",
    "intervalSeconds",
    "timeoutSeconds",
    "healthyCount",
    "withinSeconds",
];
/// What a container has no use for: its files are in its image.
const OF_FILES: &[&str] = &["files", "permissions", "file_exists_behavior"];

/// Seconds that an application has to end: Docker's own.
const STOP_S_DEFAULT: u32 = 10;
/// The longest of all times here: the event's own.
const S_MAX: u32 = 3_600;
/// Docker's least.
const MEMORY_MIB_MIN: u32 = 6;
/// More than any machine has: 16 TiB.
const MEMORY_MIB_MAX: u32 = 16 << 20;

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its image.
    pub image: ContainerImage,
    /// Where its application listens, inside.
    pub port: u16,
    /// The image's own when empty.
    pub command: Vec<String>,
    /// Names and values.
    pub environment: BTreeMap<String, String>,
    /// The image's own when none is given.
    pub user: Option<String>,
    /// `/path/of/the/host:/path/inside`, perhaps with `:ro`.
    pub volumes: Vec<String>,
    /// As much as it likes when none is given.
    pub memory_mib: Option<u32>,
    /// Without one, it must stay up.
    pub health_check: Option<HealthCheck>,
    /// How long it has to end before it is killed.
    pub stop_s: u32,
}

/// Where a container's image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerImage {
    /// A file of the bundle, made by `docker save`.
    File(String),
    /// A registry's, by its digest.
    Reference(String),
}

/// When a container is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub ask: Ask,
    /// Between two looks.
    pub interval_s: u32,
    /// For one answer.
    pub timeout_s: u32,
    /// So many good answers in a row.
    pub healthy_count: u32,
    /// All that in so many seconds.
    pub within_s: u32,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A path over HTTP: 200 to 399 is well.
    Http(String),
    /// A command in the container: 0 is well.
    Command(Vec<String>),
}

/// Where a container stands, for those who look at it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContainerSpans {
    pub(super) whole: Span,
    pub(super) image: Span,
}

/// The container of `own`, which is the top level's `x-croft`.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    top: &Fields<'_>,
    own: &Fields<'_>,
    os: Os,
) -> Option<(Container, ContainerSpans)> {
    let entry = own.entry("container")?;
    let fields = reader.own_fields(entry, "`container`", KEYS)?;
    for key in OF_FILES {
        if let Some(entry) = top.entry(key) {
            let message =
                format!("`{key}` is for files on hosts, and this revision is a container");
            let help = "what it needs is in its image; remove one of the two";
            reader.add(Code::MisplacedKey, entry.key_span, message, help);
        }
    }
    if os == Os::Windows {
        let message = "containers are run on Linux only";
        let help = "write `os: linux`";
        reader.add(Code::BadContainer, own.at, message, help);
    }
    let image = image(reader, &fields);
    let port = port(reader, &fields);
    let container = Container {
        command: words(reader, &fields, "command"),
        environment: environment(reader, &fields),
        user: account::read(reader, &fields, "user", Account::User),
        volumes: volumes(reader, &fields),
        memory_mib: number(reader, &fields, "memoryMiB", MEMORY_MIB_MIN, MEMORY_MIB_MAX),
        health_check: health_check(reader, &fields),
        stop_s: number(reader, &fields, "stopSeconds", 0, S_MAX).unwrap_or(STOP_S_DEFAULT),
        image: image?,
        port: port?,
    };
    let spans = ContainerSpans {
        whole: fields.at,
        image: span(&fields, "image"),
    };
    Some((container, spans))
}

fn image(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<ContainerImage> {
    let help = "name a file of the bundle, made by `docker save`, or a registry's image with its digest, such as \
                `registry.example/shop@sha256:...`";
    let (text, span) = reader.required_text(fields, "image", help)?;
    if let Some((name, digest)) = text.split_once("@sha256:") {
        let is_hex = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte));
        if is_hex && is_name {
            return Some(ContainerImage::Reference(text));
        }
        let message = format!("`image: {text}` is no image with a digest");
        let help =
            "a digest is `sha256:` and 64 hexadecimal digits; `docker image inspect` prints it";
        reader.add(Code::BadContainer, span, message, help);
        return None;
    }
    if text.contains(':') {
        let message =
            format!("`image: {text}` names an image by a tag, which may be another image tomorrow");
        reader.add(Code::BadContainer, span, message, help);
        return None;
    }
    let Some(path) = path_in_bundle(&text).filter(|path| !path.is_empty()) else {
        let message = format!("`image: {text}` is no file of the bundle");
        reader.add(Code::ClimbingPath, span, message, help);
        return None;
    };
    Some(ContainerImage::File(path))
}

fn port(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<u16> {
    if fields.get("port").is_none() {
        let help = "write the port at which the application listens in its container, such as `port: 8080`";
        reader.missing(fields, "port", help);
        return None;
    }
    let port = number(reader, fields, "port", 1, u32::from(u16::MAX))?;
    u16::try_from(port).ok()
}

/// A whole number under a key; `None` when it is absent or refused.
fn number(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    key: &str,
    least: u32,
    most: u32,
) -> Option<u32> {
    let text = reader.optional_text(fields, key)?;
    let number = text.trim().parse().ok();
    let number = number.filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let span = span(fields, key);
        let message = format!("`{key}: {text}` is no whole number from {least} to {most}");
        reader.add(Code::BadContainer, span, message, None);
    }
    number
}

fn span(fields: &Fields<'_>, key: &str) -> Span {
    fields.get(key).map_or(fields.at, |node| node.span)
}

/// A list of words.
fn words(reader: &mut Reader<'_, '_>, fields: &Fields<'_>, key: &str) -> Vec<String> {
    let texts = reader.texts(fields, key);
    texts
        .into_iter()
        .filter_map(|(text, span)| has_no_nul(reader, &text, span, key).then_some(text))
        .collect()
}

fn has_no_nul(reader: &mut Reader<'_, '_>, text: &str, span: Span, what: &str) -> bool {
    let found = text.contains('\0');
    if found {
        let message = format!("`{what}` contains a NUL character, which no program can receive");
        reader.add(Code::NulCharacter, span, message, "remove the `\\0`");
    }
    !found
}

fn environment(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let Some(entry) = fields.entry("environment") else {
        return environment;
    };
    if entry.value.is_null() {
        reader.empty(entry, "`environment`");
        return environment;
    }
    let entries = reader
        .map(&entry.value, "`environment`")
        .unwrap_or_default();
    for entry in entries {
        let name = &entry.key;
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("an environment can hold no variable named `{name}`");
            let help = "use letters, digits and `_`, no digit first";
            reader.add(Code::BadVariableName, entry.key_span, message, help);
            continue;
        }
        let Some(value) = reader.text(&entry.value, &format!("`{name}`")) else {
            continue;
        };
        if has_no_nul(reader, &value, entry.value.span, name) {
            environment.insert(name.clone(), value);
        }
    }
    environment
}

fn volumes(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Vec<String> {
    let texts = reader.texts(fields, "volumes");
    let sound = texts.into_iter().filter_map(|(text, span)| {
        if is_volume(&text) {
            return Some(text);
        }
        let message = format!("`{text}` in `volumes` cannot be read");
        let help = "write a path of the host and one inside, both from the root on: `/srv/shop:/data`, or with `:ro`";
        reader.add(Code::BadContainer, span, message, help);
        None
    });
    sound.collect()
}

fn is_volume(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target) = match parts.as_slice() {
        [source, target] | [source, target, "ro" | "rw"] => (*source, *target),
        _ => return false,
    };
    let is_path = |path: &str| path.starts_with('/') && !climbs(path, Os::Linux);
    is_path(source) && is_path(target) && target.len() > 1 && !text.contains('\0')
}

fn health_check(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<HealthCheck> {
    let entry = fields.entry("healthCheck")?;
    let fields = reader.own_fields(entry, "`healthCheck`", HEALTH_KEYS)?;
    let ask = ask(reader, &fields);
    let seconds = |reader: &mut Reader<'_, '_>, key, usual| {
        number(reader, &fields, key, 1, S_MAX).unwrap_or(usual)
    };
    let check = HealthCheck {
        interval_s: seconds(reader, "intervalSeconds", 1),
        timeout_s: seconds(reader, "timeoutSeconds", 2),
        healthy_count: number(reader, &fields, "healthyCount", 1, 100).unwrap_or(2),
        within_s: seconds(reader, "withinSeconds", 60),
        ask: ask?,
    };
    // The waits between good answers alone.
    let least = check.interval_s.saturating_mul(check.healthy_count - 1);
    if least >= check.within_s {
        let message = format!(
            "{} good answers {} s apart take longer than the {} s of `withinSeconds`",
            check.healthy_count, check.interval_s, check.within_s
        );
        reader.add(
            Code::BadContainer,
            fields.at,
            message,
            "raise `withinSeconds`",
        );
    }
    Some(check)
}

fn ask(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<Ask> {
    match (fields.entry("path"), fields.entry("command")) {
        (Some(path), Some(_)) => {
            let message = "`healthCheck` has both a `path` and a `command`";
            reader.add(Code::BadContainer, path.key_span, message, "keep one");
            None
        }
        (None, None) => {
            let help =
                "write `path: /healthz`, asked over HTTP, or `command:`, run in the container";
            reader.missing(fields, "path", help);
            None
        }
        (Some(_), None) => http(reader, fields),
        (None, Some(_)) => {
            let help = "list the command's words, such as `[\"/bin/check\"]`";
            let some = fields.get("command").is_some_and(is_some);
            if !some {
                reader.missing(fields, "command", help);
                return None;
            }
            let words = words(reader, fields, "command");
            (!words.is_empty()).then_some(Ask::Command(words))
        }
    }
}

fn is_some(node: &std::rc::Rc<Node>) -> bool {
    match &node.kind {
        Kind::List(items) => !items.is_empty(),
        Kind::Scalar(_) | Kind::Map(_) => true,
    }
}

fn http(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<Ask> {
    let help = "write a path from the root on, such as `path: /healthz`";
    let (path, span) = reader.required_text(fields, "path", help)?;
    // It becomes a word of a request's first line.
    let is_plain = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain {
        let message = format!("`path: {path}` is no path of a request");
        reader.add(Code::BadContainer, span, message, help);
        return None;
    }
    Some(Ask::Http(path))
}
