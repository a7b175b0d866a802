//! Which balancer is told where traffic goes. Written in a group's `x-croft`; carried out on the machine that the balancer is on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Colour;
use super::name::is_deploy_name;

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
    /// What cannot be of it where the sides are containers: each has a server of its own.
    pub(crate) fn wrong_of_containers(&self, at: &str) -> Vec<String> {
        let Self::Haproxy { servers, .. } = self else {
            return Vec::new();
        };
        let is_of_side = |name: &str| {
            Colour::BOTH
                .iter()
                .any(|colour| name.ends_with(&format!("-{colour}")))
        };
        let others = servers.keys().filter(|name| !is_of_side(name));
        others
            .map(|name| {
                format!(
                    "{at}.servers.{name}: the application runs in containers, whose servers are those of `{name}-blue` and `{name}-green`"
                )
            })
            .collect()
    }

    /// The hosts that it names, with where: of containers without their colour.
    #[must_use]
    pub fn named_hosts(&self, of_containers: bool) -> Vec<&str> {
        let Self::Haproxy { servers, .. } = self else {
            return Vec::new();
        };
        let host = |name| match of_containers {
            true => Colour::BOTH
                .iter()
                .find_map(|colour| name_without(name, *colour))
                .unwrap_or(name),
            false => name,
        };
        servers.keys().map(|name| host(name.as_str())).collect()
    }

    /// What cannot be of it.
    pub(crate) fn wrong(&self, at: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        match self {
            Self::Haproxy {
                socket, backend, ..
            } => {
                if !socket.starts_with('/') {
                    wrong.push(format!(
                        "{at}.socket `{socket}`: an absolute path, such as /run/haproxy/admin.sock"
                    ));
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
            let mut of_server: BTreeMap<&str, &str> = BTreeMap::new();
            for (host, server) in servers {
                if !is_deploy_name(host) {
                    wrong.push(format!(
                        "{at}.servers.{host}: no host can be called so; the keys are hosts, and the values their servers"
                    ));
                }
                if let Some(other) = of_server.insert(server, host) {
                    wrong.push(format!(
                        "{at}.servers.{host}: `{server}` is the server of `{other}` already"
                    ));
                }
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

fn name_without(name: &str, colour: Colour) -> Option<&str> {
    name.strip_suffix(colour.name())?.strip_suffix('-')
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
        let json = serde_json::json!({"type": "haproxy", "socket": "/s", "backend": "web",
            "servers": {"web-1": "a", "web-2": "a", "web 3": "c"}});
        let router: Router = serde_json::from_value(json).unwrap();
        let wrong = router.wrong("x");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("x.servers.web 3: no host can"));
        assert!(wrong[1].starts_with("x.servers.web-2: `a` is the server of `web-1`"));
        let script = Router::Script {
            path: "hook.sh".into(),
            host: None,
        };
        assert_eq!(script.wrong("x").len(), 1);
    }

    #[test]
    fn servers_of_containers_are_those_of_a_hosts_colours() {
        let json = serde_json::json!({"type": "haproxy", "socket": "/s", "backend": "web",
            "servers": {"web-1-blue": "a", "web-1-green": "b", "web-2": "c"}});
        let router: Router = serde_json::from_value(json).unwrap();
        let wrong = router.wrong_of_containers("x");
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("x.servers.web-2: "), "{wrong:?}");
        assert_eq!(router.named_hosts(true), ["web-1", "web-1", "web-2"]);
        assert_eq!(router.named_hosts(false)[0], "web-1-blue");
    }
}
