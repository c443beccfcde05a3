// SPDX-License-Identifier: GPL-2.0

//! Work that runs again and again until its owner is dropped.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h). The kernel crate's
//! delayed work wants its owner in an `Arc`; ours lives in the memory of a network namespace.

use crate::bindings;
use core::{marker::PhantomData, mem::offset_of};
use kernel::{
    prelude::*,
    time::{msecs_to_jiffies, Msecs},
    types::Opaque,
};
use pin_init::{pin_data, pin_init, pinned_drop, PinInit};

/// A type that has a [`DelayedWork`] as a field; several, if their `ID`s differ.
///
/// # Safety
///
/// `OFFSET` must be the offset of a field of type `DelayedWork<Self, ID>`.
pub(crate) unsafe trait HasDelayedWork<const ID: usize>: Sync {
    /// Where in `Self` the work is.
    const OFFSET: usize;

    /// The work. Process context. Returns after how long it is to run again, if at all.
    fn run(&self) -> Option<Msecs>;
}

/// `struct delayed_work` that runs [`HasDelayedWork::run`] of the type it is a field of.
///
/// Dropping it waits until the work is done and won't run again: it must be among the first fields
/// of its owner, so that it is dropped while the others are still there.
#[pin_data(PinnedDrop)]
pub(crate) struct DelayedWork<T: HasDelayedWork<ID>, const ID: usize> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    _owner: PhantomData<fn(&T)>,
}

// SAFETY: `struct delayed_work` is made to be shared.
unsafe impl<T: HasDelayedWork<ID>, const ID: usize> Sync for DelayedWork<T, ID> {}
// SAFETY: It isn't bound to a thread.
unsafe impl<T: HasDelayedWork<ID>, const ID: usize> Send for DelayedWork<T, ID> {}

impl<T: HasDelayedWork<ID>, const ID: usize> DelayedWork<T, ID> {
    /// Makes work that isn't scheduled.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(|work| {
                // SAFETY: `work` is pinned memory for a `struct delayed_work`.
                unsafe { bindings::tcp_dispatch_init_delayed_work(work, Some(Self::run)) }
            }),
            _owner: PhantomData,
        })
    }

    /// Lets the work run after `delay`, if it isn't scheduled yet.
    pub(crate) fn schedule(&self, delay: Msecs) {
        // SAFETY: The work is initialised and pinned.
        unsafe {
            bindings::tcp_dispatch_schedule_delayed_work(
                self.work.get(),
                msecs_to_jiffies(delay) as usize,
            )
        };
    }

    /// Lets the work run now, or once more if it runs now. Any context.
    pub(crate) fn expedite(&self) {
        // SAFETY: The work is initialised and pinned.
        unsafe { bindings::tcp_dispatch_expedite_delayed_work(self.work.get()) };
    }

    /// # Safety
    ///
    /// For the workqueue to call.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        let delayed = work
            .wrapping_byte_sub(offset_of!(bindings::delayed_work, work))
            .cast::<Self>();
        // SAFETY: The work is a field of a `T` at `OFFSET`, and the `T` isn't dropped before the
        // work is cancelled.
        let owner = unsafe { &*delayed.wrapping_byte_sub(T::OFFSET).cast::<T>() };
        if let Some(delay) = owner.run() {
            // SAFETY: As above, `work` is within a `DelayedWork`.
            unsafe { &*delayed }.schedule(delay);
        }
    }
}

#[pinned_drop]
impl<T: HasDelayedWork<ID>, const ID: usize> PinnedDrop for DelayedWork<T, ID> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The work is initialised. If it schedules itself meanwhile, that is cancelled, too.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// Lets others run, in a long loop in process context.
pub(crate) fn cond_resched() {
    // SAFETY: No requirements but process context, which work has.
    unsafe { bindings::tcp_dispatch_cond_resched() };
}
