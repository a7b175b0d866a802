//! An image's name: whether it is one, which registry holds it, what exactly to ask for.
//! Receives the user's text, hands a [`Reference`] to whoever asks the engine.

use super::super::Error;

/// Names are limited to 255 characters by registries, tags to 128; a digest takes 71.
const LENGTH_MAX: usize = 512;
/// The registry of names that do not name one.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";

/// An image's name, checked as far as the engine's own answer would be unclear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// As the user wrote it.
    pub(crate) text: String,
    /// The registry's host, with its port when the name has one.
    pub(crate) registry: String,
    tagged: bool,
}

impl Reference {
    /// # Errors
    /// [`Error::User`] when no engine could make sense of the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::User {
            code: "CLIENT_ERROR",
            message: format!(
                "'{text}' is not an image: {why}; write NAME, NAME:TAG or REGISTRY/NAME:TAG"
            ),
        };
        if text.is_empty() || text.len() > LENGTH_MAX {
            return Err(refuse("it is empty or too long"));
        }
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "._-/:@".contains(c));
        if let Some(c) = text.chars().find(|c| odd(*c)) {
            return Err(refuse(&format!("it contains {c:?}")));
        }
        let (name, digest) = text
            .split_once('@')
            .map_or((text, None), |(name, digest)| (name, Some(digest)));
        if digest.is_some_and(|digest| !digest.starts_with("sha256:")) {
            return Err(refuse("what follows @ must be sha256: and a digest"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => (host, rest),
            _ => (DEFAULT_REGISTRY, name),
        };
        let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
        let tag = last.split_once(':').map(|(_, tag)| tag);
        let repository = tag.map_or(path, |tag| &path[..path.len() - tag.len() - 1]);
        if repository.split('/').any(str::is_empty) || tag == Some("") {
            return Err(refuse("a part of it is empty"));
        }
        if repository.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(refuse("repository names are lower case"));
        }
        Ok(Self {
            text: text.to_string(),
            registry: registry.to_string(),
            tagged: tag.is_some() || digest.is_some(),
        })
    }

    /// What to pull. Without a tag the engine would fetch every tag there is.
    pub(crate) fn pulled(&self) -> String {
        if self.tagged {
            self.text.clone()
        } else {
            format!("{}:latest", self.text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_and_the_missing_tag_are_found() {
        for (text, registry, pulled) in [
            ("busybox", "docker.io", "busybox:latest"),
            ("aws/codebuild:7.0", "docker.io", "aws/codebuild:7.0"),
            ("localhost/x", "localhost", "localhost/x:latest"),
            (
                "127.0.0.1:5000/a/b",
                "127.0.0.1:5000",
                "127.0.0.1:5000/a/b:latest",
            ),
            (
                "public.ecr.aws/x/y:1",
                "public.ecr.aws",
                "public.ecr.aws/x/y:1",
            ),
            ("x@sha256:00", "docker.io", "x@sha256:00"),
            (
                "r.example:1/x:t@sha256:00",
                "r.example:1",
                "r.example:1/x:t@sha256:00",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (reference.registry.as_str(), reference.pulled().as_str()),
                (registry, pulled)
            );
        }
    }

    #[test]
    fn what_no_registry_could_hold_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "empty"),
            ("a b", "' '"),
            ("x?y", "'?'"),
            ("Big/name", "lower case"),
            ("x:", "empty"),
            ("/x", "empty"),
            ("x@md5:1", "sha256"),
        ] {
            let Err(Error::User { message, .. }) = Reference::parse(text) else {
                panic!("{text} passed")
            };
            assert!(message.contains(why), "{message}");
        }
    }
}
