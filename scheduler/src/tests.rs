/// One scheduler, an input at a time.
mod steps;
/// Clocks that are set, and servers that were frozen.
mod clocks;
/// Servers and workers that die, lose messages and come back, in simulated time.
mod simulation;
/// The loop over a ledger and a bus in memory.
mod server;
/// Renewals before everything is folded.
mod behind;
/// Subjects that many want.
mod contended;
/// Appends that are lost sight of.
mod surely;
