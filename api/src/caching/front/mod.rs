//! What a request means, protocol by protocol: from a method and a path to an [`Op`] on an [`Entry`]. Fronts only read
//! what the client wrote; who the client is, and what becomes of the request, is not theirs.

/// Bazel's HTTP cache.
mod bazel;
/// ccache's HTTP storage.
mod ccache;
/// Where a front is found.
mod mount;
/// What a key may look like.
pub(super) mod key;

use hyper::Method;

pub use bazel::Bazel;
pub use ccache::Ccache;
pub use mount::Mount;

/// What kind of name an entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The SHA-256 of its bytes: checked when it is stored, and for ever the same.
    Content([u8; 32]),
    /// A result of a Bazel action: may be another one tomorrow, and is only one while every blob it names is there.
    Result {
        /// The space of the blobs it names.
        blobs: &'static str,
    },
    /// Anything else: says nothing of the bytes, and may mean others tomorrow.
    Pointer,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which of the protocol's kinds of entries; no two fronts use the same.
    pub space: &'static str,
    /// Its key there.
    pub key: String,
    /// What is known of its bytes.
    pub kind: Kind,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Its bytes.
    Fetch(Entry),
    /// Whether it is there, and its size.
    Look(Entry),
    /// To store it.
    Store(Entry),
    /// Nothing that can be done.
    Refuse(Odd),
}

/// Why a request means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Its path is none of this protocol's; the words say how they look.
    Path(&'static str),
    /// Nothing can be removed by request.
    Removal,
    /// The method is none of this protocol's.
    Method,
}

/// One protocol.
pub trait Front: std::fmt::Debug + Send + Sync {
    /// What it is called in figures and in problems.
    fn name(&self) -> &'static str;

    /// What that method on that path wants.
    ///
    /// **Shape.** `path` is below the place where the front is mounted, without a leading slash, exactly as it was sent:
    /// nothing in it has been decoded.
    fn route(&self, method: &Method, path: &str) -> Op;
}

/// The usual methods: GET, HEAD and PUT on an entry.
fn usual(method: &Method, entry: Result<Entry, Odd>) -> Op {
    let op = match *method {
        Method::GET => Op::Fetch,
        Method::HEAD => Op::Look,
        Method::PUT => Op::Store,
        Method::DELETE => return Op::Refuse(Odd::Removal),
        _ => return Op::Refuse(Odd::Method),
    };
    entry.map_or_else(Op::Refuse, op)
}
