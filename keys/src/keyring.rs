//! Whose signature counts for what. Parsed from the keyring file; asked by whoever reads something signed.

use crate::{BadSignature, Context, FileErrors, KeyId, ScopeName, ScopePattern, Signature, lines};

/// Which keys may sign for which scopes.
///
/// **Shape.** One rule a line: `<64 hex digits of the public key> <scope pattern> [comment]`. A key may have several
/// lines. Empty lines, and lines that start with `#`, say nothing. A key that is on no line is trusted with nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring(Vec<(KeyId, ScopePattern)>);

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The keyring has no such key. Its owner can add it.
    #[error("its signer {0} is in no keyring here")]
    Unknown(KeyId),
    /// The bytes are not those that were signed.
    #[error("its signature is not that of {0}")]
    BadSignature(KeyId),
    /// The key signs for other scopes. The keyring's owner can allow it.
    #[error("its signer {0} may not sign for its scope")]
    NotAllowed(KeyId),
}

impl Keyring {
    /// The rules of a keyring file.
    ///
    /// # Errors
    /// Every line that is no rule, with its number.
    pub fn parse(text: &str) -> Result<Self, FileErrors> {
        let rules = lines::parse(text, |fields| {
            let key = fields.next().unwrap_or_default();
            let key = KeyId::parse(key)
                .ok_or("the first word is not a public key (64 lower-case hexadecimal digits)")?;
            let pattern = fields.next();
            let pattern = pattern.ok_or("after the key, say which scope it may sign for")?;
            let pattern: ScopePattern = pattern
                .parse()
                .map_err(|error: crate::ScopeError| error.to_string())?;
            Ok((key, pattern))
        });
        rules.map(Self)
    }

    /// This keyring and one rule more: a machine trusts its own key for the scopes it writes.
    #[must_use]
    pub fn and(mut self, key: KeyId, pattern: ScopePattern) -> Self {
        self.0.push((key, pattern));
        self
    }

    /// True when the key may sign for the scope.
    #[must_use]
    pub fn allows(&self, key: &KeyId, scope: &ScopeName) -> bool {
        self.0
            .iter()
            .any(|(known, pattern)| known == key && pattern.admits(scope))
    }

    /// Passes when a key of this keyring signed those bytes for that purpose. For which scopes it may is another
    /// question: see [`Keyring::allows`].
    ///
    /// # Errors
    /// [`Distrust::Unknown`] before any arithmetic is done, [`Distrust::BadSignature`] after it.
    pub fn verify(
        &self,
        context: Context,
        bytes: &[u8],
        signature: &Signature,
        key: &KeyId,
    ) -> Result<(), Distrust> {
        if !self.0.iter().any(|(known, _)| known == key) {
            return Err(Distrust::Unknown(*key));
        }
        key.verify(context, bytes, signature)
            .map_err(|BadSignature| Distrust::BadSignature(*key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LineError, Signer};

    fn scope(text: &str) -> ScopeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_signs_for_the_scopes_on_its_lines_and_no_other() {
        let [a, b, c] = [0; 3].map(|_| Signer::of_this_process().unwrap().key_id());
        let text = format!(
            "# the farm\n\n{a} trusted the builders\n  {a}\tteam/* and teams\r\n{b} fork/* pull requests\n"
        );
        let keyring = Keyring::parse(&text).unwrap();
        let rows = [
            (a, "trusted", true),
            (a, "team/x", true),
            (a, "fork/1", false),
            (b, "fork/1", true),
            (b, "trusted", false),
            (b, "fork", false),
            (c, "fork/1", false),
        ];
        for (key, name, allowed) in rows {
            assert_eq!(keyring.allows(&key, &scope(name)), allowed, "{name}");
        }
        let own = keyring.and(c, "*".parse().unwrap());
        assert!(own.allows(&c, &scope("trusted")));
    }

    #[test]
    fn every_wrong_line_is_named_by_its_number() {
        let key = Signer::of_this_process().unwrap().key_id();
        let text = format!("{key} trusted\nnot-a-key trusted\n\n{key}\n{key} ../x\n");
        let errors = Keyring::parse(&text).unwrap_err();
        let lines: Vec<usize> = errors
            .0
            .iter()
            .map(|error: &LineError| error.line)
            .collect();
        assert_eq!(lines, [2, 4, 5]);
        let shown = errors.to_string();
        assert!(
            shown.starts_with("line 2: the first word is not a public key"),
            "{shown}"
        );
        assert!(shown.contains("; line 5: `../x` names no scope"), "{shown}");
        assert!(Keyring::parse(&key.to_string().to_uppercase()).is_err());
    }

    #[test]
    fn an_empty_keyring_trusts_nobody() {
        let signer = Signer::of_this_process().unwrap();
        let context = Context::new("test");
        let signature = signer.sign(context, b"bytes");
        let keyring = Keyring::parse("# nobody\n").unwrap();
        let key = signer.key_id();
        assert_eq!(
            keyring.verify(context, b"bytes", &signature, &key),
            Err(Distrust::Unknown(key))
        );
        let keyring = keyring.and(key, "trusted".parse().unwrap());
        assert_eq!(keyring.verify(context, b"bytes", &signature, &key), Ok(()));
        assert_eq!(
            keyring.verify(context, b"other", &signature, &key),
            Err(Distrust::BadSignature(key))
        );
    }
}
