//! Real NATS servers for tests: one or a cluster of three, on loopback or on hosts of their own whose cables can be pulled, each in a
//! folder of its own, ended with the test. With what
//! a test of logging in needs: an authority that signs certificates, and an operator that signs credentials.
//!
//! In: what a test wants of a server. Out: its address. No program that is shipped builds this room.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test whose server cannot be started should stop"
)]

/// One server.
mod server;
/// Hosts with cables.
mod hosts;
/// Three.
mod cluster;
/// Certificates.
mod authority;
/// Credentials files.
mod operator;
/// Keys as NATS writes them.
mod nkey;
/// Saying that a test did not test.
mod skip;

pub use authority::{Authority, Certificate};
pub use cluster::Cluster;
pub use operator::Operator;
pub use server::{Server, Setup, host, program};
pub use skip::skip;
