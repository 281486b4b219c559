//! Locks whose data stays good when a holder panics: whoever holds one only adds to it, or replaces it whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whatever became of earlier holders.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the data out, whatever became of the holders.
pub fn unlock<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
