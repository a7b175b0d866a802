//! Alarms, asked for: from Alertmanager, which knows what is silenced, or from Prometheus where there is none. Made from the words; asked by
//! those who deploy.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use croft_deploy::alarm::{Alert, Polled};
use croft_deploy::server::Alerts;
use croft_proto::Timestamp;

use reqwest::{Client, Url, redirect};
use serde::Deserialize;

use crate::exit::Wrong;
use crate::farm::client::choose_tls;

/// Asked again every few seconds.
const ANSWER: Duration = Duration::from_secs(4);

/// Who is asked.
#[derive(Debug)]
enum Whom {
    Alertmanager,
    Prometheus,
}

/// A monitoring server.
#[derive(Debug)]
pub(crate) struct Monitor {
    http: Client,
    url: Url,
    whom: Whom,
}

#[derive(Deserialize)]
struct OfAlertmanager {
    fingerprint: String,
    labels: BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: chrono::DateTime<chrono::Utc>,
    status: AlertmanagerStatus,
}

#[derive(Deserialize)]
struct AlertmanagerStatus {
    state: String,
}

#[derive(Deserialize)]
struct OfPrometheus {
    data: PrometheusAlerts,
}

#[derive(Deserialize)]
struct PrometheusAlerts {
    alerts: Vec<PrometheusAlert>,
}

#[derive(Deserialize)]
struct PrometheusAlert {
    labels: BTreeMap<String, String>,
    state: String,
    #[serde(rename = "activeAt")]
    active_at: chrono::DateTime<chrono::Utc>,
}

impl Monitor {
    /// The one that the words name, if they name one.
    ///
    /// # Errors
    /// When an address is none.
    pub(crate) fn of(
        alertmanager: Option<&str>,
        prometheus: Option<&str>,
    ) -> anyhow::Result<Option<Self>> {
        let (flag, text, whom) = match (alertmanager, prometheus) {
            (Some(url), _) => ("--alertmanager", url, Whom::Alertmanager),
            (None, Some(url)) => ("--prometheus", url, Whom::Prometheus),
            (None, None) => return Ok(None),
        };
        let path = match whom {
            Whom::Alertmanager => "api/v2/alerts",
            Whom::Prometheus => "api/v1/alerts",
        };
        let base = format!("{}/", text.trim_end_matches('/'));
        let url = Url::parse(&base)
            .and_then(|url| url.join(path))
            .map_err(|error| Wrong(format!("{flag} {text}: {error}")))?;
        choose_tls();
        let http = Client::builder()
            .timeout(ANSWER)
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot ask over HTTP")?;
        Ok(Some(Self { http, url, whom }))
    }

    async fn ask(&self) -> Result<Vec<Polled>, String> {
        let said = |error: reqwest::Error| format!("{:#}", anyhow::Error::from(error));
        let answer = self.http.get(self.url.clone()).send().await.map_err(said)?;
        let bytes = answer
            .error_for_status()
            .map_err(said)?
            .bytes()
            .await
            .map_err(said)?;
        let read = |error: serde_json::Error| format!("{} says something else: {error}", self.url);
        match self.whom {
            Whom::Alertmanager => {
                let all: Vec<OfAlertmanager> = serde_json::from_slice(&bytes).map_err(read)?;
                Ok(all.into_iter().map(of_alertmanager).collect())
            }
            Whom::Prometheus => {
                let all: OfPrometheus = serde_json::from_slice(&bytes).map_err(read)?;
                let alerts = all.data.alerts.into_iter();
                Ok(alerts
                    .filter(|alert| alert.state == "firing")
                    .map(of_prometheus)
                    .collect())
            }
        }
    }
}

impl Alerts for Monitor {
    fn all(&self) -> Pin<Box<dyn Future<Output = Result<Vec<Polled>, String>> + Send + '_>> {
        Box::pin(self.ask())
    }
}

fn of_alertmanager(alert: OfAlertmanager) -> Polled {
    Polled {
        alert: Alert {
            fingerprint: alert.fingerprint,
            labels: alert.labels,
            starts_at: moment(alert.starts_at),
        },
        suppressed: alert.status.state != "active",
    }
}

/// It has no fingerprints of its own: the labels are what tells one from another.
fn of_prometheus(alert: PrometheusAlert) -> Polled {
    let fingerprint = format!("{:?}", alert.labels);
    Polled {
        alert: Alert {
            fingerprint,
            labels: alert.labels,
            starts_at: moment(alert.active_at),
        },
        suppressed: false,
    }
}

fn moment(at: chrono::DateTime<chrono::Utc>) -> Timestamp {
    Timestamp::from_millis(u64::try_from(at.timestamp_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_silenced_is_known_and_what_is_pending_is_none() {
        let json = r#"{"fingerprint":"f","labels":{"alertname":"A"},"startsAt":"2026-01-02T03:04:05.678Z",
            "status":{"state":"suppressed","silencedBy":["s"],"inhibitedBy":[]}}"#;
        let polled = of_alertmanager(serde_json::from_str(json).unwrap());
        assert!(polled.suppressed);
        assert_eq!(polled.alert.starts_at.millis(), 1_767_323_045_678);
        let json = r#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"A"},"annotations":{},"state":"firing","activeAt":"2026-01-02T03:04:05.678901234Z","value":"1e+00"}]}}"#;
        let all: OfPrometheus = serde_json::from_str(json).unwrap();
        let polled = of_prometheus(all.data.alerts.into_iter().next().unwrap());
        assert_eq!(polled.alert.labels["alertname"], "A");
        assert!(!polled.suppressed);
    }

    #[test]
    fn an_address_that_is_none_is_named_with_its_flag() {
        let wrong = Monitor::of(Some("nowhere"), None).unwrap_err();
        assert!(
            wrong.to_string().starts_with("--alertmanager nowhere"),
            "{wrong}"
        );
        assert!(Monitor::of(None, None).unwrap().is_none());
        let there = Monitor::of(None, Some("http://127.0.0.1:9090/prom")).unwrap();
        assert_eq!(there.unwrap().url.path(), "/prom/api/v1/alerts");
    }
}
