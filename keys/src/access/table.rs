//! The tokens there are. Filled from the ledger's records, in any order and as often as they come; asked on every request.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Access, AccessRole, TokenHash, TokenId, text};

/// What the farm keeps of a token.
///
/// **Shape.** `{"id", "name", "role", "projects", "hash", "created", "expires"}`; `expires` is left out when there is none.
///
/// **Units.** Milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRecord {
    /// By which it is listed and taken back.
    pub id: TokenId,
    /// What people call it: a person, a machine, a purpose. It decides nothing.
    pub name: String,
    /// What it allows.
    #[serde(flatten)]
    pub access: Access,
    /// By which it is found.
    pub hash: TokenHash,
    /// When it was granted.
    pub created: u64,
    /// From when on it lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// Tokens by their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessTokens {
    records: BTreeMap<TokenId, AccessRecord>,
    by_hash: HashMap<TokenHash, TokenId>,
}

impl AccessRecord {
    /// True when it lets somebody in at that moment.
    #[must_use]
    pub fn is_good(&self, now_ms: u64) -> bool {
        self.expires.is_none_or(|expires| now_ms < expires)
    }

    /// True when something that needs that role may be done with that project: see [`Access::may`].
    #[must_use]
    pub fn may(&self, needed: AccessRole, project: Option<&str>) -> bool {
        self.access.may(needed, project)
    }
}

impl AccessTokens {
    /// Adds a token. It takes the place of the one with the same name or the same hash, which is returned: no text opens
    /// anything that a later record of its name does not allow.
    pub fn insert(&mut self, record: AccessRecord) -> Option<AccessRecord> {
        let same_hash = self.by_hash.get(&record.hash).copied();
        let same_hash = same_hash.and_then(|id| self.remove(id));
        let same_id = self.remove(record.id);
        self.by_hash.insert(record.hash, record.id);
        self.records.insert(record.id, record);
        same_id.or(same_hash)
    }

    /// Takes a token back; none when there is no such token.
    pub fn remove(&mut self, id: TokenId) -> Option<AccessRecord> {
        let removed = self.records.remove(&id)?;
        self.by_hash.remove(&removed.hash);
        Some(removed)
    }

    /// The record of what a client sent; none when it is no token, or an unknown one, or out of date.
    #[must_use]
    pub fn find(&self, token: &str, now_ms: u64) -> Option<&AccessRecord> {
        let (_claimed, hash) = text::read(token)?;
        let record = self.records.get(self.by_hash.get(&hash)?)?;
        record.is_good(now_ms).then_some(record)
    }

    /// The token of that name, good or out of date.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<&AccessRecord> {
        self.records.get(&id)
    }

    /// All tokens, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &AccessRecord> {
        self.records.values()
    }

    /// True when nobody can get in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::{NewAccessToken, new_access_token};

    fn granted(role: AccessRole) -> (NewAccessToken, AccessRecord) {
        let made = new_access_token().unwrap();
        let record = made.record("laptop", Access::everywhere(role), 1_000, None);
        (made, record)
    }

    #[test]
    fn a_token_lets_in_from_its_record_until_it_is_taken_back() {
        let (made, record) = granted(AccessRole::Builder);
        let (other, other_record) = granted(AccessRole::Admin);
        let mut tokens = AccessTokens::default();
        assert_eq!(tokens.find(&made.token, 0), None);
        assert_eq!(tokens.insert(record.clone()), None);
        assert_eq!(tokens.insert(other_record.clone()), None);
        assert_eq!(tokens.find(&made.token, 0), Some(&record));
        assert_eq!(tokens.find(&other.token, 0), Some(&other_record));
        assert_eq!(tokens.remove(made.id), Some(record));
        assert_eq!(tokens.remove(made.id), None);
        assert_eq!(tokens.find(&made.token, 0), None);
        assert_eq!(tokens.find(&other.token, 0), Some(&other_record));
    }

    #[test]
    fn a_token_lets_in_until_the_moment_it_expires() {
        let made = new_access_token().unwrap();
        let record = made.record(
            "ci",
            Access::everywhere(AccessRole::Viewer),
            1_000,
            Some(2_000),
        );
        let mut tokens = AccessTokens::default();
        tokens.insert(record.clone());
        // A record may be read by a server whose clock is behind: when it was made decides nothing.
        for (now_ms, found) in [(0, true), (1_999, true), (2_000, false), (u64::MAX, false)] {
            assert_eq!(
                tokens.find(&made.token, now_ms).is_some(),
                found,
                "{now_ms}"
            );
        }
        assert_eq!(tokens.get(made.id), Some(&record));
    }

    #[test]
    fn a_later_record_of_a_name_leaves_nothing_of_the_earlier() {
        let (first, record) = granted(AccessRole::Admin);
        let (second, mut replacing) = granted(AccessRole::Viewer);
        replacing.id = first.id;
        let mut tokens = AccessTokens::default();
        tokens.insert(record.clone());
        assert_eq!(tokens.insert(replacing.clone()), Some(record.clone()));
        assert_eq!(tokens.find(&first.token, 0), None);
        assert_eq!(tokens.find(&second.token, 0), Some(&replacing));
        // And of a hash: two names for one text would be two roles for it.
        let mut renamed = replacing.clone();
        renamed.id = second.id;
        assert_eq!(tokens.insert(renamed.clone()), Some(replacing));
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [&renamed]);
        assert_eq!(tokens.remove(first.id), None);
        assert!(!tokens.is_empty());
    }

    #[test]
    fn what_is_not_exactly_the_token_lets_nobody_in() {
        let (made, record) = granted(AccessRole::Admin);
        let mut tokens = AccessTokens::default();
        tokens.insert(record);
        let (id, hash) = (made.id, made.hash);
        let secret = made.token.rsplit('_').next().unwrap();
        let rows = [
            String::new(),
            made.token.to_uppercase(),
            format!("{} ", made.token),
            made.token[..made.token.len() - 1].into(),
            format!("croft_000000000000_{secret}"),
            format!("croft_{id}_{hash}"),
            format!("croft_reader_{secret}"),
            hash.to_string(),
            id.to_string(),
            secret.into(),
        ];
        for token in rows {
            assert_eq!(tokens.find(&token, 0), None, "{token:?}");
        }
    }

    #[test]
    fn a_made_up_password_is_no_token_even_when_its_hash_is_kept() {
        let (_, mut record) = granted(AccessRole::Admin);
        let hash = blake3::hash(b"hunter2").to_string();
        record.hash = hash.parse().unwrap();
        let mut tokens = AccessTokens::default();
        tokens.insert(record);
        assert_eq!(tokens.find("hunter2", 0), None);
    }

    #[test]
    fn a_record_is_kept_as_this_json() {
        let json = concat!(
            r#"{"id":"00ff00ff00ff","name":"laptop","role":"builder","projects":["web"],"#,
            r#""hash":"abababababababababababababababababababababababababababababababab","#,
            r#""created":1700000000000}"#
        );
        let record: AccessRecord = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        assert!(record.may(AccessRole::Viewer, Some("web")));
        assert_eq!(record.expires, None);
        let until = json.replace('}', r#","expires":1700000000001}"#);
        let record: AccessRecord = serde_json::from_str(&until).unwrap();
        assert_eq!(record.expires, Some(1_700_000_000_001));
        assert_eq!(serde_json::to_string(&record).unwrap(), until);
    }

    proptest! {
        #[test]
        fn one_other_character_anywhere_is_another_token(at in 0_usize..83, other in any::<char>()) {
            let (made, record) = granted(AccessRole::Admin);
            let mut tokens = AccessTokens::default();
            tokens.insert(record);
            prop_assert_eq!(made.token.len(), 83);
            let mut changed: Vec<char> = made.token.chars().collect();
            prop_assume!(changed[at] != other);
            changed[at] = other;
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(tokens.find(&changed, 0), None);
            prop_assert!(tokens.find(&made.token, 0).is_some());
        }

        #[test]
        fn anything_may_be_sent(token in ".*") {
            let tokens = AccessTokens::default();
            prop_assert_eq!(tokens.find(&token, 0), None);
        }
    }
}
