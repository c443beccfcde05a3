// SPDX-License-Identifier: GPL-2.0

//! The secrets that the tables' keys are hashed under.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::tcp_dispatch_core::hash::Secrets;
use core::{cell::UnsafeCell, mem::size_of_val};
use kernel::bindings;

/// The secrets.
///
/// # Invariants
///
/// Written by [`draw`] alone.
struct Drawn(UnsafeCell<Secrets>);

// SAFETY: Written before there is a table; afterwards only read.
unsafe impl Sync for Drawn {}

static SECRETS: Drawn = Drawn(UnsafeCell::new(Secrets::new([0; 6])));

/// Draws the secrets.
///
/// # Safety
///
/// No key may have been hashed yet, nor be hashed meanwhile.
pub(crate) unsafe fn draw() {
    let mut random = [0; 6];
    // SAFETY: Any bytes are such words.
    unsafe { bindings::get_random_bytes(random.as_mut_ptr().cast(), size_of_val(&random)) };
    // SAFETY: By the contract nobody else uses them.
    unsafe { SECRETS.0.get().write(Secrets::new(random)) };
}

/// The secrets. Any context, once they are drawn.
#[inline]
pub(super) fn get() -> &'static Secrets {
    // SAFETY: Nobody writes any longer, by the contract of `draw()`.
    unsafe { &*SECRETS.0.get() }
}
