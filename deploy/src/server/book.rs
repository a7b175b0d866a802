//! What was deployed before, for people: the decisions forget a deployment when nobody needs it for the next one. Filled by the loop with
//! what it has folded; read by whoever is asked. Made anew at each start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use croft_ledger::Seq;
use croft_proto::deploy::{DeploymentId, DeploymentInfo};
use serde_json::Value;

use crate::state::Deployment;

/// Deployments that are over and remembered, some kilobytes each.
const REMEMBERED_MAX: usize = 10_000;

/// A deployment that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// It.
    pub info: DeploymentInfo,
    /// Its targets, as they are shown.
    pub targets: Vec<Value>,
}

/// Deployments that are over, the newest last.
#[derive(Debug, Default)]
pub struct Book {
    over: BTreeMap<Seq, Arc<Remembered>>,
    by_id: HashMap<DeploymentId, Seq>,
}

impl Book {
    /// Remembers one that is over, as it is now.
    pub(super) fn note(&mut self, deployment: &Deployment) {
        let remembered = Remembered {
            info: deployment.info(),
            targets: deployment.targets_shown(),
        };
        let at = *self
            .by_id
            .entry(deployment.id.clone())
            .or_insert(deployment.last);
        self.over.insert(at, Arc::new(remembered));
        while self.over.len() > REMEMBERED_MAX {
            if let Some((_, oldest)) = self.over.pop_first() {
                self.by_id.remove(&oldest.info.deployment_id);
            }
        }
    }

    /// One that is over.
    #[must_use]
    pub fn find(&self, id: &DeploymentId) -> Option<&Arc<Remembered>> {
        self.over.get(self.by_id.get(id)?)
    }

    /// All of them, the one that ended last first.
    pub fn newest(&self) -> impl Iterator<Item = &Arc<Remembered>> {
        self.over.values().rev()
    }
}
