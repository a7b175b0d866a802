//! Files that somebody gave another name than the one that is looked for. Asked by whoever has not found a buildspec or an AppSpec.

use croft_proto::nearest;

/// The name of a folder's that may be meant by the one that is looked for, such as `buildspec.yaml` by `buildspec.yml`. None when that one is
/// there itself, and when there is none like it.
#[must_use]
pub fn misnamed<'n>(wanted: &str, names: &[&'n str]) -> Option<&'n str> {
    if names.contains(&wanted) {
        return None;
    }
    let stem = stem(wanted)?;
    let same = names
        .iter()
        .find(|name| self::stem(name).as_ref() == Some(&stem));
    let of_yaml: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| self::stem(name).is_some())
        .collect();
    same.copied().or_else(|| nearest(wanted, &of_yaml))
}

/// The name in small letters without a dot before it and its ending; none when it does not end as YAML does.
fn stem(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let stem = name
        .strip_suffix(".yml")
        .or_else(|| name.strip_suffix(".yaml"))?;
    Some(stem.trim_start_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::misnamed;

    #[test]
    fn other_endings_letters_and_slips_are_known() {
        for (names, found) in [
            (&["a", "buildspec.yaml"][..], Some("buildspec.yaml")),
            (&["Buildspec.yml"], Some("Buildspec.yml")),
            (&[".buildspec.yml"], Some(".buildspec.yml")),
            (&["buidlspec.yml"], Some("buidlspec.yml")),
            (&["buildspec.yaml", "buildspec.yml"], None),
            (
                &["appspec.yml", "buildspec.json", "docker-compose.yml"],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(misnamed("buildspec.yml", names), found, "{names:?}");
        }
    }
}
