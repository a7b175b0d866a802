//! Which balancer is told where traffic goes. Written in a group's `x-croft`; carried out on the machine that the balancer is on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Router {
    /// HAProxy, over its runtime API.
    Haproxy {
        /// Its socket.
        socket: String,
        /// The backend whose servers are the group's hosts.
        backend: String,
        /// Servers that are called otherwise than their hosts, or than `<host>-blue` and `<host>-green` where containers are deployed:
        /// from that to the server's name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        servers: BTreeMap<String, String>,
        /// The host whose agent has the socket; absent, the server itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// A program that is called with what is wanted.
    Script {
        /// Its path.
        path: String,
        /// The host that has it; absent, the server itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// Nobody is told.
    None,
}

impl Router {
    /// What cannot be of it.
    pub(crate) fn wrong(&self, at: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        match self {
            Self::Haproxy {
                socket, backend, ..
            } => {
                if socket.is_empty() {
                    wrong.push(format!("{at}.socket: empty"));
                }
                // They become words of HAProxy's own language, in which a blank or a slash begins another word.
                if backend.is_empty() || backend.contains(|part: char| !is_word(part)) {
                    wrong.push(format!(
                        "{at}.backend `{backend}`: letters, digits and . _ : -"
                    ));
                }
            }
            Self::Script { path, .. } => {
                if !path.starts_with('/') {
                    wrong.push(format!("{at}.path `{path}`: an absolute path"));
                }
            }
            Self::None => {}
        }
        if let Self::Haproxy { servers, .. } = self {
            for (host, server) in servers {
                if server.is_empty() || server.contains(|part: char| !is_word(part)) {
                    wrong.push(format!(
                        "{at}.servers.{host} `{server}`: letters, digits and . _ : -"
                    ));
                }
            }
        }
        wrong
    }
}

const fn is_word(part: char) -> bool {
    part.is_ascii_alphanumeric() || matches!(part, '.' | '_' | ':' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_two_words_of_the_balancers_is_refused() {
        let json = serde_json::json!({"type": "haproxy", "socket": "/run/haproxy.sock",
            "backend": "web", "servers": {"h1": "web1; disable frontend x"}});
        let mut router: Router = serde_json::from_value(json).unwrap();
        assert_eq!(router.wrong("x").len(), 1);
        if let Router::Haproxy { servers, .. } = &mut router {
            servers.insert("h1".into(), "web1".into());
        }
        assert!(router.wrong("x").is_empty());
        let script = Router::Script {
            path: "hook.sh".into(),
            host: None,
        };
        assert_eq!(script.wrong("x").len(), 1);
    }
}
