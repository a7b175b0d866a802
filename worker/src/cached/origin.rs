//! What a cache's key was made of, so that a later miss can name what changed. Received from the key's expansion, handed to
//! the save. Values never: only their hashes.

use std::sync::LazyLock;

use croft_cache::{Id, Input, InputKind};
use regex::Regex;

use crate::environment::{self, Environment};
use crate::expand::Hashed;

static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)").expect("a constant pattern compiles")
});

/// The variables a key's text names, with the hashes of their values. Left out are those whose value came from a store, and
/// credentials: a short secret's hash would give it away.
pub(crate) fn variables(text: &str, values: &Environment, secrets: &[String]) -> Vec<Input> {
    let mut names: Vec<&str> = NAMES
        .captures_iter(text)
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .filter(|name| !environment::is_never_exported(name))
        .filter(|name| !secrets.iter().any(|secret| secret == name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| Input {
            kind: InputKind::Variable,
            name: name.to_string(),
            digest: Id::of(values.get(name).unwrap_or_default()).to_string(),
        })
        .collect()
}

/// The files whose hashes went into a key.
pub(crate) fn files(hashed: Vec<Hashed>) -> impl Iterator<Item = Input> {
    hashed.into_iter().map(|(name, digest)| Input {
        kind: InputKind::File,
        name,
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_known_by_the_hashes_of_their_values_and_secrets_not_at_all() {
        let mut values = Environment::new(Vec::new());
        values.set("A", "1");
        values.set("SECRET", "s");
        values.set("AWS_KEY", "k");
        let text = "x-$A-${B:-none}-$SECRET-$AWS_KEY-$(codebuild-hash-files x)-$A";
        let found = variables(text, &values, &["SECRET".to_string()]);
        let found: Vec<(&str, String)> = found
            .iter()
            .map(|input| (input.name.as_str(), input.digest.clone()))
            .collect();
        let digest = |value: &str| Id::of(value.as_bytes()).to_string();
        assert_eq!(found, [("A", digest("1")), ("B", digest(""))]);
    }
}
