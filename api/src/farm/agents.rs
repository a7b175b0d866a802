//! Hosts that are deployed to: invited by an administrator, let in once, and heard as often as they ask. Their calls carry no token: each
//! is signed by the key that the host made for itself, and counts up.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use bytes::Bytes;
use croft_cache::{Id, Store, TreeRef, decode_ids};
use croft_deploy::server::HostKey;
use croft_deploy::{Refusal, Report, Said, host_subject};
use croft_keys::{HostCall, KeyId, Signable, Signer, invite, invited};
use croft_ledger::Expected;
use croft_proto::Timestamp;
use croft_proto::deploy::{
    Commands, Enrolling, EventStatus, HOST_REVOKED, Heard, HostEvent, HostReport, Invitation,
    LifecycleEvent, Poll, ReportAnswer, Reported, Tag, is_deploy_name,
};
use futures_util::stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::call::{Answer, Call, changed, json as answer_json, not_json, typed};
use super::limits::{BODY_BYTES_MAX, EXPORT_WAIT, PIECES_WAITING_MAX, READ_WAIT};
use super::problem::Problem;
use super::state::State;

/// How long an invitation is good, unless somebody says otherwise, and at most: it lets a host in that may run anything it is sent.
const INVITED_MINUTES: u64 = 60;
const INVITED_MINUTES_MAX: u64 = 7 * 24 * 60;
/// How far a host's counter may be from this server's clock: a call that was kept for longer cannot be made again after a restart.
const CLOCKS_APART_MS_MAX: u64 = 5 * 60 * 1000;
/// The longest wait of one poll: less than what lies between two looks of most proxies.
const POLL_SECONDS_MAX: u64 = 30;
/// What the farm's key for invitations is derived for.
const PURPOSE: &str = "invitations of hosts";
const OCTETS: &str = "application/octet-stream";

/// Counters of a host that are remembered: far more calls than a host has on their way at once, and they may overtake each other.
const COUNTERS_MAX: usize = 256;

/// Hosts that were heard.
#[derive(Debug, Default)]
pub(super) struct HostsHeard(Mutex<HashMap<String, HostHeard>>);

/// A host that was heard.
#[derive(Debug)]
struct HostHeard {
    at: Timestamp,
    /// Of its latest calls.
    counters: BTreeSet<u64>,
    /// What is not above it is too old to be told from what was heard before.
    floor: u64,
}

impl HostsHeard {
    fn heard(&self) -> MutexGuard<'_, HashMap<String, HostHeard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a host was heard last by this server.
    pub(super) fn last(&self, host: &str) -> Option<Timestamp> {
        self.heard().get(host).map(|heard| heard.at)
    }

    /// Whether a call of that counter is a new one.
    fn is_new(&self, host: &str, counter: u64, now: Timestamp) -> bool {
        if counter.abs_diff(now.millis().saturating_mul(1000)) > CLOCKS_APART_MS_MAX * 1000 {
            return false;
        }
        let mut heard = self.heard();
        let known = heard.entry(host.to_string()).or_insert_with(|| HostHeard {
            at: now,
            counters: BTreeSet::new(),
            floor: 0,
        });
        if counter <= known.floor || !known.counters.insert(counter) {
            return false;
        }
        known.at = now;
        if known.counters.len() > COUNTERS_MAX
            && let Some(oldest) = known.counters.pop_first()
        {
            known.floor = oldest;
        }
        true
    }
}

fn signer(state: &State) -> Signer {
    Signer::of_seed(&state.farm.master.signing_seed(PURPOSE)).expect("a seed has 32 bytes")
}

/// Who is invited.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inviting {
    host: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    expires_in_minutes: Option<u64>,
}

/// `POST /v1/hosts/invitations`
pub(super) async fn invitation(mut call: Call) -> Answer {
    let asked: Inviting = call.json().await?;
    if !is_deploy_name(&asked.host) {
        return Err(Problem::invalid(format!(
            "host `{}`: a name has up to 100 letters, digits and . _ + = , @ -",
            super::call::short(&asked.host)
        )));
    }
    call.is_about(format!("host.{}", asked.host));
    let minutes = asked.expires_in_minutes.unwrap_or(INVITED_MINUTES);
    if !(1..=INVITED_MINUTES_MAX).contains(&minutes) {
        return Err(Problem::invalid(format!(
            "expiresInMinutes {minutes}: 1 to {INVITED_MINUTES_MAX}"
        )));
    }
    let invitation = Invitation {
        id: uuid::Uuid::new_v4().simple().to_string(),
        host: asked.host,
        tags: asked.tags,
        zone: asked.zone,
        expires_ms: call.state.farm.clock.now().millis() + minutes * 60_000,
    };
    let words = serde_json::to_vec(&invitation).map_err(|error| Problem::internal(&error))?;
    let token = invite(&signer(&call.state), &words);
    let key = call.state.farm.deploy.key_of(&invitation.host);
    let body = json!({
        "host": invitation.host,
        "token": token,
        "expires": Timestamp::from_millis(invitation.expires_ms),
        "isEnrolled": key.is_some_and(|key| key.is_enrolled),
    });
    answer_json(StatusCode::CREATED, &body)
}

/// `POST /v1/agent/enrolments`
pub(super) async fn enrol(call: Call) -> Answer {
    let state = Arc::clone(&call.state);
    knows_hosts(&state)?;
    let whose = (call.from.network(), NEWCOMER.to_string());
    if let Some(wait) = wait_of(&state, &whose) {
        state.metrics.refused("pace");
        return Err(wait);
    }
    let heard = let_in(call).await;
    counted(&state, whose, heard, None)
}

async fn let_in(mut call: Call) -> Answer {
    let asked: Enrolling = call.json().await?;
    let refused =
        |why: &str| Problem::forbidden(format!("the invitation {why}: ask for a new one"));
    let words = invited(&signer(&call.state).key_id(), &asked.token)
        .ok_or_else(|| refused("is not this farm's"))?;
    let invitation: Invitation =
        serde_json::from_slice(&words).map_err(|error| not_json(&error))?;
    if invitation.expires_ms < call.state.farm.clock.now().millis() {
        return Err(refused("has expired"));
    }
    let key = KeyId::parse(&asked.public_key)
        .ok_or_else(|| Problem::invalid("publicKey: 64 lower-case hexadecimal digits"))?
        .to_string();
    let host = invitation.host.clone();
    call.is_about(format!("host.{host}"));
    let event = HostEvent::Enrolled {
        public_key: key.clone(),
        tags: invitation.tags,
        zone: invitation.zone,
        invitation: Some(invitation.id.clone()),
    };
    let used = invitation.id;
    let (named, own) = (host.clone(), key.clone());
    // Whoever did not hear the answer may ask again, and changes nothing by it: the host may have got other tags since.
    let is_in = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&is_in);
    let check = move |state: &croft_deploy::State| match state.host(&named) {
        Some(there) if there.is_enrolled && there.public_key != own => {
            Err(Refusal::Wrong(vec![taken(
                &named,
                there.invitations.contains(&used),
            )]))
        }
        Some(there) if there.invitations.contains(&used) => {
            noted.store(there.is_enrolled, Ordering::Relaxed);
            Err(Refusal::Wrong(vec![format!(
                "the invitation has been used, and is good once: `croft host invite {named}` makes another"
            )]))
        }
        Some(there) => Ok(Expected::Last(there.last)),
        None => Ok(Expected::NEW),
    };
    let recorded = call
        .state
        .farm
        .deploy
        .record(host_subject(&host)?, event.into(), check)
        .await;
    let body = json!({"host": host});
    if recorded.is_err() && is_in.load(Ordering::Relaxed) {
        return answer_json(StatusCode::CREATED, &body);
    }
    let seq = recorded?.seq;
    call.state.farm.deploy.folded(seq, READ_WAIT).await;
    changed(StatusCode::CREATED, &body, Some(seq))
}

/// What somebody is told who comes as a host that another machine is.
fn taken(host: &str, is_used: bool) -> String {
    let used = match is_used {
        true => {
            "the invitation has been used by another machine, or by this one before its key was lost"
        }
        false => {
            "the invitation is of a name that another machine has, or this one before its key was lost"
        }
    };
    format!(
        "{used}: host `{host}` belongs to the farm with another key. For a machine beside it `croft host invite` another name; for one in its \
         place `croft host revoke {host}`, then `croft host invite {host}`"
    )
}

/// Whose calls are counted: from where, and as which host. Nobody uses up another's.
type Whose = (IpAddr, String);

/// In place of a host, for those who show invitations. No host is called so.
const NEWCOMER: &str = " ";

/// How long those have to wait whose calls are not looked at for now.
fn wait_of(state: &State, whose: &Whose) -> Option<Problem> {
    let seconds = state.strangers.look(whose, Instant::now()).err()?;
    Some(Problem::throttled(
        seconds,
        format!(
            "too many calls from {} were refused: such calls are not looked at for now",
            whose.0
        ),
    ))
}

/// Counts a call that was refused; who has made too many is told only that.
fn counted<T>(
    state: &State,
    whose: Whose,
    heard: Result<T, Problem>,
    wait: Option<Problem>,
) -> Result<T, Problem> {
    let is_refused = matches!(&heard, Err(problem) if problem.status.is_client_error());
    if !is_refused {
        return heard;
    }
    // The next one is told when there is none left.
    state.strangers.take(whose, Instant::now()).unwrap_or(());
    match wait {
        Some(wait) => {
            state.metrics.refused("pace");
            Err(wait)
        }
        None => heard,
    }
}

/// Passes once this server knows what has become of hosts: before that it takes one that was let in again for one that was revoked, and
/// one that was revoked for one that is here.
fn knows_hosts(state: &State) -> Result<(), Problem> {
    if state.farm.deploy.progress().is_caught_up {
        return Ok(());
    }
    Err(Problem::unavailable(
        "this server is still reading what has become of its hosts: ask again",
    ))
}

/// The host whose call this is, and the body that it signed.
pub(super) async fn host_of(call: &mut Call) -> Result<(String, Bytes), Problem> {
    let state = Arc::clone(&call.state);
    knows_hosts(&state)?;
    let said = call.header(&AUTHORIZATION).and_then(HostCall::parse);
    let key = said
        .as_ref()
        .and_then(|said| state.farm.deploy.key_of(&said.host));
    // Those who name no host that there is share one pace: names are easily made up.
    let name = said.as_ref().filter(|_| key.is_some());
    let name = name.map_or_else(String::new, |said| said.host.clone());
    let whose = (call.from.network(), name);
    let wait = wait_of(&state, &whose);
    if key.is_none()
        && let Some(wait) = wait
    {
        state.metrics.refused("pace");
        return Err(wait);
    }
    // Whoever else is at a host's address, as what is deployed to it, must not keep its agent from being heard: what is signed well is
    // heard, however much is forged beside it.
    let heard = signed(call, said, key, wait.is_some()).await;
    counted(&state, whose, heard, wait)
}

/// `is_suspected`: its signature is looked at when no other such call's is, so that forgeries have a part of one processor at most.
async fn signed(
    call: &mut Call,
    said: Option<HostCall>,
    key: Option<HostKey>,
    is_suspected: bool,
) -> Result<(String, Bytes), Problem> {
    let unknown = || {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "UnrecognizedHostException",
            "this is not a call of a host of this farm: it has to be enrolled, and its clock to be within five minutes of the farm's",
        )
    };
    let said = said.ok_or_else(unknown)?;
    if said.run != call.state.run {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "CallForAnotherServerException",
            "this call is signed for another server, or for this one before its restart: sign it for `croft-server-run`",
        ));
    }
    let body = call.bytes(BODY_BYTES_MAX).await?;
    let HostKey { key, is_enrolled } = key.ok_or_else(unknown)?;
    let key = KeyId::parse(&key).ok_or_else(unknown)?;
    let signable = Signable {
        method: call.line.0,
        path: &call.line.1,
        body: &body,
    };
    let now = call.state.farm.clock.now();
    let turn = match is_suspected {
        true => Some(call.state.suspects.acquire().await),
        false => None,
    };
    if !said.is_by(&key, signable) {
        return Err(unknown());
    }
    drop(turn);
    if !is_enrolled {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            HOST_REVOKED,
            format!(
                "the host `{}` was taken out of this farm; `croft host invite {0}` invites it anew",
                said.host
            ),
        ));
    }
    // Only a call that is the host's own may move its counter.
    if !call.state.hosts.is_new(&said.host, said.counter, now) {
        return Err(unknown());
    }
    Ok((said.host, body))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

/// `POST /v1/agent/poll`
pub(super) async fn poll(mut call: Call) -> Answer {
    let (host, body) = host_of(&mut call).await?;
    let asked: Poll = read(&body)?;
    let deploy = &call.state.farm.deploy;
    if asked.fresh {
        deploy.fresh(host.clone()).await?;
    }
    if let Some(has) = asked.has {
        deploy.returned(host.clone(), has).await?;
    }
    let wait = Duration::from_secs(asked.wait_seconds.min(POLL_SECONDS_MAX));
    let commands = tokio::select! {
        commands = deploy.take(&host, wait) => commands,
        () = call.state.draining.cancelled() => Vec::new(),
    };
    answer_json(StatusCode::OK, &Commands { commands })
}

/// `POST /v1/agent/reports`
pub(super) async fn report(mut call: Call) -> Answer {
    let (host, body) = host_of(&mut call).await?;
    let said: HostReport = read(&body)?;
    if matches!(
        said.event,
        LifecycleEvent::BlockTraffic | LifecycleEvent::AllowTraffic
    ) {
        return Err(Problem::forbidden(
            "what becomes of traffic is the balancer's to say",
        ));
    }
    let ended = |status| Said::Ended(status, said.diagnostics.clone());
    let report = Report {
        host,
        deployment: said.deployment_id.clone(),
        generation: said.generation,
        event: said.event,
        said: match said.status {
            Reported::InProgress => Said::Started,
            Reported::Succeeded => ended(EventStatus::Succeeded),
            Reported::Failed => ended(EventStatus::Failed),
            Reported::Skipped => ended(EventStatus::Skipped),
        },
    };
    let answer = match call.state.farm.deploy.hear(report).await? {
        croft_deploy::Answer::Recorded => Heard::Recorded,
        croft_deploy::Answer::Later => Heard::Later,
        croft_deploy::Answer::Stale => Heard::Stale,
    };
    answer_json(StatusCode::OK, &ReportAnswer { answer })
}

/// The tree that the path names, when it is the revision of something on that host.
async fn tree_of(call: &Call, host: String) -> Result<Id, Problem> {
    let none = || Problem::not_found("no deployment of this host has such a revision");
    let digest = call.param("digest").to_string();
    let tree = Id::parse(&digest).ok_or_else(none)?;
    let is_its = call.state.farm.deploy.look(move |seen| {
        let mut deployments = seen.state.deployments();
        deployments.any(|one| one.accepted.asked.revision.digest == digest && one.has(&host))
    });
    is_its.await?.then_some(tree).ok_or_else(none)
}

fn found(store: &Store, tree: &Id, now: Timestamp) -> Result<TreeRef, Problem> {
    store
        .tree(tree, now)?
        .ok_or_else(|| Problem::not_found("the revision is not in the farm's store any more"))
}

/// `GET /v1/agent/revisions/{digest}`
pub(super) async fn offer(mut call: Call) -> Answer {
    let (host, _) = host_of(&mut call).await?;
    let tree = tree_of(&call, host).await?;
    let (store, now) = (call.state.kept(), call.state.farm.clock.now());
    let offers = Arc::clone(&call.state.offers);
    let offering = call.state.tasks.spawn_blocking(move || {
        let tree = found(&store, &tree, now)?;
        Ok::<_, Problem>(offers.of(&store, &tree)?.encode())
    });
    let offer = offering
        .await
        .map_err(|error| Problem::internal(&error))??;
    Ok(typed(StatusCode::OK, OCTETS, Body::from(offer)))
}

/// `POST /v1/agent/revisions/{digest}/chunks`
pub(super) async fn chunks(mut call: Call) -> Answer {
    let (host, body) = host_of(&mut call).await?;
    let wanted = decode_ids(&body)
        .map_err(|error| Problem::invalid(format!("the list of chunks: {error}")))?;
    let tree = tree_of(&call, host).await?;
    let (store, now) = (call.state.kept(), call.state.farm.clock.now());
    let offers = Arc::clone(&call.state.offers);
    let turn = Arc::clone(&call.state.exports).acquire_owned();
    let turn = timeout(EXPORT_WAIT, turn).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::unavailable(
            "as many hosts as this server feeds at once are fetching revisions: ask again",
        ));
    };
    let (pieces, mut sent) = mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING_MAX);
    let exporting = call.state.tasks.spawn_blocking(move || {
        let tree = found(&store, &tree, now)?;
        let offer = offers.of(&store, &tree)?;
        Ok::<_, Problem>(store.export(&offer, &wanted)?)
    });
    let export = exporting
        .await
        .map_err(|error| Problem::internal(&error))??;
    call.state.tasks.spawn_blocking(move || {
        let _turn = turn;
        for batch in export {
            let batch = batch.map_err(|error| {
                tracing::warn!(%error, "a revision cannot be read to its end");
                io::Error::other("the revision cannot be read to its end")
            });
            if pieces.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    let body = stream::poll_fn(move |context| sent.poll_recv(context));
    Ok(typed(StatusCode::OK, OCTETS, Body::from_stream(body)))
}
