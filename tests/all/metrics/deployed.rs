//! Deployments of a farm that a real Prometheus watches: one that goes well, and one that is taken back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Running, eventually_is};
use crate::harness::Farm;

/// A group whose traffic goes from hosts to hosts, which is judged by metrics and has alarms of both kinds.
fn documents(router: &Path) -> String {
    format!(
        r#"- applicationName: shop
- applicationName: shop
  deploymentGroupName: web
  deploymentConfigName: CodeDeployDefault.OneAtATime
  ec2TagFilters: [{{Key: role, Value: web, Type: KEY_AND_VALUE}}]
  deploymentStyle: {{deploymentType: BLUE_GREEN, deploymentOption: WITH_TRAFFIC_CONTROL}}
  autoRollbackConfiguration: {{enabled: true, events: [DEPLOYMENT_FAILURE]}}
  alarmConfiguration: {{enabled: true, alarms: [{{name: TooManyErrors}}]}}
  x-croft:
    bakeMinutes: 0
    router: {{type: script, path: {}}}
    verdicts:
      metrics: [{{name: errors, requests: 'asked_total{{job="shop"}}', bad: 'asked_total{{job="shop",code="500"}}'}}]
      alarms:
        - {{AlarmName: own, Query: 'vector(0)', Period: 10, EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: GreaterThanThreshold}}
"#,
        router.display()
    )
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A revision whose check is that script.
fn revision(farm: &Farm, name: &str, check: &str) -> PathBuf {
    let spec = "version: 0.0\nos: linux\nhooks:\n  ValidateService:\n    - location: check.sh\n      timeout: 60\n";
    let spec = farm.file(&format!("{name}/appspec.yml"), spec);
    let folder = spec.parent().unwrap().to_path_buf();
    script(&folder.join("check.sh"), check);
    folder
}

/// A host of the group.
fn host(farm: &Farm, url: &str, name: &str) -> Running {
    let invited = farm.end(farm.croft(&["host", "invite", name, "role=web"]));
    invited.assert_code(0);
    let token = invited.text();
    let mut agent = farm.croft(&["agent", "--server", url, "--invitation", token.trim()]);
    agent.env("CROFT_HOME", farm.folder().join(name));
    agent.stdout(Stdio::null());
    agent.stderr(fs::File::create(farm.folder().join(format!("{name}.log"))).unwrap());
    Running(agent.spawn().unwrap())
}

/// The farm's hosts, after two deployments whose metrics Prometheus has seen.
pub(super) fn two_deployments(farm: &Farm, address: &str, port: u16) -> Vec<Running> {
    let router = farm.folder().join("route.sh");
    script(&router, "cat > /dev/null");
    let shop = farm.file("shop.yml", documents(&router));
    farm.end(farm.croft(&["app", "apply", shop.to_str().unwrap()]))
        .assert_code(0);
    let url = format!("http://{address}");
    let mut hosts = vec![host(farm, &url, "web-1")];
    eventually_is(port, r#"croft_hosts{state="heard"}"#, 1.0);
    let (good, bad) = (
        revision(farm, "good-release", "echo good"),
        revision(farm, "bad-release", "exit 7"),
    );
    let deploy = |revision: &Path, code| {
        let revision = revision.to_str().unwrap();
        let words = ["deploy", "shop", "web", "--revision", revision, "--watch"];
        farm.end(farm.croft(&words)).assert_code(code);
    };
    deploy(&good, 0);
    // Those of the group that have no traffic are the next one's new side.
    hosts.push(host(farm, &url, "web-2"));
    eventually_is(port, r#"croft_hosts{state="heard"}"#, 2.0);
    deploy(&bad, 7);
    for expression in [
        r#"croft_deployments_total{application="shop",group="web",creator="user",target="host",strategy="all_at_once",result="succeeded"}"#,
        r#"croft_deployments_total{application="shop",group="web",creator="user",result="rolled_back"}"#,
        r#"croft_deployments_total{application="shop",group="web",creator="rollback",result="succeeded"}"#,
        r#"croft_rollback_total{application="shop",trigger="failure"}"#,
        r#"croft_rollback_detection_seconds_count{application="shop",trigger="failure"}"#,
        r#"croft_rollback_action_seconds_count{application="shop",part="traffic"}"#,
        r#"croft_rollback_action_seconds_count{application="shop",part="whole"}"#,
        r#"croft_deployment_event_duration_seconds_count{event="ValidateService",result="failed"}"#,
        r#"croft_group_hosts{application="shop",group="web",revision="current"}"#,
        r#"croft_balancer_reachable{application="shop",group="web"}"#,
    ] {
        eventually_is(port, expression, 1.0);
    }
    eventually_is(
        port,
        r#"croft_deployment_output_bytes_total{result="received"} > bool 0"#,
        1.0,
    );
    eventually_is(
        port,
        r#"croft_alarm_state{alarm="TooManyErrors",kind="alert"}"#,
        -1.0,
    );
    eventually_is(port, r#"croft_hosts{state="taken"}"#, 0.0);
    hosts
}
