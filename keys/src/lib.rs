//! Who says so: keys that sign what the farm keeps, and tokens that let somebody in.
//!
//! In: bytes to sign or to check, tokens as a client sent them. Out: signatures, and who may do what. Nothing here opens a
//! socket or reads a clock.

/// Signing and checking signatures.
mod signing;
/// Tokens of clients: what a line of a token file allows.
mod token;
