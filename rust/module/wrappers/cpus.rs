// SPDX-License-Identifier: GPL-2.0

//! Sets of CPUs, as user space writes them.
//!
//! C header: [`include/linux/bitmap.h`](srctree/include/linux/bitmap.h)

use crate::bindings;
use kernel::{cpu::CpuId, cpumask::CpumaskVar, error::to_result, prelude::*};

/// A set of CPUs.
pub(crate) struct Cpus {
    mask: CpumaskVar,
    text: KVec<u8>,
}

// SAFETY: A mask is plain memory of its own, wherever that is.
unsafe impl Send for Cpus {}
// SAFETY: As above; a shared one isn't changed.
unsafe impl Sync for Cpus {}

impl Cpus {
    /// Reads a list such as "0-3,8". Process context.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it isn't one, `ERANGE` if it has a CPU that this computer can't have, `ENOMEM`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let mask = CpumaskVar::new_zero(GFP_KERNEL)?;
        let mut terminated = KVec::with_capacity(text.len() + 1, GFP_KERNEL)?;
        terminated.extend_from_slice(text, GFP_KERNEL)?;
        terminated.push(0, GFP_KERNEL)?;
        // SAFETY: The text ends with a NUL; a mask has as many bits as there can be CPUs.
        to_result(unsafe {
            bindings::bitmap_parselist(
                terminated.as_ptr().cast(),
                mask.as_raw().cast(),
                kernel::cpu::nr_cpu_ids() as i32,
            )
        })?;
        Ok(Self {
            mask,
            text: terminated,
        })
    }

    /// The list as it was given, with a NUL at its end.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the CPU that asks is one of them. A moment later that may be another, outside of
    /// softirq context.
    pub(crate) fn has_this_cpu(&self) -> bool {
        self.mask.test(CpuId::current())
    }
}
