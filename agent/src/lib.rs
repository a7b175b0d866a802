//! The host side of a deployment: brings a revision to this machine, runs its lifecycle events, and takes it back.
//!
//! Commands enter; diagnostics, and what scripts print, leave.
