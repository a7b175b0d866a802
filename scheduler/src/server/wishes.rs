//! Wishes on their way into the ledger: those that wait, and the one batch that is being appended. Fed and asked by the loop.
//!
//! One batch is on its way at a time, and the next one waits until the last is folded: so what was admitted counts for what is
//! admitted next, and while one fsync takes its time the next batch fills.

use std::collections::VecDeque;
use std::sync::Arc;

use croft_ledger::{Ledger, Seq, Subject};
use croft_proto::Timestamp;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::handle::{Failed, Refused};
use super::surely::{self, Ended};
use crate::batch::{About, Batch, Decided};
use crate::farm::Farm;
use crate::{Granted, Refusal, Wish, build_subject};

/// How often a wish is decided anew because others were faster.
const TRIES_MAX: u32 = 20;

/// After so many of those a wish is appended only with others about the same: a project that many servers contend for must not
/// take unrelated ones down with it.
const TOGETHER_MAX: u32 = 5;

type Reply = oneshot::Sender<Result<(Granted, Option<Seq>), Refused>>;

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    reply: Reply,
    tries: u32,
    /// A refusal counts once the fold has come this far: what stands against it may be over by then.
    doubt: Option<Seq>,
}

/// What has become of the batch that was on its way.
#[derive(Debug)]
pub(super) enum Came {
    /// The append has ended.
    Appended(Ended),
    /// The ledger's last sequence, to judge refusals by.
    Last(Seq),
}

#[derive(Debug, Default)]
pub(super) struct Wishes {
    waiting: VecDeque<Waiting>,
    /// In the batch that is on its way.
    flying: Vec<(Waiting, Granted)>,
    is_flying: bool,
    /// Where in the ledger that batch is, once it is there. Its callers are told when the fold has it, too.
    landed: Option<Seq>,
    /// The fold must be there before the next batch is decided.
    not_before: Seq,
    /// Refused by a fold that may be behind.
    doubtful: Vec<Waiting>,
    /// Where the fold was when the batch was decided.
    decided_at: Seq,
    /// The last batch was about one thing alone.
    was_alone: bool,
}

impl Waiting {
    const fn is_worn(&self) -> bool {
        self.tries >= TOGETHER_MAX
    }
}

impl Wishes {
    pub(super) fn add(&mut self, wish: Wish, reply: Reply) {
        self.waiting.push_back(Waiting {
            wish,
            reply,
            tries: 0,
            doubt: None,
        });
    }

    /// True when the next batch would be decided now.
    pub(super) fn may_depart(&self, farm: &Farm) -> bool {
        !self.is_flying && !self.waiting.is_empty() && farm.last() >= self.not_before
    }

    /// The next thing to wait for, if there is one: a batch to append, or the ledger's end to judge refusals by.
    pub(super) fn next(
        &mut self,
        farm: &Farm,
        ledger: &Arc<dyn Ledger>,
        now: Timestamp,
    ) -> Option<BoxFuture<'static, Came>> {
        if self.landed.is_some_and(|seq| farm.last() >= seq) {
            self.tell(farm);
        }
        while self.may_depart(farm) {
            let before = self.waiting.len();
            let next = self.decide(farm, ledger, now);
            // Those who were decided about and append nothing keep nobody waiting.
            if next.is_some() || self.waiting.len() >= before {
                return next;
            }
        }
        None
    }

    /// Decides about one batch.
    fn decide(
        &mut self,
        farm: &Farm,
        ledger: &Arc<dyn Ledger>,
        now: Timestamp,
    ) -> Option<BoxFuture<'static, Came>> {
        let mut batch = Batch::default();
        let mut later = VecDeque::new();
        let alone = self.alone();
        let mut witness: Option<Subject> = None;
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.reply.is_closed() && waiting.tries == 0 {
                continue;
            }
            let is_in = match &alone {
                Some(about) => *about == waiting.wish.about(),
                None => !waiting.is_worn(),
            };
            if !is_in {
                later.push_back(waiting);
                continue;
            }
            match batch.take(farm, &waiting.wish, now) {
                Decided::Later => later.push_back(waiting),
                Decided::Refused(refusal) => self.refuse(waiting, refusal, farm.last()),
                Decided::Granted(granted) => {
                    if let (Granted::Started(new), None) = (&granted, &witness) {
                        witness = Some(build_subject(new.build));
                    }
                    self.flying.push((waiting, granted));
                }
            }
            if alone.is_none() && later.len() >= croft_ledger::BATCH_MAX {
                break;
            }
        }
        later.append(&mut self.waiting);
        self.waiting = later;
        self.decided_at = farm.last();
        self.depart(batch, witness, ledger)
    }

    /// What the next batch is about alone, if it is: those that others were faster with too often have every other batch.
    fn alone(&mut self) -> Option<About> {
        let mut worn = self.waiting.iter().filter(|waiting| waiting.is_worn());
        let worn = worn.next().map(|waiting| waiting.wish.about());
        let is_their_turn = !self.was_alone || self.waiting.iter().all(Waiting::is_worn);
        let alone = worn.filter(|_| is_their_turn);
        self.was_alone = alone.is_some();
        alone
    }

    fn depart(
        &mut self,
        batch: Batch,
        witness: Option<Subject>,
        ledger: &Arc<dyn Ledger>,
    ) -> Option<BoxFuture<'static, Came>> {
        let ledger = Arc::clone(ledger);
        if batch.is_empty() {
            for (waiting, granted) in self.flying.drain(..) {
                answer(waiting.reply, Ok((granted, None)));
            }
            if self.doubtful.is_empty() {
                return None;
            }
            self.is_flying = true;
            return Some(Box::pin(async move {
                // A ledger that cannot be read proves nothing: the fold is judged as it is.
                Came::Last(ledger.last().await.unwrap_or(Seq::ZERO))
            }));
        }
        self.is_flying = true;
        let appends = batch.into_appends();
        Some(Box::pin(async move {
            Came::Appended(surely::append(ledger, appends, witness).await)
        }))
    }

    fn refuse(&mut self, mut waiting: Waiting, refusal: Refusal, folded: Seq) {
        let may_be_over = match refusal {
            Refusal::NoProject(_) | Refusal::Limit { .. } => true,
            Refusal::TokenUsed(_)
            | Refusal::TokenForm
            | Refusal::TooLarge { .. }
            | Refusal::QueueTimeout(_) => false,
        };
        let is_certain = waiting.doubt.is_some_and(|doubt| folded >= doubt);
        if may_be_over && !is_certain {
            waiting.tries += 1;
            self.doubtful.push(waiting);
        } else {
            answer(waiting.reply, Err(refusal.into()));
        }
    }

    /// What was on its way has come.
    pub(super) fn came(&mut self, came: Came) {
        self.is_flying = false;
        match came {
            Came::Last(last) => {
                for mut waiting in self.doubtful.drain(..).rev() {
                    waiting.doubt = Some(last);
                    self.waiting.push_front(waiting);
                }
                self.not_before = self.not_before.max(last);
            }
            Came::Appended(Ended::There(seq)) => {
                self.not_before = self.not_before.max(seq);
                // Whatever was in the ledger before it is folded then, too.
                for waiting in &mut self.doubtful {
                    waiting.doubt = Some(seq);
                }
                self.landed = Some(seq);
            }
            Came::Appended(Ended::Conflict) => self.again(),
            Came::Appended(Ended::Unavailable(why)) => {
                self.fail(&Failed::Unavailable(why));
            }
            Came::Appended(Ended::Unknown) => self.fail(&Failed::Unknown),
        }
        // Those refused beside a batch are judged when the next thing is asked for.
        for waiting in self.doubtful.drain(..).rev() {
            self.waiting.push_front(waiting);
        }
    }

    /// Tells the callers of the batch that is in the ledger, also when the fold is late: then without what only the fold knows.
    pub(super) fn tell(&mut self, farm: &Farm) {
        let Some(seq) = self.landed.take() else {
            return;
        };
        for (waiting, mut granted) in self.flying.drain(..) {
            if let Granted::Started(new) = &mut granted {
                let folded = farm.build(new.build);
                let folded = folded.filter(|build| build.last == build.submitted);
                new.place = folded.map(|build| (build.submitted, build.waits_since));
            }
            answer(waiting.reply, Ok((granted, Some(seq))));
        }
    }

    /// Somebody was faster: what there is to fold is folded, and all of it decided anew.
    fn again(&mut self) {
        self.not_before = self.not_before.max(self.decided_at.next());
        let mut soon = Vec::new();
        for (mut waiting, _) in self.flying.drain(..) {
            waiting.tries += 1;
            if waiting.tries > TRIES_MAX {
                answer(waiting.reply, Err(Failed::Contended.into()));
            } else if waiting.tries >= TOGETHER_MAX {
                self.waiting.push_back(waiting);
            } else {
                soon.push(waiting);
            }
        }
        for waiting in soon.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }

    fn fail(&mut self, failed: &Failed) {
        for (waiting, _) in self.flying.drain(..) {
            answer(waiting.reply, Err(failed.clone().into()));
        }
    }
}

/// A caller that has gone needs no answer; what was granted is in the ledger.
fn answer(reply: Reply, result: Result<(Granted, Option<Seq>), Refused>) {
    drop(reply.send(result));
}
