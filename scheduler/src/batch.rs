//! Many wishes in one append: submissions, stops, changes of projects, as they came. Received from the server's loop; what comes out
//! is one batch for the ledger, and what each caller is told once it is there. One fsync then carries as many submissions as came
//! while the last one was on its way.

use std::collections::{BTreeSet, HashMap};

use croft_ledger::{Append, BATCH_MAX, EVENT_BYTES_MAX, Expected, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::farm::{BuildId, ProjectEvent, Submitted};

use crate::admit::{Ahead, admit_after};
use crate::farm::Farm;
use crate::intent::{Intent, Recorded, project_subject};
use crate::{Admission, Asked, Refusal, Stopping, stop};

/// Bytes of a batch. A broker keeps a whole one in memory, and a caller should not wait for a hundred others' requests.
const BYTES_MAX: usize = 1 << 20;

/// Bytes of a request, or of a project's configuration: what an event may have, less room for what stands around it.
const REQUEST_BYTES_MAX: usize = EVENT_BYTES_MAX - (4 << 10);

/// What somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A build.
    Start(Box<Asked>),
    /// The end of one.
    Stop {
        /// Which.
        build: BuildId,
        /// Who wants that.
        by: String,
    },
    /// A project's configuration, or its end.
    Project {
        /// Its name.
        name: String,
        /// What happens to it: `Applied` or `Deleted`.
        event: Box<ProjectEvent>,
    },
}

/// What a wish is about: who else's wishes stand or fall with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Project(String),
    Build(BuildId),
}

impl Wish {
    pub(crate) fn about(&self) -> About {
        match self {
            Self::Start(asked) => About::Project(asked.project.clone()),
            Self::Stop { build, .. } => About::Build(*build),
            Self::Project { name, .. } => About::Project(name.clone()),
        }
    }
}

/// What was granted.
#[derive(Clone, Debug, PartialEq)]
pub enum Granted {
    /// A build that is new.
    Started(Box<Accepted>),
    /// The build that the same token started.
    Same(BuildId),
    /// It did not run, and is over.
    Stopped,
    /// It runs; its worker is told.
    Told,
    /// It was over, or was never there.
    NotRunning,
    /// The project is as it was wished.
    Applied,
}

/// A build that is new.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Which.
    pub build: BuildId,
    /// As it was accepted.
    pub submitted: Submitted,
    /// Where in the ledger that is, and when it was appended. None where it is not folded yet, or has gone on since.
    pub place: Option<(Seq, Timestamp)>,
}

/// What becomes of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// Granted once the batch is in the ledger; at once, if it needs nothing of it.
    Granted(Granted),
    /// A rule stands against it.
    Refused(Refusal),
    /// It has to wait for the next batch.
    Later,
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub struct Batch {
    appends: Vec<Append>,
    bytes: usize,
    ahead: HashMap<String, Ahead>,
    subjects: BTreeSet<Subject>,
}

/// Passes when an event holds a project's settings.
///
/// # Errors
/// [`Refusal::TooLarge`].
pub fn fits(project: &serde_json::Value) -> Result<(), Refusal> {
    let size_bytes = project.to_string().len();
    match size_bytes > REQUEST_BYTES_MAX {
        true => Err(Refusal::TooLarge { size_bytes }),
        false => Ok(()),
    }
}

impl Batch {
    /// Decides about a wish, and takes what it needs into the batch.
    pub fn take(&mut self, farm: &Farm, wish: &Wish, now: Timestamp) -> Decided {
        match wish {
            Wish::Start(asked) => self.start(farm, asked, now),
            Wish::Stop { build, by } => self.stop(farm, *build, by, now),
            Wish::Project { name, event } => self.project(farm, name, event),
        }
    }

    /// What is to be appended; may be empty.
    #[must_use]
    pub fn into_appends(self) -> Vec<Append> {
        self.appends
    }

    /// True while nothing is to be appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    fn start(&mut self, farm: &Farm, asked: &Asked, now: Timestamp) -> Decided {
        let is_changed = project_subject(&asked.project)
            .is_ok_and(|subject| self.subjects.contains(&subject))
            && self.ahead.get(&asked.project).is_none_or(Ahead::is_empty);
        if is_changed || self.is_full() {
            return Decided::Later;
        }
        let size_bytes = asked.request.to_string().len();
        if size_bytes > REQUEST_BYTES_MAX {
            return Decided::Refused(Refusal::TooLarge { size_bytes });
        }
        let ahead = self.ahead.entry(asked.project.clone()).or_default();
        match admit_after(farm, ahead, asked.clone(), now) {
            Err(refusal) => Decided::Refused(refusal),
            Ok(Admission::Same(build)) => Decided::Granted(Granted::Same(build)),
            Ok(Admission::New { intents, .. }) => {
                self.put(&intents);
                let submitted = intents.into_iter().find_map(Intent::into_submitted);
                Decided::Granted(Granted::Started(Box::new(Accepted {
                    build: asked.build,
                    submitted: submitted.expect("what is admitted was submitted"),
                    place: None,
                })))
            }
        }
    }

    fn stop(&mut self, farm: &Farm, build: BuildId, by: &str, now: Timestamp) -> Decided {
        if self.is_full() || self.subjects.contains(&crate::build_subject(build)) {
            return Decided::Later;
        }
        match stop(farm, build, by, now) {
            Stopping::Over(intents) => {
                self.put(&intents);
                Decided::Granted(Granted::Stopped)
            }
            Stopping::Told(intents) => {
                self.put(&intents);
                Decided::Granted(Granted::Told)
            }
            Stopping::TwiceTold => Decided::Granted(Granted::Told),
            Stopping::NotRunning => Decided::Granted(Granted::NotRunning),
        }
    }

    fn project(&mut self, farm: &Farm, name: &str, event: &ProjectEvent) -> Decided {
        let Ok(subject) = project_subject(name) else {
            return Decided::Refused(Refusal::NoProject(name.to_string()));
        };
        if self.is_full() || self.subjects.contains(&subject) {
            return Decided::Later;
        }
        let known = farm.project_named(name);
        let is_there = known.is_some_and(|project| project.rules.is_some());
        if matches!(event, ProjectEvent::Deleted) && !is_there {
            return Decided::Refused(Refusal::NoProject(name.to_string()));
        }
        if let ProjectEvent::Applied { project, .. } = event
            && let Err(refusal) = fits(project)
        {
            return Decided::Refused(refusal);
        }
        let intent = Intent {
            subject,
            expected: Expected::Last(known.map_or(Seq::ZERO, |known| known.last)),
            event: Recorded::Project(Box::new(event.clone())),
        };
        self.put(&[intent]);
        Decided::Granted(Granted::Applied)
    }

    fn is_full(&self) -> bool {
        self.appends.len() + 2 > BATCH_MAX || self.bytes >= BYTES_MAX
    }

    fn put(&mut self, intents: &[Intent]) {
        for intent in intents {
            let append = intent
                .append()
                .expect("events are plain structures, which JSON can always hold");
            self.bytes += append.event.len();
            self.subjects.insert(append.subject.clone());
            self.appends.push(append);
        }
    }
}
