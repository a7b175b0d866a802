//! What an alarm watches and when it fires. Takes CloudWatch's own shape, as `aws cloudwatch describe-alarms` prints it, with a
//! PromQL query in place of the metric's name; hands a checked definition to the evaluator.

use serde::{Deserialize, Serialize};

/// An alarm looks back at most so far. **Source.** CloudWatch: seven days for periods of an hour and more; a day below.
pub const EVALUATION_SECONDS_MAX: u64 = 7 * 86_400;
const EVALUATION_SECONDS_SHORT_MAX: u64 = 86_400;
const HOUR_SECONDS: u64 = 3_600;

/// An alarm. **Shape.** CloudWatch's `MetricAlarm`; fields that are not listed are not looked at. `Query` is ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Definition {
    /// Its name.
    pub alarm_name: String,
    /// PromQL that gives the value. Ours.
    pub query: String,
    /// How values of one period become one data point.
    #[serde(default)]
    pub statistic: Statistic,
    /// Seconds: 10, 20, 30, or minutes.
    pub period: u64,
    /// N: how many data points are looked at.
    pub evaluation_periods: u32,
    /// M: how many of them must be breaching. All, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapoints_to_alarm: Option<u32>,
    /// The limit.
    pub threshold: f64,
    /// On which side of it a value is breaching.
    pub comparison_operator: Comparison,
    /// What a period without a value is.
    #[serde(default)]
    pub treat_missing_data: TreatMissingData,
}

/// How values of one period become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// Their mean.
    #[default]
    Average,
    /// Their sum.
    Sum,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
    /// How many there are.
    SampleCount,
}

/// When a value is breaching. Those of anomaly detection are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// At the threshold or above.
    GreaterThanOrEqualToThreshold,
    /// Above it.
    GreaterThanThreshold,
    /// Below it.
    LessThanThreshold,
    /// At it or below.
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Whether the value is breaching.
    #[must_use]
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::GreaterThanThreshold => value > threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// For a person: `>=` and so on.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualToThreshold => ">=",
            Self::GreaterThanThreshold => ">",
            Self::LessThanThreshold => "<",
            Self::LessThanOrEqualToThreshold => "<=",
        }
    }
}

/// What a period without a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TreatMissingData {
    /// Nothing; all of them missing is `INSUFFICIENT_DATA`.
    #[default]
    Missing,
    /// As bad as a breaching one.
    Breaching,
    /// As good as any other.
    NotBreaching,
    /// A reason to stay in the state there is.
    Ignore,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DefinitionError {
    /// The period is none of CloudWatch's.
    #[error(
        "alarm `{alarm}`: Period is {period}; it may be 10, 20, 30 or a multiple of 60 seconds"
    )]
    Period {
        /// Which.
        alarm: String,
        /// Seconds.
        period: u64,
    },
    /// More data points must be breaching than are looked at, or none.
    #[error(
        "alarm `{alarm}`: DatapointsToAlarm is {m} of EvaluationPeriods {n}; it must be from 1 to that"
    )]
    Datapoints {
        /// Which.
        alarm: String,
        /// M.
        m: u32,
        /// N.
        n: u32,
    },
    /// It looks back too far.
    #[error("alarm `{alarm}`: it looks back {seconds} s; CloudWatch allows {allowed}")]
    TooLong {
        /// Which.
        alarm: String,
        /// Period times evaluation periods.
        seconds: u64,
        /// At most.
        allowed: u64,
    },
    /// The threshold is not a number, or infinite.
    #[error("alarm `{alarm}`: Threshold is not a number")]
    Threshold {
        /// Which.
        alarm: String,
    },
}

impl Definition {
    /// M: all data points when it is not given.
    #[must_use]
    pub fn datapoints(&self) -> u32 {
        self.datapoints_to_alarm.unwrap_or(self.evaluation_periods)
    }

    /// Whether CloudWatch would take it.
    ///
    /// # Errors
    /// [`DefinitionError`]; whoever wrote the definition can mend it.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let alarm = || self.alarm_name.clone();
        let (period, n, m) = (self.period, self.evaluation_periods, self.datapoints());
        let is_minutes = period > 0 && period.is_multiple_of(60);
        if !matches!(period, 10 | 20 | 30) && !is_minutes {
            let alarm = alarm();
            return Err(DefinitionError::Period { alarm, period });
        }
        if m == 0 || m > n {
            let alarm = alarm();
            return Err(DefinitionError::Datapoints { alarm, m, n });
        }
        let seconds = period.saturating_mul(u64::from(n));
        let allowed = if period >= HOUR_SECONDS {
            EVALUATION_SECONDS_MAX
        } else {
            EVALUATION_SECONDS_SHORT_MAX
        };
        if seconds > allowed {
            return Err(DefinitionError::TooLong {
                alarm: alarm(),
                seconds,
                allowed,
            });
        }
        if !self.threshold.is_finite() {
            return Err(DefinitionError::Threshold { alarm: alarm() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the command line of AWS prints one, with a query added.
    const PRINTED: &str = r#"{
        "AlarmName": "orders-5xx", "AlarmArn": "arn:aws:cloudwatch:eu-central-1:1:alarm:orders-5xx",
        "ActionsEnabled": true, "StateValue": "OK", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
        "Query": "sum(rate(http_requests_total{code=~\"5..\"}[1m]))"
    }"#;

    fn printed() -> Definition {
        serde_json::from_str(PRINTED).unwrap()
    }

    #[test]
    fn an_alarm_is_read_as_aws_prints_it() {
        let alarm = printed();
        assert_eq!(alarm.check(), Ok(()));
        assert_eq!((alarm.datapoints(), alarm.evaluation_periods), (2, 3));
        assert_eq!(alarm.treat_missing_data, TreatMissingData::NotBreaching);
        let again = serde_json::to_string(&alarm).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&again).unwrap(), alarm);
    }

    #[test]
    fn what_is_left_out_is_as_with_aws() {
        let text = r#"{"AlarmName": "a", "Query": "up", "Period": 60, "EvaluationPeriods": 3,
            "Threshold": 1, "ComparisonOperator": "LessThanThreshold"}"#;
        let alarm: Definition = serde_json::from_str(text).unwrap();
        assert_eq!(alarm.datapoints(), 3);
        assert_eq!(alarm.treat_missing_data, TreatMissingData::Missing);
    }

    #[test]
    fn what_cloudwatch_refuses_is_refused_with_the_reason() {
        let with = |change: fn(&mut Definition)| {
            let mut alarm = printed();
            change(&mut alarm);
            alarm.check().unwrap_err().to_string()
        };
        assert!(with(|alarm| alarm.period = 45).contains("Period is 45"));
        assert!(with(|alarm| alarm.period = 0).contains("Period is 0"));
        assert!(with(|alarm| alarm.datapoints_to_alarm = Some(4)).contains("4 of"));
        assert!(with(|alarm| alarm.datapoints_to_alarm = Some(0)).contains("0 of"));
        assert!(with(|alarm| alarm.evaluation_periods = 1441).contains("86460 s"));
        assert!(with(|alarm| alarm.threshold = f64::NAN).contains("not a number"));
    }

    #[test]
    fn values_on_the_threshold_breach_where_the_operator_says_so() {
        use Comparison as C;
        let on = |comparison: C| comparison.breaches(5.0, 5.0);
        assert!(on(C::GreaterThanOrEqualToThreshold) && on(C::LessThanOrEqualToThreshold));
        assert!(!on(C::GreaterThanThreshold) && !on(C::LessThanThreshold));
        assert!(C::GreaterThanThreshold.breaches(5.1, 5.0));
        assert!(C::LessThanThreshold.breaches(4.9, 5.0));
    }
}
