//! Running git so that nothing of a repository's, and nothing of this machine's own settings but what is for the way to a server,
//! decides what happens. Receives words from this room's other modules, hands back what git said.
//!
//! Who signs in goes to git through its environment: not through its arguments, which everybody on a machine can read, and not
//! through a file.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;

use super::Error;
use super::asked::Asked;
use crate::request::{Repository, SignIn};
use crate::{address, program};

/// What of git's own variables a person sets for signing in and for the way to a server. All others would tell git to work on
/// another repository than the folder it is started in, `GIT_DIR` first of all.
const GIT_KEPT: [&str; 6] = [
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_ASKPASS",
    "GIT_TERMINAL_PROMPT",
    "GIT_HTTP_",
    "GIT_PROXY_",
];
/// Nothing of a repository's runs, no process stays behind, and a server that is mute for a minute is given up.
const SETTINGS: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "safe.directory=*",
    "advice.detachedHead=false",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    // A file for each object would make a checkout of thousands of small copies.
    "fetch.unpackLimit=1",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];
/// Asked by git, in its shell, for a user's name and password.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$CROFT_GIT_USER" "$CROFT_GIT_PASSWORD"; }; f"#;

/// Git, for somebody.
#[derive(Debug, Default)]
pub(super) struct Git {
    /// Who, and for which server: scheme, host and port.
    sign_in: Option<(SignIn, String)>,
}

impl Git {
    pub(super) fn of(repository: &Repository) -> Result<Self, Error> {
        let given = repository.sign_in.clone();
        let Some(sign_in) = given.or_else(|| address::sign_in(&repository.url)) else {
            return Ok(Self::default());
        };
        let shown = address::without_sign_in(&repository.url);
        let Some(server) = address::web_server(&shown) else {
            return Err(Error::Asked(format!(
                "{shown}: a name and password, or a token, are for https:// addresses only; ssh uses the keys of its machine"
            )));
        };
        if [&sign_in.user, &sign_in.password]
            .iter()
            .any(|text| text.contains(['\n', '\r', '\0']))
        {
            return Err(Error::Asked(format!(
                "{shown}: who signs in has a line break in the name or password"
            )));
        }
        Ok(Self {
            sign_in: Some((sign_in, server)),
        })
    }

    /// What it says, or why it failed.
    pub(super) async fn run(
        &self,
        folder: &Path,
        doing: &'static str,
        words: &[&str],
    ) -> Result<Output, Error> {
        self.run_with(folder, doing, words, &[]).await
    }

    /// The same, with an input.
    pub(super) async fn run_with(
        &self,
        folder: &Path,
        doing: &'static str,
        words: &[&str],
        input: &[u8],
    ) -> Result<Output, Error> {
        let mut command = program::command("git");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !GIT_KEPT.iter().any(|kept| text.starts_with(kept)) {
                command.env_remove(&name);
            }
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .args(words)
            .current_dir(folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            // Its words are looked through for whose fault it is.
            .env("LC_ALL", "C")
            .stdin(if input.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.sign_in_with(&mut command);
        let mut child = command.spawn().map_err(Error::NoProgram)?;
        if let Some(mut pipe) = child.stdin.take() {
            // One that ends early says why itself.
            if let Err(error) = pipe.write_all(input).await {
                tracing::debug!(%error, "git reads no more");
            }
        }
        let output = child.wait_with_output().await.map_err(Error::NoProgram)?;
        if output.status.success() {
            return Ok(output);
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_string();
        Err(Error::Git {
            doing,
            words: self.masked(words),
        })
    }

    /// The one line it says.
    pub(super) async fn line(
        &self,
        folder: &Path,
        doing: &'static str,
        words: &[&str],
    ) -> Result<String, Error> {
        let output = self.run(folder, doing, words).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Fetches the submodules of a checkout: over the web only, or as the repository itself was; signed in only at its server.
    pub(super) async fn submodules(&self, into: &Path, asked: &Asked) -> Result<(), Error> {
        let scheme = address::scheme(&asked.address);
        let own = format!("protocol.{scheme}.allow=always");
        let mut words = vec![
            "-c",
            "protocol.allow=never",
            "-c",
            "protocol.https.allow=always",
        ];
        words.extend([
            "-c",
            &own,
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
        ]);
        let depth = asked.depth.map(|depth| depth.to_string());
        if let Some(depth) = &depth {
            words.extend(["--depth", depth]);
        }
        self.run(into, "submodule update", &words).await.map(drop)
    }

    fn sign_in_with(&self, command: &mut tokio::process::Command) {
        let Some((sign_in, server)) = &self.sign_in else {
            return;
        };
        let helper = format!("credential.{server}.helper");
        // Helpers of this machine's might write down what they are told, or be asked for another name.
        let settings = [("credential.helper", ""), (&helper, ""), (&helper, HELPER)];
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (key, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command
            .env("CROFT_GIT_USER", &sign_in.user)
            .env("CROFT_GIT_PASSWORD", &sign_in.password);
    }

    fn masked(&self, words: String) -> String {
        match &self.sign_in {
            Some((sign_in, _)) if !sign_in.password.is_empty() => {
                words.replace(&sign_in.password, "***")
            }
            // A token in a user's place.
            Some((sign_in, _)) => words.replace(&sign_in.user, "***"),
            None => words,
        }
    }
}

/// Takes everything out of a folder.
pub(super) fn empty(folder: &Path) -> Result<(), Error> {
    let emptied = || -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    emptied().map_err(|source| Error::Mirror {
        folder: folder.display().to_string(),
        source,
    })
}
