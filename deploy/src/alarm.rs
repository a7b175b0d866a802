//! Alarms that stop a deployment: our own over PromQL with CloudWatch's meaning, and what Alertmanager says. Takes data points and
//! messages from whoever polls and listens; hands states to [`crate::verdict`].

/// What an alarm watches, in AWS's shape.
mod definition;
/// Its state, period by period.
mod evaluate;
/// Alerts from outside.
mod external;

pub use definition::{
    Comparison, Definition, DefinitionError, EVALUATION_SECONDS_MAX, Statistic, TreatMissingData,
};
pub use evaluate::{Alarm, AlarmState, Transition};
pub use external::{
    ALERTS_MAX, Alert, AlertStatus, External, Firing, Matcher, Polled, Webhook, WebhookAlert,
};
