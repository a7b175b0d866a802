//! Containers against a real engine. Where none answers, every test says that it was skipped, or fails if it was told that
//! there must be one (`CROFT_REQUIRE_ENGINE=1`).

/// What the tests stand on: an engine, images, a registry.
mod bench;
/// Images that are not here.
mod pulling;
/// Places that are refused or fail to come up.
mod refusing;
/// What is left behind, and what is not.
mod removing;
/// What a build sees and may do.
mod running;
/// Containers that stand before their build is known.
mod warm;

use super::super::suite;

suite::cases!(bench::debian());
