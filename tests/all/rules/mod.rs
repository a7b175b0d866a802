//! What a buildspec means, a test for every row of the tables that Croft promises to follow.

/// What one command leaves to the next.
mod state;
/// What runs after a failure.
mod transitions;
/// `on-failure: RETRY` in all its forms.
mod retry;
/// The odd corners, with the document as it was written.
mod edges;
/// The odd corners of what commands do.
mod commands;
