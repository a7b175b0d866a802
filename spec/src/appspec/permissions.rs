//! `permissions`: owners and modes of what was put in place.

use super::account::{self, Account};
use super::files::host_path;
use super::paths::normal;
use super::{Acl, COMPARED_MAX, Kinds, Os, Permission, acl, context};
use crate::code::Code;
use crate::lines::Span;
use crate::read::{Fields, Reader};
use crate::yaml::{Kind, Node};

const KEYS: &[&str] = &[
    "object", "pattern", "except", "owner", "group", "mode", "acls", "context", "type",
];

/// Those that change something.
const SETTINGS: &[&str] = &["owner", "group", "mode", "acls", "context"];

/// The pattern for everything below a folder.
pub(super) const ALL: &str = "**";

/// Where the parts of an entry stand.
#[derive(Clone, Debug)]
pub(super) struct PermissionSpans {
    pub(super) object: Span,
    /// The pattern, where one is written.
    pub(super) pattern: Option<Span>,
    /// Each exception.
    pub(super) except: Vec<Span>,
    /// The first default entry of the access control list.
    pub(super) default_acl: Option<Span>,
    /// The object as a normal path.
    pub(super) path: String,
    /// Whether something is written that would be set, if it can be read.
    pub(super) sets: bool,
}

/// The entries that could be read.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    top: &Fields<'_>,
    os: Os,
) -> Vec<(Permission, PermissionSpans)> {
    let Some(entry) = top.entry("permissions") else {
        return Vec::new();
    };
    if entry.value.is_null() {
        reader.empty(entry, "`permissions`");
        return Vec::new();
    }
    let items = reader.list(entry, "`permissions`");
    if os == Os::Windows && !items.is_empty() {
        let message = "`permissions` are for Linux, and `os` is `windows`";
        let help = "remove the section; a script of `AfterInstall` may set them with `icacls`";
        reader.add(Code::PermissionsOnWindows, entry.key_span, message, help);
        return Vec::new();
    }
    let mut permissions: Vec<(Permission, PermissionSpans)> = Vec::new();
    for item in items {
        if let Some(read) = permission(reader, item) {
            check_twice(reader, &permissions, &read);
            permissions.push(read);
        }
    }
    permissions
}

fn permission(reader: &mut Reader<'_, '_>, item: &Node) -> Option<(Permission, PermissionSpans)> {
    let fields = reader.item_fields(item, "an entry of `permissions`", KEYS)?;
    let help = "name a file or folder that is put in place, such as `/srv/app`";
    let object = host_path(reader, &fields, "object", Os::Linux, help);
    let pattern = reader.optional_text(&fields, "pattern");
    let (except, except_spans) = reader.texts(&fields, "except").into_iter().unzip();
    let kinds = kinds(reader, &fields);
    let (acls, default_acl) = acls(reader, &fields, kinds);
    let owner = account::read(reader, &fields, "owner", Account::User);
    let group = account::read(reader, &fields, "group", Account::Group);
    let mode = mode(reader, &fields);
    let context = context::read(reader, &fields);
    let (object, object_span) = object?;
    let spans = PermissionSpans {
        path: normal(&object, Os::Linux),
        object: object_span,
        pattern: pattern
            .as_ref()
            .and_then(|_| fields.get("pattern"))
            .map(|node| node.span),
        except: except_spans,
        default_acl,
        sets: SETTINGS.iter().any(|key| fields.get(key).is_some()),
    };
    let permission = Permission {
        object,
        pattern: pattern.unwrap_or_else(|| ALL.to_owned()),
        except,
        owner,
        group,
        mode,
        acls,
        context,
        kinds,
        place: reader.place(fields.at),
    };
    Some((permission, spans))
}

fn kinds(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Kinds {
    let help = "write `type: [file]`, `type: [directory]` or both";
    let Some(entry) = fields.entry("type") else {
        return Kinds::default();
    };
    let words = reader.texts(fields, "type");
    let mut known = [false, false];
    for (word, span) in &words {
        match word.as_str() {
            "file" => known[0] = true,
            "directory" => known[1] = true,
            other => {
                let message = format!("`{other}` is neither `file` nor `directory`");
                reader.add(Code::BadObjectType, *span, message, help);
            }
        }
    }
    if words.is_empty() && !entry.value.is_null() {
        let message = "`type` names neither `file` nor `directory`";
        reader.add(Code::BadObjectType, entry.key_span, message, help);
    }
    match known {
        [true, false] => Kinds::Files,
        [false, true] => Kinds::Directories,
        [true, true] | [false, false] => Kinds::Both,
    }
}

fn mode(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<u32> {
    let text = reader.optional_text(fields, "mode")?.trim().to_owned();
    let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if digits && (1..=4).contains(&text.len()) {
        return u32::from_str_radix(&text, 8).ok();
    }
    let (why, help) = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        (
            "a mode has one to four digits of 0 to 7",
            "write a mode such as `\"0644\"` or `\"755\"`",
        )
    } else {
        (
            "only numbers are read, and no signs such as `u+x`",
            "write the whole mode, such as `\"0755\"` for `u=rwx,go=rx`",
        )
    };
    let span = fields.get("mode").map_or(fields.at, |node| node.span);
    let message = format!("`mode: {text}` cannot be read: {why}");
    reader.add(Code::BadMode, span, message, help);
    None
}

/// The entries, and where the first default one stands.
fn acls(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    kinds: Kinds,
) -> (Vec<Acl>, Option<Span>) {
    let mut entries = Vec::new();
    let mut default = None;
    let texts = reader.texts(fields, "acls");
    if let Some(entry) = fields.entry("acls")
        && matches!(&entry.value.kind, Kind::List(items) if items.is_empty())
    {
        reader.empty(entry, "`acls`");
    }
    for (text, span) in texts {
        match acl::parse(&text) {
            Ok(entry) if entry.default && !kinds.directories() => {
                let message = format!("`{text}` is a default entry, and files have none");
                let help = "remove it, or write `type: [directory]`";
                reader.add(Code::BadAcl, span, message, help);
            }
            Ok(entry) => {
                if entry.default {
                    default = default.or(Some(span));
                }
                entries.push(entry);
            }
            Err(why) => {
                let message = format!("the access control entry `{text}` cannot be read: {why}");
                let help = "write `u:NAME:rwx` or `g:NAME:rwx`, after `d:` for the default of new files in a folder; what the owner, the owning group and others may do is said by `mode`";
                reader.add(Code::BadAcl, span, message, help);
            }
        }
    }
    (entries, default)
}

/// Two entries of which each certainly matches what the other does.
fn check_twice(
    reader: &mut Reader<'_, '_>,
    before: &[(Permission, PermissionSpans)],
    (permission, spans): &(Permission, PermissionSpans),
) {
    if before.len() >= COMPARED_MAX {
        return;
    }
    let same = |first: &Permission, first_spans: &PermissionSpans| {
        first_spans.path == spans.path
            && first.pattern == permission.pattern
            && first.except.is_empty()
            && permission.except.is_empty()
            && first.kinds.overlaps(permission.kinds)
    };
    let Some((first, _)) = before.iter().find(|(first, spans)| same(first, spans)) else {
        return;
    };
    let message = format!(
        "the entry on line {} is for the same paths, and each path may have one",
        first.place.line
    );
    let help = "join the two, or let one have `type: [file]` and the other `type: [directory]`";
    reader.add(Code::PermissionTwice, spans.object, message, help);
}
