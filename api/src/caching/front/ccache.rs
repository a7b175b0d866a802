//! ccache's HTTP storage, in each of its three layouts: `subdirs` (`/<2>/<rest>`, the default), `flat` (`/<key>`) and
//! `bazel` (`/ac/<64 hex>`).
//!
//! **Source.** ccache's manual, "HTTP storage backend", and its `Digest::to_string`: four hexadecimal digits, then base 32
//! with the digits `0-9a-v`; newer versions may add to the length.

use hyper::Method;

use super::{Entry, Front, Kind, Odd, Op, key, usual};

/// ccache's keys have 33 digits; those of other hashes that it may come to use have at most twice as many.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

const PATHS: &str = "paths are /XX/REST (layout=subdirs), /KEY (layout=flat) or /ac/KEY (layout=bazel), in digits and \
                     lower case letters as ccache writes them";

/// Results and manifests by the hash of what they were made from, which says nothing of their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ccache;

impl Front for Ccache {
    fn name(&self) -> &'static str {
        "ccache"
    }

    fn route(&self, method: &Method, path: &str) -> Op {
        usual(method, entry(path).ok_or(Odd::Path(PATHS)))
    }
}

fn entry(path: &str) -> Option<Entry> {
    let key = match path.split_once('/') {
        None => path.to_string(),
        // Of the other layouts' keys one in 256 begins with `ac`, too.
        Some(("ac", digits)) if key::sha256(digits).is_some() => digits.to_string(),
        Some((first, rest)) if first.len() == 2 => format!("{first}{rest}"),
        Some(_) => return None,
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
    let fits = KEY_BYTES.contains(&key.len()) && key.bytes().all(is_digit);
    fits.then_some(Entry {
        space: "ccache",
        key,
        kind: Kind::Pointer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0a1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4";

    #[test]
    fn two_layouts_name_the_same_entry() {
        let flat = entry(KEY).unwrap();
        let subdirs = entry(&format!("{}/{}", &KEY[..2], &KEY[2..])).unwrap();
        assert_eq!(flat, subdirs);
        assert_eq!((flat.key.as_str(), flat.kind), (KEY, Kind::Pointer));
    }

    #[test]
    fn the_layout_for_bazel_servers_has_sha256_keys() {
        let digits = "0a".repeat(32);
        assert_eq!(entry(&format!("ac/{digits}")).unwrap().key, digits);
        let subdirs = entry(&format!("ac/{}", &KEY[2..])).unwrap();
        assert_eq!(subdirs.key, format!("ac{}", &KEY[2..]));
        assert_eq!(entry(&format!("cas/{digits}")), None);
    }

    #[test]
    fn odd_paths_name_nothing() {
        for odd in [
            String::new(),
            "/".into(),
            "..".into(),
            format!("../{KEY}"),
            format!("{KEY}/"),
            format!("0a//{KEY}"),
            format!("0a/../{KEY}"),
            "%2e%2e/0a1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4".into(),
            KEY.to_uppercase(),
            "z".repeat(33),
            "0".repeat(15),
            "0".repeat(129),
        ] {
            assert_eq!(entry(&odd), None, "{odd}");
        }
    }
}
