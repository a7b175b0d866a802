//! Installs that are interrupted, fail, or meet what is there.
