//! What each ledger must do: named cases, run against every implementation.
