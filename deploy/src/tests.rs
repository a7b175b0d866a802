/// Groups, hosts and a ledger for the others.
mod farm;
/// One engine, an input at a time.
mod one;
/// Hosts that are changed in place.
mod steps;
/// Hosts that come back.
mod returned;
/// Groups that are made again.
mod anew;
/// Hosts that are not heard.
mod silent;
/// What is waited for.
mod waits;
/// What those who watch say.
mod watched;
/// What takes back, under guard rails.
mod guarded;
/// What is told to go on.
mod told;
/// Sides, containers and traffic.
mod traffic;
/// What is counted.
mod noted;
/// Servers, hosts and balancers that die, lose messages and come back, in simulated time.
mod simulation;
