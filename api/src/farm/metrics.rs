//! What is measured of requests. Registered with the composition root's registry; shown by `/metrics`, beside other rooms'.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::call::{Answer, Call, typed};
use super::problem::Problem;
use crate::probe::{METRICS_TYPE, shown};

/// Seconds. From answers out of memory to those that wait for a build.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What this front counts.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    requests: HistogramVec,
    refused: IntCounterVec,
    printed: IntCounterVec,
}

/// What became of what a host printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// It went on to whoever follows.
    Received,
    /// The host says that it went nowhere.
    LeftOut,
    /// It was not taken.
    Refused,
}

impl Printed {
    const ALL: [Self; 3] = [Self::Received, Self::LeftOut, Self::Refused];

    const fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::LeftOut => "left_out",
            Self::Refused => "refused",
        }
    }
}

impl Metrics {
    /// Registered with that registry.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = HistogramVec::new(
            HistogramOpts::new(
                "croft_http_request_duration_seconds",
                "Time from a request's head to its answer's head, by route.",
            )
            .buckets(BUCKETS.to_vec()),
            &["route", "method", "code"],
        )?;
        let refused = IntCounterVec::new(
            Opts::new(
                "croft_http_refused_total",
                "Requests and connections that were turned away, by reason.",
            ),
            &["reason"],
        )?;
        let printed = IntCounterVec::new(
            Opts::new(
                "croft_deployment_output_bytes_total",
                "Bytes that scripts of deployments printed, by what became of them.",
            ),
            &["result"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(printed.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        // An alert on what is not there would say nothing.
        for reason in ["connections", "no_route", "pace", "role", "token"] {
            refused.with_label_values(&[reason]);
        }
        for printed_so in Printed::ALL {
            printed.with_label_values(&[printed_so.word()]);
        }
        Ok(Self {
            requests,
            refused,
            printed,
        })
    }

    pub(super) fn answered(&self, route: &str, method: &str, code: StatusCode, took: Duration) {
        let labels = [route, method, code.as_str()];
        self.requests
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
    }

    pub(super) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(super) fn printed(&self, so: Printed, bytes: u64) {
        self.printed.with_label_values(&[so.word()]).inc_by(bytes);
    }
}

/// `GET /metrics`
pub(super) async fn show(call: Call) -> Answer {
    let text = shown(&call.state.farm.registry).map_err(|error| Problem::internal(&error))?;
    Ok(typed(StatusCode::OK, METRICS_TYPE, Body::from(text)))
}
