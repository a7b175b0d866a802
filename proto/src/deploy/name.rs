//! What names of applications, groups and configurations may be. Asked by every check of them.

/// AWS's longest name, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Whether AWS takes it as the name of an application, a group or a configuration: 1 to 100 of `A-Za-z0-9._+=,@-`.
///
/// **Source.** CodeDeploy's API: `CreateApplication`, `CreateDeploymentGroup`, `CreateDeploymentConfig`.
#[must_use]
pub fn is_deploy_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .chars()
            .all(|part| part.is_ascii_alphanumeric() || "._+=,@-".contains(part))
}

/// What is said of a name that is none.
pub(crate) fn wrong_name(field: &str, name: &str) -> Option<String> {
    (!is_deploy_name(name)).then(|| {
        format!("{field} `{name}`: 1 to {NAME_CHARS_MAX} of letters, digits and . _ + = , @ -")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_aws_takes() {
        for name in ["a", "my.app_1+2=3,4@5-6", &"a".repeat(100)] {
            assert!(is_deploy_name(name), "{name}");
        }
        for name in ["", "a b", "a/b", "ä", "a*", &"a".repeat(101)] {
            assert!(!is_deploy_name(name), "{name}");
        }
    }
}
