use super::*;

#[test]
fn every_predefined_configuration_is_there_and_is_what_its_name_says() {
    for name in DeploymentConfig::PREDEFINED {
        let config = DeploymentConfig::predefined(name).unwrap();
        assert_eq!(config.deployment_config_name, name);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<DeploymentConfig>(&json).unwrap(),
            config
        );
    }
    assert_eq!(
        DeploymentConfig::predefined("CodeDeployDefault.Other"),
        None
    );
    assert_eq!(DeploymentConfig::predefined("OneAtATime"), None);
}

#[test]
fn traffic_moves_as_the_name_says() {
    let steps = |name: &str| -> Vec<(u32, u64)> {
        let name = format!("{RESERVED_PREFIX}{name}");
        let config = DeploymentConfig::predefined(&name).unwrap();
        let steps = config.traffic_steps().into_iter();
        steps
            .map(|step| (step.percent, step.wait_seconds))
            .collect()
    };
    assert_eq!(steps("ECSAllAtOnce"), [(100, 0)]);
    assert_eq!(steps("OneAtATime"), [(100, 0)]);
    assert_eq!(
        steps("LambdaCanary10Percent30Minutes"),
        [(10, 1800), (100, 0)]
    );
    let linear = steps("ECSLinear10PercentEvery3Minutes");
    assert_eq!(linear.len(), 10);
    assert_eq!(
        (linear[0], linear[8], linear[9]),
        ((10, 180), (90, 180), (100, 0))
    );
    assert_eq!(steps("LambdaLinear10PercentEvery1Minute")[0], (10, 60));
}

#[test]
fn the_last_step_of_a_linear_shift_may_be_smaller() {
    let config: DeploymentConfig = serde_json::from_value(serde_json::json!({
        "deploymentConfigName": "thirds", "computePlatform": "ECS",
        "trafficRoutingConfig": {"type": "TimeBasedLinear",
            "timeBasedLinear": {"linearPercentage": 30, "linearInterval": 1}}
    }))
    .unwrap();
    config.check().unwrap();
    let percents: Vec<u32> = config.traffic_steps().iter().map(|s| s.percent).collect();
    assert_eq!(percents, [30, 60, 90, 100]);
}

#[test]
fn every_setting_that_cannot_be_is_named_at_once() {
    let config: DeploymentConfig = serde_json::from_value(serde_json::json!({
        "deploymentConfigName": "CodeDeployDefault.My own",
        "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 100},
        "trafficRoutingConfig": {"type": "TimeBasedLinear",
            "timeBasedLinear": {"linearPercentage": 1, "linearInterval": 30}},
        "zonalConfig": {"monitorDurationInSeconds": 172_801,
            "minimumHealthyHostsPerZone": {"type": "MOST_CONCURRENCY", "value": 1}},
        "x-croft": {"trafficSteps": [{"percent": 5, "waitSeconds": 30}, {"percent": 5, "waitSeconds": 172_860}]}
    }))
    .unwrap();
    let wrong = config.check().unwrap_err();
    for part in [
        "deploymentConfigName `CodeDeployDefault.My own`: 1 to 100",
        "are taken",
        "minimumHealthyHosts.value 100",
        "linearInterval 30",
        "zonalConfig.monitorDurationInSeconds",
        "minimumHealthyHostsPerZone.type MOST_CONCURRENCY",
        "x-croft.trafficSteps[1].percent 5",
        "together at most 2880 minutes",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:?}"
        );
    }
}

#[test]
fn hosts_and_containers_need_what_is_theirs() {
    let check = |json| {
        serde_json::from_value::<DeploymentConfig>(json)
            .unwrap()
            .check()
    };
    assert!(check(serde_json::json!({"deploymentConfigName": "a"})).is_err());
    assert!(
        check(
            serde_json::json!({"deploymentConfigName": "a", "computePlatform": "ECS",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1}})
        )
        .is_err()
    );
    assert!(
        check(serde_json::json!({"deploymentConfigName": "a",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0}}))
        .is_ok()
    );
    let canary = serde_json::json!({"deploymentConfigName": "a", "computePlatform": "ECS",
        "trafficRoutingConfig": {"type": "TimeBasedCanary"}});
    assert!(check(canary).unwrap_err()[0].contains("timeBasedCanary"));
}
