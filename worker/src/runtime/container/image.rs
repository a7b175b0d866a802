//! The image a container is made from: on this machine already, or pulled, as the policy says.
//! Receives a [`Reference`], hands the creating step an [`Image`] that this machine can run.

use std::path::Path;

use bollard::models::ImageInspect;

use super::super::{Error, Report};
use super::Options;
use super::docker::Docker;
use super::engine::{self, Engine};
use super::pull::{pull, unable};
use super::reference::Reference;

/// When an image is fetched from its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Every time; what is there already is not fetched again.
    Always,
    /// When this machine has no image of that name.
    #[default]
    Missing,
    /// Never: the image must be here.
    Never,
}

impl std::str::FromStr for Pull {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            _ => Err(format!(
                "'{text}' is no pull policy: write always, missing or never"
            )),
        }
    }
}

/// An image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// By which the engine knows it; a tag may move, this does not.
    pub(crate) id: String,
    /// What the image starts; empty when nothing.
    pub(crate) entrypoint: Vec<String>,
}

/// The image, fetched if need be.
///
/// # Errors
/// [`Error::User`] when it does not exist, may not be had or cannot run here; [`Error::Registry`] when its registry
/// cannot be reached, [`Error::Infrastructure`] when the engine fails.
pub(crate) async fn provide(
    engine: &Engine,
    docker: &Docker,
    reference: &Reference,
    options: &Options,
    report: Report<'_>,
) -> Result<Image, Error> {
    let policy = options.pull;
    if policy != Pull::Always
        && let Some(found) = inspect(engine, reference).await?
    {
        return runnable(reference, &found);
    }
    if policy == Pull::Never {
        let name = &reference.text;
        return Err(unable(format!(
            "the image {name} is not on this machine, and the pull policy is never: fetch it with `docker pull {name}`, or \
             use the policy missing"
        )));
    }
    pull(engine, docker, reference, options.login.as_ref(), report).await?;
    let found = inspect(engine, reference).await?;
    let found = found.ok_or_else(|| {
        unable(format!(
            "the image {} was removed while it was pulled",
            reference.text
        ))
    })?;
    runnable(reference, &found)
}

async fn inspect(engine: &Engine, reference: &Reference) -> Result<Option<ImageInspect>, Error> {
    match engine.docker.inspect_image(&reference.text).await {
        Ok(found) => Ok(Some(found)),
        Err(error) => match engine::status(&error) {
            Some(404) => Ok(None),
            Some(400) => Err(unable(format!(
                "{}: {}",
                reference.text,
                engine::words(&error)
            ))),
            _ => Err(engine::failed(&format!(
                "look at the image {}",
                reference.text
            ))(&error)),
        },
    }
}

fn runnable(reference: &Reference, found: &ImageInspect) -> Result<Image, Error> {
    let (name, here) = (&reference.text, this_machine());
    let system = found
        .os
        .as_deref()
        .filter(|system| !system.is_empty())
        .unwrap_or("linux");
    let built_for = found
        .architecture
        .as_deref()
        .filter(|built| !built.is_empty())
        .unwrap_or(here);
    if system != "linux" || !runs(built_for, here, Path::new("/proc/sys/fs/binfmt_misc")) {
        return Err(unable(format!(
            "the image {name} is built for {system}/{built_for}, and this machine is linux/{here}: choose an image or tag for \
             {here}, or pull that variant with `docker pull --platform linux/{here} {name}`"
        )));
    }
    let entrypoint = found
        .config
        .as_ref()
        .and_then(|config| config.entrypoint.clone())
        .unwrap_or_default();
    Ok(Image {
        id: found.id.clone().unwrap_or_else(|| name.clone()),
        entrypoint,
    })
}

/// This machine's architecture in the words of images.
fn this_machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether programs for `built_for` run on `here`: its own, its 32-bit sibling's, or through an emulator that the kernel
/// was told of.
fn runs(built_for: &str, here: &str, emulators: &Path) -> bool {
    let sibling = matches!((built_for, here), ("386", "amd64") | ("arm", "arm64"));
    let emulated = match built_for {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "386" => "i386",
        other => other,
    };
    built_for == here || sibling || emulators.join(format!("qemu-{emulated}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_another_machine_are_refused_unless_it_can_be_emulated() {
        let emulators = tempfile::tempdir().unwrap();
        assert!(runs("amd64", "amd64", emulators.path()));
        assert!(runs("386", "amd64", emulators.path()));
        assert!(!runs("arm64", "amd64", emulators.path()));
        std::fs::write(emulators.path().join("qemu-aarch64"), "").unwrap();
        assert!(runs("arm64", "amd64", emulators.path()));
        let reference = Reference::parse("x").unwrap();
        let windows = ImageInspect {
            os: Some("windows".into()),
            ..ImageInspect::default()
        };
        assert!(
            runnable(&reference, &windows)
                .unwrap_err()
                .to_string()
                .contains("windows/")
        );
        assert!(runnable(&reference, &ImageInspect::default()).is_ok());
    }

    #[test]
    fn policies_are_read_by_name() {
        for (text, policy) in [
            ("always", Pull::Always),
            ("missing", Pull::Missing),
            ("never", Pull::Never),
        ] {
            assert_eq!(text.parse(), Ok(policy));
        }
        assert!(
            "sometimes"
                .parse::<Pull>()
                .unwrap_err()
                .contains("always, missing or never")
        );
    }
}
