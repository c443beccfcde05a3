// SPDX-License-Identifier: GPL-2.0

//! Time since boot, as plain numbers for atomics.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;

/// Seconds, which cost no reading of a clock. Any context.
pub(crate) fn seconds() -> i64 {
    // SAFETY: No requirements.
    unsafe { bindings::ktime_get_seconds() }
}

/// Milliseconds. Any context.
pub(crate) fn milliseconds() -> i64 {
    // SAFETY: No requirements.
    unsafe { kernel::bindings::ktime_get() / 1_000_000 }
}
