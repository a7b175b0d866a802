//! Masking: takes a stream of bytes and a set of secrets, gives the same stream with every written form of every secret
//! replaced by `***`. The output writer receives from here what it records and forwards.

/// The forms in which a secret may be written.
mod forms;
/// AWS access key IDs, which are masked without being named.
mod access_key;
/// Where in a block a form stands, or may still come to stand.
mod finder;
/// The stream: what is passed on, what is held.
mod masker;

pub use forms::SECRET_LEN_MIN;
pub use masker::{MASK, Masker};
