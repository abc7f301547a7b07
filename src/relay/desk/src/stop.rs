//! Why a step of a tick, or the tick, goes no further.
//!
//! A [`Halt`] ends a step, a [`Stop`] the whole tick. Neither loses anything: what was not kept by then is done again
//! by a later tick.

use model::failure::Failure;
use world::host::StoreError;

/// Why the tick goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The store failed. What was not kept is done again.
    Store(StoreError),
    /// The lease has passed, so another worker may be at work.
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
    /// A call failed or was not made. The step is repeated later, and other steps may go on.
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
