//! Scrapes, put together again from series: all that one instance showed at one moment. Made from the answers of a round.

use std::collections::{BTreeMap, HashMap};

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

/// Buckets by the bits of their upper ends: the end, and the count of all sets of labels.
pub(super) type Ends = BTreeMap<u64, (f64, f64)>;

/// All scrapes of a round, the oldest first.
pub(super) fn of<'s>(
    found: &'s [(For, Vec<Series>)],
    label: &str,
    metrics: usize,
) -> BTreeMap<(Timestamp, &'s str), Scrape<'s>> {
    let mut scrapes: BTreeMap<(Timestamp, &str), Scrape<'_>> = BTreeMap::new();
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

/// When each instance was last scraped: what is asked for overlaps with what was.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<String, Timestamp>);

impl Seen {
    /// Milliseconds since the scrape before, 0 at the first; none when it is known already.
    pub(super) fn is_new(&mut self, instance: &str, at: Timestamp) -> Option<u64> {
        match self.0.get_mut(instance) {
            Some(last) if at <= *last => None,
            Some(last) => {
                let gap_ms = at.millis_since(*last);
                *last = at;
                Some(gap_ms)
            }
            None => {
                self.0.insert(instance.to_owned(), at);
                Some(0)
            }
        }
    }
}
