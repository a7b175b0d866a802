//! Who one is to the registry of a build's image: from the environment's `registryCredential` to a name and a password. Asks the
//! vault; what it has goes to the pull and nowhere else.

use croft_proto::farm::Environment;
use serde::Deserialize;

use crate::{NoValue, SignIn, Vault};

/// AWS's shape of such a secret; what else is in it is for others.
#[derive(Deserialize)]
struct Written {
    username: String,
    password: String,
}

/// Who logs in; none where the environment names nobody.
pub(super) async fn login(
    environment: &Environment,
    vault: &dyn Vault,
) -> Result<Option<SignIn>, NoValue> {
    let Some(credential) = &environment.registry_credential else {
        return Ok(None);
    };
    let wrong = |why: String| NoValue::User(format!("environment.registryCredential: {why}"));
    credential.check().map_err(wrong)?;
    let name = &credential.credential;
    let secret = vault.value(name).await?.ok_or_else(|| {
        wrong(format!(
            "there is no secret `{name}` that this project may have"
        ))
    })?;
    read(&secret).map(Some).ok_or_else(|| {
        wrong(format!(
            "secret `{name}` is no JSON with username and password"
        ))
    })
}

fn read(secret: &str) -> Option<SignIn> {
    // What is wrong with it could show some of it.
    let written: Written = serde_json::from_str(secret).ok()?;
    let is_there = !written.username.is_empty() && !written.password.is_empty();
    is_there.then_some(SignIn {
        user: written.username,
        password: written.password,
    })
}

#[cfg(test)]
mod tests {
    use croft_proto::farm::RegistryCredential;
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;

    #[derive(Debug)]
    struct One(&'static str);

    impl Vault for One {
        fn value(&self, name: &str) -> BoxFuture<'_, Result<Option<String>, NoValue>> {
            let value = (name == "registry/ours").then(|| self.0.to_string());
            async { Ok(value) }.boxed()
        }
    }

    fn environment(credential: &str, provider: &str) -> Environment {
        Environment {
            registry_credential: Some(RegistryCredential {
                credential: credential.into(),
                credential_provider: provider.into(),
            }),
            ..Environment::default()
        }
    }

    fn of(environment: &Environment, secret: &'static str) -> Result<Option<SignIn>, NoValue> {
        login(environment, &One(secret)).now_or_never().unwrap()
    }

    #[test]
    fn a_secret_is_awss_json_and_what_else_is_in_it_does_not_matter() {
        let ours = environment("registry/ours", "SECRETS_MANAGER");
        let secret = r#"{"username": "me", "password": "p:w", "email": "x@example.com"}"#;
        let sign_in = of(&ours, secret).unwrap().unwrap();
        assert_eq!(
            (sign_in.user.as_str(), sign_in.password.as_str()),
            ("me", "p:w")
        );
        assert_eq!(of(&Environment::default(), secret), Ok(None));
    }

    #[test]
    fn what_is_no_login_is_the_users_to_mend_and_does_not_show_it() {
        let secret = r#"{"username": "me", "password": "hunter2"}"#;
        for (environment, secret, say) in [
            (environment("other", ""), secret, "no secret `other`"),
            (environment("registry/ours", "VAULT"), secret, "VAULT"),
            (environment("", "SECRETS_MANAGER"), secret, "credential"),
            (environment("registry/ours", ""), "me:hunter2", "is no JSON"),
            (
                environment("registry/ours", ""),
                r#"{"username": "me", "token": "hunter2"}"#,
                "is no JSON with",
            ),
            (
                environment("registry/ours", ""),
                r#"{"username": "", "password": "hunter2"}"#,
                "is no JSON with",
            ),
        ] {
            let Err(NoValue::User(message)) = of(&environment, secret) else {
                panic!("{environment:?}");
            };
            assert!(
                message.contains(say) && !message.contains("hunter2"),
                "{message}"
            );
        }
    }
}
