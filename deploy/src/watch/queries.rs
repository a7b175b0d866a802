//! Thresholds and alarms of one deployment: queries whose values are looked at, at moments that all servers share. Fed with the values of a
//! round, and whether the source collected anything at those moments.

use std::collections::{BTreeMap, VecDeque};

use croft_proto::Timestamp;

use crate::alarm::{Alarm, AlarmState, Definition};
use crate::metrics::Series;
use crate::verdict::{
    Cause, Finding, Kind, Limit, Missing, Policy, Watched, of_alarm, of_threshold,
};

/// Moments asked for in one round: less than Prometheus' limit.
const MOMENTS_MAX: u64 = 2_000;
/// After the source comes back it has to see for so long before a query over a minute can have its value.
const RECOVERS_MS: u64 = 120_000;

/// When the source collected, and when not.
#[derive(Debug, Default)]
pub(super) struct Heart {
    /// The newest scrape of anything, as it was at each moment.
    beats: VecDeque<(Timestamp, Timestamp)>,
}

impl Heart {
    /// The newest scrape of all targets.
    pub(super) const QUERY: &'static str = "max(timestamp(up))";
    /// It is looked at so often.
    pub(super) const STEP_MS: u64 = 2_000;
    const BEATS_MAX: usize = 20_000;

    pub(super) fn took(&mut self, moments: impl Iterator<Item = Timestamp>, found: &[Series]) {
        let values = by_moment(found);
        for at in moments {
            // Seconds, with their parts.
            let newest = values.get(&at).and_then(|values| values.first()).copied();
            let newest = newest.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
            let newest = newest.map_or(Timestamp::default(), |seconds| {
                let ms = std::time::Duration::from_secs_f64(seconds).as_millis();
                Timestamp::from_millis(u64::try_from(ms).unwrap_or(0))
            });
            self.beats.push_back((at, newest));
        }
        while self.beats.len() > Self::BEATS_MAX {
            self.beats.pop_front();
        }
    }

    /// Whether it was well at that moment and for a while before.
    pub(super) fn is_alive(&self, at: Timestamp, scrape_ms: u64) -> bool {
        let late_ms = 3 * scrape_ms + 5_000;
        let before = self
            .beats
            .iter()
            .rev()
            .skip_while(|(moment, _)| *moment > at);
        let mut near = before.take_while(|(moment, _)| at.millis_since(*moment) <= RECOVERS_MS);
        near.all(|(moment, newest)| moment.millis_since(*newest) <= late_ms)
    }

    /// Whether it collects now, whatever was before.
    pub(super) fn beats(&self, scrape_ms: u64) -> bool {
        let late_ms = 3 * scrape_ms + 5_000;
        let last = self.beats.back();
        last.is_none_or(|(moment, newest)| moment.millis_since(*newest) <= late_ms)
    }
}

/// All values of each moment.
fn by_moment(found: &[Series]) -> BTreeMap<Timestamp, Vec<f64>> {
    let mut values: BTreeMap<Timestamp, Vec<f64>> = BTreeMap::new();
    for sample in found.iter().flat_map(|series| &series.samples) {
        values.entry(sample.at).or_default().push(sample.value);
    }
    values
}

#[derive(Debug)]
enum What {
    Threshold {
        limit: Limit,
        watched: Box<Watched>,
    },
    Alarm {
        alarm: Box<Alarm>,
        /// It fired before the new revision served anywhere, and has not ended since.
        fired_before: bool,
    },
}

/// One query under watch.
#[derive(Debug)]
pub(super) struct QueryWatch {
    what: What,
    step_ms: u64,
    /// The next moment.
    pub(super) next: Timestamp,
    missing: Missing,
    gap: Finding,
    pub(super) mistake: Option<String>,
}

/// Moments of a grid that all servers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) step_ms: u64,
}

impl Moments {
    /// Those from `next` to `until`, at most as many as one question may have; none when there are none.
    pub(super) fn of(next: Timestamp, until: Timestamp, step_ms: u64) -> Option<Self> {
        let up = |ms: u64| ms.div_ceil(step_ms) * step_ms;
        let from = up(next.millis());
        let last = until.millis() / step_ms * step_ms;
        (from <= last).then(|| Self {
            from: Timestamp::from_millis(from),
            to: Timestamp::from_millis(last.min(from + (MOMENTS_MAX - 1) * step_ms)),
            step_ms,
        })
    }

    pub(super) fn each(self) -> impl Iterator<Item = Timestamp> {
        let step = usize::try_from(self.step_ms).unwrap_or(usize::MAX);
        let all = (self.from.millis()..=self.to.millis()).step_by(step);
        all.map(Timestamp::from_millis)
    }
}

impl QueryWatch {
    pub(super) fn of_limit(limit: &Limit, began: Timestamp, policy: &Policy) -> Self {
        let policy = limit.missing.as_ref().unwrap_or(policy);
        Self {
            step_ms: limit.interval_seconds.max(1) * 1000,
            next: began,
            missing: Missing::new(limit.kind, policy.clone()),
            gap: Finding::Clear,
            mistake: None,
            what: What::Threshold {
                watched: Box::new(Watched::new(limit.threshold())),
                limit: limit.clone(),
            },
        }
    }

    /// It looks back before the deployment, so that what fires already is known.
    pub(super) fn of_alarm(definition: &Definition, began: Timestamp, policy: &Policy) -> Self {
        let period_ms = definition.period.max(1) * 1000;
        let back_ms = period_ms * (u64::from(definition.evaluation_periods) + 3);
        Self {
            step_ms: (definition.period * 200).clamp(1000, 60_000),
            next: Timestamp::from_millis(began.millis().saturating_sub(back_ms)),
            missing: Missing::new(Kind::Other, policy.clone()),
            gap: Finding::Clear,
            mistake: None,
            what: What::Alarm {
                alarm: Box::new(Alarm::new(definition.clone())),
                fired_before: false,
            },
        }
    }

    pub(super) fn name(&self) -> &str {
        match &self.what {
            What::Threshold { limit, .. } => &limit.name,
            What::Alarm { alarm, .. } => &alarm.definition().alarm_name,
        }
    }

    pub(super) fn query(&self) -> &str {
        match &self.what {
            What::Threshold { limit, .. } => &limit.query,
            What::Alarm { alarm, .. } => &alarm.definition().query,
        }
    }

    pub(super) fn moments(&self, until: Timestamp) -> Option<Moments> {
        Moments::of(self.next, until, self.step_ms)
    }

    /// Takes the values at those moments. `is_alive` says whether the source collected then, `canary_from` since when the new revision
    /// serves.
    pub(super) fn took(
        &mut self,
        moments: Moments,
        found: &[Series],
        is_alive: impl Fn(Timestamp) -> bool,
        canary_from: Option<Timestamp>,
    ) {
        let values = by_moment(found);
        self.mistake = None;
        for at in moments.each() {
            let values = values.get(&at).map(Vec::as_slice).unwrap_or_default();
            // A source that is just coming back has not scraped everybody yet: its sums are too low, and its rates of too little.
            let value = match values {
                _ if !is_alive(at) => Err(Cause::SourceDown),
                [] => Err(Cause::NoSeries),
                [value] if value.is_finite() => Ok(*value),
                [_] => Err(Cause::NotANumber),
                _ => Err(Cause::ManySeries),
            };
            let serves = canary_from.is_some_and(|from| at >= from);
            self.one(at, value, serves);
        }
        self.next = Timestamp::from_millis(moments.to.millis() + 1);
    }

    fn one(&mut self, at: Timestamp, value: Result<f64, Cause>, serves: bool) {
        match &mut self.what {
            What::Threshold { watched, .. } => {
                // Before, it says nothing of the release.
                if !serves {
                    return;
                }
                if let Ok(value) = value {
                    watched.look(at, value);
                }
                let gap = self.missing.look(at, value.err());
                self.gap = Finding::of_gap(self.name(), self.query(), at, gap);
            }
            What::Alarm {
                alarm,
                fired_before,
            } => {
                match value {
                    Ok(value) => alarm.measured(at, value),
                    Err(Cause::SourceDown) => alarm.blind(at),
                    Err(_) => {}
                }
                alarm.evaluate(at);
                let fires = alarm.state() == AlarmState::Alarm;
                *fired_before = fires && (*fired_before || !serves);
                // What its missing values mean it says itself; only mistakes are for people.
                let mistake = value.err().filter(|cause| *cause == Cause::ManySeries);
                let gap = self.missing.look(at, mistake);
                self.gap = Finding::of_gap(self.name(), self.query(), at, gap);
            }
        }
    }

    /// The source does not take the query.
    pub(super) fn refused(&mut self, at: Timestamp, why: String) {
        let gap = self.missing.look(at, Some(Cause::Refused));
        self.gap = Finding::of_gap(self.name(), self.query(), at, gap);
        self.mistake = Some(why);
    }

    /// Why it has no value now.
    pub(super) fn lacks(&self) -> Option<Cause> {
        self.missing.cause()
    }

    pub(super) fn findings(&self, at: Timestamp) -> Vec<Finding> {
        let said = match &self.what {
            What::Threshold { limit, watched } => of_threshold(&limit.name, &limit.query, watched),
            What::Alarm {
                fired_before: true, ..
            } => Finding::Clear,
            What::Alarm { alarm, .. } => of_alarm(at, alarm),
        };
        vec![said, self.gap.clone()]
    }

    /// The alarm, and whether it fired before.
    pub(super) fn alarm(&self) -> Option<(&Alarm, bool)> {
        match &self.what {
            What::Alarm {
                alarm,
                fired_before,
            } => Some((alarm, *fired_before)),
            What::Threshold { .. } => None,
        }
    }

    /// The last value of a threshold, and how many of the last were outside.
    pub(super) fn threshold(&self) -> Option<(&Limit, Option<f64>, u32)> {
        match &self.what {
            What::Threshold { limit, watched } => {
                let last = watched.last().last().map(|last| last.value);
                Some((limit, last, watched.failures()))
            }
            What::Alarm { .. } => None,
        }
    }
}
