//! The user's credentials for a registry, from the places `docker login` puts them: `config.json` itself, or a helper
//! program it names. Receives a registry's host, hands credentials to the pull; nothing is kept or logged.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::base64;
use super::docker::{Configuration, Docker, Login};
use super::reference::DEFAULT_REGISTRY;
use crate::request::SignIn;

/// Under this name `docker login` keeps what it knows of the default registry.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";
/// A helper that waits for somebody at a keyboard would wait for ever.
const HELPER_MAX: Duration = Duration::from_secs(30);
/// The user name by which helpers say that the secret is a token.
const TOKEN_USER: &str = "<token>";

/// What a helper prints.
#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The credentials of whoever a build says.
pub(crate) fn given(login: &SignIn, registry: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.clone()),
        serveraddress: keys(registry).into_iter().next(),
        ..DockerCredentials::default()
    }
}

/// The user's credentials for `registry`; `None` when there are none.
///
/// # Errors
/// When there should be some and they cannot be had: a broken file, a helper that fails. The message names neither user
/// nor secret.
pub(crate) async fn find(docker: &Docker, registry: &str) -> io::Result<Option<DockerCredentials>> {
    let path = docker.configuration_path();
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let configuration = docker.configuration().map_err(named)?;
    let keys = keys(registry);
    if let Some(helper) = helper(&configuration, &keys)
        && let Some(found) = ask(docker, helper, &keys[0]).await?
    {
        return Ok(Some(found));
    }
    let login = configuration
        .auths
        .iter()
        .find(|(key, _)| keys.contains(&host(key).to_string()) || keys.contains(key));
    login
        .and_then(|(_, login)| written(login).transpose())
        .transpose()
        .map_err(named)
}

/// The names a registry goes by, the first being the one helpers know.
fn keys(registry: &str) -> Vec<String> {
    if registry == DEFAULT_REGISTRY {
        return [
            DEFAULT_KEY,
            "index.docker.io",
            DEFAULT_REGISTRY,
            "registry-1.docker.io",
        ]
        .map(String::from)
        .to_vec();
    }
    vec![registry.to_string()]
}

/// Older files have whole addresses for keys.
fn host(key: &str) -> &str {
    let plain = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    plain.split('/').next().unwrap_or(plain)
}

fn helper<'c>(configuration: &'c Configuration, keys: &[String]) -> Option<&'c str> {
    let own = configuration
        .cred_helpers
        .iter()
        .find(|(key, _)| keys.iter().any(|known| known == host(key) || known == *key));
    own.map(|(_, name)| name)
        .or(configuration.creds_store.as_ref())
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// A login that is in the file itself; `None` for the empty entry that stands for one in a helper.
fn written(login: &Login) -> io::Result<Option<DockerCredentials>> {
    let (mut username, mut password) = (login.username.clone(), login.password.clone());
    if !login.auth.is_empty() {
        let wrong = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "an `auth` in it is not base64 of user:password",
            )
        };
        let plain = base64::decode(&login.auth)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(wrong)?;
        let (user, secret) = plain.split_once(':').ok_or_else(wrong)?;
        // Old versions of docker padded with NUL.
        (username, password) = (user.to_string(), secret.trim_end_matches('\0').to_string());
    }
    let given = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    let found = DockerCredentials {
        username: given(&username),
        password: given(&password),
        identitytoken: given(&login.identitytoken),
        registrytoken: given(&login.registrytoken),
        ..DockerCredentials::default()
    };
    let some =
        found.username.is_some() || found.identitytoken.is_some() || found.registrytoken.is_some();
    Ok(some.then_some(found))
}

/// Asks `docker-credential-NAME get`; `None` when it knows nothing of the registry.
async fn ask(docker: &Docker, name: &str, key: &str) -> io::Result<Option<DockerCredentials>> {
    let program = format!("docker-credential-{name}");
    let failed = |why: String| io::Error::other(format!("{program} {why}"));
    if name.contains('/') {
        return Err(failed("is not a program's name".to_string()));
    }
    let mut command = Command::new(&program);
    command
        .arg("get")
        .env("HOME", &docker.home)
        .kill_on_drop(true);
    if let Some(path) = &docker.path {
        command.env("PATH", path);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let mut input = child
        .stdin
        .take()
        .ok_or_else(|| failed("has no input".to_string()))?;
    let talk = async {
        // A helper that does not read has answered already.
        input.write_all(key.as_bytes()).await.unwrap_or_default();
        drop(input);
        child.wait_with_output().await
    };
    let late = |_elapsed| failed(format!("did not answer within {} s", HELPER_MAX.as_secs()));
    let output = tokio::time::timeout(HELPER_MAX, talk)
        .await
        .map_err(late)??;
    if !output.status.success() {
        // Helpers say on standard output that they know nothing, and end with an error.
        let words = String::from_utf8_lossy(&output.stdout).trim().to_string();
        if words.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(format!("failed: {words}")));
    }
    let helped: Helped = serde_json::from_slice(&output.stdout).map_err(|_secret_in_it| {
        failed("printed something that is not what helpers print".to_string())
    })?;
    Ok(Some(credentials(helped, key)))
}

fn credentials(helped: Helped, key: &str) -> DockerCredentials {
    let serveraddress = Some(key.to_string());
    if helped.username == TOKEN_USER {
        return DockerCredentials {
            identitytoken: Some(helped.secret),
            serveraddress,
            ..DockerCredentials::default()
        };
    }
    DockerCredentials {
        username: Some(helped.username),
        password: Some(helped.secret),
        serveraddress,
        ..DockerCredentials::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    async fn found(
        home: &Path,
        config: &str,
        registry: &str,
    ) -> io::Result<Option<(String, String)>> {
        fs::create_dir_all(home.join(".docker")).unwrap();
        fs::write(home.join(".docker/config.json"), config).unwrap();
        let path = OsString::from(format!("{}:/bin:/usr/bin", home.display()));
        let docker = Docker::new(home, |name| (name == "PATH").then(|| path.clone()));
        let found = find(&docker, registry).await?;
        Ok(found.map(|found| {
            let user = found.username.unwrap_or_else(|| "token".to_string());
            (
                user,
                found
                    .password
                    .or(found.identitytoken)
                    .or(found.registrytoken)
                    .unwrap(),
            )
        }))
    }

    fn pair(user: &str, secret: &str) -> Option<(String, String)> {
        Some((user.to_string(), secret.to_string()))
    }

    #[tokio::test]
    async fn logins_in_the_file_are_found_under_every_form_of_their_name() {
        let home = tempfile::tempdir().unwrap();
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6cGE6c3M="},
            "https://old.example/v2/": {"username": "u", "password": "p"},
            "new.example:5000": {"identitytoken": "t"},
            "empty.example": {}
        }}"#;
        assert_eq!(
            found(home.path(), config, "docker.io").await.unwrap(),
            pair("me", "pa:ss")
        );
        assert_eq!(
            found(home.path(), config, "old.example").await.unwrap(),
            pair("u", "p")
        );
        assert_eq!(
            found(home.path(), config, "new.example:5000")
                .await
                .unwrap(),
            pair("token", "t")
        );
        assert_eq!(
            found(home.path(), config, "new.example").await.unwrap(),
            None
        );
        assert_eq!(
            found(home.path(), config, "empty.example").await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn helpers_are_asked_for_their_registries_and_the_store_for_the_rest() {
        let home = tempfile::tempdir().unwrap();
        let helper = |name: &str, body: &str| {
            let file = home.path().join(format!("docker-credential-{name}"));
            fs::write(&file, format!("#!/bin/sh\nread -r server || :\n{body}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        helper(
            "own",
            r#"printf '{"Username":"own","Secret":"%s"}' "$server""#,
        );
        helper(
            "all",
            r#"[ "$server" = a.example ] && echo '{"Username":"<token>","Secret":"s"}' && exit; echo "credentials not found in native keychain"; exit 1"#,
        );
        helper("bad", "echo no keychain; exit 1");
        let config = r#"{"credsStore": "all", "credHelpers": {"https://b.example": "own", "c.example": "bad", "d.example": "none"},
                         "auths": {"e.example": {"auth": "bWU6eA=="}}}"#;
        assert_eq!(
            found(home.path(), config, "a.example").await.unwrap(),
            pair("token", "s")
        );
        assert_eq!(
            found(home.path(), config, "b.example").await.unwrap(),
            pair("own", "b.example")
        );
        assert_eq!(
            found(home.path(), config, "e.example").await.unwrap(),
            pair("me", "x")
        );
        assert_eq!(found(home.path(), config, "f.example").await.unwrap(), None);
        let failed = found(home.path(), config, "c.example")
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(failed, "docker-credential-bad failed: no keychain");
        let missing = found(home.path(), config, "d.example")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("docker-credential-none cannot be started"),
            "{missing}"
        );
    }

    #[tokio::test]
    async fn a_broken_file_is_named_and_none_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        for broken in [
            "{",
            r#"{"auths": {"a.example": {"auth": "?"}}}"#,
            r#"{"auths": {"a.example": {"auth": "bm9uZQ=="}}}"#,
        ] {
            let error = found(home.path(), broken, "a.example")
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(".docker/config.json: "), "{error}");
        }
        let docker = Docker::new(&home.path().join("elsewhere"), |_| None);
        assert!(find(&docker, "a.example").await.unwrap().is_none());
    }
}
