//! Scrapes, put together again from series: all that one instance showed at one moment. Made from the answers of a round.
//!
//! Whether an instance is well may be said by somebody else, such as a prober under the instance's name, at moments of its own. What is seen
//! then is no scrape of the instance: it says nothing of what its counters are, nor how often they are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use croft_proto::Timestamp;

use super::For;
use super::metric::{Shown, buckets};
use crate::metrics::Series;

/// One scrape of one instance.
#[derive(Debug, Default)]
pub(super) struct Scrape<'s> {
    /// By metric.
    pub(super) shown: Vec<Shown<'s>>,
    /// The lowest of what says whether it is well.
    pub(super) up: Option<f64>,
    /// When its processes began, by series.
    pub(super) started: Vec<(&'s str, f64)>,
}

impl Scrape<'_> {
    fn has_counters(&self) -> bool {
        self.shown.iter().any(|shown| !shown.is_empty())
    }
}

/// Buckets by the bits of their upper ends: the end, and the count of all sets of labels.
pub(super) type Ends = BTreeMap<u64, (f64, f64)>;

/// All scrapes of a round, the oldest first.
pub(super) fn of<'s>(found: &'s [(For, Vec<Series>)], label: &str, metrics: usize) -> Scrapes<'s> {
    let mut scrapes: Scrapes<'_> = BTreeMap::new();
    let mut ends: BTreeMap<(Timestamp, &str, usize), Ends> = BTreeMap::new();
    let mut names = Vec::new();
    for (what, all) in found {
        for series in all {
            names.push((*what, series, series.labels.get(label)));
        }
    }
    // Within an instance and a selector, its place tells a series from others only in this round; its labels do in all.
    for (what, series, instance) in names {
        let Some(instance) = instance else { continue };
        let key = series_key(series);
        for sample in &series.samples {
            let place = (sample.at, instance.as_str());
            let scrape = scrapes.entry(place).or_insert_with(|| Scrape {
                shown: std::iter::repeat_with(Shown::default)
                    .take(metrics)
                    .collect(),
                ..Scrape::default()
            });
            match what {
                For::Requests(number) => scrape.shown[number].requests.push((key, sample.value)),
                For::Bad(number) => scrape.shown[number].bad.push((key, sample.value)),
                For::Buckets(number) => {
                    let end = series.labels.get("le").map(String::as_str);
                    let found = ends
                        .entry((sample.at, instance.as_str(), number))
                        .or_default();
                    buckets(found, end.unwrap_or_default(), sample.value);
                }
                For::Up => {
                    let lowest = scrape.up.map_or(sample.value, |up| up.min(sample.value));
                    scrape.up = Some(lowest);
                }
                For::Started => scrape.started.push((key, sample.value)),
                For::Heart | For::Query(_) => {}
            }
        }
    }
    for ((at, instance, number), found) in ends {
        if let Some(scrape) = scrapes.get_mut(&(at, instance)) {
            scrape.shown[number].buckets = found.into_values().collect();
        }
    }
    scrapes
}

/// What tells a series from others of its instance.
fn series_key(series: &Series) -> &str {
    series.labels.get(KEY).map_or("", String::as_str)
}

/// A label that no source has: all others in one text, written once when a round is answered.
pub(super) const KEY: &str = "\u{0}key";

/// Gives each series its key.
pub(super) fn with_keys(found: &mut [(For, Vec<Series>)]) {
    for series in found.iter_mut().flat_map(|(_, all)| all) {
        let key = format!("{:?}", series.labels);
        series.labels.insert(KEY.to_owned(), key);
    }
}

/// All that was scraped in a round, by moment and instance.
pub(super) type Scrapes<'s> = BTreeMap<(Timestamp, &'s str), Scrape<'s>>;

/// What a moment of an instance is to the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It is known already.
    Known,
    /// A scrape of it, so many milliseconds after the one before; 0 at the first.
    Scrape { gap_ms: u64 },
    /// Somebody else says how it is.
    Beside,
}

/// What somebody else says of instances, whose word it is where it was never read together with their counters.
#[derive(Debug, Default)]
struct Beside {
    /// Whether they are up.
    up: HashSet<String>,
    /// When they began.
    started: HashSet<String>,
}

/// When each instance was last scraped: what is asked for overlaps with what was.
#[derive(Debug, Default)]
pub(super) struct Seen {
    scraped: HashMap<String, Timestamp>,
    /// The same of what is said of it by others.
    told: HashMap<String, Timestamp>,
    beside: Beside,
}

impl Seen {
    /// Looks who says of each instance how it is.
    pub(super) fn look(&mut self, scrapes: &Scrapes<'_>) {
        let of_up = |scrape: &Scrape<'_>| scrape.up.is_some();
        let of_started = |scrape: &Scrape<'_>| !scrape.started.is_empty();
        note(&mut self.beside.up, scrapes, of_up);
        note(&mut self.beside.started, scrapes, of_started);
    }

    /// Whether others say of an instance whether it is up: then its own scrape does not.
    pub(super) fn is_probed(&self, instance: &str) -> bool {
        self.beside.up.contains(instance)
    }

    /// What that moment of an instance is.
    pub(super) fn moment(&mut self, instance: &str, at: Timestamp, scrape: &Scrape<'_>) -> Moment {
        let is_beside = !scrape.has_counters()
            && (scrape.up.is_none() || self.beside.up.contains(instance))
            && (scrape.started.is_empty() || self.beside.started.contains(instance));
        let seen = match is_beside {
            true => &mut self.told,
            false => &mut self.scraped,
        };
        let last = seen.get(instance).copied();
        if last.is_some_and(|last| at <= last) {
            return Moment::Known;
        }
        seen.insert(instance.to_owned(), at);
        match is_beside {
            true => Moment::Beside,
            false => Moment::Scrape {
                gap_ms: last.map_or(0, |last| at.millis_since(last)),
            },
        }
    }
}

/// Notes the instances of which something is said that is never said where their counters are read.
fn note(
    beside: &mut HashSet<String>,
    scrapes: &Scrapes<'_>,
    is_said: impl Fn(&Scrape<'_>) -> bool,
) {
    let mut of: HashMap<&str, [bool; 3]> = HashMap::new();
    for ((_, instance), scrape) in scrapes {
        let [together, counters, alone] = of.entry(instance).or_default();
        match (scrape.has_counters(), is_said(scrape)) {
            (true, true) => *together = true,
            (true, false) => *counters = true,
            (false, true) => *alone = true,
            (false, false) => {}
        }
    }
    for (instance, [together, counters, alone]) in of {
        if together {
            beside.remove(instance);
        } else if counters && alone {
            beside.insert(instance.to_owned());
        }
    }
}
