// SPDX-License-Identifier: GPL-2.0

//! A value that one at a time may use, and nobody waits for.

use core::cell::UnsafeCell;
use kernel::sync::atomic::{ordering, Atomic};

/// A value that one at a time may use. Who comes meanwhile goes without it: nobody spins, so any context
/// may use it.
pub(crate) struct TryCell<T> {
    taken: Atomic<i32>,
    /// Used by whoever changed `taken` from zero.
    value: UnsafeCell<T>,
}

// SAFETY: It gives access to one at a time.
unsafe impl<T: Send> Sync for TryCell<T> {}

impl<T> TryCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            taken: Atomic::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// What `f` makes of the value, unless somebody else uses it now.
    #[inline]
    pub(crate) fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.taken.xchg(1, ordering::Acquire) != 0 {
            return None;
        }
        // SAFETY: Nobody else uses it until `taken` is zero again. If `f` uses the cell, it gets `None`.
        let result = f(unsafe { &mut *self.value.get() });
        self.taken.store(0, ordering::Release);
        Some(result)
    }
}
