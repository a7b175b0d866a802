//! Scripts that do what scripts do.
