//! Who one is to a repository's server: from a source's `auth` to a name and a password. Asks the vault, hands the engine what it gives to git.

use croft_proto::farm::{Source, SourceType};
use serde_json::{Map, Value};

use super::NoSource;
use crate::{NoValue, SignIn, Vault};

/// Who signs in; none where the source names nobody.
pub(super) async fn of(source: &Source, vault: &dyn Vault) -> Result<Option<SignIn>, NoSource> {
    let Some(auth) = &source.auth else {
        return Ok(None);
    };
    if auth.auth_type != "SECRETS_MANAGER" {
        return Err(NoSource::User(format!(
            "source.auth.type {}: there are no connections here; put the token in a secret and name it with SECRETS_MANAGER",
            auth.auth_type
        )));
    }
    let name = auth.resource.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        NoSource::User(
            "source.auth.type SECRETS_MANAGER needs a resource: the secret's name".into(),
        )
    })?;
    let secret = vault.value(name).await.map_err(|why| match why {
        NoValue::User(message) => NoSource::User(message),
        NoValue::Machine(message) => NoSource::Machine(message),
    })?;
    let secret = secret.ok_or_else(|| {
        NoSource::User(format!(
            "source.auth: there is no secret `{name}` that this project may have"
        ))
    })?;
    let sign_in = read(&secret, user_of_tokens(source.source_type));
    sign_in.map(Some).ok_or_else(|| {
        NoSource::User(format!(
            "source.auth: secret `{name}` is no token, no user:password, and no JSON with token, or username and password"
        ))
    })
}

/// The name that a server wants beside a token.
fn user_of_tokens(source_type: SourceType) -> &'static str {
    match source_type {
        SourceType::Bitbucket => "x-token-auth",
        SourceType::Gitlab | SourceType::GitlabSelfManaged => "oauth2",
        SourceType::Github
        | SourceType::GithubEnterprise
        | SourceType::Codecommit
        | SourceType::Codepipeline
        | SourceType::S3
        | SourceType::NoSource => "x-access-token",
    }
}

fn read(secret: &str, user_of_tokens: &str) -> Option<SignIn> {
    let secret = secret.trim();
    let sign_in = |user: &str, password: &str| SignIn {
        user: user.to_string(),
        password: password.to_string(),
    };
    if secret.starts_with('{') {
        let fields: Map<String, Value> = serde_json::from_str(secret).ok()?;
        let user = field(&fields, "username");
        let password = field(&fields, "password").or_else(|| field(&fields, "token"))?;
        return Some(sign_in(user.unwrap_or(user_of_tokens), password));
    }
    match secret.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Some(sign_in(user, password))
        }
        Some(_) => None,
        None => (!secret.is_empty()).then(|| sign_in(user_of_tokens, secret)),
    }
}

/// AWS writes `Token`, people write `token`.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let mut found = fields
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let text = found.find_map(|(_, value)| value.as_str());
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_token_a_name_with_a_password_or_json() {
        for (secret, user, password) in [
            ("ghp_abc\n", "x-access-token", "ghp_abc"),
            ("me:pw:x", "me", "pw:x"),
            (r#"{"username":"me","password":"pw"}"#, "me", "pw"),
            (r#"{"token":"t"}"#, "x-access-token", "t"),
            (
                r#"{"ServerType":"GITHUB","AuthType":"PERSONAL_ACCESS_TOKEN","Token":"t"}"#,
                "x-access-token",
                "t",
            ),
        ] {
            let read = read(secret, "x-access-token").unwrap();
            assert_eq!(
                (read.user.as_str(), read.password.as_str()),
                (user, password),
                "{secret}"
            );
        }
        for none in [
            "",
            " ",
            ":",
            "me:",
            ":pw",
            "{",
            "{}",
            r#"{"token":""}"#,
            r#"{"token":1}"#,
        ] {
            assert_eq!(read(none, "x-access-token"), None, "{none}");
        }
    }
}
