//! What a server counts of deployments, and how much of everything it shows.

use croft_proto::deploy::WaitKind;
use prometheus::TextEncoder;

use super::*;

impl Farm {
    /// What `/metrics` would show.
    fn shown(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new().encode_to_string(&families).unwrap()
    }

    /// Waits until that line is shown.
    async fn shows(&self, line: &str) {
        let waiting = async {
            while !self.shown().lines().any(|shown| shown == line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("{line} is not in {}", self.shown()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_counted_by_how_it_ended_and_what_is_taken_back_by_why() {
    let mut farm = Farm::start(&["a", "b"], json!({}), |_, revision| revision == "2").await;
    farm.shows(r#"croft_rollback_total{application="shop",trigger="failure"} 0"#)
        .await;
    let good = farm.deploy('1').await;
    farm.over(&good).await;
    let bad = farm.deploy('2').await;
    let over = farm.over(&bad).await;
    let back = over.info.rollback_info.as_ref().unwrap();
    let back = back.rollback_deployment_id.clone().unwrap();
    farm.over(&back).await;
    for (creator, result) in [
        ("user", "succeeded"),
        ("user", "rolled_back"),
        ("rollback", "succeeded"),
    ] {
        farm.shows(&format!(
            r#"croft_deployments_total{{application="shop",creator="{creator}",group="web",result="{result}",strategy="in_place",target="host"}} 1"#
        ))
        .await;
    }
    for line in [
        r#"croft_rollback_total{application="shop",trigger="failure"} 1"#,
        r#"croft_rollback_total{application="shop",trigger="guard"} 0"#,
        r#"croft_rollback_detection_seconds_count{application="shop",trigger="failure"} 1"#,
        r#"croft_rollback_action_seconds_count{application="shop",part="whole"} 1"#,
        r#"croft_deployment_duration_seconds_count{application="shop",part="whole",result="succeeded"} 2"#,
        r#"croft_deployment_targets_total{application="shop",result="failed"} 2"#,
        r#"croft_deployment_targets_total{application="shop",result="succeeded"} 4"#,
        r#"croft_deployment_event_duration_seconds_count{event="ValidateService",result="failed"} 2"#,
        r#"croft_deployment_event_duration_seconds_count{event="Install",result="succeeded"} 6"#,
        r#"croft_hosts{state="enrolled"} 2"#,
        r#"croft_hosts{state="heard"} 2"#,
        r#"croft_group_hosts{application="shop",group="web",revision="current"} 2"#,
        r#"croft_group_halted{application="shop",group="web"} 0"#,
        r#"croft_analysis_missing_total{cause="source_down"} 0"#,
    ] {
        farm.shows(line).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_who_is_baked_and_which_alarm_fires_is_shown_while_it_is_so() {
    let more = json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]},
        "x-croft": {"bakeMinutes": 10, "busy": "SUPERSEDE"}});
    let mut farm = Farm::start(&["a"], more, never).await;
    let active = |state: &str, count: u32| {
        format!(
            r#"croft_deployments_active{{application="shop",group="web",state="{state}"}} {count}"#
        )
    };
    let alarm =
        |state: u32| format!(r#"croft_alarm_state{{alarm="TooManyErrors",kind="alert"}} {state}"#);
    farm.shows(&alarm(0)).await;
    let first = farm.deploy('1').await;
    farm.shows(&active("baking", 1)).await;
    let second = farm.deploy('2').await;
    farm.shows(&active("waiting", 1)).await;
    farm.deploy('3').await;
    let passed_over = farm.over(&second).await;
    assert_eq!(passed_over.info.status, DeploymentStatus::Stopped);
    farm.shows(
        r#"croft_deployments_total{application="shop",creator="user",group="web",result="stopped",strategy="not_begun",target="none"} 1"#,
    )
    .await;
    farm.handle
        .go_on(first.clone(), None, "somebody")
        .await
        .unwrap();
    farm.over(&first).await;
    farm.shows(&active("waiting", 0)).await;
    let later = Timestamp::from_millis(Clock::system().now().millis() + 1_000);
    farm.handle.alerted(alert("firing", later)).await.unwrap();
    farm.shows(&alarm(1)).await;
    farm.shows(r#"croft_rollback_total{application="shop",trigger="webhook"} 1"#)
        .await;
    farm.handle.alerted(alert("resolved", later)).await.unwrap();
    farm.shows(&alarm(0)).await;
}

/// A balancer that nobody reaches.
struct Away;

impl Routing for Away {
    fn set<'a>(
        &'a self,
        _: &'a Router,
        _: &'a BTreeMap<String, u32>,
    ) -> BoxFuture<'a, Result<Balanced, String>> {
        Box::pin(std::future::ready(Err("it is away".to_string())))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_cannot_be_told_is_shown() {
    let more = json!({"deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": {"type": "haproxy", "socket": "/none", "backend": "b"}, "bakeMinutes": 0}});
    let reached =
        |is: u32| format!(r#"croft_balancer_reachable{{application="shop",group="web"}} {is}"#);
    let mut farm = Farm::start(&["a"], more.clone(), never).await;
    farm.deploy('1').await;
    farm.shows(&reached(1)).await;
    let mut farm = Farm::behind(Arc::new(Away), &["a"], more, never).await;
    let id = farm.deploy('1').await;
    farm.shows(&reached(0)).await;
    // Who looks at the deployment is told which, since when, and what it says.
    let waits = farm.handle.look(move |seen| seen.waits(&id)).await.unwrap();
    let wait = waits.iter().find(|wait| wait.kind == WaitKind::Balancer);
    let wait = wait.unwrap_or_else(|| panic!("{waits:#?}"));
    assert_eq!(
        wait.message,
        "the balancer (HAProxy at /none, backend `b`) does not do as it is told: it is away"
    );
    assert!(wait.since.is_some());
}
