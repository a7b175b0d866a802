//! Accepting a build, or not. Received from whoever was asked to start one; the answer is appended to the ledger, the project's
//! number and the build together, and only then is the caller told.
//!
//! A fold may be behind the ledger. Then a build that is over still counts, so that a limit may refuse what it need not, but
//! never lets through what it must not: everything admitted is on the project's own subject, and the append expects its last
//! sequence. Whoever is refused by a limit lets the fold catch up and asks once more.

use croft_ledger::Expected;
use croft_proto::Timestamp;
use croft_proto::farm::{
    AutoRetry, BuildEvent, BuildId, ConcurrencyMode, Priority, ProjectEvent, ProjectRules,
    Submitted,
};

use crate::farm::Farm;
use crate::intent::{Intent, Recorded, project_subject};

/// AWS's longest idempotency token, in characters.
const TOKEN_CHARS_MAX: usize = 64;

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Whose build.
    pub project: String,
    /// Its id, drawn by the caller.
    pub build: BuildId,
    /// In place of the project's.
    pub priority: Option<Priority>,
    /// In place of the project's.
    pub auto_retry_limit: Option<u32>,
    /// In place of the project's, as `queuedTimeoutInMinutesOverride`.
    pub queued_timeout_in_minutes: Option<u32>,
    /// The caller's idempotency token.
    pub token: Option<String>,
    /// Who asks.
    pub initiator: String,
    /// What to build, settings and overrides as one.
    pub request: serde_json::Value,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// A new build, once these are appended.
    New {
        /// Its number.
        number: u64,
        /// All or nothing.
        intents: Vec<Intent>,
    },
    /// The build that the same token started.
    Same(BuildId),
}

/// Why a build is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has made such a project.
    #[error("there is no project `{0}`")]
    NoProject(String),
    /// The limit of the project, AWS's `AccountLimitExceededException`.
    #[error(
        "project `{project}` has {unfinished} builds that are not over, and its concurrentBuildLimit is {limit}"
    )]
    Limit {
        /// Whose.
        project: String,
        /// Those that are not over.
        unfinished: u32,
        /// The limit.
        limit: u32,
    },
    /// The token was used for something else.
    #[error(
        "the idempotency token was used in the last five minutes for a build with other parameters: {0}"
    )]
    TokenUsed(BuildId),
    /// The token is longer than 64 characters, or empty.
    #[error("an idempotency token has 1 to 64 characters")]
    TokenForm,
    /// An event must not be larger than 64 KiB.
    #[error("{size_bytes} bytes of settings: an event holds 60 KiB of them")]
    TooLarge {
        /// How many they are.
        size_bytes: usize,
    },
    /// The queue timeout is not one AWS takes.
    #[error("a queue timeout of {0} minutes: it is 5 to 480")]
    QueueTimeout(u32),
}

/// What is about to be appended of a project, and so is not folded yet: builds accepted in the same batch.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    builds: u32,
    tokens: Vec<(String, String, BuildId)>,
}

/// Decides about a build.
///
/// # Errors
/// The rule that stands against it.
pub fn admit(farm: &Farm, asked: Asked, now: Timestamp) -> Result<Admission, Refusal> {
    admit_after(farm, &mut Ahead::default(), asked, now)
}

/// Decides about a build that would be appended after those `ahead` of its project, and counts it there.
pub(crate) fn admit_after(
    farm: &Farm,
    ahead: &mut Ahead,
    asked: Asked,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    let none = || Refusal::NoProject(asked.project.clone());
    let project = farm.project_named(&asked.project).ok_or_else(none)?;
    let rules = project.rules.as_ref().ok_or_else(none)?;
    let token = hashed_token(&asked)?;
    if let Some((token, what)) = &token
        && let Some((build, was)) = ahead
            .token(token)
            .or_else(|| farm.token(project, token, now))
    {
        return if was == *what {
            Ok(Admission::Same(build))
        } else {
            Err(Refusal::TokenUsed(build))
        };
    }
    let unfinished = project.unfinished + ahead.builds;
    if let Some(limit) = limit(rules).filter(|limit| unfinished >= *limit) {
        return Err(Refusal::Limit {
            project: asked.project,
            unfinished,
            limit,
        });
    }
    let minutes = asked
        .queued_timeout_in_minutes
        .unwrap_or(rules.queued_timeout_in_minutes);
    if !(5..=480).contains(&minutes) {
        return Err(Refusal::QueueTimeout(minutes));
    }
    let number = project.number + u64::from(ahead.builds) + 1;
    let submitted = Submitted {
        project: asked.project,
        number,
        pool: rules.pool.clone(),
        priority: asked.priority.unwrap_or(rules.priority),
        queued_ms_max: u64::from(minutes) * 60_000,
        attempts_max: rules.attempts_max.max(1),
        auto_retry: AutoRetry {
            auto_retry_limit: asked.auto_retry_limit.unwrap_or(rules.auto_retry_limit),
            auto_retry_number: 0,
            previous_auto_retry: None,
        },
        initiator: asked.initiator,
        request: Box::new(asked.request),
    };
    let expected = match ahead.builds {
        0 => Expected::Last(project.last),
        _ => Expected::Previous,
    };
    let intents = intents(expected, asked.build, submitted, token.clone())
        .ok_or_else(|| Refusal::NoProject(project.name.clone()))?;
    ahead.builds += 1;
    let token = token.map(|(token, what)| (token, what, asked.build));
    ahead.tokens.extend(token);
    Ok(Admission::New { number, intents })
}

impl Ahead {
    fn token(&self, token: &str) -> Option<(BuildId, String)> {
        let mut tokens = self.tokens.iter();
        let (_, what, build) = tokens.find(|(known, _, _)| known == token)?;
        Some((*build, what.clone()))
    }

    /// True when nothing of the project is in the batch.
    pub(crate) const fn is_empty(&self) -> bool {
        self.builds == 0
    }
}

/// How many builds of a project may be unfinished, when more are refused.
fn limit(rules: &ProjectRules) -> Option<u32> {
    let concurrency = rules.concurrency.as_ref()?;
    let refuses = concurrency.group.is_none() && concurrency.mode == ConcurrencyMode::Reject;
    refuses.then_some(concurrency.limit)
}

/// What becomes of an automatic retry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Again {
    /// It is appended.
    Now(Vec<Intent>),
    /// The project's limit stands against it; nobody is there to be refused, so it waits.
    Later,
    /// The project is gone.
    Never,
}

/// The next of a chain of automatic retries: what was submitted, once more.
pub(crate) fn again(farm: &Farm, previous: BuildId, before: &Submitted) -> Again {
    let Some((project, rules)) = farm
        .project_named(&before.project)
        .and_then(|project| Some((project, project.rules.as_ref()?)))
    else {
        return Again::Never;
    };
    if limit(rules).is_some_and(|limit| project.unfinished >= limit) {
        return Again::Later;
    }
    let submitted = Submitted {
        number: project.number + 1,
        auto_retry: AutoRetry {
            auto_retry_limit: before.auto_retry.auto_retry_limit,
            auto_retry_number: before.auto_retry.auto_retry_number + 1,
            previous_auto_retry: Some(previous),
        },
        ..before.clone()
    };
    let expected = Expected::Last(project.last);
    intents(expected, retry_id(previous), submitted, None).map_or(Again::Never, Again::Now)
}

/// The id of the automatic retry of a build: derived, so that whichever servers start it start the same one.
#[must_use]
pub fn retry_id(previous: BuildId) -> BuildId {
    let key = blake3::derive_key("croft scheduler 2026 automatic retry", previous.bytes());
    let (id, _) = key.split_first_chunk().expect("a key has 32 bytes");
    BuildId::derived(*id)
}

fn intents(
    expected: Expected,
    build: BuildId,
    submitted: Submitted,
    token: Option<(String, String)>,
) -> Option<Vec<Intent>> {
    let admitted = ProjectEvent::Admitted {
        build,
        number: submitted.number,
        token,
    };
    let project = Intent {
        subject: project_subject(&submitted.project).ok()?,
        expected,
        event: Recorded::Project(Box::new(admitted)),
    };
    let event = BuildEvent::Submitted(Box::new(submitted));
    Some(vec![project, Intent::build(build, Expected::NEW, event)])
}

/// The token, and all that was asked for with it: neither is kept in clear.
fn hashed_token(asked: &Asked) -> Result<Option<(String, String)>, Refusal> {
    let Some(token) = &asked.token else {
        return Ok(None);
    };
    if token.is_empty() || token.chars().count() > TOKEN_CHARS_MAX {
        return Err(Refusal::TokenForm);
    }
    let what = serde_json::json!([
        asked.priority,
        asked.auto_retry_limit,
        asked.queued_timeout_in_minutes,
        asked.request,
    ]);
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    Ok(Some((
        hash(token.as_bytes()),
        hash(what.to_string().as_bytes()),
    )))
}
