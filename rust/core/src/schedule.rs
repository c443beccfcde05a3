// SPDX-License-Identifier: GPL-2.0

//! Choosing a process for a new connection.

/// Round robin: the index of the process that the `n`th new connection gets,
/// `None` if there is none.
#[inline]
pub const fn round_robin(n: u32, processes: usize) -> Option<usize> {
    (n as usize).checked_rem(processes)
}
