//! Removing what killed processes left on this machine, at the start of a build and after it. Called by `run`; never decides a
//! build's outcome.

use croft_worker::Home;
use croft_worker::runtime::container::{self, Docker};

use crate::output;
use crate::surroundings::person_home;

/// Removes what killed processes left. Containers first: they use the folders. True when an engine was asked, or tried to be.
pub(crate) async fn sweep(home: &Home) -> bool {
    let abandoned = home.abandoned().is_ok_and(|found| !found.is_empty());
    if abandoned {
        // Should this fail, containers are looked for now and not again.
        home.expect_containers().unwrap_or_default();
    }
    let asks = abandoned || home.expects_containers();
    let goes_on = !asks || containers(home).await;
    if abandoned && goes_on {
        croft_worker::sweep::sweep(home).map_or_else(|error| not_removed(error.into()), drop);
    }
    asks
}

/// Removes the containers of builds that do not run any more; false when one could not be.
pub(crate) async fn containers(home: &Home) -> bool {
    let swept = container::sweep(&docker(), home.path(), |build| home.is_running(build)).await;
    let noted = swept.map_err(anyhow::Error::from).and_then(|swept| {
        if swept.answered && swept.builds.is_empty() {
            home.no_containers_left()?;
        }
        Ok(())
    });
    noted.map_err(not_removed).is_ok()
}

pub(crate) fn not_removed(error: anyhow::Error) {
    output::complain(&error.context("something of an earlier build could not be removed"));
}

/// The engine that the person's own `docker` would talk to.
pub(crate) fn docker() -> Docker {
    Docker::new(&person_home(), |name| std::env::var_os(name))
}
