//! The projects and unfinished builds of a farm, folded from the ledger. Fed with every entry in order; read by every decision.
//!
//! Of a build only what decides is kept, a few dozen bytes: what it is to do is in the ledger, for the worker that claims it.
//! A build that is over is forgotten but for its id, for a while, so that a late worker is told.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::farm::{
    AutoRetry, BuildEvent, BuildId, LossReason, Losses, Priority, ProjectEvent, ProjectRules,
    SettledBy, TOKEN_VALID_MS, Weight,
};
use croft_proto::{Status, Timestamp};
use serde::Deserialize;

use crate::evidence::Evidence;

/// Builds that ended last and are still known to have.
const ENDED_MAX: usize = 10_000;

/// Tokens remembered for a project: 333 submissions a second for five minutes, and some 25 MB. Beyond it the oldest are forgotten
/// early.
const TOKENS_MAX: usize = 100_000;

/// Where an unfinished build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the line, or a hint of it is out.
    Waiting,
    /// A worker has claimed it.
    Running {
        /// Somebody wants it to end.
        stopping: bool,
    },
}

/// A build that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The number of its project, of [`Farm::project_name`].
    pub project: u32,
    /// The number of its pool, of [`Farm::pool_name`].
    pub pool: u32,
    /// When it was submitted, in the order of the ledger.
    pub submitted: Seq,
    /// The last entry of its subject: what the next one expects.
    pub last: Seq,
    /// When it has waited too long.
    pub deadline: Timestamp,
    /// When it began to wait: it was submitted, or its last attempt was lost.
    pub waits_since: Timestamp,
    /// Attempts that were started; the one that runs is among them.
    pub attempts: u32,
    /// Those of them that were lost.
    pub losses: Losses,
    /// Losses that count there may be.
    pub attempts_max: u32,
    /// Automatic retries that may follow.
    pub retries_left: u32,
    /// Before which others.
    pub priority: Priority,
    /// Where it is.
    pub stage: Stage,
}

impl Unfinished {
    /// True when it waits and gets no other attempt.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.stage == Stage::Waiting && self.losses.is_last(self.attempts_max)
    }
}

/// What an entry changed, for those that keep account of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that decides.
    Nothing,
    /// A project's rules.
    Rules(u32),
    /// A build waits: it was submitted.
    Waits(BuildId),
    /// A build waits again: its attempt was lost.
    Lost(BuildId, LossReason),
    /// A worker has claimed it.
    Claimed(BuildId, String),
    /// Somebody wants a running one to end.
    Stopping,
    /// It is over.
    Ended(BuildId, Unfinished, Status, SettledBy),
}

/// An entry that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It is not understood: a later croft wrote it, and this one must not decide about what it does not understand.
    #[error("the event at {seq} of {subject} is not understood")]
    NotUnderstood {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// How it shows.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot follow what came before it.
    #[error("the event at {seq} of {subject} cannot be: {reason}")]
    Impossible {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// Why.
        reason: &'static str,
    },
}

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    /// None when it was deleted.
    pub(crate) rules: Option<Box<ProjectRules>>,
    pub(crate) last: Seq,
    /// Of its last build.
    pub(crate) number: u64,
    pub(crate) unfinished: u32,
    tokens: Tokens,
}

/// Idempotency tokens, by their hash, and in the order in which they came.
#[derive(Debug, Default)]
struct Tokens {
    known: HashMap<Box<str>, Token>,
    order: VecDeque<(Timestamp, Box<str>)>,
}

#[derive(Debug)]
struct Token {
    at: Timestamp,
    asked: String,
    build: BuildId,
}

/// All that is folded.
#[derive(Debug, Default)]
pub struct Farm {
    projects: Vec<Project>,
    by_name: HashMap<String, u32>,
    pools: Vec<String>,
    pool_by_name: HashMap<String, u32>,
    builds: HashMap<BuildId, Unfinished>,
    /// Of those that lost attempts.
    evidence: HashMap<BuildId, Evidence>,
    ended: HashSet<BuildId>,
    ended_order: VecDeque<BuildId>,
    last: Seq,
}

impl Farm {
    /// The last entry folded.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// The build, unless it is over or was never there.
    #[must_use]
    pub fn build(&self, id: BuildId) -> Option<&Unfinished> {
        self.builds.get(&id)
    }

    /// True for one that ended lately.
    #[must_use]
    pub fn has_ended(&self, id: BuildId) -> bool {
        self.ended.contains(&id)
    }

    /// What became of its lost attempts.
    pub(crate) fn evidence(&self, id: BuildId) -> Evidence {
        self.evidence.get(&id).cloned().unwrap_or_default()
    }

    /// Every build that is not over, in no order.
    pub fn unfinished(&self) -> impl ExactSizeIterator<Item = (BuildId, &Unfinished)> {
        self.builds.iter().map(|(id, build)| (*id, build))
    }

    /// What the project of that number is called.
    #[must_use]
    pub fn project_name(&self, number: u32) -> &str {
        &self.project(number).name
    }

    /// What the pool of that number is called.
    #[must_use]
    pub fn pool_name(&self, number: u32) -> &str {
        &self.pools[number as usize]
    }

    pub(crate) fn project(&self, number: u32) -> &Project {
        &self.projects[number as usize]
    }

    pub(crate) fn project_named(&self, name: &str) -> Option<&Project> {
        self.by_name.get(name).map(|number| self.project(*number))
    }

    pub(crate) fn weight(&self, number: u32) -> Weight {
        let rules = self.project(number).rules.as_ref();
        rules.map(|rules| rules.weight).unwrap_or_default()
    }

    /// The build that token was used for within five minutes, and what it asked for.
    pub(crate) fn token(
        &self,
        project: &Project,
        token: &str,
        now: Timestamp,
    ) -> Option<(BuildId, String)> {
        let found = project.tokens.known.get(token)?;
        let is_valid = now.millis_since(found.at) < TOKEN_VALID_MS;
        is_valid.then(|| (found.build, found.asked.clone()))
    }

    /// Forgets tokens that are good no more.
    pub(crate) fn forget_tokens(&mut self, now: Timestamp) {
        for project in &mut self.projects {
            project.tokens.forget(now, TOKENS_MAX);
        }
    }

    /// Folds one entry. An entry that was folded before changes nothing.
    pub(crate) fn fold(&mut self, entry: &Entry) -> Result<Change, FoldError> {
        if entry.seq <= self.last {
            return Ok(Change::Nothing);
        }
        let change = match (&entry.body, entry.subject.kind()) {
            (Body::Tombstone { .. }, "build") => self.bury(entry),
            (Body::Tombstone { .. }, _) => Change::Nothing,
            (Body::Event(event), "build") => self.fold_build(entry, event)?,
            (Body::Event(event), "project") => self.fold_project(entry, event)?,
            // Of rooms that this one does not know.
            (Body::Event(_), _) => Change::Nothing,
        };
        self.last = entry.seq;
        Ok(change)
    }

    /// A build that is gone from the ledger was over. Its end may have been purged after its beginning was folded here.
    fn bury(&mut self, entry: &Entry) -> Change {
        let name = entry.subject.parts().nth(1).unwrap_or_default();
        let Some((id, build)) = name
            .parse::<BuildId>()
            .ok()
            .and_then(|id| Some((id, *self.builds.get(&id)?)))
        else {
            return Change::Nothing;
        };
        self.end(id, build.project);
        Change::Ended(id, build, Status::Stopped, SettledBy::Stop)
    }

    fn fold_project(&mut self, entry: &Entry, event: &[u8]) -> Result<Change, FoldError> {
        let event = parsed(entry, event)?;
        let name = entry.subject.parts().nth(1).unwrap_or_default();
        let number = self.number_of(&name);
        let project = &mut self.projects[number as usize];
        project.last = entry.seq;
        match event {
            ProjectEvent::Applied { rules, .. } => {
                project.rules = Some(rules);
                Ok(Change::Rules(number))
            }
            ProjectEvent::Deleted => {
                project.rules = None;
                Ok(Change::Rules(number))
            }
            ProjectEvent::Admitted {
                build,
                number,
                token,
            } => {
                project.number = project.number.max(number);
                if let Some((token, asked)) = token {
                    let at = entry.at;
                    project.tokens.remember(token, Token { at, asked, build });
                }
                Ok(Change::Nothing)
            }
        }
    }

    fn fold_build(&mut self, entry: &Entry, event: &[u8]) -> Result<Change, FoldError> {
        let name = entry.subject.parts().nth(1).unwrap_or_default();
        let id: BuildId = name
            .parse()
            .map_err(|_not_an_id: String| impossible(entry, "its subject is no build's"))?;
        let kind: Kind<'_> = parsed(entry, event)?;
        if kind.kind == "submitted" {
            self.submit(entry, id, &parsed(entry, event)?);
            return Ok(Change::Waits(id));
        }
        let event: BuildEvent = parsed(entry, event)?;
        let Some(build) = self.builds.get_mut(&id) else {
            return Err(impossible(
                entry,
                "the build is over, or was never submitted",
            ));
        };
        build.last = entry.seq;
        match event {
            BuildEvent::Submitted(_) => Err(impossible(entry, "it was submitted twice")),
            BuildEvent::AttemptStarted { attempt, worker } => {
                build.attempts = attempt;
                build.stage = Stage::Running { stopping: false };
                Ok(Change::Claimed(id, worker))
            }
            BuildEvent::AttemptLost { attempt, reason } => {
                self.evidence.entry(id).or_default().add(attempt, &reason);
                build.losses.add(&reason);
                build.stage = Stage::Waiting;
                build.waits_since = entry.at;
                Ok(Change::Lost(id, reason))
            }
            BuildEvent::StopRequested { .. } => {
                if matches!(build.stage, Stage::Running { .. }) {
                    build.stage = Stage::Running { stopping: true };
                }
                Ok(Change::Stopping)
            }
            BuildEvent::Settled { status, by, .. } => {
                let build = *build;
                self.end(id, build.project);
                Ok(Change::Ended(id, build, status, by))
            }
        }
    }

    fn submit(&mut self, entry: &Entry, id: BuildId, submitted: &Submitted<'_>) {
        let project = self.number_of(&submitted.project);
        let pool = self.pool_of(&submitted.pool);
        self.projects[project as usize].unfinished += 1;
        let retry = submitted.auto_retry;
        let build = Unfinished {
            project,
            pool,
            submitted: entry.seq,
            last: entry.seq,
            deadline: Timestamp::from_millis(
                entry.at.millis().saturating_add(submitted.queued_ms_max),
            ),
            waits_since: entry.at,
            attempts: 0,
            losses: Losses::default(),
            attempts_max: submitted.attempts_max,
            retries_left: retry
                .auto_retry_limit
                .saturating_sub(retry.auto_retry_number),
            priority: submitted.priority,
            stage: Stage::Waiting,
        };
        self.builds.insert(id, build);
    }

    fn end(&mut self, id: BuildId, project: u32) {
        self.builds.remove(&id);
        self.evidence.remove(&id);
        let project = &mut self.projects[project as usize];
        project.unfinished = project.unfinished.saturating_sub(1);
        if self.ended.insert(id) {
            self.ended_order.push_back(id);
        }
        if self.ended_order.len() > ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    pub(crate) fn number_of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = count(self.projects.len());
        self.projects.push(Project {
            name: name.to_string(),
            rules: None,
            last: Seq::ZERO,
            number: 0,
            unfinished: 0,
            tokens: Tokens::default(),
        });
        self.by_name.insert(name.to_string(), number);
        number
    }

    pub(crate) fn pool_of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.pool_by_name.get(name) {
            return *number;
        }
        let number = count(self.pools.len());
        self.pools.push(name.to_string());
        self.pool_by_name.insert(name.to_string(), number);
        number
    }
}

impl Tokens {
    fn remember(&mut self, token: String, as_what: Token) {
        let now = as_what.at;
        self.forget(now, TOKENS_MAX - 1);
        let token = token.into_boxed_str();
        self.order.push_back((now, token.clone()));
        self.known.insert(token, as_what);
    }

    /// Forgets those that are good no more, and the oldest beyond so many.
    fn forget(&mut self, now: Timestamp, most: usize) {
        while let Some((at, oldest)) = self.order.front()
            && (self.order.len() > most || now.millis_since(*at) >= TOKEN_VALID_MS)
        {
            // One that was used anew meanwhile stays.
            if self.known.get(oldest).is_some_and(|known| known.at == *at) {
                self.known.remove(oldest);
            }
            self.order.pop_front();
        }
        if self.order.is_empty() {
            self.known.shrink_to_fit();
            self.order.shrink_to_fit();
        }
    }
}

/// Which event it is. Read first: reading all of a submission would make every value of its request, which nothing here asks for.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// What decides of a [`croft_proto::farm::Submitted`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submitted<'a> {
    #[serde(borrow)]
    project: Cow<'a, str>,
    #[serde(borrow)]
    pool: Cow<'a, str>,
    priority: Priority,
    queued_ms_max: u64,
    attempts_max: u32,
    auto_retry: AutoRetry,
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a farm has fewer than 2^32 projects and pools")
}

fn parsed<'e, T: Deserialize<'e>>(entry: &Entry, event: &'e [u8]) -> Result<T, FoldError> {
    serde_json::from_slice(event).map_err(|source| FoldError::NotUnderstood {
        seq: entry.seq,
        subject: entry.subject.clone(),
        source,
    })
}

fn impossible(entry: &Entry, reason: &'static str) -> FoldError {
    FoldError::Impossible {
        seq: entry.seq,
        subject: entry.subject.clone(),
        reason,
    }
}
