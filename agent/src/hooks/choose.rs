//! Whose scripts run in an event. Pure: the journal and a command enter, a deployment leaves.

use croft_proto::deploy::{DeploymentId, DeploymentType, HostCommand, LifecycleEvent, ScriptsFrom};

use crate::state::journal::Journal;

/// Who starts rollbacks, in AWS's words.
const ROLLBACK: &str = "codeDeployRollback";

/// The deployment whose revision has the event's scripts; `None` when there is none, as on a first deployment.
///
/// **Source.** Where hosts are replaced and traffic goes back, nothing is installed: the revision that leaves is the one that
/// came last, and the one that gets traffic again the one installed before.
pub(crate) fn scripts_of(journal: &Journal, command: &HostCommand) -> Option<DeploymentId> {
    if let Some(order) = command.container {
        let of_it = journal.containers.get(&order.colour).cloned();
        return match (command.event.scripts_from(), command.event) {
            (ScriptsFrom::Nobody, _) => None,
            // Whichever deployment made the container that is about to get traffic: in what goes back, an earlier one.
            (
                ScriptsFrom::New,
                LifecycleEvent::BeforeAllowTraffic | LifecycleEvent::AfterAllowTraffic,
            )
            | (ScriptsFrom::LastSuccessful, _) => of_it,
            (ScriptsFrom::New, _) => Some(command.deployment_id.clone()),
        };
    }
    let goes_back =
        command.creator == ROLLBACK && command.deployment_type == DeploymentType::BlueGreen;
    match (command.event, goes_back) {
        (LifecycleEvent::BeforeBlockTraffic | LifecycleEvent::AfterBlockTraffic, true) => {
            return journal.most_recent.clone();
        }
        (LifecycleEvent::BeforeAllowTraffic | LifecycleEvent::AfterAllowTraffic, true) => {
            return journal.last_successful.clone();
        }
        (_, true | false) => {}
    }
    match command.event.scripts_from() {
        ScriptsFrom::LastSuccessful => journal.last_successful.clone(),
        ScriptsFrom::New => Some(command.deployment_id.clone()),
        ScriptsFrom::Nobody => None,
    }
}
