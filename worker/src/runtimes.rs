//! `runtime-versions`: from what the buildspec asks for and what the image offers to the commands that switch. Pure.

use croft_proto::Place;
use croft_runner::protocol::Variable;
use croft_spec::{Command, RuntimeVersion, Runtimes};

use crate::environment::Environment;

/// What to run, and what to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) commands: Vec<Command>,
    pub(crate) warnings: Vec<String>,
}

/// What the user has to mend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("runtime-versions: this image has no runtime {name:?}; it has {}", known.join(", "))]
    NoRuntime { name: String, known: Vec<String> },
    #[error("runtime-versions: this image has no {name} {version:?}; it has {}", known.join(", "))]
    NoVersion {
        name: String,
        version: String,
        known: Vec<String>,
    },
    #[error("runtime-versions: {name} {version} needs {other} {}; add it", versions.join(" or "))]
    Conflict {
        name: String,
        version: String,
        other: String,
        versions: Vec<String>,
    },
    #[error("runtime-versions: {name}: {version:?} is not a version")]
    NotAVersion { name: String, version: String },
}

/// The commands for what `wanted` names. An image without a `runtimes.yml` gets a warning, as on AWS.
pub(crate) fn choose(
    wanted: &[(String, String)],
    image: Option<&[u8]>,
    environment: &Environment,
) -> Result<Chosen, Error> {
    if wanted.is_empty() {
        return Ok(Chosen::default());
    }
    let Some(runtimes) = image.and_then(Runtimes::parse) else {
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "runtime-versions are ignored: there is no runtimes.yml here; what is installed is used ({})",
            names.join(", ")
        );
        return Ok(Chosen {
            commands: Vec::new(),
            warnings: vec![message],
        });
    };
    let mut picked = Vec::new();
    for (name, asked) in wanted {
        let asked = resolve(asked, environment.variables());
        picked.push((name, pick(&runtimes, name, &asked)?, asked));
    }
    for (name, version, _) in &picked {
        for (other, versions) in &version.requires {
            let met = picked
                .iter()
                .any(|(name, version, _)| *name == other && versions.contains(&version.version));
            if !met {
                return Err(Error::Conflict {
                    name: (*name).clone(),
                    version: version.version.clone(),
                    other: other.clone(),
                    versions: versions.clone(),
                });
            }
        }
    }
    let commands = picked
        .iter()
        .flat_map(|(_, version, asked)| commands(version, asked, environment))
        .collect();
    Ok(Chosen {
        commands,
        warnings: Vec::new(),
    })
}

/// A version may be a reference to a variable.
fn resolve(asked: &str, variables: &[Variable]) -> String {
    let Some(name) = asked.strip_prefix('$') else {
        return asked.to_string();
    };
    let name = name.trim_start_matches('{').trim_end_matches('}');
    let value = variables.iter().find(|(other, _)| other == name.as_bytes());
    value
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

fn pick<'r>(runtimes: &'r Runtimes, name: &str, asked: &str) -> Result<&'r RuntimeVersion, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if asked.is_empty() || !asked.bytes().all(plain) {
        return Err(Error::NotAVersion {
            name: name.to_string(),
            version: asked.to_string(),
        });
    }
    let Some((_, versions)) = runtimes.runtimes.iter().find(|(other, _)| other == name) else {
        let known = runtimes
            .runtimes
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        return Err(Error::NoRuntime {
            name: name.to_string(),
            known,
        });
    };
    let listed = || {
        versions
            .iter()
            .filter(|version| version.version != "default")
    };
    let newest = |prefix: &str| {
        let fitting = listed().filter(|version| version.version.starts_with(prefix));
        fitting.max_by_key(|version| order(&version.version))
    };
    let exact = listed().find(|version| version.version == asked);
    let found = match (exact, asked.strip_suffix('x')) {
        (Some(version), _) => Some(version),
        (None, Some(prefix)) => newest(prefix),
        (None, None) if asked == "latest" => newest(""),
        (None, None) => versions.iter().find(|version| version.version == "default"),
    };
    found.ok_or_else(|| Error::NoVersion {
        name: name.to_string(),
        version: asked.to_string(),
        known: listed().map(|version| version.version.clone()).collect(),
    })
}

/// Numbers in a version, for ordering: `3.10` comes after `3.9`.
fn order(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// A `default` version's commands read `VERSION`; the build's own variable of that name, or its absence, comes back afterwards.
fn commands(version: &RuntimeVersion, asked: &str, environment: &Environment) -> Vec<Command> {
    let back = match environment.text("VERSION") {
        Some(own) => format!("VERSION={}", quoted(&own)),
        None => "unset VERSION".to_string(),
    };
    // `$?` is read before the variable is put back, so the command's own status is what remains.
    let back = format!("eval {}\"$?)\"", quoted(&format!("{back}; (exit ")));
    let place = Place {
        file: "runtimes.yml".into(),
        line: 0,
        column: 0,
    };
    let command = |text: &String| match version.version.as_str() {
        "default" => Command {
            text: format!("VERSION={asked}\n{text}\n{back}"),
            place: place.clone(),
        },
        _ => Command {
            text: text.clone(),
            place: place.clone(),
        },
    };
    version.commands.iter().map(command).collect()
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"runtimes:\n  python:\n    versions:\n      3.10: {commands: [use 3.10]}\n      3.9: {commands: [use 3.9]}\n      default: {commands: ['install $VERSION']}\n  android:\n    versions:\n      '29': {commands: [sdk 29], requires: {java: [corretto8]}}\n  java:\n    versions:\n      corretto8: {commands: [java 8]}\n      corretto17: {commands: [java 17]}\n";

    fn texts(wanted: &[(&str, &str)]) -> Result<Vec<String>, Error> {
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(name, version)| ((*name).into(), (*version).into()))
            .collect();
        let environment = Environment::new(vec![(b"PY".to_vec(), b"3.9".to_vec())]);
        let chosen = choose(&wanted, Some(FILE), &environment)?;
        Ok(chosen
            .commands
            .into_iter()
            .map(|command| command.text)
            .collect())
    }

    #[test]
    fn versions_are_exact_newest_of_a_major_latest_or_from_a_variable() {
        for (asked, expected) in [
            ("3.10", "use 3.10"),
            ("3.x", "use 3.10"),
            ("latest", "use 3.10"),
            ("$PY", "use 3.9"),
            ("${PY}", "use 3.9"),
        ] {
            assert_eq!(texts(&[("python", asked)]).unwrap(), [expected], "{asked}");
        }
    }

    #[test]
    fn the_version_is_gone_or_as_before_after_a_default_command_and_its_status_stays() {
        for (own, expected) in [(None, "none"), (Some("it's $1"), "it's $1")] {
            let variables = own.map(|own| (b"VERSION".to_vec(), own.as_bytes().to_vec()));
            let environment = Environment::new(variables.into_iter().collect());
            let file = b"runtimes: {python: {versions: {default: {commands: ['echo $VERSION; (exit 7)']}}}}";
            let chosen = choose(
                &[("python".into(), "3.13".into())],
                Some(file),
                &environment,
            );
            let script = format!(
                "{}\necho $? \"${{VERSION-none}}\"",
                chosen.unwrap().commands[0].text
            );
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &script]).env_remove("VERSION");
            shell.envs(own.map(|own| ("VERSION", own)));
            let output = shell.output().unwrap();
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                format!("3.13\n7 {expected}\n")
            );
        }
    }

    #[test]
    fn conflicts_and_unknown_names_are_told() {
        assert_eq!(
            texts(&[("java", "corretto8"), ("android", "29")]).unwrap(),
            ["java 8", "sdk 29"]
        );
        assert!(matches!(
            texts(&[("android", "29")]),
            Err(Error::Conflict { .. })
        ));
        assert!(matches!(
            texts(&[("java", "corretto17"), ("android", "29")]),
            Err(Error::Conflict { .. })
        ));
        assert!(matches!(
            texts(&[("cobol", "1")]),
            Err(Error::NoRuntime { .. })
        ));
        assert!(matches!(
            texts(&[("java", "11")]),
            Err(Error::NoVersion { .. })
        ));
        assert!(matches!(
            texts(&[("python", "3; rm -rf /")]),
            Err(Error::NotAVersion { .. })
        ));
    }

    #[test]
    fn an_image_without_the_file_only_gets_a_warning() {
        let chosen = choose(
            &[("python".into(), "3.10".into())],
            None,
            &Environment::default(),
        )
        .unwrap();
        assert!(chosen.commands.is_empty() && chosen.warnings.len() == 1);
    }
}
