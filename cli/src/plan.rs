//! From the words of `croft run` to a build's request: which source, which name, which variables. Looks at the file system,
//! changes nothing.

use std::path::{Component, Path, PathBuf};

use croft_worker::{AwsAccess, BuildspecFile, PrimarySource, Repository, SecretSource};

use crate::args::RunWords;
use crate::exit::Wrong;
use crate::files;
use crate::surroundings::{absolute, person_home};

/// Names and values.
type Variables = Vec<(String, String)>;
/// Folders of this machine, and where a build sees them.
type Folders = Vec<(PathBuf, PathBuf)>;

/// AWS's limit for a project's name.
const NAME_CHARS_MAX: usize = 150;

/// What is to be built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) primary: PrimarySource,
    pub(crate) secondary: Vec<(String, PathBuf)>,
    pub(crate) project: String,
    /// Whose cache it is.
    pub(crate) cache_scope: String,
}

impl Sources {
    /// Every source that is a folder of this machine.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        let primary = match &self.primary {
            PrimarySource::Folder(folder) => Some(folder.as_path()),
            PrimarySource::Git(_) => None,
        };
        let secondary = self.secondary.iter().map(|(_, folder)| folder.as_path());
        primary.into_iter().chain(secondary)
    }
}

/// Options that only mean something for a container.
pub(crate) fn check(words: &RunWords) -> Result<(), Wrong> {
    let for_containers = [
        ("--privileged", words.privileged),
        ("--network", words.network.is_some()),
        ("--memory", words.memory.is_some()),
        ("--cpus", words.cpus.is_some()),
        ("--pids", words.pids.is_some()),
    ];
    match for_containers.into_iter().find(|(_, given)| *given) {
        Some((option, _)) if words.image.is_none() => Err(Wrong(format!(
            "{option} is for containers: add --image, or leave it out to use the sandbox"
        ))),
        _ => Ok(()),
    }
}

/// The sources and the project's name.
pub(crate) fn sources(words: &RunWords) -> anyhow::Result<Sources> {
    let mut primary = words.source.clone();
    let mut secondary = Vec::new();
    for word in &words.sources {
        match word
            .split_once(':')
            .filter(|(identifier, _)| is_identifier(identifier))
        {
            Some((identifier, folder)) => {
                secondary.push((identifier.to_string(), folder_of(folder)?))
            }
            None if primary.is_none() => primary = Some(word.clone()),
            None => {
                return Err(Wrong(format!(
                    "-s {word}: a second source needs an identifier: -s ID:{word}"
                ))
                .into());
            }
        }
    }
    let word = primary.unwrap_or_else(|| ".".to_string());
    let primary = if is_url(&word) {
        let (url, revision) = split_revision(&word);
        refuse_options(&url, revision.as_deref())?;
        PrimarySource::Git(Repository::new(url, revision))
    } else {
        PrimarySource::Folder(folder_of(&word)?)
    };
    let project = match &words.project {
        Some(name) => named_project(name)?,
        None => sanitised(&name_of(&primary)),
    };
    let cache_scope = match &words.project {
        Some(_) => project.clone(),
        None => format!("{project}@{}", address_of(&primary)),
    };
    Ok(Sources {
        primary,
        secondary,
        project,
        cache_scope,
    })
}

/// A project's name that somebody typed.
pub(crate) fn named_project(name: &str) -> Result<String, Wrong> {
    if sanitised(name) == name {
        return Ok(name.to_string());
    }
    Err(Wrong(format!(
        "--project {name:?}: 2 to {NAME_CHARS_MAX} letters, digits, - and _, starting with a letter or digit"
    )))
}

/// The name of a folder's project, as `croft run` calls it.
pub(crate) fn project_of_folder(folder: &Path) -> String {
    sanitised(&name_of(&PrimarySource::Folder(folder.to_path_buf())))
}

/// Git would take these for options, some of which name programs to run.
fn refuse_options(url: &str, revision: Option<&str>) -> Result<(), Wrong> {
    let words = [("address", Some(url)), ("revision", revision)];
    for (what, word) in words {
        if let Some(word) = word.filter(|word| word.starts_with('-')) {
            return Err(Wrong(format!(
                "{word:?} is no {what} of a repository: it starts with a hyphen"
            )));
        }
    }
    Ok(())
}

/// Tells a source from another of the same name: folders of equal names, and other people's repositories.
fn address_of(source: &PrimarySource) -> String {
    match source {
        PrimarySource::Folder(folder) => folder.display().to_string(),
        PrimarySource::Git(repository) => croft_worker::address::without_sign_in(&repository.url),
    }
}

/// The buildspec: as AWS's local agent, first from where the person stands, then from the source.
pub(crate) fn buildspec(
    named: Option<&Path>,
    primary: &PrimarySource,
) -> anyhow::Result<BuildspecFile> {
    let Some(named) = named else {
        return Ok(BuildspecFile::Default);
    };
    if let PrimarySource::Folder(folder) = primary {
        let here = without_dots(&absolute(named)?);
        // A file of the source is read as the source's, by whatever name it was given.
        if let Ok(inside) = here.strip_prefix(folder) {
            return Ok(BuildspecFile::InSource(inside.to_path_buf()));
        }
        if !here.is_file() && !named.is_absolute() {
            return Ok(BuildspecFile::InSource(named.to_path_buf()));
        }
        return Ok(BuildspecFile::OnHost(here));
    }
    let here = absolute(named)?;
    Ok(if here.is_file() {
        BuildspecFile::OnHost(here)
    } else {
        BuildspecFile::InSource(named.to_path_buf())
    })
}

/// The path with its `..` taken out by name alone: no link is followed, since one of a source's must not lead out of it.
fn without_dots(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => tidy.push(part),
        }
    }
    tidy
}

/// The variables that win over the buildspec's.
pub(crate) fn variables(
    env_file: Option<&Path>,
    env: &[String],
) -> Result<Vec<(String, String)>, Wrong> {
    let mut variables = match env_file {
        Some(path) => files::env_file(path)?,
        None => Vec::new(),
    };
    for word in env {
        variables.push(files::variable(word).map_err(|reason| Wrong(format!("--env: {reason}")))?);
    }
    Ok(variables)
}

/// Where values of stores come from.
pub(crate) fn secrets(words: &RunWords) -> Result<SecretSource, Wrong> {
    let values = match &words.secret_file {
        Some(path) => files::secret_file(path)?,
        None => Default::default(),
    };
    let aws = uses_aws(words).then(|| AwsAccess {
        profile: words.profile.clone(),
        home: Some(person_home()),
    });
    Ok(SecretSource {
        values,
        vault: None,
        aws,
    })
}

pub(crate) fn uses_aws(words: &RunWords) -> bool {
    words.aws || words.profile.is_some()
}

/// With `-c`: the caller's AWS variables, and the folder of settings for the build to read.
pub(crate) fn credentials(words: &RunWords) -> (Variables, Folders) {
    if !uses_aws(words) {
        return (Vec::new(), Vec::new());
    }
    let own = std::env::vars()
        .filter(|(name, _)| name.starts_with("AWS_") && !name.starts_with("AWS_CA_"));
    let mut variables: Variables = own.collect();
    if let Some(profile) = &words.profile {
        variables.retain(|(name, _)| name != "AWS_PROFILE");
        variables.push(("AWS_PROFILE".to_string(), profile.clone()));
    }
    let settings = person_home().join(".aws");
    let folders = settings
        .is_dir()
        .then(|| (settings, PathBuf::from("/root/.aws")));
    (variables, folders.into_iter().collect())
}

/// A folder that is there, without links on its way.
pub(crate) fn folder_of(word: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(word);
    let found = std::fs::canonicalize(path).map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "there is no such folder".to_string()
        } else {
            files::why(&error)
        };
        Wrong(format!("{word}: {why}: give a folder or a git URL"))
    })?;
    if !found.is_dir() {
        let hint = if word.ends_with(".yml") || word.ends_with(".yaml") {
            format!("; did you mean -b {word}?")
        } else {
            String::new()
        };
        return Err(Wrong(format!("{word} is not a folder{hint}")).into());
    }
    Ok(found)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A scheme, or git's short form `user@host:path`; whatever exists here is a folder.
pub(crate) fn is_url(word: &str) -> bool {
    if Path::new(word).exists() {
        return false;
    }
    let short = word
        .split_once(':')
        .is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    word.contains("://") || short
}

/// `URL@REV`: the last `@` of the path, so that users in addresses stay.
pub(crate) fn split_revision(word: &str) -> (String, Option<String>) {
    let path = match word.find("://").map(|at| at + 3) {
        Some(host) => word[host..].find('/').map_or(word.len(), |at| host + at),
        None => word.find(':').unwrap_or(0),
    };
    match word[path..].rsplit_once('@') {
        Some((url, revision)) if !revision.is_empty() => (
            format!("{}{url}", &word[..path]),
            Some(revision.to_string()),
        ),
        _ => (word.to_string(), None),
    }
}

fn name_of(source: &PrimarySource) -> String {
    match source {
        PrimarySource::Folder(folder) => folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        PrimarySource::Git(repository) => {
            let name = repository
                .url
                .trim_end_matches('/')
                .rsplit(['/', ':'])
                .next()
                .unwrap_or_default();
            name.trim_end_matches(".git").to_string()
        }
    }
}

/// A name within AWS's rules.
fn sanitised(name: &str) -> String {
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let clean: String = name
        .chars()
        .map(|letter| if good(letter) { letter } else { '-' })
        .collect();
    let clean: String = clean
        .trim_start_matches(['-', '_'])
        .chars()
        .take(NAME_CHARS_MAX)
        .collect();
    if clean.len() < 2 {
        "build".to_string()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_follows_the_last_at_of_the_path() {
        for (word, url, revision) in [
            ("https://host/a/b.git", "https://host/a/b.git", None),
            (
                "https://host/a/b.git@v1.2",
                "https://host/a/b.git",
                Some("v1.2"),
            ),
            ("https://me:pw@host/a/b", "https://me:pw@host/a/b", None),
            (
                "https://me@host/a/b@feature/x",
                "https://me@host/a/b",
                Some("feature/x"),
            ),
            ("git@host:a/b.git", "git@host:a/b.git", None),
            ("git@host:a/b.git@main", "git@host:a/b.git", Some("main")),
        ] {
            assert_eq!(
                split_revision(word),
                (url.to_string(), revision.map(str::to_string)),
                "{word}"
            );
        }
    }

    #[test]
    fn a_revision_or_address_that_reads_as_an_option_is_refused() {
        let (url, revision) = split_revision("file:///repo@--upload-pack=touch /tmp/x;x");
        let refused = refuse_options(&url, revision.as_deref()).unwrap_err();
        assert!(refused.to_string().contains("--upload-pack"), "{refused}");
        assert!(refuse_options("-oProxyCommand=x://y", None).is_err());
        assert!(refuse_options("https://host/a-b", Some("v-1")).is_ok());
    }

    #[test]
    fn a_buildspec_is_the_sources_or_the_machines_by_where_it_lies() {
        use clap::Parser;
        let (source, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let named = |path: &Path| {
            let line = [
                "croft".into(),
                "run".into(),
                "-b".into(),
                path.as_os_str().to_os_string(),
            ];
            let crate::args::Command::Run(words) = crate::args::Cli::parse_from(line).command
            else {
                panic!("run")
            };
            let primary = PrimarySource::Folder(source.path().to_path_buf());
            buildspec(words.buildspec.as_deref(), &primary).unwrap()
        };
        std::fs::write(elsewhere.path().join("b.yml"), "").unwrap();
        let outside = elsewhere.path().join("b.yml");
        assert_eq!(named(&outside), BuildspecFile::OnHost(outside.clone()));
        assert_eq!(
            named(&source.path().join("ci/b.yml")),
            BuildspecFile::InSource("ci/b.yml".into())
        );
        assert_eq!(
            named(Path::new("no-such-file.yml")),
            BuildspecFile::InSource("no-such-file.yml".into())
        );
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(sanitised("my.app v2"), "my-app-v2");
        assert_eq!(sanitised(""), "build");
        assert_eq!(sanitised("_x"), "build");
        let url = PrimarySource::Git(Repository::new("git@host:team/app.git".into(), None));
        assert_eq!(name_of(&url), "app");
    }

    #[test]
    fn addresses_are_told_from_folders() {
        for word in [
            "https://host/x",
            "ssh://host/x",
            "file:///srv/x.git",
            "git@host:x",
        ] {
            assert!(is_url(word), "{word}");
        }
        for word in [".", "src", "/tmp", "no-such-folder"] {
            assert!(!is_url(word), "{word}");
        }
    }
}
