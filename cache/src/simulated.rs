//! Threads that are processes of a simulation: one thread each, and randomness from a seed. Begun by `tests/model`; asked where
//! threads are started and random bytes are drawn.

use std::cell::Cell;

thread_local! {
    static DRAWN: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// From now on this thread is a process of a simulation.
pub(crate) fn begin(seed: u64) {
    DRAWN.set(Some((seed, 0)));
}

pub(crate) fn end() {
    DRAWN.set(None);
}

pub(crate) fn is_running() -> bool {
    DRAWN.get().is_some()
}

/// Random bytes that the seed says; none outside a simulation.
pub(crate) fn salt() -> Option<[u8; 16]> {
    let (seed, count) = DRAWN.get()?;
    DRAWN.set(Some((seed, count + 1)));
    let hash = blake3::hash(&[seed.to_le_bytes(), count.to_le_bytes()].concat());
    let mut salt = [0; 16];
    salt.copy_from_slice(&hash.as_bytes()[..16]);
    Some(salt)
}
