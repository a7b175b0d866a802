//! Which keys `x-croft.verdicts` may have. Beside the settings that are read from it; a test keeps the two in step.

use croft_proto::shape::{Key, Shape};

const MISSING: Shape = Shape::Map(&[
    Key::long("maxHoldMs"),
    Key::word("onTimeout", &["promote", "rollback", "pause"]),
    Key::flag("required"),
    Key::count("graceLooks"),
    Key::long("maxBlindMs"),
    Key::flag("ignorePollAlarmFailure"),
]);

/// Of the metric that CloudWatch would read in place of the query.
const IN_PLACE: &str = "an alarm watches its Query";
/// Of what CloudWatch does when an alarm changes.
const ACTIONS: &str = "an alarm holds a release or takes it back";

const ALARM: Shape = Shape::Map(&[
    Key::text("AlarmName").needed(),
    Key::text("Query").needed(),
    Key::word(
        "Statistic",
        &["Average", "Sum", "Minimum", "Maximum", "SampleCount"],
    ),
    Key::long("Period").needed(),
    Key::count("EvaluationPeriods").needed(),
    Key::count("DatapointsToAlarm"),
    Key::number("Threshold").needed(),
    Key::word(
        "ComparisonOperator",
        &[
            "GreaterThanOrEqualToThreshold",
            "GreaterThanThreshold",
            "LessThanThreshold",
            "LessThanOrEqualToThreshold",
        ],
    )
    .needed(),
    Key::word(
        "TreatMissingData",
        &["missing", "breaching", "notBreaching", "ignore"],
    ),
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
    Key::of(
        "hosts",
        Shape::Map(&[
            Key::text("label"),
            Key::of("map", Shape::Named(&Shape::Text)),
        ]),
    ),
    Key::word("baseline", &["auto", "concurrent", "history"]),
    Key::of(
        "metrics",
        Shape::List(&Shape::Map(&[
            Key::text("name").needed(),
            Key::text("requests"),
            Key::text("bad"),
            Key::text("histogram"),
            Key::number("slowerThan"),
            Key::of("missing", MISSING),
        ])),
    ),
    Key::of(
        "guards",
        Shape::Map(&[
            Key::text("up"),
            Key::text("started"),
            Key::text("errors"),
            Key::of(
                "rules",
                Shape::Map(&[
                    Key::count("failuresMin"),
                    Key::count("restartsMin"),
                    Key::number("fraction"),
                    Key::number("ratioMax"),
                    Key::number("requestsMin"),
                    Key::count("slicesMin"),
                ]),
            ),
        ]),
    ),
    Key::of(
        "thresholds",
        Shape::List(&Shape::Map(&[
            Key::text("name").needed(),
            Key::text("query").needed(),
            Key::number("min"),
            Key::number("max"),
            Key::long("intervalSeconds"),
            Key::count("failureLimit"),
            Key::count("window"),
            Key::word("kind", &["ratio", "other"]),
            Key::of("missing", MISSING),
        ])),
    ),
    Key::of("alarms", Shape::List(&ALARM)),
    Key::of("missing", MISSING),
]);
