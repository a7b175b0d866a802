//! Who says so: keys that sign what the farm keeps, tokens that let somebody in, secrets that only those they are for can
//! read, and a record of who did what.
//!
//! In: bytes to sign, to seal or to check, tokens as a client sent them, acts to put on record. Out: signatures, sealed values,
//! who may do what, entries of an audit chain. Nothing here opens a socket or reads a clock. Cryptography is `ring`'s
//! (Ed25519, ChaCha20-Poly1305, random numbers), `hpke`'s (RFC 9180) and BLAKE3 (hashes, derived keys); none is made here.
//!
//! Two kinds of tokens: those of the cache are lines of a file and know scopes ([`Tokens`]); those of the farm are records and
//! know roles and projects ([`AccessTokens`]).
//!
//! Three kinds of keys: a signing key is a machine's ([`Signer`]); a pool's key opens what was sealed to the pool
//! ([`PoolKey`]); the master key is the farm's and wraps the pools' ([`MasterKey`]).
//!
//! What holds by absence: a private key has no way out but its own file, or wrapped or sealed; a token's text is kept nowhere;
//! there is no switch that turns a check off.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Bytes as hexadecimal digits.
mod hex;
/// Bytes nobody can guess.
mod random;
/// The names of scopes, and patterns of them.
mod scope;
/// Text files of one rule a line.
mod lines;
/// A file a secret key rests in.
mod key_file;
/// Signing and checking signatures.
mod signing;
/// Calls that a machine signs.
mod signed_call;
/// Whose signature counts for what.
mod keyring;
/// Tokens of clients: what a line of a token file allows.
mod token;
/// What a client sent to show who it is.
mod credentials;
/// Tokens of the farm's API: who may ask it for what.
mod access;
/// Several fields as one run of bytes.
mod framed;
/// Bytes that are somebody's secret.
mod secret;
/// The text of sealed and wrapped values.
mod closed;
/// The key of a farm that is kept outside of it.
mod master;
/// Sealing secrets to a pool.
mod seal;
/// Who did what, in a chain that shows tampering.
pub mod audit;

pub use access::{
    Access, AccessRecord, AccessRole, AccessTokens, BadPattern, BadTokenText, NewAccessToken,
    ProjectPattern, TokenHash, TokenId, UnknownRole, new_access_token,
};
pub use closed::{BadClosed, CloseError, OpenError};
pub use credentials::token_of_authorization;
pub use keyring::{Distrust, Keyring};
pub use lines::{FileErrors, LineError};
pub use master::{MasterKey, MasterKeyError, Wrapped};
pub use random::{NoRandom, random_bytes};
pub use scope::{ScopeError, ScopeName, ScopePattern};
pub use seal::{BadPoolKey, PoolKey, PoolPublic, SECRET_BYTES_MAX, Sealed, open, seal};
pub use secret::Secret;
pub use signed_call::{
    Caller, HostCall, Signable, UNKNOWN_RUN, invite, invited, words_of_invitation,
};
pub use signing::{BadSignature, Context, KeyError, KeyId, Signature, Signer};
pub use token::{Grant, NewToken, Role, Tokens, new_token};
