//! Names of users and groups: what no system has is refused here, since some of it would be read as an option or a path.

use crate::code::Code;
use crate::read::{Fields, Reader};

/// Which kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    User,
    Group,
}

/// The name under a key; `None` when it is absent or refused.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    key: &str,
    account: Account,
) -> Option<String> {
    let text = reader.optional_text(fields, key)?.trim().to_owned();
    let Some(why) = refusal(&text) else {
        return Some(text);
    };
    let kind = match account {
        Account::User => "user",
        Account::Group => "group",
    };
    let message = format!("`{key}: {text}` names no {kind}: {why}");
    let help = format!("write one {kind}'s name or number");
    let span = fields.get(key).map_or(fields.at, |node| node.span);
    reader.add(Code::BadAccount, span, message, help.as_str());
    None
}

/// Why no user or group can have this name.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    let odd = |character: char| character.is_whitespace() || character.is_control();
    if name.is_empty() {
        Some("it is empty")
    } else if name.starts_with('-') {
        Some("it begins with `-`, as an option does")
    } else if name.contains(odd) {
        Some("it has a space or a control character in it")
    } else if name.contains([':', '/']) {
        Some("it has a `:` or `/` in it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn names_that_systems_have_are_taken() {
        for name in [
            "web",
            "www-data",
            "_apt",
            "1000",
            "first.last",
            "build$",
            "é",
            r"DOMAIN\user",
        ] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_would_be_read_as_something_else_are_refused() {
        for (name, why) in [
            ("", "empty"),
            ("-c", "option"),
            ("web group", "space"),
            ("web\n", "control"),
            ("web\0", "control"),
            ("web:web", "`:`"),
            ("../root", "`/`"),
        ] {
            assert!(refusal(name).unwrap().contains(why), "{name}");
        }
    }
}
