//! HAProxy, over its runtime API: a Unix socket that takes a line of commands and answers with text, then closes.
//!
//! **Source.** HAProxy's management guide, "Unix Socket commands": `show stat`, `set server`. The socket needs `level admin`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::wanted::{Applied, Seen, WEIGHT_FULL, Wanted};

/// It answers within milliseconds; one that is being replaced does not at all.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// A thousand servers are some 500 KiB.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// Commands of one line: HAProxy reads a line into a buffer of 16 KiB, and a command has at most some 200 bytes.
const COMMANDS_AT_ONCE: usize = 32;

/// Why it does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum HaProxyError {
    /// Nobody listens at its socket, or does not answer.
    #[error("HAProxy does not answer at {}: is it running, with `stats socket ... level admin`?", socket.display())]
    Away {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has no such backend.
    #[error("HAProxy has no backend `{backend}` with servers; it has {known}")]
    NoBackend {
        /// As it was named.
        backend: String,
        /// Those it has.
        known: String,
    },
    /// A weight is too large, or a name is none.
    #[error("`{0}` cannot be said to HAProxy")]
    Unsayable(String),
    /// It refused a command.
    #[error("HAProxy answers: {0}")]
    Refused(String),
}

/// A backend of an HAProxy on this machine.
#[derive(Clone, Debug)]
pub struct HaProxy {
    socket: PathBuf,
    backend: String,
}

impl HaProxy {
    /// The backend of that name behind that socket.
    ///
    /// # Errors
    /// When the name cannot be one: it would become other words of HAProxy's language.
    pub fn new(socket: &Path, backend: &str) -> Result<Self, HaProxyError> {
        Ok(Self {
            socket: socket.to_path_buf(),
            backend: word(backend)?.to_string(),
        })
    }

    /// Its servers as they are.
    ///
    /// # Errors
    /// When it does not answer, or has no such backend.
    pub async fn see(&self) -> Result<BTreeMap<String, Seen>, HaProxyError> {
        let table = self.ask("show stat").await?;
        servers(&table, &self.backend)
    }

    /// Makes its servers be as wanted, and looks again. A server that is to have nothing is drained: what it has begun it ends. Of one in
    /// maintenance only the weight is set. Those that it does not have are handed back; the others are told.
    ///
    /// # Errors
    /// When it does not answer, or has no such backend: then nothing is changed. When it refuses something.
    ///
    /// # Cancel
    /// Some servers may have been told.
    pub async fn apply(&self, wanted: &Wanted) -> Result<Applied, HaProxyError> {
        check(wanted)?;
        let before = self.see().await?;
        let (mut changed, mut missing) = (Vec::new(), Vec::new());
        let mut commands = Vec::new();
        for (server, weight) in wanted {
            let Some(seen) = before.get(server) else {
                missing.push(server.clone());
                continue;
            };
            let [set_weight, set_state] = self.commands(server, *weight);
            if seen.is_maintained {
                // Said each time, since HAProxy does not tell what such a server's weight is.
                commands.push(set_weight);
            } else if seen.weight != *weight {
                changed.push(server.clone());
                commands.extend([set_weight, set_state]);
            }
        }
        let seen = if commands.is_empty() {
            before
        } else {
            self.tell(&commands).await?;
            self.see().await?
        };
        Ok(Applied {
            changed,
            missing,
            seen,
        })
    }

    async fn tell(&self, commands: &[String]) -> Result<(), HaProxyError> {
        for some in commands.chunks(COMMANDS_AT_ONCE) {
            let answer = self.ask(&some.join("; ")).await?;
            let said = answer.lines().find(|line| !line.trim().is_empty());
            if let Some(said) = said {
                return Err(HaProxyError::Refused(said.trim().to_string()));
            }
        }
        Ok(())
    }

    /// The weight of one that is drained is set, too, so that it does not come back with an old one. Croft drains, and never puts into
    /// maintenance: what is there was put there by somebody else.
    fn commands(&self, server: &str, weight: u32) -> [String; 2] {
        let at = format!("{}/{server}", self.backend);
        let state = if weight == 0 { "drain" } else { "ready" };
        [
            format!("set server {at} weight {weight}"),
            format!("set server {at} state {state}"),
        ]
    }

    async fn ask(&self, line: &str) -> Result<String, HaProxyError> {
        let answer = tokio::time::timeout(ANSWER_MAX, async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            let mut answer = String::new();
            stream
                .take(ANSWER_BYTES_MAX)
                .read_to_string(&mut answer)
                .await?;
            Ok(answer)
        });
        let answer = answer
            .await
            .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        answer.map_err(|source| HaProxyError::Away {
            socket: self.socket.clone(),
            source,
        })
    }
}

/// Whether all of it can be said.
fn check(wanted: &Wanted) -> Result<(), HaProxyError> {
    for (server, weight) in wanted {
        word(server)?;
        if *weight > WEIGHT_FULL {
            return Err(HaProxyError::Unsayable(format!("weight {weight}")));
        }
    }
    Ok(())
}

/// A name that is one word of HAProxy's language.
fn word(name: &str) -> Result<&str, HaProxyError> {
    let is_word =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | ':' | '-');
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(HaProxyError::Unsayable(name.to_string()));
    }
    Ok(name)
}

/// The servers of a backend in what `show stat` answers: comma-separated values under a line of names.
fn servers(table: &str, backend: &str) -> Result<BTreeMap<String, Seen>, HaProxyError> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ")
        .split(',')
        .collect();
    let column = |name: &str| {
        names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| HaProxyError::Refused(format!("no column `{name}` in `show stat`")))
    };
    let (proxy, server, status) = (column("pxname")?, column("svname")?, column("status")?);
    let (weight, sessions) = (column("weight")?, column("scur")?);
    let (mut found, mut known) = (BTreeMap::new(), String::new());
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        if field(server) == "BACKEND" {
            let comma = if known.is_empty() { "" } else { ", " };
            write!(known, "{comma}{}", field(proxy)).expect("a text takes more text");
        }
        let is_server = !matches!(field(server), "BACKEND" | "FRONTEND" | "");
        if field(proxy) == backend && is_server {
            let seen = seen(field(status), field(weight), field(sessions));
            found.insert(field(server).to_string(), seen);
        }
    }
    if found.is_empty() {
        return Err(HaProxyError::NoBackend {
            backend: backend.to_string(),
            known,
        });
    }
    Ok(found)
}

fn seen(status: &str, weight: &str, sessions: &str) -> Seen {
    // `MAINT`, `MAINT (via a/b)`, `DRAIN`, `UP 1/3`, `DOWN 1/2`, `NOLB`, `no check`.
    let is_maintained = status.starts_with("MAINT");
    let is_closed = is_maintained || status.starts_with("DRAIN");
    let is_up = match status {
        "no check" => None,
        checked => Some(checked.starts_with("UP") || checked.starts_with("DRAIN")),
    };
    Seen {
        weight: match weight.parse() {
            Ok(weight) if !is_closed => weight,
            Ok(_) | Err(_) => 0,
        },
        is_maintained,
        is_up,
        sessions: sessions.parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
