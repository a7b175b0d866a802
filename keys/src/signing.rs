//! Signing what is kept, and checking who signed it.
