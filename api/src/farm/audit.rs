//! Who did what: notes of calls that change something, chained and appended by one writer, many at once. Received from the front;
//! shown to administrators, who can have the chains checked.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use croft_keys::audit::{AuditAct, AuditEntry, Broken, Chain, Head, verify_after};
use croft_ledger::{
    Append, AppendError, BATCH_MAX, Expected, Ledger, ReadError, Seq, Subject, SubjectError,
};
use croft_proto::farm::AuditEvent;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::call::{Answer, Call, json as answer_json};
use super::limits::{NOTE_AGAIN, NOTE_CHARS_MAX, SUBJECT_PAGE};
use super::problem::Problem;
use super::state::{Farm, State};
use crate::chain::chain;

/// An act that is to be noted, and who waits for it to be durable.
#[derive(Debug)]
pub(super) struct Note {
    act: AuditAct,
    done: oneshot::Sender<()>,
}

/// Why a server's chain cannot be gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The server's name cannot be part of a subject.
    #[error("failed to name the audit chain")]
    Name(#[from] SubjectError),
    /// The ledger cannot be read.
    #[error("failed to read the audit chain")]
    Read(#[from] ReadError),
    /// An entry is none.
    #[error("an entry of the audit chain is not understood")]
    Entry(#[from] serde_json::Error),
    /// Its last entry was changed: nothing should be built on it.
    #[error("the audit chain's end is not what was written")]
    Broken(#[from] Broken),
}

/// Writes a server's chain.
#[derive(Debug)]
pub(super) struct Writer {
    ledger: Arc<dyn Ledger>,
    subject: Subject,
    name: String,
    chain: Chain,
    last: Seq,
}

/// Puts an act on record; it is durable when this returns.
pub(super) async fn note(state: &State, act: AuditAct) -> Result<(), Problem> {
    let (done, is_done) = oneshot::channel();
    let note = Note {
        act: bounded(act),
        done,
    };
    let noted = async {
        let sent = state.notes.send(note).await.is_ok();
        sent && is_done.await.is_ok()
    };
    if timeout(state.farm.settings.note_wait, noted).await == Ok(true) {
        return Ok(());
    }
    Err(Problem::unavailable(
        "what was asked for may have happened, but it could not be put on record: look before asking again",
    ))
}

/// Texts of callers, cut so that an entry fits into an event, and many into memory.
pub(super) fn bounded(act: AuditAct) -> AuditAct {
    let cut = |text: String| -> String { text.chars().take(NOTE_CHARS_MAX).collect() };
    AuditAct {
        at_ms: act.at_ms,
        request_id: cut(act.request_id),
        actor: cut(act.actor),
        role: cut(act.role),
        action: cut(act.action),
        target: cut(act.target),
        outcome: cut(act.outcome),
    }
}

impl Writer {
    /// The writer of this server's chain, which goes on where it ends in the ledger.
    pub(super) async fn resume(farm: &Farm) -> Result<Self, ResumeError> {
        let name = farm.settings.server.clone();
        let mut writer = Self {
            ledger: Arc::clone(&farm.ledger),
            subject: Subject::of("audit", &name)?,
            chain: Chain::new(name.clone()),
            name,
            last: Seq::ZERO,
        };
        // What the view has need not be read again.
        let known = writer.name.clone();
        let known = farm.views.ask(move |read| read.audit_last(&known)).await;
        if let Ok(Some(row)) = known
            && let Ok(entry) = serde_json::from_value::<AuditEntry>(row.entry)
        {
            writer.chain = Chain::resume(&entry)?;
            writer.last = row.seq;
        }
        writer.catch_up().await?;
        Ok(writer)
    }

    /// Reads what is in the ledger beyond what is known.
    async fn catch_up(&mut self) -> Result<(), ResumeError> {
        loop {
            let page = self
                .ledger
                .read_subject(&self.subject, self.last, SUBJECT_PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            self.last = last.seq;
            if let Some(bytes) = page.iter().rev().find_map(croft_ledger::Entry::event) {
                let AuditEvent::Noted { entry } = serde_json::from_slice(bytes)?;
                self.chain = Chain::resume(&serde_json::from_value(*entry)?)?;
            }
        }
    }

    /// Writes notes until nobody can send any more, and says whether the ledger keeps them waiting.
    pub(super) async fn run(
        mut self,
        mut notes: mpsc::Receiver<Note>,
        is_stuck: watch::Sender<bool>,
    ) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while notes.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            gather(&mut notes, &mut waiting).await;
            self.write(&waiting, &is_stuck).await;
            say(&is_stuck, false);
            for note in waiting.drain(..) {
                // Who has gone needs no word.
                note.done.send(()).unwrap_or_default();
            }
        }
    }

    /// Appends those notes, however long it takes: a chain has no gaps.
    async fn write(&mut self, notes: &[Note], is_stuck: &watch::Sender<bool>) {
        loop {
            let mut longer = self.chain.clone();
            let entries = notes.iter().map(|note| longer.append(note.act.clone()));
            let batch = entries.enumerate().map(|(at, entry)| Append {
                subject: self.subject.clone(),
                expected: match at {
                    0 => Expected::Last(self.last),
                    _ => Expected::Previous,
                },
                event: bytes_of(&entry),
            });
            let batch: Vec<Append> = batch.collect();
            match self.ledger.append(batch).await {
                Ok(appended) => {
                    self.chain = longer;
                    self.last = appended.last;
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "notes wait for the audit chain");
                    if !matches!(error, AppendError::Conflict { .. }) {
                        say(is_stuck, true);
                        sleep(NOTE_AGAIN).await;
                    }
                }
            }
            let before = self.chain.head().number;
            if let Err(error) = self.catch_up().await {
                tracing::warn!(error = %chain(&error), "the audit chain cannot be read");
                sleep(NOTE_AGAIN).await;
                continue;
            }
            // Lost sight of, and yet it came.
            if *self.chain.head() == *longer.head() && longer.head().number > before {
                return;
            }
        }
    }
}

/// Takes what those send who are about to: changes that came about together are noted together, with one wait for the disk.
async fn gather(notes: &mut mpsc::Receiver<Note>, waiting: &mut Vec<Note>) {
    let mut before = 0;
    while waiting.len() > before && waiting.len() < BATCH_MAX {
        before = waiting.len();
        yield_now().await;
        while waiting.len() < BATCH_MAX
            && let Ok(note) = notes.try_recv()
        {
            waiting.push(note);
        }
    }
}

fn say(is_stuck: &watch::Sender<bool>, now: bool) {
    is_stuck.send_if_modified(|before| std::mem::replace(before, now) != now);
}

/// An [`AuditEvent`] that is about to be written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Event<'a> {
    Noted { entry: &'a AuditEntry },
}

fn bytes_of(entry: &AuditEntry) -> Bytes {
    let json =
        serde_json::to_vec(&Event::Noted { entry }).expect("an event is made of texts and numbers");
    Bytes::from(json)
}

/// `GET /v1/audit`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    if call.asked("verify") == Some("true") {
        return check(&call).await;
    }
    let (before, limit) = (call.before()?, call.limit()?);
    let chain = call.asked("chain").map(str::to_string);
    let views = &call.state.farm.views;
    let page = views
        .ask(move |read| read.audit(chain.as_deref(), before, limit))
        .await?;
    let entries: Vec<Value> = page.rows.into_iter().map(|row| row.entry).collect();
    let next = page.next.map(|seq| seq.get().to_string());
    answer_json(
        StatusCode::OK,
        &json!({"entries": entries, "nextToken": next}),
    )
}

/// Checks every chain from its first entry.
async fn check(call: &Call) -> Answer {
    let views = &call.state.farm.views;
    let chains = views.ask(|read| read.audit_chains()).await?;
    let mut found = Vec::new();
    for chain in chains {
        found.push(check_chain(call, chain).await?);
    }
    let is_whole = found.iter().all(|chain| chain["whole"] == true);
    let count: u64 = found.iter().filter_map(|it| it["count"].as_u64()).sum();
    let broken = found.iter().filter_map(|chain| {
        let broken = chain["broken"].as_str()?;
        Some(format!(
            "{}: {broken}",
            chain["chain"].as_str().unwrap_or_default()
        ))
    });
    let detail = broken.collect::<Vec<_>>().join("; ");
    answer_json(
        StatusCode::OK,
        &json!({"verified": is_whole, "entries": count, "detail": detail, "chains": found}),
    )
}

async fn check_chain(call: &Call, chain: String) -> Result<Value, Problem> {
    let views = &call.state.farm.views;
    let (mut after, mut count) = (Seq::ZERO, 0);
    let mut head = Chain::new(chain.clone()).head().clone();
    loop {
        let name = chain.clone();
        let page = views
            .ask(move |read| read.audit_chain(&name, after, croft_views::ROWS_MAX))
            .await?;
        let Some(last) = page.rows.last() else { break };
        after = last.seq;
        let entries: Result<Vec<AuditEntry>, _> = page
            .rows
            .into_iter()
            .map(|row| serde_json::from_value(row.entry))
            .collect();
        let checked = match entries {
            Ok(entries) => verify_after(&head, &entries, None).map_err(|broken| broken.to_string()),
            Err(error) => Err(format!("an entry after {} is none: {error}", head.number)),
        };
        match checked {
            Ok(verified) => {
                count += verified.count;
                head = verified.head.unwrap_or(head);
            }
            Err(broken) => {
                return Ok(
                    json!({"chain": chain, "whole": false, "broken": broken, "count": count}),
                );
            }
        }
    }
    Ok(whole(&chain, count, &head))
}

fn whole(chain: &str, count: u64, head: &Head) -> Value {
    json!({"chain": chain, "whole": true, "count": count, "head": head})
}
