//! Where a test's build runs: the sandbox or a container, with `sh` or `bash`; and the macros that make one test of each.

use std::process::{Command, Stdio};

use super::{Farm, skip};

/// Has both shells and the user `builder`; made by `scripts/test-image`.
const IMAGE: &str = "croft-test/debian:1";

/// A runtime and a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// The image of the container; `None` is the sandbox.
    pub(crate) image: Option<&'static str>,
    /// `sh` or `bash`.
    pub(crate) shell: &'static str,
}

impl At {
    pub(crate) const SANDBOX: Self = Self {
        image: None,
        shell: "sh",
    };
    pub(crate) const SANDBOX_BASH: Self = Self {
        image: None,
        shell: "bash",
    };
    pub(crate) const CONTAINER: Self = Self {
        image: Some(IMAGE),
        shell: "sh",
    };
    pub(crate) const CONTAINER_BASH: Self = Self {
        image: Some(IMAGE),
        shell: "bash",
    };

    /// A machine whose builds run here; `None`, and said so, where that is not possible.
    pub(crate) fn farm(self) -> Option<Farm> {
        match self.missing() {
            None => Some(Farm::new(self)),
            Some(reason) => {
                skip(&reason);
                None
            }
        }
    }

    pub(crate) fn missing(self) -> Option<String> {
        let Some(image) = self.image else {
            let root = rustix::process::geteuid().is_root();
            return (!root).then(|| "the sandbox needs root".to_string());
        };
        let asked = Command::new("docker")
            .args(["image", "inspect", image])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let found = asked.is_ok_and(|status| status.success());
        (!found).then(|| format!("no container engine answers, or it has no {image}: run scripts/setup and scripts/test-image"))
    }

    /// A user of this place other than root.
    pub(crate) fn user(self) -> &'static str {
        if self.image.is_some() {
            "builder"
        } else {
            "nobody"
        }
    }

    pub(crate) fn is_bash(self) -> bool {
        self.shell == "bash"
    }
}

/// One test of each function at one place, in a module of that name.
macro_rules! at_place {
    ($module:ident $place:ident $($name:ident),*) => {
        mod $module {
            $(#[test]
            fn $name() {
                if let Some(farm) = $crate::harness::At::$place.farm() {
                    super::$name(&farm);
                }
            })*
        }
    };
}

/// One test of each function in the sandbox and in a container.
macro_rules! each_place {
    ($($name:ident),* $(,)?) => {
        $crate::harness::at_place!(sandbox SANDBOX $($name),*);
        $crate::harness::at_place!(container CONTAINER $($name),*);
    };
}

/// One test of each function in both places with each shell.
macro_rules! each_place_and_shell {
    ($($name:ident),* $(,)?) => {
        $crate::harness::at_place!(sandbox_sh SANDBOX $($name),*);
        $crate::harness::at_place!(container_sh CONTAINER $($name),*);
        $crate::harness::at_place!(sandbox_bash SANDBOX_BASH $($name),*);
        $crate::harness::at_place!(container_bash CONTAINER_BASH $($name),*);
    };
}

pub(crate) use {at_place, each_place, each_place_and_shell};
