//! Which keys `x-croft.verdicts` may have. Beside the settings that are read from it; a test keeps the two in step.

use croft_proto::shape::{Key, Shape};

const MISSING: Shape = Shape::Map(&[
    Key::read("maxHoldMs"),
    Key::read("onTimeout"),
    Key::read("required"),
    Key::read("graceLooks"),
    Key::read("maxBlindMs"),
    Key::read("ignorePollAlarmFailure"),
]);

/// Of the metric that CloudWatch would read in place of the query.
const IN_PLACE: &str = "an alarm watches its Query";
/// Of what CloudWatch does when an alarm changes.
const ACTIONS: &str = "an alarm holds a release or takes it back";

const ALARM: Shape = Shape::Map(&[
    Key::read("AlarmName"),
    Key::read("Query"),
    Key::read("Statistic"),
    Key::read("Period"),
    Key::read("EvaluationPeriods"),
    Key::read("DatapointsToAlarm"),
    Key::read("Threshold"),
    Key::read("ComparisonOperator"),
    Key::read("TreatMissingData"),
    Key::idle("Namespace", IN_PLACE),
    Key::idle("MetricName", IN_PLACE),
    Key::idle("Dimensions", IN_PLACE),
    Key::idle("Metrics", IN_PLACE),
    Key::idle("Unit", IN_PLACE),
    Key::idle("ExtendedStatistic", IN_PLACE),
    Key::idle("EvaluateLowSampleCountPercentile", IN_PLACE),
    Key::idle("ThresholdMetricId", IN_PLACE),
    Key::idle("ActionsEnabled", ACTIONS),
    Key::idle("OKActions", ACTIONS),
    Key::idle("AlarmActions", ACTIONS),
    Key::idle("InsufficientDataActions", ACTIONS),
    Key::told("AlarmDescription"),
    Key::told("AlarmArn"),
    Key::told("AlarmConfigurationUpdatedTimestamp"),
    Key::told("StateValue"),
    Key::told("StateReason"),
    Key::told("StateReasonData"),
    Key::told("StateUpdatedTimestamp"),
    Key::told("StateTransitionedTimestamp"),
    Key::told("EvaluationState"),
]);

/// The whole of it.
pub(super) const SHAPE: Shape = Shape::Map(&[
    Key::of("hosts", Shape::Map(&[Key::read("label"), Key::read("map")])),
    Key::read("baseline"),
    Key::of(
        "metrics",
        Shape::List(&Shape::Map(&[
            Key::read("name"),
            Key::read("requests"),
            Key::read("bad"),
            Key::read("histogram"),
            Key::read("slowerThan"),
            Key::of("missing", MISSING),
        ])),
    ),
    Key::of(
        "guards",
        Shape::Map(&[
            Key::read("up"),
            Key::read("started"),
            Key::read("errors"),
            Key::of(
                "rules",
                Shape::Map(&[
                    Key::read("failuresMin"),
                    Key::read("restartsMin"),
                    Key::read("fraction"),
                    Key::read("ratioMax"),
                    Key::read("requestsMin"),
                    Key::read("slicesMin"),
                ]),
            ),
        ]),
    ),
    Key::of(
        "thresholds",
        Shape::List(&Shape::Map(&[
            Key::read("name"),
            Key::read("query"),
            Key::read("min"),
            Key::read("max"),
            Key::read("intervalSeconds"),
            Key::read("failureLimit"),
            Key::read("window"),
            Key::read("kind"),
            Key::of("missing", MISSING),
        ])),
    ),
    Key::of("alarms", Shape::List(&ALARM)),
    Key::of("missing", MISSING),
]);
