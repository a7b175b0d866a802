//! What is measured of a group's releases, and when that is bad: `x-croft.verdicts` as its author writes it, read and checked once when the
//! group is applied. Handed to the watch of each deployment.

use std::collections::{BTreeMap, BTreeSet};

use croft_proto::deploy::{VerdictSettings, is_deploy_name};
use croft_proto::shape::{self, Mistake, Strays};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::guard::GuardRules;
use super::missing::{Kind, Policy};
use super::shape::SHAPE;
use super::threshold::Threshold;
use crate::alarm::Definition;

/// Where it stands in a group.
const AT: &str = "x-croft.verdicts";
/// Metrics that share one alpha: with more of them each decides late.
const METRICS_MAX: usize = 10;
/// Thresholds, and alarms: each is asked for every few seconds.
const QUERIES_MAX: usize = 50;
/// It is kept with each plan, which is one event.
const BYTES_MAX: usize = 16 << 10;
/// A threshold is looked at once a second at most.
const INTERVAL_SECONDS_MAX: u64 = 3_600;

/// Whom the canary is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Baseline {
    /// With old instances while some serve, then with the hour before.
    #[default]
    Auto,
    /// With old instances alone: when none serves any more the test is over.
    Concurrent,
    /// With the hour before, always.
    History,
}

/// How series are known to be of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Hosts {
    /// The label whose value names the host, alone or with a port behind it.
    pub label: String,
    /// The values of hosts that it does not name.
    pub map: BTreeMap<String, String>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            label: "instance".into(),
            map: BTreeMap::new(),
        }
    }
}

/// A canary metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// Its name, for people.
    pub name: String,
    /// A selector of counters of all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// A selector of counters of the bad ones among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<String>,
    /// In place of both: a selector of a histogram's buckets,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
    /// where requests slower than that are the bad ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<f64>,
    /// What to do when it has no value.
    #[serde(default)]
    pub missing: Option<Policy>,
}

/// What a metric counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Counted {
    /// Two counters.
    Counters {
        /// Selector of all requests.
        requests: String,
        /// Selector of the bad ones.
        bad: String,
    },
    /// Buckets.
    Histogram {
        /// Selector of the buckets.
        buckets: String,
        /// Seconds.
        slower_than: f64,
    },
}

impl Metric {
    /// What it counts; none when it is not one of the two, which a check has refused.
    #[must_use]
    pub fn counted(&self) -> Option<Counted> {
        match (&self.requests, &self.bad, &self.histogram, self.slower_than) {
            (Some(requests), Some(bad), None, None) => Some(Counted::Counters {
                requests: requests.clone(),
                bad: bad.clone(),
            }),
            (None, None, Some(buckets), Some(slower_than)) => Some(Counted::Histogram {
                buckets: buckets.clone(),
                slower_than,
            }),
            _ => None,
        }
    }

    /// What stands for it in evidence: the selector of what is bad.
    #[must_use]
    pub fn query(&self) -> &str {
        let selector = self.bad.as_deref().or(self.histogram.as_deref());
        selector.unwrap_or_default()
    }
}

/// Guard rails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Guards {
    /// A selector that is 1 where an instance is well: `up`, or a probe's success.
    pub up: Option<String>,
    /// A selector of the moments when processes began, such as `process_start_time_seconds`: another moment is a restart.
    pub started: Option<String>,
    /// The canary metric whose bad requests are errors. Absent, the first with counters.
    pub errors: Option<String>,
    /// When they are hit.
    pub rules: GuardRules,
}

/// A threshold as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// Its name, for people.
    pub name: String,
    /// PromQL with one value.
    pub query: String,
    /// No value may be below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// No value may be above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// It is looked at so often.
    #[serde(default = "interval")]
    pub interval_seconds: u64,
    /// So many values outside are borne,
    #[serde(default = "failures")]
    pub failure_limit: u32,
    /// among so many of the last.
    #[serde(default = "window")]
    pub window: u32,
    /// Whether it divides one count by another, so that no traffic is not a number.
    #[serde(default = "kind")]
    pub kind: Kind,
    /// What to do when it has no value.
    #[serde(default)]
    pub missing: Option<Policy>,
}

const fn interval() -> u64 {
    10
}

const fn failures() -> u32 {
    2
}

const fn window() -> u32 {
    6
}

const fn kind() -> Kind {
    Kind::Ratio
}

impl Limit {
    /// The limits alone.
    #[must_use]
    pub fn threshold(&self) -> Threshold {
        Threshold {
            min: self.min,
            max: self.max,
            interval_ms: self.interval_seconds * 1000,
            failure_limit: self.failure_limit,
            window: self.window,
        }
    }
}

/// All settings of a group's detectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How series are known to be of a host.
    pub hosts: Hosts,
    /// Whom the canary is compared with.
    pub baseline: Baseline,
    /// Canary metrics.
    pub metrics: Vec<Metric>,
    /// Guard rails.
    pub guards: Guards,
    /// Thresholds.
    pub thresholds: Vec<Limit>,
    /// Alarms.
    pub alarms: Vec<Definition>,
    /// What to do without a value, where a metric says nothing else.
    pub missing: Policy,
}

/// Reading, mistake by mistake.
struct Reader<'v> {
    map: &'v Map<String, Value>,
    wrong: Vec<String>,
    /// Of each list, which of its items could be read.
    kept: BTreeMap<&'static str, Vec<usize>>,
}

impl Reader<'_> {
    fn one<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        match self.map.get(name) {
            None => T::default(),
            Some(value) => self.read(name, value).unwrap_or_default(),
        }
    }

    fn list<T: DeserializeOwned>(&mut self, name: &'static str, most: usize) -> Vec<T> {
        let Some(value) = self.map.get(name) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.say(name, "a list is needed");
            return Vec::new();
        };
        if items.len() > most {
            self.say(name, &format!("at most {most}"));
        }
        let mut all = Vec::new();
        for (number, item) in items.iter().enumerate() {
            if let Some(read) = self.read(&format!("{name}[{number}]"), item) {
                self.kept.entry(name).or_default().push(number);
                all.push(read);
            }
        }
        all
    }

    /// The path of an item that could be read, as it was written.
    fn item(&self, list: &'static str, number: usize) -> String {
        let kept = self.kept.get(list).and_then(|kept| kept.get(number));
        format!("{list}[{}]", kept.unwrap_or(&number))
    }

    fn read<T: DeserializeOwned>(&mut self, path: &str, value: &Value) -> Option<T> {
        match shape::typed_at(value, &format!("{AT}.{path}")) {
            Ok(read) => Some(read),
            Err(mistake) => {
                self.wrong.push(mistake.to_string());
                None
            }
        }
    }

    fn say(&mut self, path: &str, what: &str) {
        self.wrong.push(format!("{AT}.{path}: {what}"));
    }
}

impl Settings {
    /// What somebody writes now. Stricter than [`Settings::read`], which also takes what groups of earlier versions say.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn applied(written: &VerdictSettings) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = strays(written).into_mistakes();
        let read = Self::read(written);
        let other = read.as_ref().err().cloned().unwrap_or_default();
        // Those say it again, with less to go by.
        let is_news = |said: &String| {
            let place = said.split(": ").next();
            !mistakes
                .iter()
                .any(|mistake| mistake.said.split(": ").next() == place)
        };
        let mut other: Vec<String> = other.into_iter().filter(is_news).collect();
        if let Ok(settings) = &read {
            other.extend(settings.could_never_be());
        }
        mistakes.extend(other.into_iter().map(Mistake::of_value));
        match read {
            Ok(settings) if mistakes.is_empty() => Ok(settings),
            Ok(_) | Err(_) => Err(mistakes),
        }
    }

    /// What of it does nothing here, each in a sentence that begins with its path.
    #[must_use]
    pub fn notes(written: &VerdictSettings) -> Vec<String> {
        strays(written).idle
    }

    /// The guard rails alone, with the metric whose errors they count.
    #[must_use]
    pub fn guards_only(mut self) -> Self {
        let errors = self.errors().map(|number| self.metrics[number].clone());
        // By its name: it is the only one now.
        self.guards.errors = errors.as_ref().map(|metric| metric.name.clone());
        self.metrics = errors.into_iter().collect();
        self.thresholds.clear();
        self.alarms.clear();
        self
    }

    /// Whether there is anything that a guard rail can see.
    #[must_use]
    pub fn has_guards(&self) -> bool {
        let guards = &self.guards;
        guards.up.is_some() || guards.started.is_some() || self.errors().is_some()
    }

    /// What is written, once it is known that it can be.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn read(written: &VerdictSettings) -> Result<Self, Vec<String>> {
        let mut reader = Reader {
            map: &written.0,
            wrong: Vec::new(),
            kept: BTreeMap::new(),
        };
        let settings = Self {
            hosts: reader.one("hosts"),
            baseline: reader.one("baseline"),
            metrics: reader.list("metrics", METRICS_MAX),
            guards: reader.one("guards"),
            thresholds: reader.list("thresholds", QUERIES_MAX),
            alarms: reader.list("alarms", QUERIES_MAX),
            missing: reader.one("missing"),
        };
        const KNOWN: [&str; 7] = [
            "hosts",
            "baseline",
            "metrics",
            "guards",
            "thresholds",
            "alarms",
            "missing",
        ];
        for name in written.0.keys() {
            if !KNOWN.contains(&name.as_str()) {
                reader.say(name, &format!("one of {}", KNOWN.join(", ")));
            }
        }
        let size_bytes = serde_json::to_vec(&written.0).map_or(usize::MAX, |json| json.len());
        if size_bytes > BYTES_MAX {
            let most = format!("{AT}: {size_bytes} bytes, at most {BYTES_MAX}");
            reader.wrong.push(most);
        }
        settings.check(&mut reader);
        if reader.wrong.is_empty() {
            Ok(settings)
        } else {
            Err(reader.wrong)
        }
    }

    fn check(&self, reader: &mut Reader<'_>) {
        self.check_metrics(reader);
        self.check_guards(reader);
        self.check_thresholds(reader);
        for (number, alarm) in self.alarms.iter().enumerate() {
            let path = reader.item("alarms", number);
            if let Err(wrong) = alarm.check() {
                reader.say(&path, &wrong.to_string());
            }
            if alarm.query.trim().is_empty() {
                reader.say(&format!("{path}.Query"), "empty");
            }
        }
        let mut seen = BTreeSet::new();
        for (path, name) in self.names(reader) {
            if name.trim().is_empty() {
                reader.say(&path, "empty");
            } else if !seen.insert(name) {
                reader.say(&path, &format!("`{name}` is there twice"));
            }
        }
    }

    /// What can be read and could never have a value: it would only be found at the first deployment.
    fn could_never_be(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, metric) in self.metrics.iter().enumerate() {
            let why = metric.histogram.as_deref().and_then(no_buckets);
            wrong.extend(why.map(|why| format!("{AT}.metrics[{number}].histogram: {why}")));
        }
        let mut of_value: BTreeMap<&str, &str> = BTreeMap::new();
        for (host, value) in &self.hosts.map {
            let path = format!("{AT}.hosts.map.{host}");
            if !is_deploy_name(host) {
                wrong.push(format!(
                    "{path}: no host can be called so; the keys are hosts, and the values what `{}` says of them",
                    self.hosts.label
                ));
            }
            if value.is_empty() {
                wrong.push(format!("{path}: empty, so no series is of that host"));
            } else if let Some(other) = of_value.insert(value, host) {
                wrong.push(format!(
                    "{path}: `{value}` is of `{other}` already, and a series is of one host"
                ));
            }
        }
        wrong
    }

    fn names(&self, reader: &Reader<'_>) -> Vec<(String, &str)> {
        let metrics = self.metrics.iter().map(|metric| metric.name.as_str());
        let limits = self.thresholds.iter().map(|limit| limit.name.as_str());
        let alarms = self.alarms.iter().map(|alarm| alarm.alarm_name.as_str());
        let place = |list: &'static str, field: &'static str| {
            move |(number, name)| (format!("{}.{field}", reader.item(list, number)), name)
        };
        let metrics = metrics.enumerate().map(place("metrics", "name"));
        let limits = limits.enumerate().map(place("thresholds", "name"));
        let alarms = alarms.enumerate().map(place("alarms", "AlarmName"));
        metrics.chain(limits).chain(alarms).collect()
    }

    fn check_metrics(&self, reader: &mut Reader<'_>) {
        for (number, metric) in self.metrics.iter().enumerate() {
            let path = reader.item("metrics", number);
            if metric.counted().is_none() {
                reader.say(
                    &path,
                    "`requests` and `bad`, or `histogram` and `slowerThan`",
                );
            }
            for (field, selector) in [
                ("requests", &metric.requests),
                ("bad", &metric.bad),
                ("histogram", &metric.histogram),
            ] {
                wrong_selector(reader, &format!("{path}.{field}"), selector.as_deref());
            }
            if metric
                .slower_than
                .is_some_and(|seconds| !seconds.is_finite() || seconds <= 0.0)
            {
                reader.say(&format!("{path}.slowerThan"), "seconds, above 0");
            }
        }
    }

    fn check_guards(&self, reader: &mut Reader<'_>) {
        let guards = &self.guards;
        wrong_selector(reader, "guards.up", guards.up.as_deref());
        wrong_selector(reader, "guards.started", guards.started.as_deref());
        if let Some(name) = &guards.errors
            && !self.metrics.iter().any(|metric| metric.name == *name)
        {
            reader.say("guards.errors", &format!("there is no metric `{name}`"));
        }
        let rules = &guards.rules;
        for (field, share) in [("fraction", rules.fraction), ("ratioMax", rules.ratio_max)] {
            if !(share > 0.0 && share <= 1.0) {
                reader.say(
                    &format!("guards.rules.{field}"),
                    &format!("{share}: above 0, at most 1"),
                );
            }
        }
    }

    fn check_thresholds(&self, reader: &mut Reader<'_>) {
        for (number, limit) in self.thresholds.iter().enumerate() {
            let path = reader.item("thresholds", number);
            if limit.query.trim().is_empty() {
                reader.say(&format!("{path}.query"), "empty");
            }
            if limit.min.is_none() && limit.max.is_none() {
                reader.say(&path, "`min`, `max` or both");
            }
            if let (Some(min), Some(max)) = (limit.min, limit.max)
                && min > max
            {
                let why = format!("{min} is above `max` {max}: no value is between them");
                reader.say(&format!("{path}.min"), &why);
            }
            if !(1..=INTERVAL_SECONDS_MAX).contains(&limit.interval_seconds) {
                let most = format!("1 to {INTERVAL_SECONDS_MAX}");
                reader.say(&format!("{path}.intervalSeconds"), &most);
            }
            if limit.failure_limit >= limit.window {
                reader.say(
                    &format!("{path}.failureLimit"),
                    &format!(
                        "{} of the last {} may fail, so it could never fail",
                        limit.failure_limit, limit.window
                    ),
                );
            }
        }
    }

    /// The metric whose bad requests are errors for the guard rail.
    #[must_use]
    pub fn errors(&self) -> Option<usize> {
        let metrics = self.metrics.iter();
        match &self.guards.errors {
            Some(name) => self.metrics.iter().position(|metric| metric.name == *name),
            None => metrics.clone().position(|metric| metric.requests.is_some()),
        }
    }
}

fn strays(written: &VerdictSettings) -> Strays {
    Strays::below(&Value::Object(written.0.clone()), &SHAPE, AT)
}

/// Why a selector cannot be of all buckets of a histogram; none when it may be.
fn no_buckets(selector: &str) -> Option<String> {
    let (before, inside) = selector.split_once('{').unwrap_or((selector, ""));
    let matcher = |label: &str| {
        let inside = inside.trim_end().trim_end_matches('}');
        let matchers = inside.split(',').map(str::trim);
        let said = matchers.filter_map(|matcher| matcher.strip_prefix(label));
        let mut equal = said.filter_map(|rest| rest.trim_start().strip_prefix('='));
        let value = equal.find(|value| !value.starts_with('~'))?;
        Some(value.trim().trim_matches(['"', '\'', '`']).to_owned())
    };
    if let Some(end) = matcher("le") {
        return Some(format!(
            "`{selector}` is of the bucket `le=\"{end}\"` alone: leave `le` out, all buckets are needed"
        ));
    }
    let name = match before.trim() {
        "" => matcher("__name__")?,
        name => name.to_owned(),
    };
    (!name.ends_with("_bucket")).then(|| {
        format!(
            "`{name}` has no buckets, which are told apart by `le`: those of a histogram are a metric whose name ends in `_bucket`"
        )
    })
}

/// Raw samples are asked for, so that a function of them is none.
fn wrong_selector(reader: &mut Reader<'_>, path: &str, selector: Option<&str>) {
    let Some(selector) = selector else { return };
    let mut in_quotes = None;
    let mut escaped = false;
    let plain: String = selector
        .chars()
        .filter(|letter| {
            if let Some(quote) = in_quotes {
                let ends = *letter == quote && !escaped;
                escaped = *letter == '\\' && !escaped;
                if ends {
                    in_quotes = None;
                }
                return false;
            }
            if matches!(letter, '"' | '\'' | '`') {
                in_quotes = Some(*letter);
            }
            true
        })
        .collect();
    let is_selector = !plain.trim().is_empty()
        && !plain.contains(['(', ')', '[', '/', '*', '+', '-', '@'])
        && !plain.contains(" offset ");
    if !is_selector {
        reader.say(
            path,
            &format!(
                "`{selector}`: a selector of raw samples, such as http_requests_total{{job=\"shop\"}}, without functions or a range"
            ),
        );
    }
}

#[cfg(test)]
mod tests;
