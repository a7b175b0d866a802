//! Containers of hosts that replace each other: a host has at most two of a group, a blue one and a green one. Written by the engine
//! into plans and commands; carried out by the agent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of a host's two containers. The new side has the colour that the old one has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Colour {
    /// The first.
    Blue,
    /// The second.
    Green,
}

impl Colour {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    /// The one that it is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// Its word, also in names of a balancer's servers: `web-1-green`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// At which ports of a host its containers serve, a port for each so that both stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPorts {
    /// Of the blue one.
    pub blue: u16,
    /// Of the green one.
    pub green: u16,
}

impl ContainerPorts {
    /// That colour's.
    #[must_use]
    pub const fn of(self, colour: Colour) -> u16 {
        match colour {
            Colour::Blue => self.blue,
            Colour::Green => self.green,
        }
    }
}

/// A group's settings for containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerSettings {
    /// Where they serve.
    pub ports: ContainerPorts,
}

impl ContainerSettings {
    /// What cannot be of them.
    pub(crate) fn wrong(&self, at: &str) -> Vec<String> {
        let ContainerPorts { blue, green } = self.ports;
        let mut wrong = Vec::new();
        if blue == 0 || green == 0 {
            wrong.push(format!(
                "{at}.ports: 1 to 65535, the same as in the balancer's own settings"
            ));
        } else if blue == green {
            wrong.push(format!(
                "{at}.ports: blue and green are both {blue}, and stand side by side"
            ));
        }
        wrong
    }
}

/// What a plan says of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedContainers {
    /// Which the new side is. The old side is the other one.
    pub new: Colour,
    /// Where both serve.
    pub ports: ContainerPorts,
}

/// Which container a host's command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerOrder {
    /// Which.
    pub colour: Colour,
    /// The host's port that it serves at.
    pub port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_containers_at_one_port_are_refused() {
        let settings = |blue, green| ContainerSettings {
            ports: ContainerPorts { blue, green },
        };
        assert!(settings(8081, 8082).wrong("x").is_empty());
        assert_eq!(settings(8081, 8081).wrong("x").len(), 1);
        assert_eq!(settings(0, 8081).wrong("x").len(), 1);
    }

    #[test]
    fn each_colour_has_a_port_and_the_other_is_never_the_same() {
        let ports = ContainerPorts { blue: 1, green: 2 };
        for colour in Colour::BOTH {
            assert_ne!(colour, colour.other());
            assert_eq!(colour, colour.other().other());
            assert_ne!(ports.of(colour), ports.of(colour.other()));
        }
    }
}
