//! The life cycle of a revision on one host, in AWS's order. Written by AppSpec files (`hooks`), walked by the engine and the agent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The lifecycle events of a host, in the order in which they happen to a host that is deployed to in place.
///
/// **Source.** CodeDeploy's user guide, "AppSpec 'hooks' section", "List of lifecycle event hooks".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LifecycleEvent {
    /// Scripts before the host is taken out of traffic.
    BeforeBlockTraffic,
    /// The balancer sends nothing new to the host. No scripts.
    BlockTraffic,
    /// Scripts after that.
    AfterBlockTraffic,
    /// Scripts that stop the application, of the revision that is there.
    ApplicationStop,
    /// The revision's files come to the host. No scripts.
    DownloadBundle,
    /// Scripts before its files are put in place.
    BeforeInstall,
    /// Its files are put in place. No scripts.
    Install,
    /// Scripts after that.
    AfterInstall,
    /// Scripts that start the application.
    ApplicationStart,
    /// Scripts that look whether it works.
    ValidateService,
    /// Scripts before the host is given traffic.
    BeforeAllowTraffic,
    /// The balancer sends to the host again. No scripts.
    AllowTraffic,
    /// Scripts after that.
    AfterAllowTraffic,
}

/// Whose scripts run in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScriptsFrom {
    /// Those of the revision that was installed last, and wholly, before this deployment. There are none on a first deployment.
    LastSuccessful,
    /// Those of the revision that is deployed.
    New,
    /// An event without scripts: Croft does its work.
    Nobody,
}

impl LifecycleEvent {
    /// All, in the order of a deployment in place behind a balancer.
    pub const ALL: [Self; 13] = [
        Self::BeforeBlockTraffic,
        Self::BlockTraffic,
        Self::AfterBlockTraffic,
        Self::ApplicationStop,
        Self::DownloadBundle,
        Self::BeforeInstall,
        Self::Install,
        Self::AfterInstall,
        Self::ApplicationStart,
        Self::ValidateService,
        Self::BeforeAllowTraffic,
        Self::AllowTraffic,
        Self::AfterAllowTraffic,
    ];

    /// AWS's name, such as `BeforeInstall`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeBlockTraffic => "BeforeBlockTraffic",
            Self::BlockTraffic => "BlockTraffic",
            Self::AfterBlockTraffic => "AfterBlockTraffic",
            Self::ApplicationStop => "ApplicationStop",
            Self::DownloadBundle => "DownloadBundle",
            Self::BeforeInstall => "BeforeInstall",
            Self::Install => "Install",
            Self::AfterInstall => "AfterInstall",
            Self::ApplicationStart => "ApplicationStart",
            Self::ValidateService => "ValidateService",
            Self::BeforeAllowTraffic => "BeforeAllowTraffic",
            Self::AllowTraffic => "AllowTraffic",
            Self::AfterAllowTraffic => "AfterAllowTraffic",
        }
    }

    /// Whose scripts run in it, on a host that is deployed to in place.
    #[must_use]
    pub const fn scripts_from(self) -> ScriptsFrom {
        match self {
            Self::BeforeBlockTraffic | Self::AfterBlockTraffic | Self::ApplicationStop => {
                ScriptsFrom::LastSuccessful
            }
            Self::BeforeInstall
            | Self::AfterInstall
            | Self::ApplicationStart
            | Self::ValidateService
            | Self::BeforeAllowTraffic
            | Self::AfterAllowTraffic => ScriptsFrom::New,
            Self::BlockTraffic | Self::DownloadBundle | Self::Install | Self::AllowTraffic => {
                ScriptsFrom::Nobody
            }
        }
    }

    /// Whether it happens only to hosts behind a balancer.
    #[must_use]
    pub const fn needs_traffic_control(self) -> bool {
        match self {
            Self::BeforeBlockTraffic
            | Self::BlockTraffic
            | Self::AfterBlockTraffic
            | Self::BeforeAllowTraffic
            | Self::AllowTraffic
            | Self::AfterAllowTraffic => true,
            Self::ApplicationStop
            | Self::DownloadBundle
            | Self::BeforeInstall
            | Self::Install
            | Self::AfterInstall
            | Self::ApplicationStart
            | Self::ValidateService => false,
        }
    }

    /// Whether `ignoreApplicationStopFailures` lets the host go on when it fails.
    #[must_use]
    pub const fn may_be_ignored(self) -> bool {
        matches!(
            self,
            Self::BeforeBlockTraffic | Self::AfterBlockTraffic | Self::ApplicationStop
        )
    }
}

impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LifecycleEvent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|event| event.name() == text)
            .ok_or_else(|| format!("`{text}` is no lifecycle event"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_stands_in_json() {
        for event in LifecycleEvent::ALL {
            assert_eq!(event.name().parse(), Ok(event));
            assert_eq!(
                serde_json::to_string(&event).unwrap(),
                format!("\"{event}\"")
            );
        }
        assert!("beforeinstall".parse::<LifecycleEvent>().is_err());
    }

    #[test]
    fn the_order_of_the_list_is_the_order_of_the_type() {
        assert!(LifecycleEvent::ALL.is_sorted());
    }

    #[test]
    fn without_a_balancer_seven_events_remain() {
        let remaining: Vec<_> = LifecycleEvent::ALL
            .into_iter()
            .filter(|event| !event.needs_traffic_control())
            .collect();
        assert_eq!(remaining, LifecycleEvent::ALL[3..10]);
    }
}
