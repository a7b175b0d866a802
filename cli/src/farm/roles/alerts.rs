//! Alarms, asked for: from Alertmanager, which knows what is silenced, or from Prometheus where there is none. Made from the words; asked by
//! those who deploy.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use croft_deploy::alarm::{Alert, Polled};
use croft_deploy::server::{Alerts, Wanted};
use croft_proto::Timestamp;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::monitored;

/// How long before the moment that matters it is looked: more than lies between two evaluations of a rule.
const EDGE_SECONDS: u64 = 300;
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
struct OfPrometheus<T> {
    data: T,
}

#[derive(Deserialize)]
struct Alerting {
    alerts: Vec<PrometheusAlert>,
}

#[derive(Deserialize)]
struct Matrix {
    result: Vec<Series>,
}

/// When one alert fired.
#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// Seconds since 1970, and a 1.
    values: Vec<(f64, String)>,
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
        let (http, url) = monitored::way(flag, text, path, ANSWER)?;
        Ok(Some(Self { http, url, whom }))
    }

    async fn ask(&self, wanted: &Wanted) -> Result<Vec<Polled>, String> {
        match self.whom {
            Whom::Alertmanager => {
                let all: Vec<OfAlertmanager> = self.read(self.http.get(self.url.clone())).await?;
                Ok(all.into_iter().map(of_alertmanager).collect())
            }
            Whom::Prometheus => self.ask_prometheus(wanted).await,
        }
    }

    /// What fires, and since when: its list of alerts says when one became pending, and the series `ALERTS` when it fired.
    async fn ask_prometheus(&self, wanted: &Wanted) -> Result<Vec<Polled>, String> {
        let all: OfPrometheus<Alerting> = self.read(self.http.get(self.url.clone())).await?;
        let alerts = all.data.alerts.into_iter().filter(|alert| {
            let name = alert.labels.get("alertname");
            alert.state == "firing" && name.is_some_and(|name| wanted.names.contains(name))
        });
        let alerts: Vec<PrometheusAlert> = alerts.collect();
        if alerts.is_empty() {
            return Ok(Vec::new());
        }
        let now = crate::surroundings::now();
        let url = self.url.join("query");
        let mut url = url.map_err(|error| error.to_string())?;
        let query = fired(wanted, now);
        url.query_pairs_mut().append_pair("query", &query);
        let asked = self.http.get(url);
        let all: OfPrometheus<Matrix> = self.read(asked).await?;
        let polled = alerts.into_iter();
        Ok(polled
            .map(|alert| of_prometheus(alert, &all.data.result))
            .collect())
    }

    async fn read<T: DeserializeOwned>(&self, asked: RequestBuilder) -> Result<T, String> {
        let said = |error: reqwest::Error| format!("{:#}", anyhow::Error::from(error));
        let answer = asked.send().await.map_err(said)?;
        let answer = answer.error_for_status().map_err(said)?;
        let bytes = answer.bytes().await.map_err(said)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| format!("{} says something else: {error}", self.url))
    }
}

impl Alerts for Monitor {
    fn all<'a>(
        &'a self,
        wanted: &'a Wanted,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Polled>, String>> + Send + 'a>> {
        Box::pin(self.ask(wanted))
    }

    fn name(&self) -> String {
        let whom = match self.whom {
            Whom::Alertmanager => "Alertmanager",
            Whom::Prometheus => "Prometheus",
        };
        format!("{whom} at {}", monitored::place(&self.url))
    }
}

/// When the wanted alerts fired, from some time before the moment that matters: what fired at its edge fired before.
fn fired(wanted: &Wanted, now: Timestamp) -> String {
    let seconds = now.millis_since(wanted.since).div_ceil(1_000) + EDGE_SECONDS;
    let names: Vec<String> = wanted.names.iter().map(|name| escaped(name)).collect();
    format!(
        "ALERTS{{alertstate=\"firing\",alertname=~\"{}\"}}[{seconds}s]",
        names.join("|")
    )
}

/// A name as a regular expression in a text of PromQL.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\\\\\"),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                text.push_str("\\\\");
                text.push(letter);
            }
            '\n' => text.push_str("\\n"),
            _ => text.push(letter),
        }
    }
    text
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
fn of_prometheus(alert: PrometheusAlert, series: &[Series]) -> Polled {
    Polled {
        alert: Alert {
            fingerprint: format!("{:?}", alert.labels),
            starts_at: began(&alert, series),
            labels: alert.labels,
        },
        suppressed: false,
    }
}

/// When it began to fire. It became pending at `activeAt`, and once it fires it never is pending again without another `activeAt`, so the
/// first time that it fired since then is its beginning, also where nothing was recorded in between. One that nothing is recorded of is
/// taken to be as old as it can be, until something is: it must not take back a release that it was there before.
fn began(alert: &PrometheusAlert, series: &[Series]) -> Timestamp {
    let is_its = |series: &&Series| {
        let labels = series.metric.iter();
        let mut labels = labels.filter(|(name, _)| !matches!(&***name, "__name__" | "alertstate"));
        labels.clone().count() == alert.labels.len()
            && labels.all(|(name, value)| alert.labels.get(name) == Some(value))
    };
    let active = moment(alert.active_at);
    let fired = series.iter().find(is_its).map(|series| &series.values);
    let fired = fired.into_iter().flatten().map(|(at, _)| seconds(*at));
    // Both are the time of an evaluation, one of them cut to milliseconds.
    let since = fired.filter(|at| at.millis() + 1 >= active.millis());
    since.min().unwrap_or(active)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in milliseconds fits, and a negative one is 0"
)]
fn seconds(at: f64) -> Timestamp {
    Timestamp::from_millis((at * 1_000.0).round() as u64)
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
    }

    /// As Prometheus says them: pending since 10 s, evaluated every 15 s.
    #[test]
    fn an_alert_of_prometheus_begins_when_it_fires_and_not_when_it_becomes_pending() {
        let alert = |active: &str| -> PrometheusAlert {
            let json = format!(
                r#"{{"labels":{{"alertname":"A","job":"x"}},"annotations":{{}},"state":"firing","activeAt":"{active}","value":"1e+00"}}"#
            );
            serde_json::from_str(&json).unwrap()
        };
        let series = |job: &str, at: &[f64]| -> Vec<Series> {
            let values: Vec<(f64, &str)> = at.iter().map(|at| (*at, "1")).collect();
            let json = serde_json::json!([{"metric": {"__name__": "ALERTS", "alertstate": "firing",
                "alertname": "A", "job": job}, "values": values}]);
            serde_json::from_value(json).unwrap()
        };
        let pending = "1970-01-01T00:00:10.5Z";
        for (fired, began_ms) in [
            (series("x", &[25.5, 40.5, 55.5]), 25_500),
            // It fired before, ended, and fires again.
            (series("x", &[1.0, 2.0, 40.5]), 40_500),
            // Nothing was recorded for a while: it is the same one.
            (series("x", &[25.5, 90.5]), 25_500),
            // Without `for` it fires at once.
            (series("x", &[10.5, 25.5]), 10_500),
            (series("another", &[25.5]), 10_500),
            (Vec::new(), 10_500),
        ] {
            let polled = of_prometheus(alert(pending), &fired);
            assert_eq!(polled.alert.starts_at.millis(), began_ms);
            assert_eq!(polled.alert.labels["alertname"], "A");
        }
    }

    #[test]
    fn what_is_asked_of_prometheus_reaches_back_before_the_deployment_and_is_one_text() {
        let wanted = Wanted {
            names: ["A.b".to_string(), "C\"".to_string()].into(),
            since: Timestamp::from_millis(40_000),
        };
        assert_eq!(
            fired(&wanted, Timestamp::from_millis(100_000)),
            r#"ALERTS{alertstate="firing",alertname=~"A\\.b|C\""}[360s]"#
        );
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
