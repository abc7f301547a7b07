//! Many runs, on all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether to go on once something is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the last number.
    AllAreRun,
    /// Until one is found.
    OneIsFound,
}

/// Tries every number below a count, on all cores; gives what was found of them, by number.
pub fn search<T: Send>(count: u64, until: Until, run: impl Fn(u64) -> Option<T> + Sync) -> Vec<(u64, T)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let found_so_far = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || (until == Until::OneIsFound && !found_so_far().is_empty()) {
                break;
            }
            if let Some(result) = run(number) {
                found_so_far().push((number, result));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    found
}
