// SPDX-License-Identifier: GPL-2.0

//! Counters that every CPU keeps for itself, so that counting shares no cache line.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::bindings;
use kernel::{alloc::Flags, prelude::*};

/// `N` counters of 64 bits, each CPU with its own.
///
/// # Invariants
///
/// The pointer is a per-CPU allocation of `N` `u64`s.
pub(crate) struct Counters<const N: usize>(*mut u64);

// SAFETY: Per-CPU memory has no owner thread.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: Each CPU adds to its own copy, and sums tolerate concurrent additions.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// Makes counters at zero.
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        let atomic = flags == GFP_ATOMIC;
        // SAFETY: No requirements.
        let counters = unsafe { bindings::tcp_dispatch_alloc_percpu_u64(N as u32, atomic) };
        if counters.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: Just allocated.
        Ok(Self(counters))
    }

    /// Adds `n` to counter `i`, on this CPU. Any context.
    #[inline]
    pub(crate) fn add(&self, i: usize, n: u64) {
        debug_assert!(i < N);
        // SAFETY: The type's invariant; `i` is less than `N`, as all callers' enums are.
        unsafe { bindings::tcp_dispatch_this_cpu_add(self.0, i as u32, n) };
    }

    /// Adds one to counter `i` and `n` to the next, here and at `other`, on this CPU. Any context.
    #[inline]
    pub(crate) fn add_one_and(&self, other: &Self, i: usize, n: u64) {
        debug_assert!(i + 1 < N);
        // SAFETY: The type's invariant; `i + 1` is less than `N`, as all callers' enums are.
        unsafe { bindings::tcp_dispatch_this_cpu_add_one_and(self.0, other.0, i as u32, n) };
    }

    /// The sum of counter `i` over all CPUs.
    pub(crate) fn sum(&self, i: usize) -> u64 {
        debug_assert!(i < N);
        // SAFETY: As in `add()`.
        unsafe { bindings::tcp_dispatch_percpu_sum(self.0, i as u32) }
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: The type's invariant, and nobody else refers to the counters.
        unsafe { bindings::free_percpu(self.0.cast()) };
    }
}
