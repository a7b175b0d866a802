//! Deploying and taking back: which host is next, how much traffic moves, and when a revision goes back.
//!
//! Plans, what is heard of hosts and what is measured enter; commands, weights and verdicts leave. What absent means: nothing here
//! reads a clock, a file or a socket.
