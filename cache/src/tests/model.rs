//! Saves, restores, trees that are sent and collections of several machines in any order, one operation of the object storage at a time: no order
//! loses or damages an entry. `CROFT_MODEL_SEED=n` runs one history and tells it; `CROFT_MODEL_HISTORIES=n` runs so many.
//!
//! It finds mistakes of the order of steps: within 300 histories those whose window is wide (a lease taken too late, no waiting
//! for running saves, a pardon), within 2000 those of one operation (leases listed after records, whom to wait for listed
//! before condemning). Change `gc`, `writing` or `index` only together with a run of a few thousand.

/// Which history it is.
mod history;
/// Whose turn it is.
mod steps;

use super::transfer::put;
use super::{Site, in_memory, noise};
use crate::{Offer, Store};

const MINUTE: u64 = 60_000;

/// Histories in CI: a few seconds.
const HISTORIES: u64 = 300;

/// Contents with a key of their own; those after them share the entry without a key.
const KEYED: [&str; 3] = ["a", "b", "c"];

/// Contents that replace each other.
const UNKEYED: usize = 2;

/// Files that contents share.
const SHARED: usize = 4;

/// Numbers that a seed says (SplitMix64).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What there is to save: a few small files each, most of which others have too.
struct Contents {
    sites: Vec<Site>,
    /// Where those who send have them.
    source: Store,
    offers: Vec<Offer>,
}

impl Contents {
    fn new() -> Self {
        let sites = (0..KEYED.len() + UNKEYED).map(|number| {
            let site = Site::new();
            for (name, bytes) in files(number) {
                site.write(&name, &bytes);
            }
            site
        });
        let (sites, source) = (sites.collect::<Vec<_>>(), in_memory());
        let offer = |site: &Site| source.offer(&put(&source, &site.path(""))).unwrap();
        Self {
            offers: sites.iter().map(offer).collect(),
            sites,
            source,
        }
    }

    fn count(&self) -> usize {
        self.sites.len()
    }

    fn site(&self, number: usize) -> &Site {
        &self.sites[number]
    }

    /// True when these are the files of contents with the same entry.
    fn may_be(&self, number: usize, restored: &Site) -> bool {
        let numbers = if number < KEYED.len() {
            number..number + 1
        } else {
            KEYED.len()..self.count()
        };
        let is = |number: usize| {
            let files = files(number);
            let is_all = std::fs::read_dir(restored.path("target")).unwrap().count() == files.len();
            is_all
                && files.iter().all(|(name, bytes)| {
                    std::fs::read(restored.path(name)).is_ok_and(|found| found == *bytes)
                })
        };
        numbers.into_iter().any(is)
    }
}

fn files(number: usize) -> Vec<(String, Vec<u8>)> {
    let own = (
        format!("target/own{number}"),
        noise(1_000 + number as u64, 700 + number * 100),
    );
    let shared = (0..3).map(|nth| {
        let file = (number + nth) % SHARED;
        (format!("target/shared{file}"), noise(file as u64, 2_000))
    });
    shared.chain([own]).collect()
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn no_order_of_saves_restores_collections_and_crashes_loses_an_entry() {
    let contents = Contents::new();
    let only = number_in("CROFT_MODEL_SEED");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..number_in("CROFT_MODEL_HISTORIES").unwrap_or(HISTORIES),
    };
    for seed in seeds {
        if let Err((faults, story)) = history::run(seed, &contents) {
            let story = story.join("\n");
            panic!("CROFT_MODEL_SEED={seed}\n{story}\n{}", faults.join("\n"));
        }
    }
}
