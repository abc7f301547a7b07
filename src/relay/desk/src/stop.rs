//! Why a tick goes no further.

use world::host::StoreError;

/// Why a batch, and with it the tick, goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The store failed: what was not kept is repeated.
    Store(StoreError),
    /// The lease has passed: another worker may be at it.
    Lease,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Store(error) => error.fmt(f),
            Stop::Lease => f.write_str("the lease passed before the work was through; it will be repeated"),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}
