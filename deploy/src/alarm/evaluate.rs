//! An alarm's state, period by period, as CloudWatch decides it. Takes values as they are measured; hands transitions to the
//! decision.
//!
//! **Source.** CloudWatch's user guide, "Configuring how alarms treat missing data" and "Avoiding premature transitions to alarm
//! state": more data points than N are looked at, so that a missing one is filled in only when there are too few real ones.

use std::collections::{BTreeSet, VecDeque};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::definition::{Definition, Statistic, TreatMissingData};

/// Data points beyond N that are looked at when some are missing: as many as in the guide's examples.
const EXTRA_PERIODS: u32 = 2;

/// Where an alarm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// It fires.
    Alarm,
    /// Nobody knows.
    InsufficientData,
}

/// An alarm's change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When the period ended that made the difference.
    pub at: Timestamp,
    /// From where.
    pub from: AlarmState,
    /// To where.
    pub to: AlarmState,
    /// The newest real data point, if any.
    pub value: Option<f64>,
}

/// The values of one period.
#[derive(Clone, Copy, Debug)]
struct Period {
    number: u64,
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Period {
    fn value(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Sum => self.sum,
            Statistic::Minimum => self.min,
            Statistic::Maximum => self.max,
            Statistic::SampleCount => self.count,
        }
    }
}

/// An alarm and what it has seen.
#[derive(Clone, Debug)]
pub struct Alarm {
    definition: Definition,
    state: AlarmState,
    periods: VecDeque<Period>,
    blind: BTreeSet<u64>,
    evaluated: Option<u64>,
    value: Option<f64>,
}

/// What a range of data points says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Is(AlarmState),
    AsBefore,
}

impl Alarm {
    /// An alarm that has seen nothing.
    #[must_use]
    pub fn new(definition: Definition) -> Self {
        Self {
            definition,
            state: AlarmState::InsufficientData,
            periods: VecDeque::new(),
            blind: BTreeSet::new(),
            evaluated: None,
            value: None,
        }
    }

    /// Takes a value that was measured at that moment. What is not a number is no value.
    pub fn measured(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() {
            return;
        }
        let number = self.number(at);
        let fresh = Period {
            number,
            count: 1.0,
            sum: value,
            min: value,
            max: value,
        };
        match self.periods.iter_mut().find(|known| known.number == number) {
            Some(known) => {
                known.count += 1.0;
                known.sum += value;
                known.min = known.min.min(value);
                known.max = known.max.max(value);
            }
            None => {
                let after = self.periods.iter().rposition(|known| known.number < number);
                let place = after.map_or(0, |place| place + 1);
                self.periods.insert(place, fresh);
            }
        }
    }

    /// Nobody could measure anything at that moment: its period is as if it had not been, whatever missing data means.
    pub fn blind(&mut self, at: Timestamp) {
        self.blind.insert(self.number(at));
    }

    /// Evaluates all periods that have ended by now; the change of state, if the last of them made one.
    pub fn evaluate(&mut self, now: Timestamp) -> Option<Transition> {
        let ended = self.number(now).checked_sub(1)?;
        if self.evaluated.is_some_and(|evaluated| evaluated >= ended) {
            return None;
        }
        self.evaluated = Some(ended);
        let is_blind = |number: u64| {
            self.blind.contains(&number) && !self.periods.iter().any(|known| known.number == number)
        };
        if is_blind(ended) {
            return None;
        }
        let range = usize::try_from(self.range()).unwrap_or(usize::MAX);
        let seen = (0..=ended).rev().filter(|number| !is_blind(*number));
        let mut numbers: Vec<u64> = seen.take(range).collect();
        numbers.reverse();
        let first = numbers.first().copied().unwrap_or(ended);
        self.periods.retain(|period| period.number >= first);
        self.blind.retain(|number| *number >= first);
        let points: Vec<Option<bool>> = numbers.iter().map(|number| self.point(*number)).collect();
        let known = self
            .periods
            .iter()
            .rev()
            .find(|known| known.number <= ended);
        self.value = known.map(|known| known.value(self.definition.statistic));
        let from = self.state;
        match says(&self.definition, &points) {
            Says::Is(to) if to != from => {
                self.state = to;
                let at = Timestamp::from_millis((ended + 1) * self.period_ms());
                let value = self.value;
                Some(Transition {
                    at,
                    from,
                    to,
                    value,
                })
            }
            Says::Is(_) | Says::AsBefore => None,
        }
    }

    fn point(&self, number: u64) -> Option<bool> {
        let known = self.periods.iter().find(|known| known.number == number)?;
        let value = known.value(self.definition.statistic);
        let operator = self.definition.comparison_operator;
        Some(operator.breaches(value, self.definition.threshold))
    }

    fn range(&self) -> u32 {
        self.definition
            .evaluation_periods
            .saturating_add(EXTRA_PERIODS)
    }

    fn period_ms(&self) -> u64 {
        self.definition.period.max(1).saturating_mul(1000)
    }

    fn number(&self, at: Timestamp) -> u64 {
        at.millis() / self.period_ms()
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> AlarmState {
        self.state
    }

    /// The newest data point that was evaluated.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// What it watches.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// What data points say, the oldest first; a missing one is nothing.
fn says(definition: &Definition, points: &[Option<bool>]) -> Says {
    let wanted = usize::try_from(definition.evaluation_periods).unwrap_or(usize::MAX);
    let to_alarm = usize::try_from(definition.datapoints()).unwrap_or(usize::MAX);
    let treat = definition.treat_missing_data;
    let real: Vec<bool> = points.iter().rev().filter_map(|point| *point).collect();
    let newest = real.iter().take(wanted);
    let breaching = newest.filter(|breaching| **breaching).count();
    let missing = wanted.saturating_sub(real.len());
    if real.is_empty() {
        return match treat {
            TreatMissingData::Missing => Says::Is(AlarmState::InsufficientData),
            TreatMissingData::Ignore => Says::AsBefore,
            TreatMissingData::Breaching => Says::Is(AlarmState::Alarm),
            TreatMissingData::NotBreaching => Says::Is(AlarmState::Ok),
        };
    }
    let filled = match treat {
        TreatMissingData::Breaching => breaching + missing,
        TreatMissingData::Missing | TreatMissingData::NotBreaching | TreatMissingData::Ignore => {
            breaching
        }
    };
    if filled >= to_alarm {
        return Says::Is(AlarmState::Alarm);
    }
    // The oldest breaching point is as old as M, and nothing good was seen since: waiting longer would not help.
    let oldest = points.iter().position(Option::is_some);
    let age = oldest.map_or(0, |oldest| points.len() - oldest);
    let nothing_good = real.iter().all(|breaching| *breaching);
    if missing > 0 && nothing_good && age >= to_alarm {
        match treat {
            TreatMissingData::Missing => return Says::Is(AlarmState::Alarm),
            TreatMissingData::Ignore => return Says::AsBefore,
            TreatMissingData::Breaching | TreatMissingData::NotBreaching => {}
        }
    }
    Says::Is(AlarmState::Ok)
}

#[cfg(test)]
mod tests {
    use super::super::definition::Comparison;
    use super::*;

    const ALL: [TreatMissingData; 4] = [
        TreatMissingData::Missing,
        TreatMissingData::Ignore,
        TreatMissingData::Breaching,
        TreatMissingData::NotBreaching,
    ];

    fn definition(m: u32, n: u32, treat: TreatMissingData) -> Definition {
        Definition {
            alarm_name: "errors".into(),
            query: "errors".into(),
            statistic: Statistic::Average,
            period: 60,
            evaluation_periods: n,
            datapoints_to_alarm: Some(m),
            threshold: 10.0,
            comparison_operator: Comparison::GreaterThanThreshold,
            treat_missing_data: treat,
        }
    }

    fn minute(number: u64, second: u64) -> Timestamp {
        Timestamp::from_millis((number * 60 + second) * 1000)
    }

    /// `0` is good, `X` breaching, `-` missing; the oldest first. In the guide's columns.
    fn row(m: u32, n: u32, points: &str) -> [Says; 4] {
        let points: Vec<Option<bool>> = points
            .split(' ')
            .map(|point| match point {
                "0" => Some(false),
                "X" => Some(true),
                _ => None,
            })
            .collect();
        ALL.map(|treat| says(&definition(m, n, treat), &points))
    }

    const OK: Says = Says::Is(AlarmState::Ok);
    const ALARM: Says = Says::Is(AlarmState::Alarm);
    const NO_DATA: Says = Says::Is(AlarmState::InsufficientData);

    #[test]
    fn three_of_three_are_as_in_the_guide() {
        assert_eq!(row(3, 3, "0 - X - X"), [OK, OK, OK, OK]);
        assert_eq!(row(3, 3, "0 - - - -"), [OK, OK, OK, OK]);
        let nothing = [NO_DATA, Says::AsBefore, ALARM, OK];
        assert_eq!(row(3, 3, "- - - - -"), nothing);
        assert_eq!(row(3, 3, "0 X X - X"), [ALARM; 4]);
        let premature = [ALARM, Says::AsBefore, ALARM, OK];
        assert_eq!(row(3, 3, "- - X - -"), premature);
    }

    #[test]
    fn two_of_three_are_as_in_the_guide() {
        assert_eq!(row(2, 3, "0 - X - X"), [ALARM; 4]);
        assert_eq!(row(2, 3, "0 0 X 0 X"), [ALARM; 4]);
        assert_eq!(row(2, 3, "0 - X - -"), [OK, OK, ALARM, OK]);
        assert_eq!(row(2, 3, "- - - - 0"), [OK, OK, ALARM, OK]);
        let premature = [ALARM, Says::AsBefore, ALARM, OK];
        assert_eq!(row(2, 3, "- - - X -"), premature);
    }

    #[test]
    fn a_period_counts_when_it_is_over() {
        let mut alarm = Alarm::new(definition(1, 1, TreatMissingData::Missing));
        alarm.measured(minute(5, 10), 50.0);
        assert_eq!(alarm.evaluate(minute(5, 59)), None);
        let expected = Transition {
            at: minute(6, 0),
            from: AlarmState::InsufficientData,
            to: AlarmState::Alarm,
            value: Some(50.0),
        };
        assert_eq!(alarm.evaluate(minute(6, 0)), Some(expected));
        assert_eq!(alarm.evaluate(minute(6, 30)), None);
    }

    #[test]
    fn values_of_a_period_become_one_by_the_statistic() {
        let value = |statistic| {
            let mut alarm = Alarm::new(Definition {
                statistic,
                ..definition(1, 1, TreatMissingData::Missing)
            });
            for (second, value) in [(1, 4.0), (20, 6.0), (40, 11.0)] {
                alarm.measured(minute(5, second), value);
            }
            alarm.evaluate(minute(6, 0));
            (alarm.value().unwrap(), alarm.state())
        };
        assert_eq!(value(Statistic::Average), (7.0, AlarmState::Ok));
        assert_eq!(value(Statistic::Sum), (21.0, AlarmState::Alarm));
        assert_eq!(value(Statistic::Minimum), (4.0, AlarmState::Ok));
        assert_eq!(value(Statistic::Maximum), (11.0, AlarmState::Alarm));
        assert_eq!(value(Statistic::SampleCount), (3.0, AlarmState::Ok));
    }

    #[test]
    fn an_alarm_fires_recovers_and_loses_its_data_over_time() {
        let mut alarm = Alarm::new(definition(2, 3, TreatMissingData::Missing));
        let mut story = Vec::new();
        for number in 0..20 {
            match number {
                0..=3 | 8..=10 => alarm.measured(minute(number, 30), 1.0),
                4..=7 => alarm.measured(minute(number, 30), 99.0),
                _ => {}
            }
            let change = alarm.evaluate(minute(number + 1, 0));
            story.extend(change.map(|change| (number, change.to)));
        }
        let expected = [
            (0, AlarmState::Ok),
            (5, AlarmState::Alarm),
            (9, AlarmState::Ok),
            (15, AlarmState::InsufficientData),
        ];
        assert_eq!(story, expected);
    }

    #[test]
    fn periods_in_which_nobody_could_measure_are_as_if_they_had_not_been() {
        for treat in ALL {
            let mut alarm = Alarm::new(definition(2, 2, treat));
            for number in 0..30 {
                match number {
                    0..=5 | 25.. => alarm.measured(minute(number, 30), 1.0),
                    _ => alarm.blind(minute(number, 30)),
                }
                alarm.evaluate(minute(number + 1, 0));
                let is_ok = number < 1 || alarm.state() == AlarmState::Ok;
                assert!(is_ok, "{treat:?} in minute {number}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_missing_and_a_late_value_still_counts() {
        let mut alarm = Alarm::new(definition(2, 2, TreatMissingData::NotBreaching));
        alarm.measured(minute(1, 0), f64::NAN);
        alarm.evaluate(minute(2, 0));
        assert_eq!(alarm.state(), AlarmState::Ok);
        alarm.measured(minute(2, 0), 99.0);
        alarm.measured(minute(1, 1), 99.0);
        alarm.evaluate(minute(3, 0));
        assert_eq!(alarm.state(), AlarmState::Alarm);
    }
}
