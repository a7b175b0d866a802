//! `context` of a permission: the SELinux user, type and range.

use super::SelinuxContext;
use crate::code::Code;
use crate::read::{Fields, Reader};

/// The guide writes `user`, and AWS's agent reads `name`.
const KEYS: &[&str] = &["user", "name", "type", "range", "role"];

/// The highest category of SELinux.
const CATEGORY_MAX: u32 = 1023;

/// The context; `None` when it is absent or refused.
pub(super) fn read(reader: &mut Reader<'_, '_>, permission: &Fields<'_>) -> Option<SelinuxContext> {
    let entry = permission.entry("context")?;
    let fields = reader.fields(entry, "`context`", KEYS)?;
    if let Some(role) = fields.entry("role") {
        let message = "`role` in `context` is not used: files have the role `object_r`";
        reader.add(Code::IgnoredKey, role.key_span, message, "remove it");
    }
    if let Some(name) = fields.entry("name")
        && fields.entry("user").is_some()
    {
        let message = "`user` and `name` in `context` are one thing, said twice";
        reader.add(Code::BadContext, name.key_span, message, "keep `user`");
    }
    let user = reader
        .optional_text(&fields, "user")
        .or_else(|| reader.optional_text(&fields, "name"));
    let help = "name the type, such as `type: httpd_sys_content_t`";
    let kind = reader.required_text(&fields, "type", help);
    let kind = kind.map(|(kind, _)| kind);
    let range = reader.optional_text(&fields, "range");
    let parts = [
        ("user", user.as_deref()),
        ("name", user.as_deref()),
        ("type", kind.as_deref()),
    ];
    for (key, text) in parts {
        if let Some(node) = fields.get(key)
            && let Some(text) = text.filter(|text| !is_word(text))
        {
            let message = format!("`{key}: {text}` in `context` is no word of SELinux");
            let help = "letters, digits, `_`, `.` and `-` are allowed";
            reader.add(Code::BadContext, node.span, message, help);
        }
    }
    if let (Some(range), Some(node)) = (&range, fields.get("range"))
        && let Some(why) = refusal(range)
    {
        let message = format!("`range: {range}` cannot be read: {why}");
        let help = "write a range such as `s0`, `s0-s3` or `s0:c1.c3,c5`";
        reader.add(Code::BadContext, node.span, message, help);
    }
    Some(SelinuxContext {
        user,
        kind: kind?,
        range,
    })
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !text.starts_with('-') && text.bytes().all(allowed)
}

/// Why a text is no `sensitivity[-sensitivity][:category[.category][,...]]`.
fn refusal(range: &str) -> Option<String> {
    let (levels, categories) = range
        .split_once(':')
        .map_or((range, None), |(levels, categories)| {
            (levels, Some(categories))
        });
    let (low, high) = levels.split_once('-').unwrap_or((levels, levels));
    match (number(low, 's'), number(high, 's')) {
        (Some(low), Some(high)) if low <= high => categories.and_then(refusal_of_categories),
        (Some(_), Some(_)) => Some("the second level is below the first".to_owned()),
        (None, _) => Some(format!("`{low}` is no level")),
        (_, None) => Some(format!("`{high}` is no level")),
    }
}

fn refusal_of_categories(text: &str) -> Option<String> {
    let mut seen: Vec<(u32, u32)> = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('.').unwrap_or((part, part));
        let known = |name: &str| number(name, 'c').filter(|number| *number <= CATEGORY_MAX);
        let (Some(low), Some(high)) = (known(low), known(high)) else {
            return Some(format!("`{part}` is no category"));
        };
        if high < low {
            return Some(format!("`{part}` ends before it begins"));
        }
        if seen
            .iter()
            .any(|(first, last)| low <= *last && *first <= high)
        {
            return Some(format!("`{part}` says a category twice"));
        }
        seen.push((low, high));
    }
    None
}

/// The digits after a letter.
fn number(text: &str, letter: char) -> Option<u32> {
    let digits = text.strip_prefix(letter)?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn ranges_of_selinux_are_taken() {
        for range in [
            "s0",
            "s0-s0",
            "s0-s15",
            "s0:c0",
            "s0:c0.c1023",
            "s0-s3:c1,c5.c7,c9",
            "s2:c5,c1",
        ] {
            assert_eq!(refusal(range), None, "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_reason() {
        for (range, why) in [
            ("", "no level"),
            ("s", "no level"),
            ("0", "no level"),
            ("s+1", "no level"),
            ("s0-", "no level"),
            ("s3-s1", "below"),
            ("s0:", "no category"),
            ("s0:c", "no category"),
            ("s0:c1024", "no category"),
            ("s0:c1.", "no category"),
            ("s0:c3.c1", "ends before"),
            ("s0:c1,c1", "twice"),
            ("s0:c1.c5,c3", "twice"),
            ("s0:c1:c2", "no category"),
        ] {
            let refused = refusal(range).unwrap();
            assert!(refused.contains(why), "{range}: {refused}");
        }
    }
}
