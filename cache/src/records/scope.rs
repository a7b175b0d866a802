//! Which scopes a build writes and reads. Made where a build, a flag or a token says who is asking; handed to every look-up
//! and save, which ask nothing more.

use croft_keys::{Grant, ScopeName, ScopePattern};

/// Where a build may put records, and whose it may use.
///
/// **Shape.** It writes one scope. It reads that one first, then `trusted`; never what another scope wrote. So a pull
/// request from a fork profits from what the main branch built, and the main branch never from what a fork built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    write: ScopeName,
    reads: Vec<ScopeName>,
}

/// Somebody asked to write where that was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scope `{scope}` may not be written here; granted is `{granted}`")]
pub struct ScopesError {
    scope: ScopeName,
    granted: ScopePattern,
}

impl Scopes {
    /// Those of a build that writes `write`.
    ///
    /// # Errors
    /// [`ScopesError`] when `write` is not within what was granted. There is no other way to write a scope.
    pub fn within(granted: &ScopePattern, write: ScopeName) -> Result<Self, ScopesError> {
        if granted.admits(&write) {
            Ok(Self::writing(write))
        } else {
            Err(ScopesError {
                scope: write,
                granted: granted.clone(),
            })
        }
    }

    /// Those of a token's holder. Whether it may write at all is in [`Grant::role`].
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        Self::writing(grant.scope.clone())
    }

    /// Those of a build that its owner started on their own machine.
    #[must_use]
    pub fn trusted() -> Self {
        Self::writing(ScopeName::trusted())
    }

    fn writing(write: ScopeName) -> Self {
        let mut reads = vec![write.clone()];
        if !write.is_trusted() {
            reads.push(ScopeName::trusted());
        }
        Self { write, reads }
    }

    /// The one scope records go to.
    #[must_use]
    pub fn write(&self) -> &ScopeName {
        &self.write
    }

    /// The scopes records may come from, in the order they are asked. Never empty.
    #[must_use]
    pub fn reads(&self) -> &[ScopeName] {
        &self.reads
    }

    /// True when records of that scope may be used.
    #[must_use]
    pub fn may_read(&self, scope: &ScopeName) -> bool {
        self.reads.contains(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ScopeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_fork_reads_trusted_and_writes_only_its_own() {
        let scopes = Scopes::within(&"fork/*".parse().unwrap(), name("fork/12")).unwrap();
        assert_eq!(scopes.write(), &name("fork/12"));
        assert_eq!(scopes.reads(), [name("fork/12"), name("trusted")]);
        assert!(!scopes.may_read(&name("fork/13")));
    }

    #[test]
    fn trusted_reads_nothing_but_itself() {
        assert_eq!(Scopes::trusted().reads(), [name("trusted")]);
    }

    #[test]
    fn a_scope_that_was_not_granted_cannot_be_written() {
        let rows = [
            ("fork/12", "trusted"),
            ("fork/12", "fork/13"),
            ("fork/12", "fork/12/x"),
            ("fork/*", "trusted"),
            ("fork/*", "fork"),
        ];
        for (granted, write) in rows {
            let error = Scopes::within(&granted.parse().unwrap(), name(write)).unwrap_err();
            assert!(error.to_string().contains(granted), "{error}");
        }
    }
}
