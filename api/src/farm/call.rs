//! A request that was let in: what it says, read as far as a route asks for it. Made by the front; handed to a route's function.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use croft_keys::{AccessRecord, AccessRole};
use croft_ledger::Seq;
use croft_proto::farm::BuildId;
use croft_views::BuildRow;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::deploy::Known;
use super::front::Peer;
use super::limits::{BODY_BYTES_MAX, BODY_WAIT, READ_WAIT, ROWS_DEFAULT};
use super::problem::Problem;
use super::state::State;

/// Up to where in the ledger an answer's change is, or what a read has to have seen.
pub(super) const SEQ: HeaderName = HeaderName::from_static("croft-seq");

/// Who asks: a token's record, or nobody where nobody has to be somebody.
pub(super) type Caller = Option<Arc<AccessRecord>>;

/// What is answered, or why nothing is.
pub(super) type Answer = Result<Response<Body>, Problem>;

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) state: Arc<State>,
    /// Where it is from.
    pub(super) from: Peer,
    /// Its method, and its path with what is behind the question mark.
    pub(super) line: (&'static str, String),
    pub(super) caller: Caller,
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// Behind a lock since bodies cannot be shared, and calls are lent to what waits.
    pub(super) body: std::sync::Mutex<Body>,
    /// The build that the path names, when it does.
    pub(super) build: Option<Box<BuildRow>>,
    /// The deployment, the same way.
    pub(super) deployment: Option<Box<Known>>,
    /// What the audit chain says it was about: more exactly than the path, once it is known.
    pub(super) target: Arc<std::sync::Mutex<String>>,
}

impl Call {
    /// A part of the path. The table says which there are.
    pub(super) fn param(&self, name: &str) -> &str {
        let mut params = self.params.iter();
        let found = params.find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// A parameter behind the question mark.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        let found = query.find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The same, as a number or whatever else it has to be.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.asked(name) else {
            return Ok(None);
        };
        let wrong = |error: T::Err| Problem::invalid(format!("{name}=`{}`: {error}", short(text)));
        text.parse().map(Some).map_err(wrong)
    }

    /// How many rows of a list are wanted.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.parsed::<usize>("limit")?.unwrap_or(ROWS_DEFAULT);
        if (1..=croft_views::ROWS_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::invalid(format!(
            "limit={limit}: 1 to {}",
            croft_views::ROWS_MAX
        )))
    }

    /// Where a list goes on, when the cursor is a place in the ledger.
    pub(super) fn before(&self) -> Result<Option<Seq>, Problem> {
        Ok(self.parsed::<u64>("cursor")?.map(Seq::new))
    }

    /// Who asks, for records: the token's name and id. Several tokens may have one name.
    pub(super) fn actor(&self) -> String {
        actor(self.caller.as_deref())
    }

    /// Passes when something that needs that role may be done with that project.
    pub(super) fn allow(&self, role: AccessRole, project: Option<&str>) -> Result<(), Problem> {
        allow(self.caller.as_deref(), role, project)
    }

    /// True when the caller may see that project.
    pub(super) fn sees(&self, project: &str) -> bool {
        let caller = self.caller.as_deref();
        caller.is_some_and(|record| record.may(AccessRole::Viewer, Some(project)))
    }

    /// What the audit chain shall say it is about.
    pub(super) fn is_about(&self, target: impl Into<String>) {
        let target = target.into();
        if let Some(build) = target.strip_prefix("build.") {
            tracing::Span::current().record("build", build);
        }
        *self
            .target
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = target;
    }

    /// All of the body, when it is not too large and comes in time.
    pub(super) async fn bytes(&mut self, bytes_max: usize) -> Result<Bytes, Problem> {
        whole(self.take_body(), bytes_max, BODY_WAIT).await
    }

    /// The body as it comes. Afterwards there is none.
    pub(super) fn take_body(&mut self) -> Body {
        let body = self
            .body
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(body, Body::empty())
    }

    /// The body as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let bytes = self.bytes(BODY_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| not_json(&error))
    }

    /// The same of deployments: waits for what this server has folded of them.
    pub(super) async fn catch_up_deployments(&self) -> Result<(), Problem> {
        if let Some(seq) = self.seen()? {
            self.state.farm.deploy.folded(seq, READ_WAIT).await;
        }
        Ok(())
    }

    /// Up to where the caller has seen the ledger, as its `croft-seq` says.
    fn seen(&self) -> Result<Option<Seq>, Problem> {
        let Some(value) = self.headers.get(SEQ) else {
            return Ok(None);
        };
        let seq = value.to_str().ok().and_then(|text| text.parse().ok());
        let seq = seq.ok_or_else(|| Problem::invalid("the header croft-seq has to be a number"))?;
        Ok(Some(Seq::new(seq)))
    }

    /// Waits until the view has what the caller has seen, as its `croft-seq` says; for a second at most.
    pub(super) async fn catch_up_with_caller(&self) -> Result<(), Problem> {
        if let Some(seq) = self.seen()? {
            self.state.farm.views.reached(seq, READ_WAIT).await;
        }
        Ok(())
    }

    /// The same, and until it has every build that this server has told anybody of: who asks next may not know of `croft-seq`. For what is
    /// read of builds alone: while builds are started without end, the view is never there, and nothing else is to wait for them.
    pub(super) async fn catch_up_with_builds(&self) -> Result<(), Problem> {
        let told = Seq::new(self.state.told.load(Ordering::Acquire));
        let seq = self.seen()?.map_or(told, |seen| seen.max(told));
        self.state.farm.views.reached(seq, READ_WAIT).await;
        Ok(())
    }

    /// The build that the path names. The front has looked it up.
    pub(super) fn build(&mut self) -> Result<Box<BuildRow>, Problem> {
        let found = self.build.take();
        found.ok_or_else(|| Problem::not_found("there is no such build"))
    }

    /// The deployment that the path names. The front has looked it up.
    pub(super) fn deployment(&mut self) -> Result<Box<Known>, Problem> {
        let found = self.deployment.take();
        found.ok_or_else(|| Problem::not_found("there is no such deployment"))
    }

    /// The value of a header, if it is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// For records: who a token's holder is.
pub(super) fn actor(caller: Option<&AccessRecord>) -> String {
    match caller {
        Some(record) => format!("{} ({})", record.name, record.id),
        None => "nobody".to_string(),
    }
}

/// Passes when the token allows that.
pub(super) fn allow(
    caller: Option<&AccessRecord>,
    role: AccessRole,
    project: Option<&str>,
) -> Result<(), Problem> {
    let record = caller.ok_or_else(Problem::unauthorized)?;
    if !record.access.role.allows(role) {
        return Err(Problem::forbidden(format!(
            "this needs the role `{role}`, and the token `{}` has the role `{}`",
            record.name, record.access.role
        )));
    }
    if record.may(role, project) {
        return Ok(());
    }
    Err(Problem::forbidden(match project {
        Some(project) => format!(
            "the token `{}` is not for `{}`",
            record.name,
            short(project)
        ),
        None => format!(
            "this is about the whole farm, and the token `{}` is for some of it only",
            record.name
        ),
    }))
}

/// All of a body.
async fn whole(body: Body, bytes_max: usize, wait: Duration) -> Result<Bytes, Problem> {
    let all = Limited::new(body, bytes_max).collect();
    let Ok(all) = tokio::time::timeout(wait, all).await else {
        return Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeoutException",
            format!("the body has not come within {} s", wait.as_secs()),
        ));
    };
    match all {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if is_too_long(&*error) => Err(Problem::too_large(bytes_max)),
        Err(error) => Err(Problem::invalid(format!("the body broke off: {error}"))),
    }
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if this.is::<LengthLimitError>() {
            return true;
        }
        error = this.source();
    }
    false
}

/// What is wrong with a body, and where; `serde_json` names the field, the line and the column.
pub(super) fn not_json(error: &serde_json::Error) -> Problem {
    Problem::invalid(format!("the body is not what is taken here: {error}"))
}

/// Enough of a text to know it again.
pub(super) fn short(text: &str) -> String {
    text.chars().take(super::limits::NAME_CHARS_MAX).collect()
}

/// A build's id as people have it: the id alone, `<project>:<id>`, or an ARN that ends with that.
pub(super) fn build_id(text: &str) -> Result<BuildId, Problem> {
    let last = text.rsplit([':', '/']).next().unwrap_or(text);
    last.parse().map_err(|_error: String| {
        Problem::not_found(format!(
            "`{}` is no build's id: they are `<project>:<uuid>`, a uuid, or an ARN",
            short(text)
        ))
    })
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
    Ok(typed(status, "application/json", Body::from(bytes)))
}

/// The same of a change, with its place in the ledger.
pub(super) fn changed(status: StatusCode, body: &impl Serialize, seq: Option<Seq>) -> Answer {
    let mut response = json(status, body)?;
    if let Some(seq) = seq {
        response.headers_mut().insert(SEQ, seq.get().into());
    }
    Ok(response)
}

/// An answer of that type. Nothing of this farm is for caches in between.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
