//! All of Croft's detectors, armed as a deployment arms them. Takes what both arms served; hands back the one decision.
//!
//! The sequential test on errors and on slow requests, the guard rail on errors, a threshold on the canary's share of errors and an
//! alarm on the service's, and the policy for missing values. Every row of every table is made with these same settings.

use croft_proto::Timestamp;

use super::traffic::Served;
use crate::alarm::{Alarm, Comparison, Definition, Statistic, TreatMissingData};
use crate::verdict::{
    Against, Cause, Counts, Decision, Finding, Guard, GuardRules, Kind, Learned, Missing, Policy,
    Rules, Scope, Sequential, Threshold, Watched, decide, of_alarm, of_guard, of_sequential,
    of_threshold,
};

const MINUTE_MS: u64 = 60_000;

/// With fewer requests a minute a share of errors has no meaning, and is taken for no traffic.
const REQUESTS_MIN: f64 = 20.0;

/// The detectors of one release.
#[derive(Debug)]
pub(super) struct Armed {
    errors: Sequential,
    slow: Sequential,
    guard: Guard,
    threshold: Watched,
    alarm: Alarm,
    missing: Missing,
    gap: Finding,
    minute: [Counts; 2],
}

impl Armed {
    pub(super) fn new(weight: f64, errors: Learned, slow: Learned) -> Self {
        let (rules, against) = (Rules::default(), Against::Concurrent { weight });
        Self {
            errors: Sequential::new(&rules, errors, against, 2),
            slow: Sequential::new(&rules, slow, against, 2),
            guard: Guard::new(GuardRules::default(), ["canary".to_owned()]),
            threshold: Watched::new(Threshold {
                min: None,
                max: Some(0.25),
                interval_ms: MINUTE_MS,
                failure_limit: 3,
                window: 10,
            }),
            alarm: Alarm::new(Definition {
                alarm_name: "errors".into(),
                query: "the service's share of errors in a minute".into(),
                statistic: Statistic::Average,
                period: MINUTE_MS / 1000,
                evaluation_periods: 5,
                datapoints_to_alarm: None,
                threshold: 0.05,
                comparison_operator: Comparison::GreaterThanThreshold,
                treat_missing_data: TreatMissingData::NotBreaching,
            }),
            missing: Missing::new(Kind::Ratio, Policy::default()),
            gap: Finding::Clear,
            minute: [Counts::NONE; 2],
        }
    }

    /// Takes one scrape of both arms.
    pub(super) fn poll(&mut self, at: Timestamp, [canary, baseline]: [Served; 2]) -> Decision {
        self.errors.poll(at, canary.errors(), baseline.errors());
        self.slow.poll(at, canary.slow(), baseline.slow());
        self.guard.counted(at, canary.errors());
        self.minute[0] = self.minute[0].plus(canary.errors());
        self.minute[1] = self.minute[1].plus(baseline.errors());
        if at.millis().is_multiple_of(MINUTE_MS) {
            self.minute_over(at);
        }
        let findings = [
            of_guard(at, &self.guard),
            of_sequential("errors", "", at, &self.errors),
            of_sequential("slow", "", at, &self.slow),
            of_threshold("ratio", "", &self.threshold),
            of_alarm(at, &self.alarm),
            self.gap.clone(),
        ];
        decide(Scope::Release, findings)
    }

    fn minute_over(&mut self, at: Timestamp) {
        let [canary, baseline] = std::mem::take(&mut self.minute);
        let ratio = |counts: Counts| {
            let ratio = counts.ratio();
            ratio.filter(|_| counts.requests >= REQUESTS_MIN)
        };
        let missing = if let Some(ratio) = ratio(canary) {
            self.threshold.look(at, ratio);
            None
        } else {
            Some(Cause::NoTraffic)
        };
        self.gap = Finding::of_gap("ratio", "", at, self.missing.look(at, missing));
        if let Some(ratio) = ratio(canary.plus(baseline)) {
            let within = Timestamp::from_millis(at.millis() - 1);
            self.alarm.measured(within, ratio);
        }
        self.alarm.evaluate(at);
    }
}
