//! Bazel's HTTP cache: `/ac/<64 hex>` and `/cas/<64 hex>`, with an instance name in front of them or none.
//!
//! **Source.** <https://bazel.build/remote/caching#http-caching>: "The key in the AC is the SHA-256 of the action, in the
//! CAS of the bytes".

use hyper::Method;

use super::{Entry, Front, Kind, Odd, Op, key, usual};

/// Instance names are short words; this leaves room for `organisation/repository/branch`.
const INSTANCE_BYTES_MAX: usize = 128;

/// Whose bytes the keys are the SHA-256 of.
const BLOBS: &str = "bazel/cas";

const PATHS: &str = "paths are /ac/KEY and /cas/KEY, with an instance name before them or none; KEY is 64 hexadecimal \
                     digits in lower case";

/// Results of actions (`ac`), which may change, and blobs by their SHA-256 (`cas`), which cannot.
///
/// An instance name keeps results of actions apart; blobs are the same in all of them, since they are named by content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bazel;

impl Front for Bazel {
    fn name(&self) -> &'static str {
        "bazel"
    }

    fn route(&self, method: &Method, path: &str) -> Op {
        usual(method, entry(path).ok_or(Odd::Path(PATHS)))
    }
}

fn entry(path: &str) -> Option<Entry> {
    let (folder, digits) = path.rsplit_once('/')?;
    let sha256 = key::sha256(digits)?;
    let (instance, kind) = match folder.rsplit_once('/') {
        Some((instance, kind)) if is_instance(instance) => (Some(instance), kind),
        Some(_) => return None,
        None => (None, folder),
    };
    match kind {
        "cas" => Some(Entry {
            space: BLOBS,
            key: digits.to_string(),
            kind: Kind::Content(sha256),
        }),
        "ac" => Some(Entry {
            space: "bazel/ac",
            key: match instance {
                Some(instance) => format!("{instance}/{digits}"),
                None => digits.to_string(),
            },
            kind: Kind::Result { blobs: BLOBS },
        }),
        _ => None,
    }
}

fn is_instance(name: &str) -> bool {
    let is_word = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !word.bytes().all(|byte| byte == b'.')
    };
    name.len() <= INSTANCE_BYTES_MAX && name.split('/').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> String {
        "0a".repeat(32)
    }

    #[test]
    fn blobs_are_named_by_content_and_results_are_not() {
        let blob = entry(&format!("cas/{}", digits())).unwrap();
        assert_eq!(
            (blob.space, blob.kind),
            ("bazel/cas", Kind::Content([10; 32]))
        );
        let result = entry(&format!("ac/{}", digits())).unwrap();
        assert_eq!(
            (result.space, result.kind),
            ("bazel/ac", Kind::Result { blobs: BLOBS })
        );
    }

    #[test]
    fn an_instance_keeps_results_apart_and_shares_blobs() {
        let plain = |kind| entry(&format!("{kind}/{}", digits())).unwrap();
        let of = |kind| entry(&format!("team/app/{kind}/{}", digits())).unwrap();
        assert_ne!(plain("ac"), of("ac"));
        assert_eq!(of("ac").key, format!("team/app/{}", digits()));
        assert_eq!(plain("cas"), of("cas"));
    }

    #[test]
    fn odd_paths_name_nothing() {
        let digits = digits();
        for odd in [
            String::new(),
            "cas".into(),
            "cas/".into(),
            digits.clone(),
            format!("CAS/{digits}"),
            format!("cas/{}", digits.to_uppercase()),
            format!("cas/{digits}0"),
            format!("cas/{digits}/"),
            format!("cas//{digits}"),
            format!("/cas/{digits}"),
            format!("../cas/{digits}"),
            format!("a/../ac/{digits}"),
            format!("a//ac/{digits}"),
            format!("%2e%2e/ac/{digits}"),
            format!("a b/ac/{digits}"),
            format!("{}/ac/{digits}", "a".repeat(INSTANCE_BYTES_MAX + 1)),
            format!("cas/../{digits}"),
            format!("blobs/{digits}"),
        ] {
            assert_eq!(entry(&odd), None, "{odd}");
        }
    }

    #[test]
    fn methods_mean_what_they_say() {
        let path = format!("cas/{}", digits());
        let route = |method| Bazel.route(&method, &path);
        assert!(matches!(route(Method::GET), Op::Fetch(_)));
        assert!(matches!(route(Method::HEAD), Op::Look(_)));
        assert!(matches!(route(Method::PUT), Op::Store(_)));
        assert_eq!(route(Method::DELETE), Op::Refuse(Odd::Removal));
        assert_eq!(route(Method::POST), Op::Refuse(Odd::Method));
        assert_eq!(Bazel.route(&Method::GET, "x"), Op::Refuse(Odd::Path(PATHS)));
    }
}
