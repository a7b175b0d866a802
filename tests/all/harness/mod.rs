//! What every test needs: a machine of its own, builds on it, what they said. Hands [`Farm`] and [`Ran`] to the tests.

/// A home, a source, and the program.
mod farm;
/// Images for one test.
mod image;
/// A build that runs now.
mod live;
/// Where a build runs, and tests that run everywhere.
mod place;
/// A build that ended.
mod ran;
/// A registry for one test.
pub(crate) mod registry;
/// A farm of one of its two sizes: its processes, and asking it.
pub(crate) mod rig;
/// Tests that cannot run here.
mod skip;
/// A program on a terminal.
mod terminal;

pub(crate) use farm::Farm;
pub(crate) use image::{TestImage, docker};
pub(crate) use live::{Live, eventually};
pub(crate) use place::{At, at_place, each_place, each_place_and_shell};
pub(crate) use ran::Ran;
pub(crate) use skip::skip;
pub(crate) use terminal::in_terminal;
