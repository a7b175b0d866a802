/// Groups, hosts and a ledger for the others.
mod farm;
/// One engine, an input at a time.
mod steps;
/// Servers, hosts and balancers that die, lose messages and come back, in simulated time.
mod simulation;
