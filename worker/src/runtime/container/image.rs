//! The image a container is made from: on this machine already, or pulled, as the policy says.
//! Receives a [`Reference`], hands the creating step an [`Image`] that this machine can run.

use std::io;
use std::path::Path;
use std::time::Instant;

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::docker::Docker;
use super::engine::{self, Engine};
use super::pull_progress::PullProgress;
use super::reference::Reference;
use super::super::{Error, Progress, Report};
use super::credentials;

/// AWS's code for every image that cannot be had.
const UNABLE_TO_PULL: &str = "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE";
/// Registries that cannot be reached or do not work answer in these words: nothing the user wrote is wrong.
const UNREACHABLE: [&str; 14] = [
    "dial tcp", "no such host", "timeout", "Timeout", "connection re", "EOF", "TLS handshake", "unexpected status",
    "received unexpected HTTP status", "Service Unavailable", "Bad Gateway", "context deadline", "toomanyrequests",
    "x509:",
];

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
            _ => Err(format!("'{text}' is no pull policy: write always, missing or never")),
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
/// [`Error::User`] when it does not exist, may not be had or cannot run here; [`Error::Infrastructure`] when its registry
/// cannot be reached.
pub(crate) async fn provide(
    engine: &Engine,
    docker: &Docker,
    reference: &Reference,
    policy: Pull,
    report: Report<'_>,
) -> Result<Image, Error> {
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
    pull(engine, docker, reference, report).await?;
    let found = inspect(engine, reference).await?;
    let found = found.ok_or_else(|| unable(format!("the image {} was removed while it was pulled", reference.text)))?;
    runnable(reference, &found)
}

async fn inspect(engine: &Engine, reference: &Reference) -> Result<Option<ImageInspect>, Error> {
    match engine.docker.inspect_image(&reference.text).await {
        Ok(found) => Ok(Some(found)),
        Err(error) => match engine::status(&error) {
            Some(404) => Ok(None),
            Some(400) => Err(unable(format!("{}: {}", reference.text, engine::words(&error)))),
            _ => Err(engine::failed(&format!("look at the image {}", reference.text))(&error)),
        },
    }
}

async fn pull(engine: &Engine, docker: &Docker, reference: &Reference, report: Report<'_>) -> Result<(), Error> {
    let name = reference.pulled();
    report(Progress::Line(format!("pulling {name}")));
    let credentials = credentials::find(docker, &reference.registry).await.unwrap_or_else(|error| {
        report(Progress::Line(format!("pulling {name} without credentials: {error}")));
        None
    });
    let anonymous = credentials.is_none();
    let options = CreateImageOptions { from_image: Some(name.clone()), ..CreateImageOptions::default() };
    let mut messages = engine.docker.create_image(Some(options), None, credentials);
    let (start, mut progress) = (Instant::now(), PullProgress::default());
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| refused(&name, &error, anonymous))?;
        if let Some(line) = progress.step(&message, start.elapsed()) {
            report(Progress::Line(format!("pulling {name}: {line}")));
        }
    }
    report(Progress::Line(format!("pulled {name}: {}", progress.summary(start.elapsed()))));
    Ok(())
}

/// Whose fault a failed pull is.
fn refused(name: &str, error: &bollard::errors::Error, anonymous: bool) -> Error {
    let words = engine::words(error);
    let denied = ["denied", "unauthorized", "authentication required", "no basic auth", "forbidden"];
    let lower = words.to_lowercase();
    let what_to_do = if denied.iter().any(|word| lower.contains(word)) {
        if anonymous {
            "check the name; if it is private, log in with `docker login` first"
        } else {
            "check the name, and that the login `docker login` saved is still good and may read it"
        }
    } else if lower.contains("no matching manifest") || lower.contains("does not match the specified platform") {
        "it was not built for this kind of machine: choose another image or tag"
    } else if UNREACHABLE.iter().any(|word| words.contains(word)) {
        return Error::Infrastructure {
            doing: format!("cannot pull {name}: its registry does not answer as it should; try again, or name an image that is on this machine with the pull policy missing"),
            source: io::Error::other(words),
        };
    } else if lower.contains("not found") || lower.contains("manifest unknown") || lower.contains("does not exist") {
        "check the name and the tag"
    } else if engine::status(error).is_none_or(|status| status >= 500) {
        return Error::Infrastructure { doing: format!("cannot pull {name}"), source: io::Error::other(words) };
    } else {
        "check the name and the tag"
    };
    unable(format!("cannot pull {name}: {words}; {what_to_do}"))
}

fn unable(message: String) -> Error {
    Error::User { code: UNABLE_TO_PULL, message }
}

fn runnable(reference: &Reference, found: &ImageInspect) -> Result<Image, Error> {
    let (name, here) = (&reference.text, this_machine());
    let system = found.os.as_deref().filter(|system| !system.is_empty()).unwrap_or("linux");
    let built_for = found.architecture.as_deref().filter(|built| !built.is_empty()).unwrap_or(here);
    if system != "linux" || !runs(built_for, here, Path::new("/proc/sys/fs/binfmt_misc")) {
        return Err(unable(format!(
            "the image {name} is built for {system}/{built_for}, and this machine is linux/{here}: choose an image or tag for \
             {here}, or pull that variant with `docker pull --platform linux/{here} {name}`"
        )));
    }
    let entrypoint = found.config.as_ref().and_then(|config| config.entrypoint.clone()).unwrap_or_default();
    Ok(Image { id: found.id.clone().unwrap_or_else(|| name.clone()), entrypoint })
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
    use bollard::errors::Error as Refusal;

    fn answer(status_code: u16, message: &str) -> Refusal {
        Refusal::DockerResponseServerError { status_code, message: message.to_string() }
    }

    #[test]
    fn a_failed_pull_is_the_users_fault_or_the_registrys_and_says_what_to_do() {
        for (error, anonymous, user, say) in [
            (answer(404, "manifest for x:9 not found: manifest unknown: manifest unknown"), true, true, "check the name and the tag"),
            (answer(404, "pull access denied for x, repository does not exist or may require 'docker login': denied"), true, true, "log in with `docker login`"),
            (answer(500, "Get \"https://r/v2/x\": unauthorized: authentication required"), false, true, "still good"),
            (answer(500, "Head \"http://127.0.0.1:5000/v2/x\": no basic auth credentials"), true, true, "docker login"),
            (answer(500, "Get \"https://r/v2/\": dial tcp: lookup r: no such host"), true, false, "its registry does not answer"),
            (answer(500, "Get \"https://r/v2/\": x509: certificate signed by unknown authority"), true, false, "its registry"),
            (Refusal::DockerStreamError { error: "no matching manifest for linux/amd64 in the manifest list entries".into() }, true, true, "kind of machine"),
            (Refusal::DockerStreamError { error: "write /var/lib/docker/tmp/x: no space left on device".into() }, true, false, "cannot pull x"),
            (answer(400, "invalid reference format"), true, true, "check the name"),
        ] {
            let refused = refused("x", &error, anonymous);
            assert!(refused.to_string().contains(say), "{refused}");
            assert_eq!(matches!(refused, Error::User { code: UNABLE_TO_PULL, .. }), user, "{refused}");
        }
    }

    #[test]
    fn images_of_another_machine_are_refused_unless_it_can_be_emulated() {
        let emulators = tempfile::tempdir().unwrap();
        assert!(runs("amd64", "amd64", emulators.path()));
        assert!(runs("386", "amd64", emulators.path()));
        assert!(!runs("arm64", "amd64", emulators.path()));
        std::fs::write(emulators.path().join("qemu-aarch64"), "").unwrap();
        assert!(runs("arm64", "amd64", emulators.path()));
        let reference = Reference::parse("x").unwrap();
        let windows = ImageInspect { os: Some("windows".into()), ..ImageInspect::default() };
        assert!(runnable(&reference, &windows).unwrap_err().to_string().contains("windows/"));
        assert!(runnable(&reference, &ImageInspect::default()).is_ok());
    }

    #[test]
    fn policies_are_read_by_name() {
        for (text, policy) in [("always", Pull::Always), ("missing", Pull::Missing), ("never", Pull::Never)] {
            assert_eq!(text.parse(), Ok(policy));
        }
        assert!("sometimes".parse::<Pull>().unwrap_err().contains("always, missing or never"));
    }
}
