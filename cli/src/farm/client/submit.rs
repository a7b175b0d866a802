//! `croft submit`: the folder goes into the local store, what the server lacks of it goes there, and a build of it is started and
//! followed. Ctrl-C ends only the following.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use croft_cache::{Put, Store, TreeRef};
use croft_proto::Level;
use croft_proto::farm::{OwnOfStart, Priority, StartBuild, Variable, VariableType};
use croft_worker::{BuildspecFile, PrimarySource};
use reqwest::Method;
use serde_json::{Value, json};

use super::call::{Call, Failure, Farm};
use super::rows::BuildRow;
use super::upload::{Purpose, upload};
use super::{block_on, farm, watch};
use crate::args::{Format, Global, Show};
use crate::cache::with_bar;
use crate::exit::{Exit, Wrong};
use crate::farm::words::{StartWords, SubmitWords};
use crate::output;
use crate::plan;
use crate::run::refuse_state_in;
use crate::surroundings::{Surroundings, now};

/// What a build runs in whose project nobody has configured: the worker's own tools.
const SANDBOX: &str = "sandbox";
/// AWS's word for a project whose builds bring their source with them.
const NO_SOURCE: &str = "NO_SOURCE";

pub(crate) fn submit(global: &Global, words: &SubmitWords) -> anyhow::Result<Exit> {
    let source = plan::folder_of(&words.directory.to_string_lossy())?;
    let start = start(words, &source)?;
    let farm = farm(global, &words.connect)?;
    let surroundings = Surroundings::read(global)?;
    refuse_state_in(&source, &surroundings)?;
    block_on(async {
        let (project, there) = find_project(&farm, words, &source).await?;
        if !has_good_buildspec(words, &source, there.as_ref())? {
            return Ok(Exit::Usage);
        }
        if there.is_none() {
            make_project(&farm, words, &project).await?;
        }
        let store = surroundings.open_cache()?;
        let tree = put(&store, &source)?;
        let uploaded = upload(&farm, &store, &tree, Purpose::Source).await?;
        uploaded.tell(&words.directory);
        let build = start_build(&farm, start, &project, Some(&tree)).await?;
        follow(&farm, build, &words.start).await
    })
}

/// What is asked for, but for the tree and the project.
pub(super) fn start(words: &SubmitWords, source: &Path) -> anyhow::Result<StartBuild> {
    let primary = PrimarySource::Folder(source.to_path_buf());
    Ok(StartBuild {
        buildspec_override: buildspec(words, &primary)?,
        ..started_with(&words.start)?
    })
}

/// What is asked for, but for what is built.
fn started_with(words: &StartWords) -> anyhow::Result<StartBuild> {
    let variables = plan::variables(words.env_file.as_deref(), &words.env)?;
    let variables = variables.into_iter().map(|(name, value)| Variable {
        name,
        value,
        variable_type: VariableType::Plaintext,
    });
    let priority = words.priority.map(Priority::new).transpose();
    Ok(StartBuild {
        environment_variables_override: variables.collect(),
        image_override: words.image.clone(),
        idempotency_token: Some(match &words.idempotency_token {
            Some(token) => token.clone(),
            None => uuid::Uuid::new_v4().to_string(),
        }),
        own: Some(OwnOfStart {
            tree: None,
            priority: priority.map_err(|reason| Wrong(format!("--priority: {reason}")))?,
        }),
        ..StartBuild::default()
    })
}

/// `croft build start`.
pub(super) async fn start_own(
    farm: &Farm,
    project: &str,
    version: Option<&str>,
    words: &StartWords,
) -> anyhow::Result<Exit> {
    let there: Value = farm.json(&Call::get(&["v1", "projects", project])).await?;
    // The project itself, or under its name.
    let configured = there.get("project").unwrap_or(&there);
    if configured["source"]["type"] == NO_SOURCE {
        return Err(Wrong(format!(
            "the project {project} has no source of its own: `croft submit --project {project} DIR` builds a folder, and a source in the file of `croft project apply` gives it one"
        ))
        .into());
    }
    let start = StartBuild {
        source_version: version.map(str::to_string),
        ..started_with(words)?
    };
    let build = start_build(farm, start, project, None).await?;
    follow(farm, build, words).await
}

/// Says which build was started, and follows it unless nobody wants that.
async fn follow(farm: &Farm, build: Value, words: &StartWords) -> anyhow::Result<Exit> {
    let id = build["id"].as_str().unwrap_or_default().to_string();
    if words.detach {
        return show_started(build, words.output);
    }
    eprintln!("croft: started {id}");
    watch::watch(farm, &id, words.output).await
}

/// A file of the source by its path there, any other one as its text.
fn buildspec(words: &SubmitWords, primary: &PrimarySource) -> anyhow::Result<Option<String>> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        text.map_err(|error| Wrong(format!("-b {}: {error}", path.display())))
    };
    Ok(
        match plan::buildspec(words.buildspec.as_deref(), primary)? {
            BuildspecFile::Default => None,
            BuildspecFile::InSource(path) => Some(path.to_string_lossy().into_owned()),
            BuildspecFile::OnHost(path) => Some(read(path)?),
        },
    )
}

/// Whether the build could begin: what is wrong with the buildspec that is in the folder, or that is given, is printed before anything is
/// sent. What the farm alone has is the worker's to read.
fn has_good_buildspec(
    words: &SubmitWords,
    source: &Path,
    project: Option<&Value>,
) -> anyhow::Result<bool> {
    let primary = PrimarySource::Folder(source.to_path_buf());
    let file = match plan::buildspec(words.buildspec.as_deref(), &primary)? {
        BuildspecFile::Default => {
            let of_project = project.and_then(|project| project["source"]["buildspec"].as_str());
            match of_project {
                None | Some("") => BuildspecFile::Default,
                // The text itself, or an object in a bucket.
                Some(text) if text.contains('\n') || text.contains(':') => return Ok(true),
                Some(path) => BuildspecFile::InSource(path.into()),
            }
        }
        named @ (BuildspecFile::InSource(_) | BuildspecFile::OnHost(_)) => named,
    };
    let (mut found, text) = croft_worker::look_at(source, &file);
    let mistakes = found.iter().filter(|found| found.level == Level::Error);
    let mistakes = mistakes.count();
    if mistakes == 0 {
        return Ok(true);
    }
    // As the person knows it.
    if !matches!(file, BuildspecFile::OnHost(_)) && words.directory != Path::new(".") {
        for found in &mut found {
            let shown = words.directory.join(&found.place.file);
            found.place.file = shown.display().to_string();
        }
    }
    let color = output::style(&std::io::stderr()).color;
    eprint!("{}", croft_spec::render(&found, &text, color));
    eprintln!("croft: the buildspec has {mistakes} mistake(s); nothing was sent");
    Ok(false)
}

/// The project's name, and its configuration when the farm has it.
pub(super) async fn find_project(
    farm: &Farm,
    words: &SubmitWords,
    source: &Path,
) -> anyhow::Result<(String, Option<Value>)> {
    let name = match &words.project {
        Some(name) => plan::named_project(name)?,
        None => plan::project_of_folder(source),
    };
    let there: Result<Value, Failure> = farm.json(&Call::get(&["v1", "projects", &name])).await;
    match there {
        Ok(mut answer) => {
            // The project itself, or under its name.
            let project = match answer.get_mut("project") {
                Some(project) => project.take(),
                None => answer,
            };
            Ok((name, Some(project)))
        }
        Err(failure) if failure.is_not_found() && words.project.is_some() => {
            Err(Wrong(format!(
                "there is no project {name}: `croft project apply -f FILE` makes one, `croft project list` shows which there are"
            ))
            .into())
        }
        Err(failure) if failure.is_not_found() => Ok((name, None)),
        Err(failure) => Err(failure.into()),
    }
}

/// Makes the project of a folder that is submitted for the first time.
pub(super) async fn make_project(
    farm: &Farm,
    words: &SubmitWords,
    name: &str,
) -> anyhow::Result<()> {
    let image = words.start.image.as_deref().unwrap_or(SANDBOX);
    let project = json!({
        "name": name,
        "source": {"type": NO_SOURCE},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": image, "computeType": "BUILD_GENERAL1_SMALL"},
    });
    let call = Call::new(Method::PUT, &["v1", "projects", name]).json(&project);
    farm.bytes(&call).await?;
    eprintln!("croft: made the project {name}, on {image}");
    Ok(())
}

/// The folder's tree, in the local store.
pub(super) fn put(store: &Store, source: &Path) -> anyhow::Result<TreeRef> {
    let request = Put {
        directory: source,
        now: now(),
    };
    let stored = with_bar(store, "reading the folder", || store.put(&request));
    let stored =
        stored.with_context(|| format!("cannot bring {} into the cache", source.display()))?;
    for warning in &stored.warnings {
        eprintln!("croft: {warning}");
    }
    Ok(stored.tree)
}

/// The build that the farm has accepted; asked twice, it is the same one.
pub(super) async fn start_build(
    farm: &Farm,
    mut start: StartBuild,
    project: &str,
    tree: Option<&TreeRef>,
) -> anyhow::Result<Value> {
    start.project_name = project.to_string();
    if let (Some(own), Some(tree)) = (&mut start.own, tree) {
        own.tree = Some(tree.id.to_string());
    }
    let token = start.idempotency_token.clone().unwrap_or_default();
    let call = Call::new(Method::POST, &["v1", "builds"]);
    let call = call
        .header("idempotency-key", token)
        .json(&serde_json::to_value(&start)?);
    let mut answer: Value = farm.json(&call).await?;
    Ok(answer["build"].take())
}

/// The id and nothing else, for scripts; the whole build for tools.
fn show_started(build: Value, show: Show) -> anyhow::Result<Exit> {
    let format = match show {
        Show::Auto | Show::Plain => Format::Name,
        Show::Ndjson => Format::Ndjson,
        Show::Json => Format::Json,
    };
    output::one(&BuildRow(build), format).map(|()| Exit::Succeeded)
}
