//! The watch of one deployment: what is measured of its hosts becomes one decision. Says what it wants to know next; fed with the answers,
//! and with what is folded of the deployment.
//!
//! It has no memory that matters: it reads raw samples from an hour before the deployment began, in the order of their times, so a server
//! that starts in the middle of a deployment comes to what the one that died knew. Samples are cut in seconds by their own times, never by
//! when they were asked for.

/// Who had which revision when.
mod timeline;
/// The hour before.
mod past;
/// Canary metrics.
mod metric;
/// Guard rails.
mod guards;
/// Thresholds and alarms.
mod queries;
/// Scrapes, put together from series.
mod scrapes;
/// What is shown of it.
mod shown;
/// What it waits for.
mod waits;
/// What is counted of it.
mod counted;

use croft_proto::Timestamp;
use croft_proto::deploy::{Creator, Side};

use crate::metrics::{Series, SourceError, Within};
use crate::state::Deployment;
use crate::verdict::{
    Cause, Decision, Finding, Kind, Missing, Policy, Scope, Settings, Why, decide,
};
use guards::GuardWatch;
use metric::MetricWatch;
use past::{PAST_MS, Rhythm};
use queries::{Heart, Moments, QueryWatch};
use scrapes::Moment;
use timeline::{Arm, Timeline};

/// A scrape is there so long after its time: it has that of its beginning.
const SETTLE_MS: u64 = 1_200;
/// Scrapes that come later than that are still heard, for so long.
const OVERLAP_MS: u64 = 15_000;
/// So much time is asked for in one round at first, and at most.
const CHUNK_MS_FIRST: u64 = 60_000;
const CHUNK_MS_MAX: u64 = 600_000;
/// And at least.
const CHUNK_MS_MIN: u64 = 10_000;
/// With more samples in a round the next one asks for less time: a round must not keep the loop from the rest.
const SAMPLES_MANY: usize = 100_000;
/// What is called so has no value until it is read.
const THE_PAST: &str = "the hour before";
/// A second: samples are cut by it.
const SLOT_MS: u64 = 1_000;

/// What is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Raw samples of a selector.
    Samples(String, Within),
    /// Values of a query at some moments.
    Range(String, Moments),
}

impl Question {
    /// Asks it.
    ///
    /// # Errors
    /// What the source says.
    pub async fn ask(
        &self,
        source: &dyn crate::metrics::Metrics,
    ) -> Result<Vec<Series>, SourceError> {
        match self {
            Self::Samples(selector, within) => source.samples(selector, *within).await,
            Self::Range(query, moments) => {
                let Moments { from, to, step_ms } = *moments;
                source.range(query, from, to, step_ms).await
            }
        }
    }
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Requests(usize),
    Bad(usize),
    Buckets(usize),
    Up,
    Started,
    Heart,
    Query(usize),
}

/// Questions that belong together: all are answered before the next are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    to: Timestamp,
    asked: Vec<(For, Question)>,
}

impl Round {
    /// What is to be asked, in order.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let asked = self.asked.iter();
        asked.map(|(_, question)| question.clone()).collect()
    }
}

/// The watch.
#[derive(Debug)]
pub struct Watch {
    scope: Scope,
    settings: Settings,
    began: Timestamp,
    /// Raw samples are folded up to here.
    read_to: Timestamp,
    chunk_ms: u64,
    /// The most that the source has not refused.
    chunk_ms_max: u64,
    slot: Option<u64>,
    is_learned: bool,
    rhythm: Rhythm,
    metrics: Vec<MetricWatch>,
    guards: GuardWatch,
    queries: Vec<QueryWatch>,
    heart: Heart,
    heart_to: Timestamp,
    /// What is done about values that are missing.
    policy: Policy,
    source: Missing,
    source_gap: Finding,
    source_error: Option<String>,
    mistakes: Vec<(String, String)>,
    /// Whether a round has been answered.
    has_read: bool,
    /// Whether containers can be told apart.
    apart: Apart,
    scrapes: scrapes::Seen,
}

/// Whether series say of which container they are; known once there are some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Apart {
    /// Nothing was scraped, or the instances are hosts.
    #[default]
    Unknown,
    Yes,
    /// They do not: one of their instances.
    No(String),
}

impl Watch {
    /// A watch that has seen nothing of a deployment that has begun. `ignores_blindness` is what the group's alarms say.
    #[must_use]
    pub fn new(settings: Settings, deployment: &Deployment) -> Self {
        let scope = match deployment.accepted.creator {
            Creator::Rollback => Scope::Rollback,
            Creator::User | Creator::AutoUpdate => Scope::Release,
        };
        // Half of those that are back yet may be one: what takes back is halted for a share of all.
        let (settings, of) = match scope {
            Scope::Rollback => (settings.guards_only(), new_side(deployment)),
            Scope::Release => (settings, Vec::new()),
        };
        let began = deployment.began.unwrap_or(deployment.created);
        let ignores_blindness = deployment
            .plan
            .as_ref()
            .is_some_and(|plan| plan.ignore_poll_alarm_failure);
        let policy = Policy {
            ignore_poll_alarm_failure: ignores_blindness
                || settings.missing.ignore_poll_alarm_failure,
            ..settings.missing.clone()
        };
        let sharing = u32::try_from(settings.metrics.len()).unwrap_or(u32::MAX);
        let metrics = settings.metrics.iter();
        let metrics = metrics
            .filter_map(|metric| MetricWatch::new(metric, settings.baseline, sharing, &policy));
        let limits = settings.thresholds.iter();
        let limits = limits.map(|limit| QueryWatch::of_limit(limit, began, &policy));
        let alarms = settings.alarms.iter();
        let alarms = alarms.map(|alarm| QueryWatch::of_alarm(alarm, began, &policy));
        let back = |ms: u64| Timestamp::from_millis(began.millis().saturating_sub(ms));
        Self {
            scope,
            began,
            read_to: back(PAST_MS),
            chunk_ms: CHUNK_MS_FIRST,
            chunk_ms_max: CHUNK_MS_MAX,
            slot: None,
            is_learned: false,
            rhythm: Rhythm::default(),
            metrics: metrics.collect(),
            guards: GuardWatch::new(settings.guards.rules.clone(), of),
            queries: limits.chain(alarms).collect(),
            heart: Heart::default(),
            heart_to: back(PAST_MS / 12),
            source: Missing::new(Kind::Other, policy.clone()),
            policy,
            source_gap: Finding::Clear,
            source_error: None,
            mistakes: Vec::new(),
            has_read: false,
            apart: Apart::default(),
            scrapes: scrapes::Seen::default(),
            settings,
        }
    }

    /// What is to be asked now; none when all that is there has been read.
    #[must_use]
    pub fn round(&self, now: Timestamp) -> Option<Round> {
        let settled = Timestamp::from_millis(now.millis().saturating_sub(SETTLE_MS));
        let mut to = Timestamp::from_millis(
            settled.millis().min(self.read_to.millis() + self.chunk_ms) / SLOT_MS * SLOT_MS,
        );
        // What was before and what is since are never one round.
        if self.read_to < self.began {
            to = to.min(self.began);
        }
        if to <= self.read_to {
            return None;
        }
        let within = Within {
            after: Timestamp::from_millis(self.read_to.millis().saturating_sub(OVERLAP_MS)),
            to,
        };
        let raw = |selector: &String| Question::Samples(selector.clone(), within);
        let mut asked = Vec::new();
        for (number, metric) in self.metrics.iter().enumerate() {
            let metric = &metric.settings;
            for (what, selector) in [
                (For::Requests(number), &metric.requests),
                (For::Bad(number), &metric.bad),
                (For::Buckets(number), &metric.histogram),
            ] {
                asked.extend(selector.as_ref().map(|selector| (what, raw(selector))));
            }
        }
        let guards = &self.settings.guards;
        asked.extend(guards.up.as_ref().map(|up| (For::Up, raw(up))));
        asked.extend(guards.started.as_ref().map(|at| (For::Started, raw(at))));
        if let Some(moments) = Moments::of(self.heart_to, to, Heart::STEP_MS) {
            let question = Question::Range(Heart::QUERY.into(), moments);
            asked.push((For::Heart, question));
        }
        // Values are read when the samples are, so that what they mean for the release is known.
        for (number, query) in self.queries.iter().enumerate() {
            if let Some(moments) = query.moments(to).filter(|_| self.read_to >= self.began) {
                let question = Question::Range(query.query().to_owned(), moments);
                asked.push((For::Query(number), question));
            }
        }
        Some(Round { to, asked })
    }

    /// Whether more is there than one round asks for.
    #[must_use]
    pub fn is_behind(&self, now: Timestamp) -> bool {
        now.millis_since(self.read_to) > 2 * SETTLE_MS + 2 * SLOT_MS
    }

    /// Takes the answers to a round, in the order of its questions.
    pub fn took(
        &mut self,
        deployment: &Deployment,
        round: &Round,
        answers: Vec<Result<Vec<Series>, SourceError>>,
        now: Timestamp,
    ) {
        let down = answers.iter().find_map(|answer| match answer {
            Err(SourceError::Down(why)) => Some(why.clone()),
            Err(SourceError::Query(_) | SourceError::Data(_)) | Ok(_) => None,
        });
        if let Some(why) = down {
            self.look_at_source(now, Some(why));
            return;
        }
        let timeline = Timeline::of(deployment, &self.settings.hosts);
        let mut found: Vec<(For, Vec<Series>)> = Vec::new();
        let mut refused = Vec::new();
        for ((what, question), answer) in round.asked.iter().zip(answers) {
            match answer {
                Ok(series) => found.push((*what, series)),
                Err(SourceError::Down(_)) => {}
                Err(SourceError::Query(why) | SourceError::Data(why)) => {
                    refused.push((*what, question.clone(), why));
                }
            }
        }
        if self.asks_for_less(round, &refused) {
            return;
        }
        self.mistakes.clear();
        // Who was refused once, by a source that was busy or was asked for too much, is not refused for ever.
        for metric in &mut self.metrics {
            metric.refused = None;
        }
        scrapes::with_keys(&mut found);
        self.take_samples(&timeline, round.to, &found);
        self.take_values(&timeline, round, &found, refused);
        let stopped = (!self.heart.beats(self.rhythm.scrape_ms()))
            .then(|| "it has not scraped anything lately".to_owned());
        self.look_at_source(now, stopped);
        let expected = timeline.canary_from().filter(|from| *from <= self.read_to);
        let (at, scrape_ms) = (self.read_to, self.rhythm.scrape_ms());
        // Where the source collects nothing, or has not scraped everybody again, no metric is to blame.
        let is_apart = !matches!(self.apart, Apart::No(_));
        if is_apart && self.heart.is_alive(at, scrape_ms) {
            for metric in &mut self.metrics {
                metric.look(at, expected, scrape_ms);
            }
        }
        self.has_read = true;
    }

    /// Whether a round that was refused is asked again in shorter ones: a source has a limit of samples for each question.
    fn asks_for_less(&mut self, round: &Round, refused: &[(For, Question, String)]) -> bool {
        let is_news = refused.iter().any(|(what, ..)| match what {
            For::Requests(number) | For::Bad(number) | For::Buckets(number) => {
                self.metrics[*number].refused.is_none()
            }
            For::Up | For::Started | For::Heart | For::Query(_) => false,
        });
        let asked_ms = round.to.millis_since(self.read_to);
        if !is_news || asked_ms <= CHUNK_MS_MIN {
            return false;
        }
        self.chunk_ms_max = (asked_ms / 2).max(CHUNK_MS_MIN);
        self.chunk_ms = self.chunk_ms_max;
        true
    }

    fn look_at_source(&mut self, now: Timestamp, why: Option<String>) {
        let cause = why.is_some().then_some(Cause::SourceDown);
        let gap = self.source.look(now, cause);
        self.source_gap = Finding::of_gap("the metrics' source", "", now, gap);
        self.source_error = why;
    }

    /// Raw samples, scrape by scrape and second by second.
    fn take_samples(&mut self, timeline: &Timeline, to: Timestamp, found: &[(For, Vec<Series>)]) {
        let label = self.settings.hosts.label.clone();
        let scrapes = scrapes::of(found, &label, self.metrics.len());
        let samples: usize = found
            .iter()
            .flat_map(|(_, series)| series)
            .map(|series| series.samples.len())
            .sum();
        self.chunk_ms = if samples > SAMPLES_MANY {
            (self.chunk_ms / 2).max(CHUNK_MS_MIN)
        } else {
            (self.chunk_ms * 2).min(self.chunk_ms_max)
        };
        self.scrapes.look(&scrapes);
        if timeline.is_of_containers() {
            self.look_apart(timeline, scrapes.keys().map(|(_, instance)| *instance));
        }
        for ((at, instance), scrape) in scrapes {
            match self.scrapes.moment(instance, at, &scrape) {
                Moment::Known => {}
                Moment::Scrape { gap_ms } => {
                    self.rhythm.gap(gap_ms);
                    self.pass(timeline, at);
                    self.take_health(timeline, at, instance, &scrape);
                    self.take_counters(timeline, at, instance, scrape);
                }
                Moment::Beside => {
                    self.pass(timeline, at);
                    self.take_health(timeline, at, instance, &scrape);
                }
            }
        }
        // All that ended by then is over.
        self.pass(timeline, Timestamp::from_millis(to.millis() + 1));
        self.read_to = to;
        if to >= self.began && !self.is_learned {
            self.is_learned = true;
            let scrape_ms = self.rhythm.scrape_ms();
            for metric in &mut self.metrics {
                metric.learn(scrape_ms);
            }
        }
    }

    /// Looks whether an instance is a container of the deployment. Of one that is not, others may be still.
    fn look_apart<'i>(
        &mut self,
        timeline: &Timeline,
        mut instances: impl Iterator<Item = &'i str> + Clone,
    ) {
        let first = instances.clone().next().map(str::to_owned);
        if self.apart == Apart::Yes || instances.any(|instance| timeline.host(instance).is_some()) {
            self.apart = Apart::Yes;
        } else if let Some(first) = first {
            self.apart = Apart::No(first);
        }
    }

    /// The seconds that are over when something happens at that moment.
    fn pass(&mut self, timeline: &Timeline, at: Timestamp) {
        // What is scraped in a second is of it up to and with its end.
        let slot = at.millis().saturating_sub(1) / SLOT_MS;
        let over = self.slot.replace(slot.max(self.slot.unwrap_or(slot)));
        let Some(over) = over.filter(|over| *over < slot && self.is_learned) else {
            return;
        };
        let end = Timestamp::from_millis((over + 1) * SLOT_MS);
        let weight = timeline.weight(end);
        let errors = self.settings.errors();
        for (number, metric) in self.metrics.iter_mut().enumerate() {
            let canary = metric.slot(end, weight);
            if errors == Some(number) {
                self.guards.counted(end, canary);
            }
        }
    }

    fn take_counters(
        &mut self,
        timeline: &Timeline,
        at: Timestamp,
        instance: &str,
        scrape: scrapes::Scrape<'_>,
    ) {
        let host = timeline.host(instance);
        let arm = match host {
            Some(host) if at > self.began => self.arm(timeline, host, at),
            Some(_) | None => Arm::Neither,
        };
        let is_past = at <= self.began;
        for (metric, shown) in self.metrics.iter_mut().zip(scrape.shown) {
            let counted = metric.scrape(instance, at, arm, shown);
            if is_past {
                metric.past.count(at, counted);
            }
        }
    }

    /// On which side a host is. Of what takes back nothing counts before the last host is back: whatever is seen, the others are not left
    /// with the release that is taken back.
    fn arm(&self, timeline: &Timeline, host: &str, at: Timestamp) -> Arm {
        let is_back = || timeline.all_from().is_some_and(|from| at >= from);
        match self.scope {
            Scope::Rollback if !is_back() => Arm::Neither,
            Scope::Rollback | Scope::Release => timeline.arm(host, at),
        }
    }

    /// Whether an instance is well at that moment, and when its processes began.
    fn take_health(
        &mut self,
        timeline: &Timeline,
        at: Timestamp,
        instance: &str,
        scrape: &scrapes::Scrape<'_>,
    ) {
        // What can be scraped is up, unless others say whether it is.
        let is_up = match scrape.up {
            Some(up) => Some(up > 0.0),
            None => (!self.scrapes.is_probed(instance)).then_some(true),
        };
        if let Some(host) = timeline.host(instance) {
            let scrape_ms = self.rhythm.scrape_ms();
            let health = (is_up, scrape.started.as_slice());
            let arm = self.arm(timeline, host, at);
            self.guards.scrape((host, at), arm, health, scrape_ms);
        }
    }

    fn take_values(
        &mut self,
        timeline: &Timeline,
        round: &Round,
        found: &[(For, Vec<Series>)],
        refused: Vec<(For, Question, String)>,
    ) {
        let moments = |what: For| {
            let mut asked = round.asked.iter();
            asked.find_map(|(one, question)| match question {
                Question::Range(_, moments) if *one == what => Some(*moments),
                Question::Range(..) | Question::Samples(..) => None,
            })
        };
        let of = |what: For| {
            found
                .iter()
                .find(|(one, _)| *one == what)
                .map(|(_, series)| series)
        };
        if let (Some(asked), Some(series)) = (moments(For::Heart), of(For::Heart)) {
            self.heart.took(asked.each(), series);
            self.heart_to = Timestamp::from_millis(asked.to.millis() + 1);
        }
        let (scrape_ms, canary_from) = (self.rhythm.scrape_ms(), timeline.canary_from());
        let heart = &self.heart;
        for (number, query) in self.queries.iter_mut().enumerate() {
            let what = For::Query(number);
            if let (Some(asked), Some(series)) = (moments(what), of(what)) {
                query.took(
                    asked,
                    series,
                    |at| heart.is_alive(at, scrape_ms),
                    canary_from,
                );
            }
        }
        for (what, question, why) in refused {
            match what {
                For::Query(number) => self.queries[number].refused(round.to, why),
                For::Requests(number) | For::Bad(number) | For::Buckets(number) => {
                    self.metrics[number].refused = Some(why);
                }
                For::Up | For::Started | For::Heart => {
                    let (Question::Samples(query, _) | Question::Range(query, _)) = question;
                    self.mistakes.push((query, why));
                }
            }
        }
    }

    fn findings(&self, at: Timestamp) -> Vec<Finding> {
        let is_reading = self.read_to < self.began || !self.has_read;
        let reading = Finding::Hold(Why::Missing {
            metric: THE_PAST.into(),
            cause: Cause::SourceDown,
            since: self.began,
        });
        // Why it cannot be read is said by the source's own gap.
        let is_held =
            is_reading && self.source_gap == Finding::Clear && self.source_error.is_none();
        let reading = is_held.then_some(reading);
        let metrics = self.metrics.iter().flat_map(|metric| metric.findings(at));
        let queries = self.queries.iter().flat_map(|query| query.findings(at));
        let guards = self.guards.findings(at);
        let own = [self.source_gap.clone()].into_iter().chain(reading);
        own.chain(metrics).chain(guards).chain(queries).collect()
    }

    /// What is to become of the deployment.
    #[must_use]
    pub fn decision(&self, now: Timestamp) -> Decision {
        decide(self.scope, self.findings(now))
    }

    /// Whether the hour before has been read.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.is_learned && self.has_read
    }
}

/// The instances that a deployment brings its revision to.
fn new_side(deployment: &Deployment) -> Vec<String> {
    let new = deployment
        .targets
        .iter()
        .filter(|target| target.planned.side == Side::New);
    new.map(|target| timeline::instance(deployment, &target.planned))
        .collect()
}

#[cfg(test)]
mod tests;
