//! Tokens of people and machines: listed, issued, taken back. A token's text is in one answer, once, and nowhere else.

use axum::http::StatusCode;
use croft_keys::{
    Access, AccessRecord, AccessRole, NewAccessToken, ProjectPattern, TokenId, new_access_token,
};
use croft_ledger::{Append, AppendError, Expected, ReadError, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::farm::TokenEvent;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Call, changed, json as answer_json, short};
use super::limits::{NAME_CHARS_MAX, PATTERNS_MAX, READ_WAIT, SUBJECT_PAGE};
use super::pools;
use super::problem::Problem;
use super::record::record;
use super::state::{Farm, State};

/// Days a token may be good for, when it shall end: ten years.
const DAYS_MAX: u32 = 3_650;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Why there is no first token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirstTokenError {
    /// The ledger cannot be read.
    #[error("failed to look for tokens")]
    Read(#[from] ReadError),
    /// The view cannot be read.
    #[error("failed to look for tokens")]
    Views(#[from] croft_views::QueryError),
    /// The view has not come as far as the ledger: there may be tokens that it does not know.
    #[error("failed to look for tokens: the read model is not as far as the ledger")]
    Behind,
    /// The ledger did not take it.
    #[error("failed to record the first token")]
    Append(#[from] AppendError),
    /// There are no random bytes.
    #[error("the system gives no random bytes to make a token of")]
    NoRandom,
}

/// How long a server that starts waits for its view, before it says that it cannot tell whether there are tokens.
const FIRST_WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// The text of an administrator's token that was made just now, when there was none at all; whoever composes the server shows it once.
/// Of servers that start at the same moment one makes it.
///
/// # Errors
/// When it cannot be known whether there is one, or none can be made.
pub async fn first_token(farm: &Farm) -> Result<Option<String>, FirstTokenError> {
    // Before looking: whoever makes one meanwhile appends to it.
    let turn = Turn::read(farm).await?;
    let last = farm.ledger.last().await?;
    if !farm.views.reached(last, FIRST_WAIT).await {
        return Err(FirstTokenError::Behind);
    }
    let (tokens, _) = farm.views.ask(|read| read.access_tokens()).await?;
    if tokens
        .iter()
        .any(|token| token.access.role == AccessRole::Admin)
    {
        return Ok(None);
    }
    match issue_admin(farm, "first", vec![turn.taken()]).await {
        Ok(token) => Ok(Some(token)),
        // It is shown there.
        Err(FirstTokenError::Append(AppendError::Conflict { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who makes the first token: whoever appends to this subject at the sequence that was read.
struct Turn {
    subject: Subject,
    last: Seq,
}

impl Turn {
    async fn read(farm: &Farm) -> Result<Self, FirstTokenError> {
        let subject = Subject::of("farm", "first-token").expect("it is a word with a hyphen");
        let mut last = Seq::ZERO;
        loop {
            let page = farm.ledger.read_subject(&subject, last, SUBJECT_PAGE);
            match page.await?.last() {
                Some(entry) => last = entry.seq,
                None => return Ok(Self { subject, last }),
            }
        }
    }

    fn taken(self) -> Append {
        Append {
            subject: self.subject,
            expected: Expected::Last(self.last),
            event: json!({"type": "firstTokenMade"}).to_string().into(),
        }
    }
}

/// The token of this machine's own commands: the one it had, if that is good still, or a new administrator's.
///
/// # Errors
/// When it cannot be known whether it is good, or none can be made.
pub async fn token_of_this_machine(
    farm: &Farm,
    name: &str,
    known: Option<String>,
) -> Result<String, FirstTokenError> {
    let last = farm.ledger.last().await?;
    if !farm.views.reached(last, FIRST_WAIT).await {
        return Err(FirstTokenError::Behind);
    }
    let (tokens, _) = farm.views.ask(|read| read.access_tokens()).await?;
    let now_ms = farm.clock.now().millis();
    let good = known.filter(|known| {
        let record = tokens.find(known, now_ms);
        record.is_some_and(|record| record.access.role == AccessRole::Admin)
    });
    match good {
        Some(good) => Ok(good),
        None => issue_admin(farm, name, Vec::new()).await,
    }
}

async fn issue_admin(
    farm: &Farm,
    name: &str,
    mut batch: Vec<Append>,
) -> Result<String, FirstTokenError> {
    let new =
        new_access_token().map_err(|_none: croft_keys::NoRandom| FirstTokenError::NoRandom)?;
    let event = issued(&new, name, AccessRole::Admin, Vec::new(), None);
    let subject = Subject::of("token", &new.id.to_string()).expect("an id is made of digits");
    let event = serde_json::to_vec(&event).expect("an event is made of texts");
    batch.push(Append {
        subject,
        expected: Expected::NEW,
        event: event.into(),
    });
    let appended = farm.ledger.append(batch).await?;
    farm.views.reached(appended.last, FIRST_WAIT).await;
    Ok(new.token)
}

fn issued(
    new: &NewAccessToken,
    name: &str,
    role: AccessRole,
    projects: Vec<String>,
    expires: Option<Timestamp>,
) -> TokenEvent {
    TokenEvent::Issued {
        name: name.into(),
        role: role.to_string(),
        projects,
        hash: new.hash.to_string(),
        expires,
    }
}

/// `GET /v1/tokens`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    let rows = call.state.farm.views.ask(|read| read.tokens()).await?;
    let tokens: Vec<Value> = rows.iter().map(|row| shown(&row.record)).collect();
    answer_json(StatusCode::OK, &json!({"tokens": tokens}))
}

/// Everything but the hash: it is nobody's business either.
fn shown(record: &AccessRecord) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "role": record.access.role,
        "projects": record.access.projects,
        "created": Timestamp::from_millis(record.created),
        "expires": record.expires.map(Timestamp::from_millis),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    name: String,
    role: String,
    #[serde(default)]
    projects: Vec<String>,
    #[serde(default)]
    expires_in_days: Option<u32>,
}

/// `POST /v1/tokens`
pub(super) async fn create(mut call: Call) -> Answer {
    let asked: Asked = call.json().await?;
    let (role, projects) = checked(&asked)?;
    let now = call.state.farm.clock.now();
    let expires = asked
        .expires_in_days
        .map(|days| Timestamp::from_millis(now.millis() + u64::from(days) * DAY_MS));
    let new = new_access_token().map_err(|error| Problem::internal(&error))?;
    call.is_about(format!("token.{}", new.id));
    let subject = Subject::of("token", &new.id.to_string())?;
    let seq = record::<TokenEvent, _>(&*call.state.farm.ledger, &subject, |there| {
        // Drawn twice: rarer than anything that breaks meanwhile.
        if !there.is_empty() {
            return Err(Problem::unavailable("the token's id is taken: ask again"));
        }
        Ok(Some(issued(
            &new,
            &asked.name,
            role,
            projects.clone(),
            expires,
        )))
    })
    .await?;
    now_known(&call.state, seq).await?;
    changed(
        StatusCode::CREATED,
        &json!({"id": new.id, "token": new.token}),
        seq,
    )
}

fn checked(asked: &Asked) -> Result<(AccessRole, Vec<String>), Problem> {
    let mut wrong = Vec::new();
    if !is_name(&asked.name) {
        wrong.push(format!("name: 1 to {NAME_CHARS_MAX} printable characters"));
    }
    let role = asked.role.parse::<AccessRole>();
    if let Err(error) = &role {
        wrong.push(error.to_string());
    }
    wrong.extend(wrong_patterns(&asked.projects));
    if asked
        .expires_in_days
        .is_some_and(|days| !(1..=DAYS_MAX).contains(&days))
    {
        wrong.push(format!("expiresInDays: 1 to {DAYS_MAX}"));
    }
    match role {
        Ok(role) if wrong.is_empty() => Ok((role, asked.projects.clone())),
        Ok(_) | Err(_) => Err(Problem::all_invalid(wrong)),
    }
}

/// What is wrong with patterns of projects, or of pools.
pub(super) fn wrong_patterns(patterns: &[String]) -> Vec<String> {
    if patterns.len() > PATTERNS_MAX {
        return vec![format!("projects: at most {PATTERNS_MAX}")];
    }
    let parsed = patterns.iter().map(|text| text.parse::<ProjectPattern>());
    parsed
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect()
}

/// A name for people.
pub(super) fn is_name(name: &str) -> bool {
    let count = name.chars().count();
    (1..=NAME_CHARS_MAX).contains(&count) && !name.chars().any(char::is_control)
}

/// `DELETE /v1/tokens/{id}`
pub(super) async fn revoke(call: Call) -> Answer {
    let text = call.param("id").to_string();
    let none = || Problem::not_found(format!("there is no token `{}`", short(&text)));
    let Ok(id) = text.parse::<TokenId>() else {
        return Err(none());
    };
    let subject = Subject::of("token", &id.to_string())?;
    let mut was: Option<(String, Vec<String>)> = None;
    let seq = record::<TokenEvent, _>(&*call.state.farm.ledger, &subject, |there| {
        let mut issued = there.iter().rev();
        was = issued.find_map(|event| match event {
            TokenEvent::Issued { role, projects, .. } => Some((role.clone(), projects.clone())),
            TokenEvent::Revoked => None,
        });
        match there.last() {
            None => Err(none()),
            Some(TokenEvent::Revoked) => Ok(None),
            Some(TokenEvent::Issued { .. }) => Ok(Some(TokenEvent::Revoked)),
        }
    })
    .await?;
    now_known(&call.state, seq).await?;
    let mut rotated = Vec::new();
    if let Some((role, pools)) = was
        && role == AccessRole::Worker.to_string()
    {
        // Also when it was revoked before: whoever asks again may do so since the rotation failed.
        rotated = pools::rotate_all(&call.state, &pools).await?;
    }
    changed(
        StatusCode::OK,
        &json!({"revoked": id, "rotatedPools": rotated}),
        seq,
    )
}

/// Waits until this server goes by the change.
async fn now_known(state: &State, seq: Option<Seq>) -> Result<(), Problem> {
    if let Some(seq) = seq {
        state.farm.views.reached(seq, READ_WAIT).await;
        state.load_tokens().await?;
    }
    Ok(())
}

/// Whether a token of such patterns is for that project or pool.
pub(super) fn admits(patterns: &[String], name: &str) -> bool {
    let access = Access {
        role: AccessRole::Worker,
        projects: patterns
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
    };
    access.may(AccessRole::Worker, Some(name))
}
