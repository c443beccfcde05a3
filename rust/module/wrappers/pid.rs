// SPDX-License-Identifier: GPL-2.0

//! Processes of the kernel's, and word of their death.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h). Here a process is what has a PID;
//! elsewhere in the module the word means a daemon that is registered.

use super::{
    cred::Uid,
    delayed_work::{DelayedWork, HasDelayedWork},
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{atomic::Atomic, rcu::Guard},
    types::Opaque,
};
use pin_init::{pin_data, pinned_drop};

/// A reference to a `struct pid`, which is never given to another process.
///
/// # Invariants
///
/// Holds one reference.
pub(crate) struct Pid(NonNull<bindings::pid>);

// SAFETY: A `struct pid` is counted and locks itself.
unsafe impl Send for Pid {}
// SAFETY: As above.
unsafe impl Sync for Pid {}

impl Pid {
    /// The process that runs now.
    pub(crate) fn current() -> Result<Self> {
        // SAFETY: No requirements; returns a reference.
        let pid = unsafe { bindings::tcp_dispatch_get_current_tgid() };
        // INVARIANT: The reference is ours.
        NonNull::new(pid).map(Self).ok_or(ESRCH)
    }

    /// The process that bears `number` in the PID namespace of who asks.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none.
    pub(crate) fn find(number: u32) -> Result<Self> {
        // SAFETY: No requirements; returns a reference.
        let pid = unsafe { bindings::find_get_pid(number as i32) };
        // INVARIANT: The reference is ours.
        NonNull::new(pid).map(Self).ok_or(ESRCH)
    }

    /// The process that a file of who asks is a pidfd of.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is none.
    pub(crate) fn of_pidfd(fd: u32) -> Result<Self> {
        // SAFETY: No requirements; returns a reference.
        let file = unsafe { bindings::fget(fd) };
        if file.is_null() {
            return Err(EBADF);
        }
        // SAFETY: The file is held until `fput()`, and what it is a pidfd of with it.
        let pid = unsafe {
            let pid = bindings::tcp_dispatch_get_pid_of_pidfd(file);
            bindings::fput(file);
            pid
        };
        // INVARIANT: The reference is ours.
        NonNull::new(pid).map(Self).ok_or(EBADF)
    }

    fn task(&self, _guard: &Guard) -> Option<NonNull<bindings::task_struct>> {
        // SAFETY: The reference is held; the task is found, and used by our callers, under RCU.
        NonNull::new(unsafe {
            bindings::pid_task(self.0.as_ptr(), bindings::pid_type_PIDTYPE_TGID)
        })
    }

    /// Whether the process lives: from the moment that it is killed or exits it doesn't, whatever is
    /// left of it.
    #[inline]
    pub(crate) fn is_alive(&self, guard: &Guard) -> bool {
        self.task(guard).is_some_and(|task| {
            // SAFETY: A task keeps its `struct signal_struct` until it is freed, after a grace
            // period.
            unsafe { bindings::tcp_dispatch_task_is_alive(task.as_ptr()) }
        })
    }

    /// The effective user of the process, if it is still there.
    pub(crate) fn euid(&self, guard: &Guard) -> Option<Uid> {
        self.task(guard).map(|task| {
            // SAFETY: The task lives in this read section.
            Uid::from_raw(unsafe { bindings::tcp_dispatch_task_euid(task.as_ptr()) })
        })
    }

    /// Its number in the PID namespace of who asks; zero if it has none there.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: The reference is held.
        unsafe { bindings::pid_vnr(self.0.as_ptr()) as u32 }
    }
}

impl Clone for Pid {
    fn clone(&self) -> Self {
        // SAFETY: The reference is held.
        unsafe { bindings::tcp_dispatch_get_pid(self.0.as_ptr()) };
        // INVARIANT: Just taken.
        Self(self.0)
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: The reference is ours. Any context.
        unsafe { bindings::put_pid(self.0.as_ptr()) };
    }
}

/// Runs work as soon as a process has died.
///
/// # Invariants
///
/// `entry` is in the process's queue of pidfd watchers, `work` is valid.
#[pin_data(PinnedDrop)]
pub(crate) struct PidWatch<T: HasDelayedWork<ID>, const ID: usize> {
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
    pid: Pid,
    work: Atomic<*mut DelayedWork<T, ID>>,
}

// SAFETY: The queue locks itself; the rest doesn't change.
unsafe impl<T: HasDelayedWork<ID>, const ID: usize> Send for PidWatch<T, ID> {}

impl<T: HasDelayedWork<ID>, const ID: usize> PidWatch<T, ID> {
    /// Watches `pid`, and runs `work` when it has died. Process context. It may have died already:
    /// to be asked afterwards.
    ///
    /// # Safety
    ///
    /// `work` must outlive the watch.
    pub(crate) unsafe fn new(pid: Pid, work: &DelayedWork<T, ID>) -> Result<Pin<KBox<Self>>> {
        let work = core::ptr::from_ref(work).cast_mut();
        let this = KBox::pin_init(
            pin_init::pin_init!(Self {
                entry <- Opaque::ffi_init(|entry: *mut bindings::wait_queue_entry| {
                    // SAFETY: `entry` is memory for an entry.
                    unsafe { bindings::tcp_dispatch_init_wait_func(entry, Some(Self::wake)) }
                }),
                pid,
                work: Atomic::new(work),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The entry is pinned and leaves the queue before it is dropped, and so does `pid`,
        // which keeps the queue.
        unsafe {
            let queue = core::ptr::addr_of_mut!((*this.pid.0.as_ptr()).wait_pidfd);
            bindings::add_wait_queue(queue, this.entry.get());
        }
        // INVARIANT: Just so; the caller vouches for `work`.
        Ok(this)
    }

    /// # Safety
    ///
    /// For a wait queue to call, with its lock held and interrupts off.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        _mode: u32,
        _flags: c_int,
        _key: *mut core::ffi::c_void,
    ) -> c_int {
        let this = entry.wrapping_byte_sub(core::mem::offset_of!(Self, entry));
        // SAFETY: The entry is that of a watch, which leaves the queue before it is dropped.
        let this = unsafe { &*this.cast::<Self>() };
        // SAFETY: The type's invariant.
        unsafe { &*super::rcu::load(&this.work) }.expedite();
        0
    }
}

#[pinned_drop]
impl<T: HasDelayedWork<ID>, const ID: usize> PinnedDrop for PidWatch<T, ID> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The entry is in this queue, by the type's invariant.
        unsafe {
            let queue = core::ptr::addr_of_mut!((*self.pid.0.as_ptr()).wait_pidfd);
            bindings::remove_wait_queue(queue, self.entry.get());
        }
    }
}
