//! Why a step of a tick, or the tick, goes no further.

use model::failure::Failure;
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

/// Why a step of a tick ended before it was through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// A call failed, or was not made: this step is repeated later, and others may go on.
    Failure(Failure),
    /// The tick goes no further.
    Stop(Stop),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Halt {
        Halt::Failure(failure)
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Halt {
        Halt::Stop(stop)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Halt {
        Halt::Stop(Stop::Store(error))
    }
}
