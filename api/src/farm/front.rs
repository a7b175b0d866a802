//! From a request to its route's function and back: who asks, may they, how long it took, what is put on record. Built from the
//! table; handed to the server's connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::routing::{MethodFilter, on};
use croft_keys::AccessRecord;
use croft_keys::audit::AuditAct;
use futures_util::future::select;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::audit;
use super::builds;
use super::call::{Answer, Call, Caller, actor, allow, build_id, short};
use super::deploy;
use super::problem::Problem;
use super::refusals;
use super::state::{MetricsAccess, State};
use super::table::{Effect, ROUTES, Route, Verb, Whose};

/// The word that a host's next call is to be signed for.
const SERVER_RUN: &str = "croft-server-run";

/// The name of a request, in its answer and in the log.
const REQUEST_ID: &str = "x-request-id";

/// Characters of a caller's own name for a request.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The other side of a connection: of a proxy's, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(IpAddr);

impl Peer {
    /// One whose address the system does not say is like all others of its kind.
    pub(super) fn of(socket: &TcpStream) -> Self {
        let address = socket.peer_addr().map(|address| address.ip());
        Self(address.unwrap_or(UNKNOWN))
    }

    /// Whose pace counts: an address, or of version 6 its network, since whoever has one has all of it.
    pub(super) fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS).into()
            }
        }
    }
}

const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Of an address of version 6, those that a network's owner gives away.
const HOST_BITS: u32 = 64;

/// Every route, and an answer for what is none.
pub(super) fn router(state: &Arc<State>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let state = Arc::clone(state);
        let answering = move |params: RawPathParams, request: Request| {
            let params = params
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            answer(Arc::clone(&state), route, params, request)
        };
        router = router.route(route.path, on(filter(route.verb), answering));
    }
    let none = |problem: fn() -> Problem, state: Arc<State>| {
        move |request: Request| {
            let state = Arc::clone(&state);
            async move {
                let id = request_id(request.headers());
                state.metrics.refused("no_route");
                with_id(problem().response(&id), &id)
            }
        }
    };
    router
        .fallback(none(no_route, Arc::clone(state)))
        .method_not_allowed_fallback(none(no_method, Arc::clone(state)))
}

fn no_route() -> Problem {
    Problem::not_found("there is nothing here: GET /v1/openapi.json says what there is")
}

fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowedException",
        "this path knows other methods: GET /v1/openapi.json says which",
    )
}

const fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
        Verb::Delete => MethodFilter::DELETE,
    }
}

async fn answer(
    state: Arc<State>,
    route: &'static Route,
    params: Vec<(String, String)>,
    request: Request,
) -> Response<Body> {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let id = request_id(&parts.headers);
    let authorization = parts.headers.get(AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let caller = state.admit(authorization).await;
    let target = Arc::new(std::sync::Mutex::new(target_of(&params)));
    let from = parts.extensions.get::<Peer>().copied();
    let call = Call {
        state: Arc::clone(&state),
        from: from.unwrap_or(Peer(UNKNOWN)),
        line: (route.verb.word(), parts.uri.to_string()),
        caller,
        params,
        query: query(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body: std::sync::Mutex::new(body),
        build: None,
        deployment: None,
        target,
    };
    let span = tracing::info_span!(
        "request", request = %id, operation = route.operation, build = tracing::field::Empty
    );
    let answer = match route.effect {
        Effect::Reads => answered(route, call).instrument(span.clone()).await,
        Effect::Changes => changed(route, call, id.clone(), span.clone()).await,
    };
    let response = answer.unwrap_or_else(|problem| {
        tracing::debug!(
            request = %id, operation = route.operation, status = problem.status.as_u16(),
            code = problem.code, "refused"
        );
        problem.response(&id)
    });
    let took = begun.elapsed();
    if route.effect == Effect::Changes {
        let (status, millis) = (response.status().as_u16(), took.as_secs_f64() * 1e3);
        span.in_scope(|| tracing::info!(status, millis, "answered"));
    }
    state
        .metrics
        .answered(route.path, route.verb.word(), response.status(), took);
    let mut response = with_id(response, &id);
    if route.whose == Whose::Host
        && let Ok(run) = HeaderValue::from_str(&state.run)
    {
        response.headers_mut().insert(SERVER_RUN, run);
    }
    response
}

/// What comes of a call that changes something, once that is on record. Both are one task, which a caller who hangs up does not end:
/// there is never a change without its note, nor half of one. The server waits for such tasks before it ends.
async fn changed(
    route: &'static Route,
    call: Call,
    request_id: String,
    span: tracing::Span,
) -> Answer {
    let state = Arc::clone(&call.state);
    let turn = Arc::clone(&state.changes).acquire_owned().await;
    let turn = turn.map_err(|error| Problem::internal(&error))?;
    let task = state.tasks.spawn(
        async move {
            let _turn = turn;
            let state = Arc::clone(&call.state);
            let (caller, target) = (call.caller.clone(), Arc::clone(&call.target));
            let answer = answered(route, call).await;
            let target = target
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone();
            let refused = answer.as_ref().err();
            let act = act(
                &state,
                route,
                caller.as_deref(),
                request_id,
                target,
                refused,
            );
            match answer {
                Ok(answer) => audit::note(&state, act).await.map(|()| answer),
                Err(problem) => {
                    note_refused(&state, act, &problem).await;
                    Err(problem)
                }
            }
        }
        .instrument(span),
    );
    let done = task.await;
    done.unwrap_or_else(|error| Err(Problem::internal(&error)))
}

/// Lets the caller in, or not; then the route's function answers.
async fn answered(route: &'static Route, mut call: Call) -> Answer {
    let state = Arc::clone(&call.state);
    let is_open = matches!(route.whose, Whose::Open | Whose::Host)
        || (route.path == "/metrics" && state.farm.settings.metrics == MetricsAccess::Everybody);
    if is_open {
        return (route.function)(call).await;
    }
    let Some(record) = call.caller.clone() else {
        state.metrics.refused("token");
        return Err(Problem::unauthorized());
    };
    let paced = state.paces.take(record.id, Instant::now());
    paced.map_err(|seconds| {
        state.metrics.refused("pace");
        let name = short(&record.name);
        Problem::throttled(seconds, format!("the token `{name}` asks too often"))
    })?;
    let asked = allowed(route, &mut call).await;
    if let Err(problem) = asked {
        state.metrics.refused("role");
        return Err(problem);
    }
    (route.function)(call).await
}

/// Passes when the caller may do this with whose it is. Finds the build or the deployment that the path names.
async fn allowed(route: &Route, call: &mut Call) -> Result<(), Problem> {
    let caller: Caller = call.caller.clone();
    let record = caller.as_deref().ok_or_else(Problem::unauthorized)?;
    match route.whose {
        Whose::Open | Whose::Host => Ok(()),
        Whose::Role | Whose::Listed | Whose::Body => of_role(record, route),
        Whose::Farm => allow(Some(record), route.role, None),
        Whose::Project => allow(Some(record), route.role, Some(call.param("name"))),
        Whose::Pool => allow(Some(record), route.role, Some(call.param("pool"))),
        Whose::Build => {
            // Before looking: who may do this with no build learns nothing of any.
            of_role(record, route)?;
            call.catch_up_with_builds().await?;
            let id = build_id(call.param("id"))?;
            let build = builds::known(&call.state, id).await?;
            // Of another project's builds nothing is said, not even that they are.
            let is_theirs = record.may(route.role, Some(&build.project));
            if !is_theirs {
                return Err(Problem::not_found(format!("there is no build `{id}`")));
            }
            call.is_about(format!("build.{id}"));
            call.build = Some(Box::new(build));
            Ok(())
        }
        Whose::Deployment => {
            of_role(record, route)?;
            call.catch_up_deployments().await?;
            let none = || {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "DeploymentDoesNotExistException",
                    format!("there is no deployment `{}`", short(call.param("id"))),
                )
            };
            let id = call.param("id").parse().map_err(|_none: String| none())?;
            let known = deploy::known(&call.state, &id).await?;
            // As with builds: of another application's nothing is said.
            if !record.may(route.role, Some(&known.info.application_name)) {
                return Err(none());
            }
            call.is_about(format!("deployment.{id}"));
            call.deployment = Some(Box::new(known));
            Ok(())
        }
    }
}

fn of_role(record: &AccessRecord, route: &Route) -> Result<(), Problem> {
    if record.access.role.allows(route.role) {
        return Ok(());
    }
    allow(Some(record), route.role, None)
}

/// What the audit chain says of a call.
fn act(
    state: &State,
    route: &Route,
    caller: Option<&AccessRecord>,
    request_id: String,
    target: String,
    refused: Option<&Problem>,
) -> AuditAct {
    let outcome = refused.map_or("ok", |problem| problem.code);
    AuditAct {
        at_ms: state.farm.clock.now().millis(),
        request_id,
        actor: actor(caller),
        role: caller.map_or_else(String::new, |record| record.access.role.to_string()),
        action: route.operation.into(),
        target,
        outcome: outcome.into(),
    }
}

/// A refusal is put on record, too: at once, but for one like another that was just noted. Who is refused waits for that as long as the
/// ledger takes notes: where its disk is full, they are told so at once, and the note follows when there is room.
async fn note_refused(state: &Arc<State>, act: AuditAct, problem: &Problem) {
    let act = match problem.is_of_no_change() {
        true => state.refusals.took(act, problem.status, Instant::now()),
        false => Some(act),
    };
    let Some(act) = act else { return };
    let mut is_stuck = state.is_stuck.subscribe();
    let noting = Arc::clone(state);
    let noted = state
        .tasks
        .spawn(async move { refusals::note_all(&noting, vec![act]).await });
    let stuck = pin!(is_stuck.wait_for(|is_stuck| *is_stuck));
    select(noted, stuck).await;
}

fn target_of(params: &[(String, String)]) -> String {
    let params = params.iter().map(|(name, value)| format!("{name}.{value}"));
    params.collect::<Vec<_>>().join(" ")
}

/// The caller's own name for the request, if it can be one; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match given {
        Some(id) if (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(is_plain) => {
            id.into()
        }
        Some(_) | None => uuid::Uuid::new_v4().to_string(),
    }
}

fn with_id(mut response: Response<Body>, id: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The parameters of a query, percent-decoded.
fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_first_chunk::<2>())
            .flatten();
        let escaped = escaped.and_then(|(pair, after)| {
            let pair = str::from_utf8(pair).ok()?;
            Some((u8::from_str_radix(pair, 16).ok()?, after))
        });
        rest = match escaped {
            Some((byte, after)) => {
                bytes.push(byte);
                after
            }
            None => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_network_of_version_6_has_one_pace() {
        let network = |text: &str| Peer(text.parse().unwrap()).network().to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::9"), "2001:db8:1:2::");
    }

    #[test]
    fn a_query_is_read_as_it_was_meant() {
        let read = query("project=a%2Fb&&status=x+y&flag&bad=%zz%4");
        let expected = [
            ("project", "a/b"),
            ("status", "x y"),
            ("flag", ""),
            ("bad", "%zz%4"),
        ];
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(read, expected);
    }
}
