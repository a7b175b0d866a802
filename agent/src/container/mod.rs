//! A revision that runs in a container of this host: its image is brought, it is made beside the one that serves, started, asked whether
//! it is well, and the other one is stopped and removed once it serves nobody. Receives events from `perform`; speaks to this machine's
//! engine and to nothing else.
//!
//! A host has at most two containers of a group, a blue one and a green one, known by their labels. Each step may be done again.

/// The engine.
pub(crate) mod engine;
/// What the engine is asked to make. Pure.
mod made;
/// An image, brought.
mod image;
/// One question over HTTP.
mod http;
/// Whether a container is well. Pure.
mod health;
/// What each event does.
pub(crate) mod event;
/// Scripts beside it, once.
pub(crate) mod scripts;

pub use engine::Containers;

#[cfg(test)]
mod tests;
