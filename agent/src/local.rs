//! Deployments without a server: which events happen, and in which order. Asked by the command line.

use croft_proto::deploy::LifecycleEvent;

/// The group of deployments that name none, as `codedeploy-local` calls it.
pub const GROUP_ID: &str = "default-local-deployment-group";
/// What it is called.
pub const GROUP_NAME: &str = "LocalFleet";

/// The events of a deployment without a server, in their order: those that were asked for, and always the two that bring and
/// install; all but a balancer's own when none was.
#[must_use]
pub fn events(asked: &[LifecycleEvent]) -> Vec<LifecycleEvent> {
    let always = [LifecycleEvent::DownloadBundle, LifecycleEvent::Install];
    let balancers = [LifecycleEvent::BlockTraffic, LifecycleEvent::AllowTraffic];
    LifecycleEvent::ALL
        .into_iter()
        .filter(|event| !balancers.contains(event))
        .filter(|event| asked.is_empty() || asked.contains(event) || always.contains(event))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use LifecycleEvent::{ApplicationStop, BlockTraffic, DownloadBundle, Install, ValidateService};

    #[test]
    fn what_brings_and_installs_is_always_there_and_everything_in_order() {
        let asked = [ValidateService, ApplicationStop, BlockTraffic];
        assert_eq!(
            events(&asked),
            [ApplicationStop, DownloadBundle, Install, ValidateService]
        );
        assert_eq!(events(&[]).len(), LifecycleEvent::ALL.len() - 2);
        assert!(events(&[]).is_sorted());
    }
}
