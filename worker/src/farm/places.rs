//! Where builds run: chosen by a build's environment among what this worker offers. [`Machine`] is this machine's own sandbox and
//! engine; a test may offer something else.

use std::path::PathBuf;
use std::sync::Arc;

use croft_proto::farm::Environment;

use crate::SignIn;
use crate::runtime::Runtime;
use crate::runtime::container::{self, Container, Docker, Options, Patient, Pull, Seen, Warm};
use crate::runtime::sandbox::Sandbox;

/// The image that means none.
pub const SANDBOX: &str = "sandbox";

/// Why a build cannot run here. The user's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// What and what to do.
    pub message: String,
}

/// Offers places.
pub trait Places: std::fmt::Debug + Send + Sync {
    /// A place for a build of that environment, whose image is fetched as that user of its registry, if it has one.
    ///
    /// # Errors
    /// When this worker has none such.
    fn of(
        &self,
        environment: &Environment,
        login: Option<SignIn>,
    ) -> Result<Arc<dyn Runtime>, Unplaced>;
}

/// This machine's places.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The folder of the static runner.
    pub runner: PathBuf,
    /// Of this croft.
    pub home: PathBuf,
    /// Makes sandboxes; none where they are not allowed.
    pub sandbox: Option<Sandbox>,
    /// How the engine is reached.
    pub docker: Docker,
    /// Whether a build may have an engine of its own.
    pub allows_privileged: bool,
    /// When an image is fetched.
    pub pull: Pull,
    /// The containers' network; none is the engine's default.
    pub network: Option<String>,
    /// How long a build's runner goes on without hearing its worker: one that is frozen must leave nothing running.
    pub lease: std::time::Duration,
    /// Containers that are started before their build is known; none for cold starts only.
    pub warm: Option<Warm>,
    /// Whether the engine has made places: one that has is waited for while it is started again.
    pub engine: Seen,
}

impl Places for Machine {
    fn of(
        &self,
        environment: &Environment,
        login: Option<SignIn>,
    ) -> Result<Arc<dyn Runtime>, Unplaced> {
        if environment.image == SANDBOX {
            return self.sandbox();
        }
        let mut options = self.options(environment)?;
        options.login = login;
        let places = match &self.warm {
            Some(warm) => warm.runtime(options),
            None => Arc::new(Container::new(
                self.runner.clone(),
                self.home.clone(),
                self.docker.clone(),
                options,
            )),
        };
        let (docker, engine) = (self.docker.clone(), self.engine.clone());
        Ok(Arc::new(Patient::new(places, docker, engine)))
    }
}

impl Machine {
    fn sandbox(&self) -> Result<Arc<dyn Runtime>, Unplaced> {
        let Some(sandbox) = &self.sandbox else {
            return Err(Unplaced {
                message: "this pool runs containers only: name an image, or start its workers with --sandbox".into(),
            });
        };
        Ok(Arc::new(sandbox.clone()))
    }

    /// What kind of container an environment wants.
    ///
    /// # Errors
    /// When it wants more than this worker allows.
    pub fn options(&self, environment: &Environment) -> Result<Options, Unplaced> {
        if environment.privileged_mode && !self.allows_privileged {
            return Err(Unplaced {
                message: "privilegedMode: this pool does not allow it; start its workers with --privileged".into(),
            });
        }
        let mut options = Options::new(environment.image.clone());
        options.pull = self.pull;
        options.privileged = environment.privileged_mode;
        options.network.clone_from(&self.network);
        options.limits = limits(&environment.compute_type);
        options.lease = Some(self.lease);
        Ok(options)
    }
}

/// AWS's sizes as far as memory goes. Processors are shared: a container that has the machine to itself may use all of it.
fn limits(compute_type: &str) -> container::Limits {
    let gib: Option<u64> = match compute_type {
        "BUILD_GENERAL1_SMALL" => Some(4),
        "BUILD_GENERAL1_MEDIUM" => Some(8),
        "BUILD_GENERAL1_LARGE" => Some(16),
        "BUILD_GENERAL1_XLARGE" => Some(72),
        "BUILD_GENERAL1_2XLARGE" => Some(144),
        _ => None,
    };
    container::Limits {
        memory_bytes: gib.map(|gib| gib << 30),
        ..container::Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            runner: "/runner".into(),
            home: "/home".into(),
            sandbox: None,
            docker: Docker::new(std::path::Path::new("/root"), |_| None),
            allows_privileged: false,
            pull: Pull::Missing,
            network: None,
            lease: std::time::Duration::from_secs(15),
            warm: None,
            engine: Seen::default(),
        }
    }

    #[test]
    fn what_a_pool_does_not_allow_is_refused_in_words_that_say_how_to_allow_it() {
        let sandbox = Environment {
            image: SANDBOX.into(),
            ..Environment::default()
        };
        let refused = machine().of(&sandbox, None).err().unwrap();
        assert!(refused.message.contains("--sandbox"));
        let privileged = Environment {
            image: "x".into(),
            privileged_mode: true,
            ..Environment::default()
        };
        let refused = machine().options(&privileged).err().unwrap();
        assert!(refused.message.contains("--privileged"));
    }

    #[test]
    fn awss_sizes_limit_memory() {
        assert_eq!(limits("BUILD_GENERAL1_SMALL").memory_bytes, Some(4 << 30));
        assert_eq!(limits("").memory_bytes, None);
    }
}
