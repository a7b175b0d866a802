//! One entry of an access control list, in the forms the `acls` of a permission may have: `[default:][user|group|mask:]name:permissions`.

use super::account::refusal;
use super::{Acl, AclWhom};

/// The entry, or why it is none.
pub(super) fn parse(text: &str) -> Result<Acl, String> {
    let mut parts: Vec<&str> = text.split(':').collect();
    let permissions = parts.pop().unwrap_or_default();
    let default = parts.len() > 1 && ["d", "default"].contains(&parts[0]);
    if default {
        parts.remove(0);
    }
    let whom = match parts.as_slice() {
        [] => return Err("it names nobody".to_owned()),
        ["m" | "mask"] | ["m" | "mask", ""] => AclWhom::Mask,
        ["o" | "other"] | ["o" | "other", ""] => AclWhom::Other,
        ["m" | "mask" | "o" | "other", _] => {
            return Err("`mask` and `other` have no name".to_owned());
        }
        [name] | ["u" | "user", name] => AclWhom::User((*name).to_owned()),
        ["g" | "group", name] => AclWhom::Group((*name).to_owned()),
        [kind, _] => return Err(format!("`{kind}` is neither `user`, `group` nor `mask`")),
        _ => return Err("it has too many parts".to_owned()),
    };
    check_name(&whom, default)?;
    let [read, write, execute] = bits(permissions)?;
    Ok(Acl {
        default,
        whom,
        read,
        write,
        execute,
    })
}

fn check_name(whom: &AclWhom, default: bool) -> Result<(), String> {
    let base = || "the owner, the owning group and others have theirs from `mode`".to_owned();
    match whom {
        AclWhom::User(name) | AclWhom::Group(name) if name.is_empty() => {
            if default {
                Ok(())
            } else {
                Err(base())
            }
        }
        AclWhom::User(name) | AclWhom::Group(name) => match refusal(name) {
            Some(why) => Err(format!("`{name}` is no name: {why}")),
            None => Ok(()),
        },
        AclWhom::Mask => Ok(()),
        AclWhom::Other if default => Ok(()),
        AclWhom::Other => Err(base()),
    }
}

/// Read, write, execute: as one digit, or as letters of which `-` says nothing.
fn bits(text: &str) -> Result<[bool; 3], String> {
    if let [digit @ b'0'..=b'7'] = text.as_bytes() {
        let bits = digit - b'0';
        return Ok([bits & 4 != 0, bits & 2 != 0, bits & 1 != 0]);
    }
    if let Some(odd) = text.chars().find(|letter| !"rwx-".contains(*letter)) {
        return Err(format!(
            "`{odd}` is no permission: they are `r`, `w`, `x` and `-`, or one digit of 0 to 7"
        ));
    }
    Ok(["r", "w", "x"].map(|letter| text.contains(letter)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_form_is_read() {
        for (text, shown) in [
            ("bob:rw", "user:bob:rw-"),
            ("u:bob:rw", "user:bob:rw-"),
            ("user:bob:rwx", "user:bob:rwx"),
            ("g:ops:r-x", "group:ops:r-x"),
            ("group:ops:5", "group:ops:r-x"),
            ("u:1000:7", "user:1000:rwx"),
            ("u:bob:0", "user:bob:---"),
            ("u:bob:", "user:bob:---"),
            ("u:bob:-", "user:bob:---"),
            ("u:bob:xwr", "user:bob:rwx"),
            ("m:rw", "mask::rw-"),
            ("mask::rw", "mask::rw-"),
            ("d:bob:r", "default:user:bob:r--"),
            ("d:u:bob:r", "default:user:bob:r--"),
            ("default:group:ops:rx", "default:group:ops:r-x"),
            ("d:u::rw", "default:user::rw-"),
            ("d:g::r", "default:group::r--"),
            ("d::rw", "default:user::rw-"),
            ("d:o:r", "default:other::r--"),
            ("d:o::r", "default:other::r--"),
            ("d:m:rwx", "default:mask::rwx"),
            ("u:m:rw", "user:m:rw-"),
        ] {
            assert_eq!(
                parse(text).map(|entry| entry.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "nobody"),
            ("rw", "nobody"),
            (":rw", "from `mode`"),
            ("u::rw", "from `mode`"),
            ("g::rw", "from `mode`"),
            ("o:r", "from `mode`"),
            ("o::r", "from `mode`"),
            ("m:bob:r", "no name"),
            ("d:o:bob:r", "no name"),
            ("x:bob:r", "`x` is neither"),
            ("d:x:bob:r", "`x` is neither"),
            ("u:d:bob:r", "too many parts"),
            ("d:d:u:bob:r", "too many parts"),
            ("u:bob:rwz", "`z` is no permission"),
            ("u:bob:8", "`8` is no permission"),
            ("u:bob:77", "`7` is no permission"),
            ("u:bob:R", "`R` is no permission"),
            ("u:bob b:r", "space"),
            ("u:-R:r", "option"),
            ("u:bob,u:eve:r", "too many parts"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
