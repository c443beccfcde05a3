// SPDX-License-Identifier: GPL-2.0

//! Reference counts whose last drop waits for the readers of RCU.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::bindings;
use core::{
    mem::{align_of, size_of, ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic, AtomicType},
        rcu::Guard,
    },
    types::Opaque,
};
use pin_init::{init, Init};

/// What an [`RcuArc`] points to.
#[repr(C)]
pub(crate) struct RcuBox<T> {
    /// How many [`RcuArc`]s there are. Zero is final.
    references: Atomic<i32>,
    head: Opaque<bindings::callback_head>,
    value: T,
}

impl<T> RcuBox<T> {
    /// Where in the box the value is.
    pub(crate) const VALUE: usize = core::mem::offset_of!(Self, value);

    /// # Safety
    ///
    /// For `call_rcu()` to call, with the `head` of a box that nobody refers to.
    unsafe extern "C" fn free(head: *mut bindings::callback_head) {
        let this = head.wrapping_byte_sub(core::mem::offset_of!(Self, head));
        // SAFETY: The last `RcuArc` gave the box away, and a grace period has passed since.
        drop(unsafe { KBox::from_raw(this.cast::<Self>()) });
    }
}

/// A counted reference to a `T` that is freed one grace period after the last one is dropped.
///
/// `T` is dropped from softirq: its destructor must not sleep.
///
/// # Invariants
///
/// Points to a box in which one of the references is this one.
pub(crate) struct RcuArc<T: Send + Sync + 'static>(NonNull<RcuBox<T>>);

// SAFETY: It shares a `T` that is `Send` and `Sync`.
unsafe impl<T: Send + Sync + 'static> Send for RcuArc<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for RcuArc<T> {}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// Puts what `value` makes, or a value, on the heap.
    pub(crate) fn new<E>(value: impl Init<T, E>, flags: Flags) -> Result<Self>
    where
        Error: From<E>,
    {
        Self::put(KBox::new_uninit(flags)?, value)
    }

    /// As [`Self::new`], for what packets make. Any context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new_atomic(value: impl Init<T>) -> Result<Self> {
        // What `kmalloc()` of a constant size vouches for.
        const { assert!(align_of::<RcuBox<T>>() <= align_of::<u64>()) };
        // SAFETY: No requirements.
        let raw = unsafe { bindings::tcp_dispatch_kmalloc_atomic(size_of::<RcuBox<T>>()) };
        if raw.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: As large as a box, aligned, and from `kmalloc()`, whose memory a `KBox` owns.
        Self::put(unsafe { KBox::from_raw(raw.cast()) }, value)
    }

    fn put<E>(room: KBox<MaybeUninit<RcuBox<T>>>, value: impl Init<T, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let boxed = room.write_init(init!(RcuBox {
            references: Atomic::new(1),
            head: Opaque::zeroed(),
            value <- value,
        }? E))?;
        // INVARIANT: The one reference is this one.
        Ok(Self(NonNull::from(KBox::leak(boxed))))
    }

    /// Gives the reference to whoever keeps the pointer.
    pub(crate) fn into_raw(self) -> NonNull<RcuBox<T>> {
        let this = ManuallyDrop::new(self);
        this.0
    }

    /// Takes back what [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `raw` must be from [`Self::into_raw`], and taken back once.
    pub(crate) unsafe fn from_raw(raw: NonNull<RcuBox<T>>) -> Self {
        // INVARIANT: The reference was given by `into_raw()`.
        Self(raw)
    }

    /// The object as a reader finds it.
    #[inline]
    pub(crate) fn as_found(&self) -> RcuRef<'_, T> {
        // SAFETY: The box lives as long as this reference does.
        RcuRef(unsafe { self.0.as_ref() })
    }

    /// Whether both point to the same object.
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Send + Sync + 'static> Clone for RcuArc<T> {
    fn clone(&self) -> Self {
        // SAFETY: The box lives as long as a reference does.
        unsafe { self.0.as_ref() }
            .references
            .fetch_add(1, ordering::Relaxed);
        // INVARIANT: Just counted.
        Self(self.0)
    }
}

impl<T: Send + Sync + 'static> Deref for RcuArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: The box lives as long as a reference does.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T: Send + Sync + 'static> Drop for RcuArc<T> {
    fn drop(&mut self) {
        // SAFETY: This reference has not been given back yet.
        let this = unsafe { self.0.as_ref() };
        if this.references.fetch_sub(1, ordering::Full) == 1 {
            // SAFETY: Zero is final, so nobody but the callback frees the box, and the module
            // waits for all callbacks before it is unloaded.
            unsafe { bindings::call_rcu(this.head.get(), Some(RcuBox::<T>::free)) };
        }
    }
}

/// A `T` found under RCU, or borrowed from an [`RcuArc`], without a reference of its own.
pub(crate) struct RcuRef<'rcu, T: Send + Sync + 'static>(&'rcu RcuBox<T>);

impl<T: Send + Sync + 'static> Clone for RcuRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Send + Sync + 'static> Copy for RcuRef<'_, T> {}

impl<'rcu, T: Send + Sync + 'static> RcuRef<'rcu, T> {
    /// # Safety
    ///
    /// The box must not be freed before the RCU read section that `'rcu` stands for ends.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<RcuBox<T>>) -> Self {
        // SAFETY: The caller vouches for it.
        Self(unsafe { raw.as_ref() })
    }

    pub(crate) fn as_ptr(self) -> NonNull<RcuBox<T>> {
        NonNull::from(self.0)
    }

    /// The value, for as long as the read section lasts.
    #[inline]
    pub(crate) fn get(self) -> &'rcu T {
        &self.0.value
    }

    /// A reference of one's own, unless the object is about to be freed.
    pub(crate) fn upgrade(self) -> Option<RcuArc<T>> {
        let references = &self.0.references;
        let mut n = references.load(ordering::Relaxed);
        while n > 0 {
            match references.cmpxchg(n, n + 1, ordering::Full) {
                // INVARIANT: Just counted.
                Ok(_) => return Some(RcuArc(self.as_ptr())),
                Err(now) => n = now,
            }
        }
        None
    }
}

impl<T: Send + Sync + 'static> Deref for RcuRef<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// A place that may hold an [`RcuArc`], read under RCU and replaced by one writer at a time.
///
/// # Invariants
///
/// Null, or holds a pointer from [`RcuArc::into_raw`].
pub(crate) struct RcuCell<T: Send + Sync + 'static>(Atomic<*mut RcuBox<T>>);

// SAFETY: It shares a `T` that is `Send` and `Sync`.
unsafe impl<T: Send + Sync + 'static> Send for RcuCell<T> {}
// SAFETY: As above; replacing is an atomic exchange.
unsafe impl<T: Send + Sync + 'static> Sync for RcuCell<T> {}

impl<T: Send + Sync + 'static> RcuCell<T> {
    /// Makes an empty place.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self(null())
    }

    /// What the place holds now.
    #[inline]
    pub(crate) fn read<'rcu>(&self, _guard: &'rcu Guard) -> Option<RcuRef<'rcu, T>> {
        // SAFETY: By the invariant. Who replaces it drops it a grace period later.
        NonNull::new(load(&self.0)).map(|raw| unsafe { RcuRef::from_raw(raw) })
    }

    /// Puts `value` in place of what is there. Readers of the old value may go on with it.
    pub(crate) fn replace(&self, value: Option<RcuArc<T>>) {
        let value = value.map_or(ptr::null_mut(), |value| value.into_raw().as_ptr());
        let old = self.0.xchg(value, ordering::Full);
        // SAFETY: By the invariant; the exchange took it out, so it is taken back once.
        drop(NonNull::new(old).map(|old| unsafe { RcuArc::from_raw(old) }));
    }
}

impl<T: Send + Sync + 'static> Drop for RcuCell<T> {
    fn drop(&mut self) {
        self.replace(None);
    }
}

/// Evidence that the caller of a C callback is in an RCU read section.
///
/// # Safety
///
/// The read section must last as long as the evidence.
#[inline]
pub(crate) unsafe fn held_by_caller() -> ManuallyDrop<Guard> {
    // SAFETY: A guard is nothing but evidence, which the caller vouches for; it isn't dropped, so
    // that the read section stays the caller's.
    ManuallyDrop::new(unsafe { core::mem::transmute::<(), Guard>(()) })
}

/// How deep objects own each other: connection, process, its CPUs or its service, the plan, a
/// process. Each level is freed by a callback of the one before.
const DEPTH: usize = 5;

/// Dropped last of all, it waits for the callbacks of every [`RcuArc`] of the module.
pub(crate) struct Barrier;

impl Drop for Barrier {
    fn drop(&mut self) {
        for _ in 0..DEPTH {
            kernel::sync::rcu::rcu_barrier();
        }
    }
}

/// Reads a pointer that may be null and is replaced under RCU. What is read through it depends on
/// it, which is all that `rcu_dereference()` relies on.
#[inline]
pub(crate) fn load<T>(place: &Atomic<*mut T>) -> *mut T {
    read_once(place)
}

/// `READ_ONCE()`: a relaxed load. `Atomic::load()` calls a C function for it, which costs a packet
/// more than what is read.
#[inline]
pub(crate) fn read_once<T: AtomicType + Copy>(place: &Atomic<T>) -> T {
    // SAFETY: The place is valid and aligned for a word that the machine reads at once; in the
    // kernel's memory model a volatile read is no data race with atomic accesses.
    unsafe { place.as_ptr().read_volatile() }
}

/// An empty place for [`load`].
pub(crate) const fn null<T>() -> Atomic<*mut T> {
    Atomic::new(ptr::null_mut())
}
