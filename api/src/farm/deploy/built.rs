//! What a build of this farm made, as a revision. Asked for by whoever starts a deployment and names a build; hands back a tree of the
//! build's artifacts alone, which stays the same however often it is asked for.

use std::path::Path;

use axum::http::StatusCode;
use croft_cache::{Anchor, Id, Packs, Store, Stored};
use croft_keys::AccessRole;
use croft_proto::deploy::{Revision, RevisionOrigin};
use croft_proto::{Status, Timestamp};

use super::super::builds;
use super::super::call::{Call, build_id, short};
use super::super::files::{ARTIFACTS, kept_of};
use super::super::problem::Problem;

/// The file that a revision begins with, when nobody says otherwise.
const NAMES: [&str; 2] = ["appspec.yml", "appspec.yaml"];

/// The artifacts of a build that went well. Who may not see the build is told that there is none.
pub(super) async fn revision(
    call: &Call,
    build: &str,
    appspec: Option<&str>,
) -> Result<Revision, Problem> {
    let wrong = |why: String| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "InvalidRevisionException",
            format!("revision.origin.buildId: {why}"),
        )
    };
    call.catch_up_with_builds().await?;
    let id = build_id(build)?;
    let found = builds::known(&call.state, id).await?;
    if call
        .allow(AccessRole::Viewer, Some(&found.project))
        .is_err()
    {
        return Err(Problem::not_found(format!("there is no build `{id}`")));
    }
    let name = format!("{}:{id}", found.project);
    match found.settled.as_ref().map(|settled| settled.status) {
        None => return Err(wrong(format!("`{name}` is not over yet"))),
        Some(Status::Succeeded) => {}
        Some(status) => {
            return Err(wrong(format!(
                "`{name}` ended as {}, and only what went well is deployed",
                status.name()
            )));
        }
    }
    let kept = kept_of(&found).map(|kept| kept.tree);
    let kept = kept.ok_or_else(|| wrong(format!("`{name}` left nothing")))?;
    let (store, now) = (call.state.kept(), call.state.farm.clock.now());
    let appspec = appspec.map(str::to_string);
    let taking = call
        .state
        .tasks
        .spawn_blocking(move || taken(&store, &kept, appspec.as_deref(), now));
    let taken = taking.await.map_err(|error| Problem::internal(&error))??;
    match taken {
        Taken::Whole(stored) => Ok(Revision {
            digest: stored.tree.id.to_string(),
            origin: RevisionOrigin::Build { build_id: name },
        }),
        Taken::Nothing => Err(wrong(format!(
            "`{name}` left no artifacts, or they are not kept any more"
        ))),
        Taken::NoSpec(asked) => Err(wrong(format!(
            "there is no `{}` among the artifacts of `{name}`: it must be one of the files of `artifacts:` in its buildspec, at their top",
            short(&asked)
        ))),
    }
}

/// What there is of a build.
enum Taken {
    Whole(Box<Stored>),
    Nothing,
    NoSpec(String),
}

fn taken(
    store: &Store,
    kept: &Id,
    appspec: Option<&str>,
    now: Timestamp,
) -> Result<Taken, croft_cache::Error> {
    let Some(stored) = store.part(kept, Path::new(ARTIFACTS), now)? else {
        return Ok(Taken::Nothing);
    };
    let files = store.files(&stored.tree, &Packs::default())?;
    let is_there = |name: &str| files.find(Anchor::Source, Path::new(name)).is_some();
    let has_one = match appspec {
        Some(name) => is_there(name),
        None => NAMES.into_iter().any(is_there),
    };
    if has_one {
        return Ok(Taken::Whole(Box::new(stored)));
    }
    Ok(Taken::NoSpec(appspec.unwrap_or(NAMES[0]).to_string()))
}
