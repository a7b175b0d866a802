//! Projects as builds of them are started, read once and kept until one of them is configured anew: a project is submitted to again and
//! again, and reading its configuration costs more than all else that is known of it. Asked by whoever starts builds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use croft_proto::farm::{Project, ProjectRules};

use super::problem::Problem;
use super::projects;
use super::state::State;

/// Projects kept, of at most 60 KiB each. When there are more, all are read anew.
const PROJECTS_MAX: usize = 256;

/// A project that builds are started of.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) project: Project,
    pub(super) rules: ProjectRules,
}

/// Those that were asked for since the view's number was this one.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<(u64, HashMap<String, Arc<Configured>>)>);

/// The project, also one that the view hears of in a moment.
pub(super) async fn project(state: &State, name: &str) -> Result<Arc<Configured>, Problem> {
    let number = state.farm.views.configured();
    if let Some(known) = state.configured.get(number, name) {
        return Ok(known);
    }
    let row = projects::known(state, name).await?;
    let project = serde_json::from_value(row.project).map_err(|error| Problem::internal(&error))?;
    let rules = row.rules;
    let read = Arc::new(Configured { project, rules });
    state.configured.keep(number, name, Arc::clone(&read));
    Ok(read)
}

impl Known {
    fn get(&self, number: u64, name: &str) -> Option<Arc<Configured>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, projects) = &*known;
        projects.get(name).filter(|_| *since == number).cloned()
    }

    /// Keeps what was read after the view's number had been this one.
    fn keep(&self, number: u64, name: &str, read: Arc<Configured>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, projects) = &mut *known;
        if *since != number || projects.len() >= PROJECTS_MAX {
            projects.clear();
        }
        *since = number;
        projects.insert(name.to_string(), read);
    }
}
