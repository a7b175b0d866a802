//! What the hour before a deployment teaches about a counter: how long its bursts of errors last, and how many errors come
//! together. Takes the errors of that hour, scrape by scrape; hands [`Learned`] to the sequential test.
//!
//! **This is a heuristic.** The test of [`super::Sequential`] is valid when blocks of time are independent of each other; that they are
//! is looked for here in one hour of the past, of which the future knows nothing.

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// With fewer blocks of errors than these an hour teaches nothing about bursts.
pub const BLOCKS_MIN: u32 = 10;

/// The length of a block when nothing could be learned: longer than bursts of retries.
pub const BLOCK_UNKNOWN_MS: u64 = 10_000;

/// Lengths of blocks that are tried, the shortest first; none is shorter than a scrape.
const LENGTHS_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000];

/// Bursts outlast their blocks when more blocks follow each other closely than chance explains: by so many standard deviations,
/// and half a block, which is no block. Stricter than 2 and blocks grow until regressions are found late; laxer than 3 and some
/// bursts are cut in two.
const CLOSE_DEVIATIONS: f64 = 2.5;
const CLOSE_SLACK: f64 = 0.5;

/// A dispersion within so many standard errors of 1 is 1.
const DISPERSION_ERRORS: f64 = 3.0;

/// Bursts have longer tails than the dispersion, which is about their mean, tells.
const TAIL: f64 = 2.0;

/// Blocks that fill a larger share of the time are not told apart.
const BUSY_MAX: f64 = 0.3;

/// A block of the canary never counts as more units than the largest block of the past had, nor is held below this.
const LARGEST_MIN: f64 = 3.0;

/// Errors counted by one scrape, or a few together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// The scrape that counted them.
    pub at: Timestamp,
    /// How many, since the scrape before.
    pub count: f64,
}

/// One counter's past, of the whole service.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// Time from one scrape to the next.
    pub scrape_ms: u64,
    /// How long the past is.
    pub span_ms: u64,
    /// All requests in it.
    pub requests: f64,
    /// The scrapes that counted errors, in order; the others are left out.
    pub errors: &'a [Errors],
}

/// What is known of a counter before a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Learned {
    /// Errors that follow the first within this time are one block: whatever made the first may have made them all.
    pub block_ms: u64,
    /// How many errors count as one unit inside a block. Nothing: any number does.
    pub dispersion: Option<f64>,
    /// A block counts as at least so many units: 1, or 0 where errors come all the time.
    pub units_min: f64,
    /// And as at most so many.
    pub units_max: f64,
    /// Blocks with errors for each request; an upper estimate, for a test against the past.
    pub blocks_per_request: f64,
    /// How much there was to learn from.
    pub from: Lesson,
}

/// How much there was to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lesson {
    /// Enough errors.
    History,
    /// Fewer than [`BLOCKS_MIN`] blocks of errors, or no history at all: every block is one unit, and alpha is tighter.
    TooLittle,
}

impl Learned {
    /// What is assumed of a counter without a past.
    #[must_use]
    pub fn nothing(scrape_ms: u64) -> Self {
        Self {
            block_ms: BLOCK_UNKNOWN_MS.max(scrape_ms),
            dispersion: None,
            units_min: 1.0,
            units_max: 1.0,
            // Nobody can be compared with a past that is not there; see `Against::History`.
            blocks_per_request: 1.0,
            from: Lesson::TooLittle,
        }
    }

    /// What that history teaches.
    ///
    /// While errors leave most of the time free, the shortest block is taken after which the next error comes no sooner than
    /// after any other moment: a block is then one event at least. Where they come all the time, events cannot be told apart, and
    /// only the dispersion says how many errors make one.
    #[must_use]
    pub fn from_history(history: &History<'_>) -> Self {
        let dispersion = dispersion(history);
        let long = Blocks::cut(history, BLOCK_UNKNOWN_MS.max(history.scrape_ms));
        let enough = long.count >= f64::from(BLOCKS_MIN);
        for block_ms in lengths(history.scrape_ms).filter(|_| enough) {
            let blocks = Blocks::cut(history, block_ms);
            let crowded = blocks.busy > BUSY_MAX;
            if crowded || blocks.are_independent() {
                let bursts = dispersion > 1.0;
                return Self {
                    block_ms: if crowded { history.scrape_ms } else { block_ms },
                    dispersion: Some(if bursts { dispersion * TAIL } else { 1.0 }),
                    units_min: if crowded { 0.0 } else { 1.0 },
                    units_max: if bursts {
                        1.0
                    } else {
                        blocks.largest.max(LARGEST_MIN)
                    },
                    blocks_per_request: blocks.upper() / history.requests.max(1.0),
                    from: Lesson::History,
                };
            }
        }
        let mut learned = Self::nothing(history.scrape_ms);
        let blocks = Blocks::cut(history, learned.block_ms);
        if history.requests > 0.0 {
            learned.blocks_per_request = blocks.upper() / history.requests;
        }
        learned
    }
}

/// The lengths to try.
fn lengths(scrape_ms: u64) -> impl Iterator<Item = u64> {
    let longer = LENGTHS_MS.into_iter().filter(move |ms| *ms > scrape_ms);
    std::iter::once(scrape_ms).chain(longer)
}

/// A history cut in blocks: each begins with an error that is in no other, and lasts a given time.
#[derive(Clone, Copy, Debug, Default)]
struct Blocks {
    count: f64,
    /// Errors of the largest.
    largest: f64,
    /// Those that began within one length after the end of the one before.
    close: f64,
    /// The share of the time that is in blocks.
    busy: f64,
}

impl Blocks {
    fn cut(history: &History<'_>, block_ms: u64) -> Self {
        let mut blocks = Self::default();
        let mut end = None;
        let mut size = 0.0;
        for errors in history.errors {
            // A scrape tells of the time since the one before it.
            let begun = errors.at.millis().saturating_sub(history.scrape_ms);
            if end.is_some_and(|end| begun < end) {
                size += errors.count;
            } else {
                if end.is_some_and(|end| begun < end + block_ms) {
                    blocks.close += 1.0;
                }
                blocks.count += 1.0;
                size = errors.count;
                end = Some(begun + block_ms);
            }
            blocks.largest = blocks.largest.max(size);
        }
        blocks.busy = blocks.count * block_ms as f64 / history.span_ms.max(1) as f64;
        blocks
    }

    /// Whether no more blocks follow each other closely than if each began by chance.
    fn are_independent(&self) -> bool {
        let chance = 1.0 - (-self.busy / (1.0 - self.busy).max(1e-3)).exp();
        let expected = self.count * chance;
        let deviation = (expected * (1.0 - chance)).sqrt();
        self.close <= expected + CLOSE_DEVIATIONS * deviation + CLOSE_SLACK
    }

    /// More blocks than there were, as many as there might as well have been.
    fn upper(&self) -> f64 {
        self.count + 1.0 + 2.0 * (self.count + 1.0).sqrt()
    }
}

/// How many errors come together: variance over mean of the errors in a time, the largest over several lengths of it; 1 where
/// errors are independent. Neighbours are compared, so that a slow change over the hour is not taken for bursts.
fn dispersion(history: &History<'_>) -> f64 {
    lengths(history.scrape_ms)
        .map(|bin_ms| index(history, bin_ms))
        .fold(1.0, f64::max)
}

fn index(history: &History<'_>, bin_ms: u64) -> f64 {
    let bins = (history.span_ms / bin_ms).max(2) as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    let (mut number, mut count, mut before) = (0, 0.0, 0.0);
    for errors in history.errors {
        let later = errors.at.millis().saturating_sub(1) / bin_ms;
        if later != number {
            squares += square(count - before);
            // The bins between them are empty.
            before = if later == number + 1 { count } else { 0.0 };
            squares += if later == number + 1 {
                0.0
            } else {
                square(count)
            };
            (number, count) = (later, 0.0);
        }
        sum += errors.count;
        count += errors.count;
    }
    squares += square(count - before) + square(count);
    let mean = sum / bins;
    let index = squares / 2.0 / sum.max(1e-9);
    // What independent errors show by chance is none.
    let noise = ((3.0 + 1.0 / mean.max(1e-9)) / bins).sqrt();
    if index <= 1.0 + DISPERSION_ERRORS * noise {
        1.0
    } else {
        index + noise
    }
}

fn square(number: f64) -> f64 {
    number * number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(errors: &[Errors]) -> History<'_> {
        History {
            scrape_ms: 1000,
            span_ms: 3_600_000,
            requests: 360_000.0,
            errors,
        }
    }

    fn at(seconds: u64, count: f64) -> Errors {
        Errors {
            at: Timestamp::from_millis(seconds * 1000),
            count,
        }
    }

    /// Seconds spread over the hour without a rhythm.
    fn scattered(count: u64) -> Vec<u64> {
        let mut seconds: Vec<u64> = (0..count).map(|n| 1 + (n * n * 7919) % 3590).collect();
        seconds.sort_unstable();
        seconds.dedup();
        seconds
    }

    #[test]
    fn single_errors_make_the_shortest_blocks_and_each_counts() {
        let errors: Vec<Errors> = scattered(300).into_iter().map(|s| at(s, 1.0)).collect();
        let learned = Learned::from_history(&history(&errors));
        assert_eq!(learned.from, Lesson::History);
        assert_eq!(learned.block_ms, 1000);
        assert_eq!(learned.dispersion, Some(1.0));
        assert!((learned.units_max - 3.0).abs() < 1e-9);
    }

    #[test]
    fn bursts_of_four_seconds_make_blocks_that_hold_them() {
        let errors: Vec<Errors> = (0..60)
            .map(|n| n * 59 + (n * n * 13) % 23)
            .flat_map(|second| (1..=4).map(move |more| at(second + more, 3.0)))
            .collect();
        let learned = Learned::from_history(&history(&errors));
        assert_eq!(learned.from, Lesson::History);
        assert!(learned.block_ms >= 5000, "{learned:?}");
        assert!(learned.dispersion.unwrap() > 6.0, "{learned:?}");
    }

    #[test]
    fn a_few_errors_teach_nothing() {
        let errors: Vec<Errors> = scattered(8).into_iter().map(|s| at(s, 1.0)).collect();
        let learned = Learned::from_history(&history(&errors));
        assert_eq!(learned.from, Lesson::TooLittle);
        assert_eq!(learned.dispersion, None);
        assert_eq!(learned.block_ms, BLOCK_UNKNOWN_MS);
        // 8 were seen; 15 might as well have been.
        assert!((learned.blocks_per_request * 360_000.0 - 15.0).abs() < 0.1);
    }

    #[test]
    fn no_history_is_less_than_an_hour_without_errors() {
        let clean = Learned::from_history(&history(&[]));
        assert!((clean.blocks_per_request * 360_000.0 - 3.0).abs() < 1e-9);
        assert!((Learned::nothing(1000).blocks_per_request - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_block_is_never_shorter_than_a_scrape() {
        let errors: Vec<Errors> = scattered(300)
            .into_iter()
            .map(|s| at(s.div_ceil(15) * 15, 1.0))
            .collect();
        let mut slow = history(&errors);
        slow.scrape_ms = 15_000;
        let learned = Learned::from_history(&slow);
        assert!(learned.block_ms >= 15_000, "{learned:?}");
        assert!(Learned::nothing(15_000).block_ms >= 15_000);
    }
}
