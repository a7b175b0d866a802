//! What the agent remembers of each group: on disk, and whole at every moment.

/// Files that are whole.
pub(crate) mod durable;
/// Many files that last.
pub(crate) mod ahead;
/// Which file is where.
pub(crate) mod layout;
/// What was done, and what that means for a command.
pub(crate) mod journal;
