//! Deployment configurations in AWS's shape: how many hosts must stay, and how traffic moves. Made once and never changed; read by
//! whoever plans a deployment.

use serde::{Deserialize, Serialize};

use super::name::wrong_name;

/// The configuration of a deployment that names none.
pub const DEFAULT_CONFIG: &str = "CodeDeployDefault.OneAtATime";
/// Names that begin so are AWS's, and cannot be given.
pub const RESERVED_PREFIX: &str = "CodeDeployDefault.";
/// AWS's longest time from the first shift of traffic to the last, in minutes.
const SHIFT_MINUTES_MAX: u32 = 2880;
/// Our own steps are minutes or hours of watching, each; more of them than this are a slope.
const STEPS_MAX: usize = 100;
/// A zone is watched for so long at most: AWS's two days.
const MONITOR_SECONDS_MAX: u64 = 172_800;

/// What an application runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ComputePlatform {
    /// Hosts.
    #[default]
    Server,
    /// Accepted in configurations; nothing here runs functions.
    Lambda,
    /// Containers. Planned by the engine; no agent carries that out yet.
    #[serde(rename = "ECS")]
    Ecs,
}

/// What a number of healthy hosts counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MinimumHealthyHostsType {
    /// Hosts.
    HostCount,
    /// Parts of a hundred of the hosts, rounded up.
    FleetPercent,
    /// All but so many hosts, which are also all that are changed at once. AWS shows it of `OneAtATime`; it cannot be asked for.
    MostConcurrency,
}

/// How many hosts must stay healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MinimumHealthyHosts {
    /// What is counted.
    #[serde(rename = "type")]
    pub counts: MinimumHealthyHostsType,
    /// How many.
    pub value: u32,
}

/// Zone after zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZonalConfig {
    /// How long is waited after the first; absent, as after the others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_zone_monitor_duration_in_seconds: Option<u64>,
    /// How long is waited after each; absent, not at all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub monitor_duration_in_seconds: Option<u64>,
    /// How many must stay healthy in each, beside those of the fleet; absent, none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minimum_healthy_hosts_per_zone: Option<MinimumHealthyHosts>,
}

/// How traffic moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrafficRoutingType {
    /// A part, and later the rest.
    TimeBasedCanary,
    /// Part after part.
    TimeBasedLinear,
    /// Together.
    #[default]
    AllAtOnce,
}

/// A part, and later the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeBasedCanary {
    /// The part, of a hundred.
    pub canary_percentage: u32,
    /// Minutes until the rest.
    pub canary_interval: u32,
}

/// Part after part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeBasedLinear {
    /// Each part, of a hundred.
    pub linear_percentage: u32,
    /// Minutes between them.
    pub linear_interval: u32,
}

/// How traffic moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRoutingConfig {
    /// Which way.
    #[serde(rename = "type")]
    pub routing: TrafficRoutingType,
    /// For `TimeBasedCanary`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_based_canary: Option<TimeBasedCanary>,
    /// For `TimeBasedLinear`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_based_linear: Option<TimeBasedLinear>,
}

/// So much of the traffic, and then a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficStep {
    /// What the new revision gets, of a hundred.
    pub percent: u32,
    /// Until the next step.
    pub wait_seconds: u64,
}

/// A few hosts first, and then a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostCanary {
    /// So many.
    pub hosts: u32,
    /// Until the others.
    pub wait_seconds: u64,
}

/// Ours of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnOfConfig {
    /// Steps of the caller's own, in seconds, in place of `trafficRoutingConfig`. The last one of all traffic is added.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub traffic_steps: Vec<TrafficStep>,
    /// For hosts that are changed in place: those that go first, and are watched before the others follow.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub canary: Option<HostCanary>,
}

/// A deployment configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentConfig {
    /// Its name.
    pub deployment_config_name: String,
    /// What it is for.
    #[serde(default)]
    pub compute_platform: ComputePlatform,
    /// For hosts: how many must stay healthy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minimum_healthy_hosts: Option<MinimumHealthyHosts>,
    /// How traffic moves; absent, together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traffic_routing_config: Option<TrafficRoutingConfig>,
    /// For hosts: zone after zone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zonal_config: Option<ZonalConfig>,
    /// Ours.
    #[serde(rename = "x-croft", skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnOfConfig>,
}

impl DeploymentConfig {
    /// Every predefined configuration's name.
    pub const PREDEFINED: [&str; 17] = [
        "CodeDeployDefault.OneAtATime",
        "CodeDeployDefault.HalfAtATime",
        "CodeDeployDefault.AllAtOnce",
        "CodeDeployDefault.LambdaAllAtOnce",
        "CodeDeployDefault.LambdaCanary10Percent5Minutes",
        "CodeDeployDefault.LambdaCanary10Percent10Minutes",
        "CodeDeployDefault.LambdaCanary10Percent15Minutes",
        "CodeDeployDefault.LambdaCanary10Percent30Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
        "CodeDeployDefault.LambdaLinear10PercentEvery2Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery3Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery10Minutes",
        "CodeDeployDefault.ECSAllAtOnce",
        "CodeDeployDefault.ECSCanary10Percent5Minutes",
        "CodeDeployDefault.ECSCanary10Percent15Minutes",
        "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
        "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
    ];

    /// The predefined configuration of that name. None when there is none.
    ///
    /// **Source.** CodeDeploy's user guide, "Predefined deployment configurations".
    #[must_use]
    pub fn predefined(name: &str) -> Option<Self> {
        let short = Self::PREDEFINED
            .contains(&name)
            .then(|| name.strip_prefix(RESERVED_PREFIX))??;
        let hosts = |counts, value| {
            let minimum = MinimumHealthyHosts { counts, value };
            Self {
                minimum_healthy_hosts: Some(minimum),
                ..Self::named(name, ComputePlatform::Server)
            }
        };
        Some(match short {
            "OneAtATime" => hosts(MinimumHealthyHostsType::MostConcurrency, 1),
            "HalfAtATime" => hosts(MinimumHealthyHostsType::FleetPercent, 50),
            "AllAtOnce" => hosts(MinimumHealthyHostsType::HostCount, 0),
            traffic => {
                let (compute_platform, way) = match traffic.strip_prefix("ECS") {
                    Some(way) => (ComputePlatform::Ecs, way),
                    None => (ComputePlatform::Lambda, traffic.strip_prefix("Lambda")?),
                };
                Self {
                    traffic_routing_config: Some(routing(way)?),
                    ..Self::named(name, compute_platform)
                }
            }
        })
    }

    fn named(name: &str, compute_platform: ComputePlatform) -> Self {
        Self {
            deployment_config_name: name.to_string(),
            compute_platform,
            minimum_healthy_hosts: None,
            traffic_routing_config: None,
            zonal_config: None,
            own: None,
        }
    }

    /// The steps in which traffic moves; the last is of all of it.
    ///
    /// **Shape.** At least one; ascending.
    #[must_use]
    pub fn traffic_steps(&self) -> Vec<TrafficStep> {
        let mut steps = match (&self.own, self.traffic_routing_config) {
            (Some(own), _) if !own.traffic_steps.is_empty() => own.traffic_steps.clone(),
            (_, Some(routing)) => routing.steps(),
            (_, None) => Vec::new(),
        };
        steps.retain(|step| step.percent < 100);
        steps.push(TrafficStep {
            percent: 100,
            wait_seconds: 0,
        });
        steps
    }

    /// Whether somebody may make it.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let name = &self.deployment_config_name;
        let mut wrong: Vec<String> = wrong_name("deploymentConfigName", name)
            .into_iter()
            .collect();
        if name.starts_with(RESERVED_PREFIX) {
            wrong.push(format!(
                "deploymentConfigName `{name}`: names that begin with {RESERVED_PREFIX} are taken"
            ));
        }
        let is_server = self.compute_platform == ComputePlatform::Server;
        match self.minimum_healthy_hosts {
            Some(minimum) => wrong.extend(minimum.wrong("minimumHealthyHosts")),
            None if is_server => {
                wrong.push("minimumHealthyHosts: computePlatform Server needs it".to_string());
            }
            None => {}
        }
        if !is_server && (self.minimum_healthy_hosts.is_some() || self.zonal_config.is_some()) {
            wrong.push(
                "minimumHealthyHosts, zonalConfig: they are of computePlatform Server".to_string(),
            );
        }
        if let Some(routing) = &self.traffic_routing_config {
            wrong.extend(routing.wrong());
        }
        if let Some(zonal) = &self.zonal_config {
            wrong.extend(zonal.wrong());
        }
        if let Some(own) = &self.own {
            wrong.extend(own.wrong());
            if own.canary.is_some() && (!is_server || self.zonal_config.is_some()) {
                wrong.push(
                    "x-croft.canary: it is of computePlatform Server, and not beside zonalConfig, whose first zone is one"
                        .to_string(),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Of the end of a predefined name: `AllAtOnce`, `Canary10Percent5Minutes`, `Linear10PercentEvery1Minute`.
fn routing(way: &str) -> Option<TrafficRoutingConfig> {
    let minutes = |text: &str| {
        text.trim_end_matches("Minutes")
            .trim_end_matches("Minute")
            .parse()
            .ok()
    };
    if way == "AllAtOnce" {
        return Some(TrafficRoutingConfig::default());
    }
    if let Some(interval) = way.strip_prefix("Canary10Percent") {
        return Some(TrafficRoutingConfig {
            routing: TrafficRoutingType::TimeBasedCanary,
            time_based_canary: Some(TimeBasedCanary {
                canary_percentage: 10,
                canary_interval: minutes(interval)?,
            }),
            time_based_linear: None,
        });
    }
    Some(TrafficRoutingConfig {
        routing: TrafficRoutingType::TimeBasedLinear,
        time_based_canary: None,
        time_based_linear: Some(TimeBasedLinear {
            linear_percentage: 10,
            linear_interval: minutes(way.strip_prefix("Linear10PercentEvery")?)?,
        }),
    })
}

impl TrafficRoutingConfig {
    /// Those before the last.
    fn steps(&self) -> Vec<TrafficStep> {
        let step = |percent, minutes: u32| TrafficStep {
            percent,
            wait_seconds: u64::from(minutes) * 60,
        };
        match (self.routing, self.time_based_canary, self.time_based_linear) {
            (TrafficRoutingType::TimeBasedCanary, Some(canary), _) => {
                vec![step(canary.canary_percentage, canary.canary_interval)]
            }
            (TrafficRoutingType::TimeBasedLinear, _, Some(linear)) => {
                let each = linear.linear_percentage.max(1);
                (1..)
                    .map(|count| count * each)
                    .take_while(|percent| *percent < 100)
                    .map(|percent| step(percent, linear.linear_interval))
                    .collect()
            }
            (
                TrafficRoutingType::TimeBasedCanary
                | TrafficRoutingType::TimeBasedLinear
                | TrafficRoutingType::AllAtOnce,
                _,
                _,
            ) => Vec::new(),
        }
    }

    fn wrong(&self) -> Vec<String> {
        let at = "trafficRoutingConfig";
        let mut wrong = Vec::new();
        let (kind, percent, minutes) = match self.routing {
            TrafficRoutingType::AllAtOnce => return wrong,
            TrafficRoutingType::TimeBasedCanary => match self.time_based_canary {
                Some(canary) => (
                    "timeBasedCanary.canary",
                    canary.canary_percentage,
                    canary.canary_interval,
                ),
                None => return vec![format!("{at}.timeBasedCanary: TimeBasedCanary needs it")],
            },
            TrafficRoutingType::TimeBasedLinear => match self.time_based_linear {
                Some(linear) => (
                    "timeBasedLinear.linear",
                    linear.linear_percentage,
                    linear.linear_interval,
                ),
                None => return vec![format!("{at}.timeBasedLinear: TimeBasedLinear needs it")],
            },
        };
        if !(1..=99).contains(&percent) {
            wrong.push(format!("{at}.{kind}Percentage {percent}: 1 to 99"));
            return wrong;
        }
        let shifts = u32::try_from(self.steps().len()).unwrap_or(u32::MAX);
        if minutes.saturating_mul(shifts) > SHIFT_MINUTES_MAX {
            wrong.push(format!(
                "{at}.{kind}Interval {minutes}: from the first shift to the last may pass {SHIFT_MINUTES_MAX} minutes"
            ));
        }
        wrong
    }
}

impl MinimumHealthyHosts {
    fn wrong(self, at: &str) -> Option<String> {
        match self.counts {
            MinimumHealthyHostsType::HostCount => None,
            MinimumHealthyHostsType::FleetPercent => {
                (self.value > 99).then(|| format!("{at}.value {}: 0 to 99 percent", self.value))
            }
            MinimumHealthyHostsType::MostConcurrency => Some(format!(
                "{at}.type MOST_CONCURRENCY: it cannot be asked for"
            )),
        }
    }
}

impl ZonalConfig {
    fn wrong(&self) -> Vec<String> {
        let at = "zonalConfig";
        let mut wrong = Vec::new();
        for (field, seconds) in [
            (
                "firstZoneMonitorDurationInSeconds",
                self.first_zone_monitor_duration_in_seconds,
            ),
            ("monitorDurationInSeconds", self.monitor_duration_in_seconds),
        ] {
            if seconds.is_some_and(|seconds| seconds > MONITOR_SECONDS_MAX) {
                wrong.push(format!("{at}.{field}: at most {MONITOR_SECONDS_MAX}"));
            }
        }
        let minimum = self.minimum_healthy_hosts_per_zone;
        wrong.extend(
            minimum.and_then(|minimum| minimum.wrong("zonalConfig.minimumHealthyHostsPerZone")),
        );
        wrong
    }
}

impl OwnOfConfig {
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let steps = &self.traffic_steps;
        if steps.len() > STEPS_MAX {
            wrong.push(format!("x-croft.trafficSteps: at most {STEPS_MAX}"));
        }
        if let Some(canary) = self.canary {
            if canary.hosts == 0 {
                wrong.push("x-croft.canary.hosts 0: at least 1".to_string());
            }
            if canary.wait_seconds > MONITOR_SECONDS_MAX {
                wrong.push(format!(
                    "x-croft.canary.waitSeconds: at most {MONITOR_SECONDS_MAX}"
                ));
            }
        }
        let minutes: u64 = steps.iter().map(|step| step.wait_seconds / 60).sum();
        if minutes > u64::from(SHIFT_MINUTES_MAX) {
            wrong.push(format!(
                "x-croft.trafficSteps: together at most {SHIFT_MINUTES_MAX} minutes"
            ));
        }
        for (at, step) in steps.iter().enumerate() {
            let before = at.checked_sub(1).map_or(0, |before| steps[before].percent);
            if step.percent <= before || step.percent > 100 {
                wrong.push(format!(
                    "x-croft.trafficSteps[{at}].percent {}: ascending from 1 to 100",
                    step.percent
                ));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests;
