//! The farm from the command line. Received: the words of the commands that ask a server, and of those that are one. The former
//! are in `client`; what runs a part of a farm gets modules of its own beside it.

/// The words.
pub(crate) mod words;
/// Asking a farm's server.
pub(crate) mod client;
/// Being a part of a farm.
pub(crate) mod roles;
