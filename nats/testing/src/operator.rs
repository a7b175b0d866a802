//! An operator of a test's own: whoever may log in is who has a JWT of an account that it signed. What `nsc` does.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::nkey::{Key, Kind, in_letters};

/// Some time in the past: nothing here needs a clock.
const ISSUED_AT: u64 = 1_700_000_000;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Signs credentials. Its files are gone with it.
#[derive(Debug)]
pub struct Operator {
    folder: TempDir,
    operator: Key,
    system: Key,
    account: Key,
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

impl Operator {
    /// One with an account that may use JetStream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            operator: Key::new(Kind::Operator),
            system: Key::new(Kind::Account),
            account: Key::new(Kind::Account),
        }
    }

    /// What a server's configuration must have to trust it.
    #[must_use]
    pub fn settings(&self) -> String {
        let [operator, system, account] =
            [&self.operator, &self.system, &self.account].map(Key::public);
        let trusted = jwt(
            &self.operator,
            &operator,
            json!({ "type": "operator", "version": 2, "system_account": system }),
            None,
        );
        let limits = |jetstream: i64| {
            json!({
                "type": "account",
                "version": 2,
                "limits": {
                    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
                    "leaf": -1, "mem_storage": jetstream, "disk_storage": jetstream, "streams": jetstream,
                    "consumer": jetstream,
                },
            })
        };
        let systems = jwt(&self.operator, &system, limits(0), None);
        let accounts = jwt(&self.operator, &account, limits(-1), None);
        format!(
            "operator: {trusted}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {system}: {systems}, {account}: {accounts} }}\n"
        )
    }

    /// A credentials file for a user of the account.
    #[must_use]
    pub fn user(&self, name: &str) -> PathBuf {
        self.credentials(name, None)
    }

    /// One that was good once.
    #[must_use]
    pub fn expired(&self, name: &str) -> PathBuf {
        self.credentials(name, Some(ISSUED_AT + 1))
    }

    fn credentials(&self, name: &str, expires_at: Option<u64>) -> PathBuf {
        let user = Key::new(Kind::User);
        let claims = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        let jwt = jwt(&self.account, &user.public(), claims, expires_at);
        let seed = user.seed();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let path = Path::join(self.folder.path(), format!("{name}.creds"));
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn jwt(signer: &Key, subject: &str, nats: Value, expires_at: Option<u64>) -> String {
    let letters = |bytes: &[u8]| in_letters(bytes, 6, LETTERS);
    let mut claims = json!({
        "jti": subject, "iat": ISSUED_AT, "iss": signer.public(), "name": subject, "sub": subject, "nats": nats,
    });
    if let Some(expires_at) = expires_at {
        claims["exp"] = expires_at.into();
    }
    let header = letters(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", letters(claims.to_string().as_bytes()));
    let signature = letters(&signer.sign(&signed));
    format!("{signed}.{signature}")
}
