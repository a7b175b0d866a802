//! What the hosts of a deployment print, as they print it: server-sent events, made of what is on the bus. Who reads slowly, or comes back
//! late, is told how much it has missed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use croft_bus::{Deployment as Named, FollowError, Heard, Host, Mark, NoMark};
use croft_deploy::TARGETS_SHOWN_MAX;
use croft_deploy::server::Seen;
use croft_keys::AccessRecord;
use croft_proto::deploy::{DeploymentId, HostOutput, LifecycleEvent, PrintedOutput, PrintedUntil};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::super::call::{Answer, Call};
use super::super::events::{LAST_EVENT_ID, STILL_HERE, STOPS, TOKEN_GONE, event, streamed};
use super::super::limits::{COMPLETE_WAIT_MAX, KEEP_ALIVE};
use super::super::problem::Problem;
use super::super::state::{Following, State};
use super::events::change;
use super::known::{self, Known};
use super::printed::{named, printed_of};
use super::targets::{host_of, no_target};
use crate::chain::chain;

/// How long what there is now is waited for, piece by piece: a bus that gives none for so long is away. Less than what lies between two words
/// that the stream is still here, since each of them begins it anew.
const BUS_WAIT: Duration = Duration::from_secs(5);
const _: () = assert!(BUS_WAIT.as_secs() < KEEP_ALIVE.as_secs());

/// How long the last lines of a host are waited for that says that there are some: less than `croft deployment watch` waits for the end.
const LATE_WAIT: Duration = Duration::from_secs(3);

/// `GET /v1/deployments/{id}/output`
pub(in super::super) async fn follow(mut call: Call) -> Answer {
    let known = call.deployment()?;
    let record = call.caller.clone().ok_or_else(Problem::unauthorized)?;
    let had = call.header(&LAST_EVENT_ID).map(str::parse::<Mark>);
    let had = had
        .transpose()
        .map_err(|error: NoMark| Problem::invalid(format!("Last-Event-ID: {error}")))?;
    let host = call.asked("host");
    let host = host.map(|host| named::<Host>(host.to_string()));
    let host = host.transpose()?;
    let follows = call.parsed::<bool>("follow")?.unwrap_or(true);
    if let Some(host) = &host {
        check_host(&call.state, &known, host.as_str()).await?;
    }
    let following = call.state.follow(record.id).ok_or_else(|| {
        Problem::throttled(
            5,
            "this token follows too many builds and deployments already: end one first",
        )
    })?;
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    let id = known.info.deployment_id.clone();
    let on_bus: Named = named(id.to_string())?;
    let live = Live {
        // All that is kept: what the client has says where each host was.
        output: call.state.farm.bus.listen(&on_bus, host.as_ref(), None),
        state: Arc::clone(&call.state),
        id,
        on_bus,
        host,
        record,
        _following: following,
        ready: VecDeque::new(),
        hosts: Hosts::of(had),
        last: None,
        next: Box::pin(std::future::ready(())),
        keep_alive,
        is_final: known.info.status.is_final(),
        promised: promised(&known.targets),
        is_last_look: !follows,
        is_caught_up: false,
        has_ended: false,
    };
    let body = stream::unfold(Box::new(live), |mut live| async move {
        let bytes = live.next().await?;
        Some((Ok::<_, Infallible>(bytes), live))
    });
    Ok(streamed(Body::from_stream(body)))
}

/// Passes when the deployment has that host, or its hosts are not chosen yet.
async fn check_host(state: &State, known: &Known, host: &str) -> Result<(), Problem> {
    let mut hosts = known.targets.iter().filter_map(host_of);
    let is_open = known.targets.is_empty() && !known.info.status.is_final();
    if is_open || hosts.any(|other| other == host) {
        return Ok(());
    }
    // Of very many not all are at hand.
    let is_there = known.targets.len() >= TARGETS_SHOWN_MAX
        && !known::of_host(state, &known.info.deployment_id, host)
            .await?
            .is_empty();
    match is_there {
        true => Ok(()),
        false => Err(no_target(known, host)),
    }
}

/// What a host had printed when an event of its ended before the farm had all of it.
struct Promised {
    event: LifecycleEvent,
    until: PrintedUntil,
}

/// Those of all hosts. In containers one has two targets, and the larger number is the later one.
fn promised(targets: &[Value]) -> BTreeMap<String, Promised> {
    let mut of: BTreeMap<String, Promised> = BTreeMap::new();
    for target in targets {
        let (Some(host), Some(until)) = (host_of(target), printed_of(target)) else {
            continue;
        };
        let is_less = |known: &Promised| known.until.bytes < until.bytes;
        if of.get(host).is_none_or(is_less) {
            let event = last_event(target);
            of.insert(host.into(), Promised { event, until });
        }
    }
    of
}

/// The last event of a target that is over.
fn last_event(target: &Value) -> LifecycleEvent {
    let events = target["lifecycleEvents"].as_array();
    let mut events = events.map(Vec::as_slice).unwrap_or_default().iter().rev();
    let over = events.find(|event| {
        !matches!(
            event["status"].as_str(),
            Some("Pending" | "InProgress") | None
        )
    });
    let name = over.map(|event| &event["lifecycleEventName"]);
    let name = name.and_then(|name| LifecycleEvent::deserialize(name).ok());
    name.unwrap_or(LifecycleEvent::Install)
}

/// One client's stream.
struct Live {
    state: Arc<State>,
    id: DeploymentId,
    on_bus: Named,
    /// The only one that it follows, if there is one.
    host: Option<Host>,
    record: Arc<AccessRecord>,
    _following: Following,
    ready: VecDeque<Bytes>,
    output: BoxStream<'static, Result<Heard, FollowError>>,
    hosts: Hosts,
    /// What came from the bus last.
    last: Option<Mark>,
    /// When the deployment is to be looked at again.
    next: BoxFuture<'static, ()>,
    keep_alive: Interval,
    /// Whether the deployment was over when the client came: a server forgets such some time.
    is_final: bool,
    /// What hosts say that they have printed, where the farm had not got it at the end of an event.
    promised: BTreeMap<String, Promised>,
    /// Whether it ends once it has all that there is.
    is_last_look: bool,
    /// Whether the last look has come to the end of what is on the bus.
    is_caught_up: bool,
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

    /// Waits for whatever comes first. Output comes last, since there may be some at every moment: a token that ended must be noticed beside
    /// it. The others come seldom, and do not keep it from coming.
    async fn step(&mut self) {
        let patience = self.patience();
        tokio::select! {
            biased;
            () = self.state.draining.cancelled() => self.end_with(STOPS),
            _ = self.keep_alive.tick() => {
                if self.state.is_still_good(&self.record) {
                    self.ready.push_back(Bytes::from_static(STILL_HERE));
                } else {
                    self.end_with(TOKEN_GONE);
                }
            }
            () = &mut self.next, if !self.is_last_look => self.look().await,
            heard = self.output.next() => self.came(heard),
            () = sleep(patience), if self.is_last_look => self.end(self.had()),
        }
    }

    fn end_with(&mut self, words: &'static [u8]) {
        self.ready.push_back(Bytes::from_static(words));
        self.has_ended = true;
    }

    /// How long the next piece of the last look is waited for.
    const fn patience(&self) -> Duration {
        match self.is_caught_up {
            true => LATE_WAIT,
            false => BUS_WAIT,
        }
    }

    /// What the client has, when nothing more comes.
    const fn had(&self) -> Had {
        match self.is_caught_up {
            true => Had::All,
            false => Had::Some,
        }
    }

    /// Hosts' last lines that have not come, and how much that is.
    fn lacking(&self) -> Vec<(&str, LifecycleEvent, Missed)> {
        let wanted = |host: &str| self.host.as_ref().is_none_or(|own| own.as_str() == host);
        let promised = self.promised.iter().filter(|(host, _)| wanted(host));
        let lacking = promised.map(|(host, promised)| {
            let missed = self.hosts.lacking(host, promised.until);
            (host.as_str(), promised.event, missed)
        });
        let is_missed = |missed: &Missed| *missed != Missed::Nothing;
        lacking.filter(|(_, _, missed)| is_missed(missed)).collect()
    }

    /// Ends when nothing more is to come: a host may still be saying its last lines.
    fn end_if_whole(&mut self) {
        if self.is_last_look && self.is_caught_up && self.lacking().is_empty() {
            self.end(Had::All);
        }
    }

    /// The last that the client hears.
    fn end(&mut self, had: Had) {
        if had == Had::All {
            let lacking = self.lacking().into_iter();
            let missed = lacking.map(|(host, of, missed)| {
                event(
                    "missed",
                    &json!({"host": host, "event": of, "bytes": missed.bytes()}),
                )
            });
            let missed: Vec<Bytes> = missed.collect();
            self.ready.extend(missed);
        }
        let end = json!({"deploymentId": self.id, "isWhole": had == Had::All});
        self.ready.push_back(event("end", &end));
        self.has_ended = true;
    }

    /// Whether more will come.
    async fn look(&mut self) {
        let deploy = &self.state.farm.deploy;
        // Before looking: what is folded between the two is not missed.
        let after = deploy.progress().folded;
        let id = self.id.clone();
        let looked = deploy.look(move |seen| is_over(seen, &id)).await;
        match looked.map(|is_over| is_over.or(self.is_final.then_some(true))) {
            Ok(Some(false)) => self.next = change(deploy.clone(), after, COMPLETE_WAIT_MAX),
            Ok(Some(true)) => {
                if let Ok(known) = known::known(&self.state, &self.id).await {
                    self.promised = promised(&known.targets);
                }
                // A host's last lines are on the bus before its event's end is recorded: a look from here on finds them.
                self.is_last_look = true;
                let bus = &self.state.farm.bus;
                self.output = bus.listen(&self.on_bus, self.host.as_ref(), self.last);
            }
            // It stops, or does not know of it yet: whoever comes back is told the rest.
            Ok(None) | Err(_) => self.end_with(STOPS),
        }
    }

    fn came(&mut self, heard: Option<Result<Heard, FollowError>>) {
        match heard {
            Some(Ok(Heard::Piece { mark, bytes })) => {
                self.piece(mark, &bytes);
                self.end_if_whole();
            }
            Some(Ok(Heard::CaughtUp)) => {
                self.is_caught_up = self.is_last_look;
                self.end_if_whole();
            }
            Some(Err(error)) => {
                tracing::warn!(deployment = %self.id, error = %chain(&error), "live output cannot be followed");
                self.end_with(STOPS);
            }
            None => self.end_with(STOPS),
        }
    }

    fn piece(&mut self, mark: Mark, bytes: &Bytes) {
        self.last = Some(mark);
        let Ok(printed) = serde_json::from_slice::<PrintedOutput>(bytes) else {
            tracing::debug!(deployment = %self.id, "left what is no host's output");
            return;
        };
        let (host, output) = (printed.host, printed.output);
        let of = output.event;
        let Some(missed) = self.hosts.accept(mark, &host, &output) else {
            return;
        };
        if missed != Missed::Nothing {
            let missed = json!({"host": host, "event": of, "bytes": missed.bytes()});
            self.ready.push_back(event("missed", &missed));
        }
        let head = format!("id: {mark}\nevent: output\ndata: ");
        let told = [head.as_bytes(), bytes, b"\n\n"].concat();
        self.ready.push_back(Bytes::from(told));
    }
}

/// What a client has at the end of what there is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    All,
    /// The bus was away.
    Some,
}

/// Whether no host of a deployment prints any more; none when this server does not know of it.
fn is_over(seen: Seen<'_>, id: &DeploymentId) -> Option<bool> {
    if let Some(deployment) = seen.state.deployment(id) {
        return Some(deployment.end.is_some() && deployment.running.is_empty());
    }
    seen.book.find(id).map(|_| true)
}

/// What of a host's output a client does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    Nothing,
    Bytes(u64),
    /// Something, or nothing: what the client has is not known any more.
    Unknown,
}

impl Missed {
    const fn bytes(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Bytes(bytes) => Some(bytes),
            Self::Unknown => None,
        }
    }
}

/// Where each host is, as far as a client has it.
#[derive(Debug)]
struct Hosts {
    of: HashMap<String, At>,
    /// What the client had when it came.
    had: Option<Mark>,
}

#[derive(Debug)]
struct At {
    begun_ms: u64,
    /// The byte that comes next.
    next: u64,
}

impl Hosts {
    fn of(had: Option<Mark>) -> Self {
        let of = HashMap::new();
        Self { of, had }
    }

    /// What a host has printed and has not come. One that was started anew counts anew, and what it had printed before is not known; nor is what
    /// a client has that comes back when the bus has no more of that host.
    fn lacking(&self, host: &str, until: PrintedUntil) -> Missed {
        let bytes = match self.of.get(host) {
            None => until.bytes,
            Some(at) if at.begun_ms == until.begun_ms => until.bytes.saturating_sub(at.next),
            Some(_) => 0,
        };
        let is_known = self.had.is_none() || self.of.contains_key(host);
        match (bytes, is_known) {
            (0, _) => Missed::Nothing,
            (_, false) => Missed::Unknown,
            (bytes, true) => Missed::Bytes(bytes),
        }
    }

    /// What is missed before that piece; none when the client has it.
    fn accept(&mut self, mark: Mark, host: &str, output: &HostOutput) -> Option<Missed> {
        let had = self.had.filter(|had| had.epoch == mark.epoch);
        let is_had = had.is_some_and(|had| mark.seq <= had.seq);
        let (from, to) = (output.from, output.until());
        let known = self.of.get(host);
        let same = known
            .filter(|at| at.begun_ms == output.begun_ms)
            .map(|at| at.next);
        // Said twice, since its answer was lost.
        let is_repeated = same.is_some_and(|next| to <= next);
        let begins = from.saturating_sub(output.left_out);
        let missed = match same {
            Some(next) => begins.saturating_sub(next),
            None => begins,
        };
        let missed = match (missed, known) {
            (0, _) => Missed::Nothing,
            (_, None) if self.had.is_some() => Missed::Unknown,
            (bytes, _) => Missed::Bytes(bytes),
        };
        if is_repeated {
            return None;
        }
        let at = At {
            begun_ms: output.begun_ms,
            next: to,
        };
        self.of.insert(host.to_string(), at);
        (!is_had).then_some(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::printed::tests::output;
    use super::*;

    const EPOCH: u64 = 5;

    fn mark(seq: u64) -> Mark {
        let epoch = EPOCH;
        Mark { epoch, seq }
    }

    #[test]
    fn who_was_there_from_the_beginning_knows_every_byte_that_it_misses() {
        let mut hosts = Hosts::of(None);
        let mut accept = |seq, output| hosts.accept(mark(seq), "a", &output);
        assert_eq!(accept(1, output(0, 0, 10)), Some(Missed::Nothing));
        assert_eq!(accept(2, output(10, 0, 5)), Some(Missed::Nothing));
        assert_eq!(accept(3, output(10, 0, 5)), None, "said twice");
        // What the host itself left out is said in the piece.
        assert_eq!(accept(4, output(25, 10, 5)), Some(Missed::Nothing));
        assert_eq!(accept(5, output(50, 5, 5)), Some(Missed::Bytes(15)));
        let anew = HostOutput {
            begun_ms: 2,
            ..output(0, 0, 3)
        };
        assert_eq!(accept(6, anew), Some(Missed::Nothing));
        let of_the_next = HostOutput {
            begun_ms: 2,
            event: LifecycleEvent::ValidateService,
            ..output(10, 0, 3)
        };
        assert_eq!(accept(7, of_the_next), Some(Missed::Bytes(7)));
        assert_eq!(
            hosts.accept(mark(8), "b", &output(4, 0, 3)),
            Some(Missed::Bytes(4))
        );
    }

    #[test]
    fn who_comes_back_has_what_it_had_and_is_told_what_is_not_known() {
        let mut hosts = Hosts::of(Some(mark(2)));
        let mut accept = |at, host: &str, output| hosts.accept(at, host, &output);
        assert_eq!(accept(mark(2), "a", output(10, 0, 5)), None);
        assert_eq!(
            accept(mark(3), "a", output(15, 0, 5)),
            Some(Missed::Nothing)
        );
        assert_eq!(
            accept(mark(5), "a", output(30, 0, 5)),
            Some(Missed::Bytes(10))
        );
        assert_eq!(accept(mark(6), "b", output(0, 0, 5)), Some(Missed::Nothing));
        assert_eq!(accept(mark(7), "c", output(9, 0, 5)), Some(Missed::Unknown));
        // Another memory counts from the beginning: nothing of it was had.
        let epoch = EPOCH + 1;
        let anew = Mark { epoch, seq: 1 };
        assert_eq!(accept(anew, "a", output(35, 0, 5)), Some(Missed::Nothing));
    }

    #[test]
    fn who_comes_back_for_what_the_bus_has_no_more_is_told_no_number() {
        let until = |begun_ms, bytes| PrintedUntil { begun_ms, bytes };
        let fresh = Hosts::of(None);
        assert_eq!(fresh.lacking("a", until(1, 30)), Missed::Bytes(30));
        let mut back = Hosts::of(Some(mark(2)));
        assert_eq!(back.lacking("a", until(1, 30)), Missed::Unknown);
        assert_eq!(back.lacking("a", until(1, 0)), Missed::Nothing);
        // What it had is still on the bus for one host: there it is known to the byte.
        back.accept(mark(2), "a", &output(10, 0, 5));
        assert_eq!(back.lacking("a", until(1, 30)), Missed::Bytes(15));
        assert_eq!(back.lacking("a", until(1, 15)), Missed::Nothing);
    }
}
