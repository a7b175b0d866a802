//! What those who watch a deployment say of it. Made by the detectors; heard by the engine.

use croft_proto::deploy::Finding;

/// What is to become of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub enum Advice {
    /// It looks well: it may go on.
    Continue,
    /// Nobody knows yet: it stays where it is.
    Hold {
        /// Why, for people.
        reason: String,
    },
    /// It hurts: it ends, and is taken back where its group says so.
    RollBack(Box<Finding>),
}
