//! A revision's files into their places, all of them or none: everything is planned before anything is changed, what is changed
//! can be put back, and a plan that was interrupted is gone on with.

/// What is done, and what is the group's afterwards.
pub(crate) mod plan;
/// What the revision wants where.
mod wanted;
/// What one path's wish and the host make of each other. Pure.
mod verdict;
/// Names of users and groups.
mod account;
/// Whose, and with which rights.
mod tended;
/// The plan.
pub(crate) mod planning;
/// Folders that are opened without following what somebody put on the way.
mod place;
/// What is replaced, kept until it is not needed.
mod aside;
/// The plan's steps, one by one.
mod step;
/// All of them, in their order.
mod apply;
/// The same back.
mod undo;
/// The event.
pub(crate) mod event;

pub use plan::{Permitted, Preview};
pub use planning::PlanError;
pub(crate) use wanted::is_absent;

#[cfg(test)]
mod tests;
