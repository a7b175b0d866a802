//! What a type says of a value that does not fit, in our words: of what no shape has found, such as the keys of one kind of balancer.

/// The same, for people.
pub(super) fn of_type(why: &str) -> String {
    if let Some(name) = between(why, "missing field `", "`") {
        return format!("`{name}` is missing");
    }
    if let Some((field, known)) = split(why, "unknown field `", "`, expected ") {
        return format!("`{field}` cannot be here, only {}", plain(known));
    }
    if let Some((word, known)) = split(why, "unknown variant `", "`, expected ") {
        return format!("expected {}, found the text `{word}`", plain(known));
    }
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some((found, wanted)) = split(why, kind, ", expected ") {
            return format!("expected {}, found {}", expected(wanted), found_of(found));
        }
    }
    why.to_string()
}

fn between<'w>(why: &'w str, before: &str, after: &str) -> Option<&'w str> {
    Some(why.strip_prefix(before)?.split_once(after)?.0)
}

fn split<'w>(why: &'w str, before: &str, middle: &str) -> Option<(&'w str, &'w str)> {
    why.strip_prefix(before)?.split_once(middle)
}

fn plain(known: &str) -> &str {
    match known {
        "there are no fields" | "there are no variants" => "nothing",
        known => known,
    }
}

fn expected(wanted: &str) -> &str {
    match wanted {
        "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a map",
        wanted if wanted.starts_with("struct ") => "a map",
        wanted => wanted,
    }
}

fn found_of(found: &str) -> String {
    let number = ["integer `", "floating point `"];
    for before in number {
        if let Some(number) = between(found, before, "`") {
            return format!("the number {number}");
        }
    }
    if let Some(flag) = between(found, "boolean `", "`") {
        return flag.to_string();
    }
    if let Some(text) = found.strip_prefix("string ") {
        return format!("the text `{}`", text.trim_matches('"'));
    }
    match found {
        "null" | "unit value" => "nothing".into(),
        "map" => "a map".into(),
        "sequence" => "a list".into(),
        found => found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_type_says_is_told_in_our_words() {
        for (why, said) in [
            ("missing field `name`", "`name` is missing"),
            (
                "unknown field `socket`, expected `path` or `host`",
                "`socket` cannot be here, only `path` or `host`",
            ),
            (
                "unknown variant `nginx`, expected one of `haproxy`, `script`, `none`",
                "expected one of `haproxy`, `script`, `none`, found the text `nginx`",
            ),
            (
                "invalid type: integer `7`, expected a string",
                "expected a text, found the number 7",
            ),
            (
                "invalid type: null, expected struct Source",
                "expected a map, found nothing",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "expected a whole number, found the number -1",
            ),
            (
                "priority 9: they go from 0 to 4",
                "priority 9: they go from 0 to 4",
            ),
        ] {
            assert_eq!(of_type(why), said);
        }
    }
}
