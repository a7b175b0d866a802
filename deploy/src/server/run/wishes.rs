//! What callers wish: granted by the rules over what is folded, appended, and tried again where others were faster.

use std::sync::Arc;

use croft_proto::deploy::{DeploymentEvent, DeploymentId};
use tokio::sync::oneshot;

use super::{Arrived, Ended, Loop, append, deployment_in};
use crate::ask::{admit, go_on, is_in, roll_back, stop};
use crate::intent::{Intent, Recorded};
use crate::server::handle::{Done, Failed, Refused, Wish};

/// How often a wish is tried against subjects that change.
const TRIES_MAX: u32 = 10;

pub(super) type Reply = oneshot::Sender<Result<Done, Refused>>;

/// A wish that waits for its append, or for the next try.
pub(super) struct Wished {
    pub(super) wish: Wish,
    pub(super) reply: Reply,
    pub(super) tries: u32,
}

impl Loop {
    pub(super) fn wish(&mut self, wished: Wished) {
        if !self.progress.is_caught_up {
            return answer(wished.reply, Err(Failed::Closed.into()));
        }
        let (deployment, intents) = match self.granted(&wished.wish) {
            Ok((deployment, intents)) => (deployment, self.seen(intents)),
            Err(refused) => return answer(wished.reply, Err(refused)),
        };
        let appending = append(Arc::clone(&self.parts.ledger), &intents);
        self.on_their_way.push(Box::pin(async move {
            Arrived::Wished(wished, deployment, appending.await)
        }));
    }

    fn granted(&self, wish: &Wish) -> Result<(Option<DeploymentId>, Vec<Intent>), Refused> {
        let state = self.engine.state();
        Ok(match wish {
            Wish::Start(id, asked, by) => {
                (Some(id.clone()), admit(state, id, (**asked).clone(), by)?)
            }
            Wish::Stop(id, then, by) => (Some(id.clone()), stop(state, id, *then, by)?),
            Wish::GoOn(id, step, by) => {
                if let Some(step) = step {
                    is_in(state, id, *step)?;
                }
                let watchers = self.what_watchers_say(id);
                (Some(id.clone()), go_on(state, id, watchers, by)?)
            }
            Wish::RollBack(group, by) => {
                let intents = roll_back(state, group, by)?;
                // What takes back, and not what it ends; that alone is there when nothing can be taken back any more.
                let back = accepted_in(&intents).or_else(|| deployment_in(&intents));
                (back, intents)
            }
            Wish::Record(record) => {
                let intent = Intent {
                    subject: record.subject.clone(),
                    expected: (record.check)(state)?,
                    event: record.event.clone(),
                };
                (None, vec![intent])
            }
        })
    }

    pub(super) fn wished(
        &mut self,
        mut wished: Wished,
        deployment: Option<DeploymentId>,
        ended: Ended,
    ) {
        match ended {
            Ended::There(seq) => answer(wished.reply, Ok(Done { deployment, seq })),
            Ended::Failed(failed) => answer(wished.reply, Err(failed.into())),
            Ended::Conflict if wished.tries >= TRIES_MAX => {
                answer(wished.reply, Err(Failed::Contended.into()));
            }
            // The fold is behind: when it has moved on, the wish is looked at again.
            Ended::Conflict => {
                wished.tries += 1;
                self.again.push(wished);
            }
        }
    }

    pub(super) fn retry(&mut self) {
        for wished in std::mem::take(&mut self.again) {
            self.wish(wished);
        }
    }
}

/// The deployment that a batch makes.
fn accepted_in(intents: &[Intent]) -> Option<DeploymentId> {
    let is_new = |intent: &&Intent| match &intent.event {
        Recorded::Deployment(event) => matches!(**event, DeploymentEvent::Accepted(_)),
        Recorded::App(_)
        | Recorded::Config(_)
        | Recorded::Group(_)
        | Recorded::Target(_)
        | Recorded::Host(_) => false,
    };
    let made = intents.iter().find(is_new)?;
    deployment_in(std::slice::from_ref(made))
}

fn answer(reply: Reply, with: Result<Done, Refused>) {
    // Who has gone looks when he is back.
    reply.send(with).unwrap_or_default();
}
