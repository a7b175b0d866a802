//! Applications and what is deployed of them, in AWS's shape.

use serde::{Deserialize, Serialize};

use super::name::wrong_name;
use super::{ComputePlatform, Revision};

/// AWS's longest description, in characters.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 256;

/// What is deployed, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its name.
    pub application_name: String,
    /// What it runs on.
    #[serde(default)]
    pub compute_platform: ComputePlatform,
}

impl Application {
    /// Whether it may be made.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong: Vec<String> = wrong_name("applicationName", &self.application_name)
            .into_iter()
            .collect();
        if self.compute_platform == ComputePlatform::Lambda {
            wrong.push("computePlatform Lambda: nothing here runs functions".to_string());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// A revision that an application knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRegistration {
    /// The revision.
    pub revision: Revision,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

impl RevisionRegistration {
    /// Whether it may be made.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        wrong.extend(wrong_digest("revision", &self.revision));
        wrong.extend(wrong_description(self.description.as_deref()));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// A revision is its digest; without one nobody could say what was deployed.
pub(crate) fn wrong_digest(at: &str, revision: &Revision) -> Option<String> {
    let digest = &revision.digest;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digest.len() != 64 || !digest.bytes().all(is_hex)).then(|| {
        format!("{at}.digest `{digest}`: a BLAKE3 digest is 64 hexadecimal digits in lower case")
    })
}

pub(crate) fn wrong_description(description: Option<&str>) -> Option<String> {
    let is_long = description.is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX);
    is_long.then(|| format!("description: at most {DESCRIPTION_CHARS_MAX} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::RevisionOrigin;

    #[test]
    fn functions_and_digests_that_are_none_are_refused() {
        let json = serde_json::json!({"applicationName": "a b", "computePlatform": "Lambda"});
        let application: Application = serde_json::from_value(json).unwrap();
        assert_eq!(application.check().unwrap_err().len(), 2);
        let mut registration = RevisionRegistration {
            revision: Revision {
                digest: "a1".repeat(32),
                origin: RevisionOrigin::Local {
                    location: "/srv".into(),
                },
            },
            description: None,
        };
        registration.check().unwrap();
        registration.revision.digest = "A1".repeat(32);
        registration.description = Some("x".repeat(257));
        assert_eq!(registration.check().unwrap_err().len(), 2);
    }
}
