// SPDX-License-Identifier: GPL-2.0

//! Where a window of the profiler begins and ends: no-ops that it knows by their bytes.

use std::arch::asm;

/// Begins a window.
#[inline(always)]
pub fn begin() {
    // SAFETY: It does nothing.
    unsafe {
        asm!(
            ".byte 0x0f, 0x1f, 0x80, 0x01, 0x70, 0x63, 0x74",
            options(nomem, nostack)
        )
    };
}

/// Ends it.
#[inline(always)]
pub fn end() {
    // SAFETY: As above.
    unsafe {
        asm!(
            ".byte 0x0f, 0x1f, 0x80, 0x02, 0x70, 0x63, 0x74",
            options(nomem, nostack)
        )
    };
}
