//! What happens in a deployment, as it happens: server-sent events, made of what this server has folded, one look after the other. Each look
//! tells what has changed since the one before, so a client that was away for a while lacks nothing that still holds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use croft_deploy::Stamps;
use croft_deploy::server::{Handle, Seen};
use croft_keys::AccessRecord;
use croft_ledger::Seq;
use croft_proto::deploy::{DeploymentId, DeploymentInfo};
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::super::call::{Answer, Call};
use super::super::events::{LAST_EVENT_ID, STILL_HERE, STOPS, TOKEN_GONE, event, streamed};
use super::super::limits::{COMPLETE_WAIT_MAX, KEEP_ALIVE};
use super::super::problem::Problem;
use super::super::state::{Following, State};
use super::known::{self, Known};
use super::targets::wrapped;

/// Between two looks at a deployment: entries of others come more often than anybody can read.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The same while detectors watch: what they say is no entry that one could wait for.
const LOOK_AT_WATCH: Duration = Duration::from_secs(2);

/// `GET /v1/deployments/{id}/events`
pub(in super::super) async fn follow(mut call: Call) -> Answer {
    let known = call.deployment()?;
    let record = call.caller.clone().ok_or_else(Problem::unauthorized)?;
    let had = call.header(&LAST_EVENT_ID).map(place).transpose()?;
    let following = call.state.follow(record.id).ok_or_else(|| {
        Problem::throttled(
            5,
            "this token follows too many builds and deployments already: end one first",
        )
    })?;
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    let mut live = Live {
        state: Arc::clone(&call.state),
        id: known.info.deployment_id.clone(),
        record,
        _following: following,
        ready: VecDeque::new(),
        stamps: Stamps::default(),
        shown: None,
        had,
        next: Box::pin(std::future::ready(())),
        keep_alive,
        has_ended: false,
    };
    // One that the server has forgotten is over, and all that can be told of it is known already.
    if known::folded(&live.state, &live.id).await?.is_none() {
        live.tell(Looked::of(*known));
    }
    let body = stream::unfold(Box::new(live), |mut live| async move {
        let bytes = live.next().await?;
        Some((Ok::<_, Infallible>(bytes), live))
    });
    Ok(streamed(Body::from_stream(body)))
}

/// Up to where in the ledger a client has a deployment, as an event said it.
fn place(text: &str) -> Result<Seq, Problem> {
    let number = text.parse::<u64>();
    number.map(Seq::new).map_err(|_no_number: ParseIntError| {
        Problem::invalid("Last-Event-ID has to be what an event here said: a number")
    })
}

/// What one look found.
struct Looked {
    info: Value,
    is_over: bool,
    is_measured: bool,
    /// Those that have changed.
    targets: Vec<Value>,
    last: Seq,
    stamps: Stamps,
}

impl Looked {
    /// All of one that is over.
    fn of(known: Known) -> Self {
        Self {
            targets: known.targets.into_iter().map(wrapped).collect(),
            last: known.last,
            stamps: Stamps::default(),
            ..Self::shown(&known.info)
        }
    }

    fn shown(info: &DeploymentInfo) -> Self {
        Self {
            is_over: info.status.is_final(),
            is_measured: info.own.watch.is_some(),
            info: json!(info),
            targets: Vec::new(),
            last: Seq::ZERO,
            stamps: Stamps::default(),
        }
    }

    /// What the server has now; none when it has nothing.
    fn at(seen: Seen<'_>, id: &DeploymentId, mut stamps: Stamps) -> Option<Self> {
        let Some(deployment) = seen.state.deployment(id) else {
            let over = seen.book.find(id)?;
            return Some(Self {
                targets: over.targets.iter().cloned().map(wrapped).collect(),
                ..Self::shown(&over.info)
            });
        };
        let mut info = deployment.info();
        info.own.watch = seen.watched(id).or(info.own.watch);
        info.own.waits = seen.waits(id);
        let lasts = deployment.targets.iter().map(|target| target.last);
        let changed = stamps.changed(deployment);
        Some(Self {
            targets: changed.into_iter().map(wrapped).collect(),
            last: lasts.fold(deployment.last, Seq::max),
            stamps,
            ..Self::shown(&info)
        })
    }
}

/// One client's stream.
struct Live {
    state: Arc<State>,
    id: DeploymentId,
    record: Arc<AccessRecord>,
    _following: Following,
    ready: VecDeque<Bytes>,
    /// How the targets were that the client has.
    stamps: Stamps,
    /// The deployment that the client has.
    shown: Option<Value>,
    /// Up to where the client has it, until the first look.
    had: Option<Seq>,
    /// When it is to be looked at again.
    next: BoxFuture<'static, ()>,
    keep_alive: Interval,
    has_ended: bool,
}

impl Live {
    /// What is to be sent next; none when all was.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.has_ended {
                return None;
            }
            self.step().await;
        }
    }

    /// Waits for whatever comes first.
    async fn step(&mut self) {
        tokio::select! {
            biased;
            () = self.state.draining.cancelled() => self.end_with(STOPS),
            () = &mut self.next => self.look().await,
            _ = self.keep_alive.tick() => {
                if self.state.is_still_good(&self.record) {
                    self.ready.push_back(Bytes::from_static(STILL_HERE));
                } else {
                    self.end_with(TOKEN_GONE);
                }
            }
        }
    }

    fn end_with(&mut self, words: &'static [u8]) {
        self.ready.push_back(Bytes::from_static(words));
        self.has_ended = true;
    }

    async fn look(&mut self) {
        let deploy = &self.state.farm.deploy;
        // Before looking: what is folded between the two is not missed.
        let after = deploy.progress().folded;
        let (id, stamps) = (self.id.clone(), std::mem::take(&mut self.stamps));
        let looked = deploy.look(move |seen| Looked::at(seen, &id, stamps)).await;
        let Ok(Some(looked)) = looked else {
            // It stops, or has just forgotten it: whoever comes back is told the rest.
            return self.end_with(STOPS);
        };
        let at_most = match looked.is_measured {
            true => LOOK_AT_WATCH,
            false => COMPLETE_WAIT_MAX,
        };
        self.next = change(deploy.clone(), after, at_most);
        self.tell(looked);
    }

    /// Tells what is new; of one look the last event says up to where it is.
    fn tell(&mut self, looked: Looked) {
        let is_known = self.had.take() == Some(looked.last) && !looked.is_over;
        self.stamps = looked.stamps;
        let mut told = Vec::new();
        if self.shown.as_ref() != Some(&looked.info) {
            told.push(event("state", &json!({"deploymentInfo": looked.info})));
        }
        if !looked.targets.is_empty() {
            let targets = json!({"deploymentTargets": looked.targets});
            told.push(event("targets", &targets));
        }
        if let Some(last) = told.pop().filter(|_| !is_known) {
            self.ready.extend(told);
            let id = Bytes::from(format!("id: {}\n", looked.last.get()));
            self.ready.push_back(Bytes::from([id, last].concat()));
        }
        if looked.is_over {
            let end = json!({
                "deploymentId": self.id,
                "status": looked.info["status"],
                "rollbackInfo": looked.info["rollbackInfo"],
            });
            self.ready.push_back(event("end", &end));
            self.has_ended = true;
        }
        self.shown = Some(looked.info);
    }
}

/// Ends when something of the farm has been folded after that, or after that time.
pub(super) fn change(deploy: Handle, after: Seq, at_most: Duration) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        sleep(LOOK_AGAIN).await;
        let next = Seq::new(after.get() + 1);
        deploy.folded(next, at_most).await;
    })
}
