// SPDX-License-Identifier: GPL-2.0

//! The kernel's resizable hash table, read under RCU.
//!
//! C header: [`include/linux/rhashtable.h`](srctree/include/linux/rhashtable.h). The tables' parameters,
//! and the inline functions that depend on them, are in `bindings/tables.c`. The look-up alone is written
//! again here, as [`RhashTable::lookup`]: each packet does some, and in C they can't be inlined.
//!
//! Readers take no lock and write nothing. Writers lock one bucket, by a bit in it, with interrupts
//! off: they may be in any context. The table grows and shrinks with its load, by work of its own,
//! and draws a new seed when a chain grows too long.

use super::{
    rcu::{RcuArc, RcuBox, RcuRef},
    secrets,
};
use crate::{
    affinity::AffinityKey,
    bindings::{self, bucket_table, rhash_head, rhash_lock_head, rhashtable, rhashtable_iter},
    service::ServiceKey,
    tcp_dispatch_core::{hash::Key, Ipv4Address, Ipv6Address, Tuple},
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::{self, NonNull},
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        barrier::{smp_mb, Read},
        rcu::Guard,
    },
    types::{NotThreadSafe, Opaque},
};
use pin_init::{pin_data, pinned_drop, PinInit};

/// What ties an entry into a table: the key stands right behind the chain's link.
#[repr(C)]
pub(crate) struct Node<K> {
    /// Changed by the table alone, under its bucket's lock.
    head: Opaque<rhash_head>,
    key: K,
}

// SAFETY: `head` is the table's, which locks it; `key` never changes.
unsafe impl<K: Send> Send for Node<K> {}
// SAFETY: As above.
unsafe impl<K: Sync> Sync for Node<K> {}

impl<K> Node<K> {
    pub(crate) fn new(key: K) -> Self {
        Self {
            head: Opaque::zeroed(),
            key,
        }
    }

    #[inline]
    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

/// The C functions of one table.
pub(crate) struct Functions {
    pub(crate) init: unsafe extern "C" fn(*mut rhashtable) -> c_int,
    pub(crate) insert: unsafe extern "C" fn(*mut rhashtable, *mut rhash_head) -> c_int,
    pub(crate) remove: unsafe extern "C" fn(*mut rhashtable, *mut rhash_head) -> c_int,
}

/// What is in a table, and by which key.
///
/// # Safety
///
/// `NODE` must be the offset in `Entry` of a `Node<Key>` that is in this table only, and
/// `FUNCTIONS` those of a table whose key is as long as `Key`, which has no padding, and is hashed as
/// that is.
pub(crate) unsafe trait Table: 'static {
    /// The key.
    type Key: Key;
    /// What is found by it.
    type Entry: Send + Sync + 'static;
    /// Where the node is in the entry.
    const NODE: usize;
    /// The table's functions.
    const FUNCTIONS: Functions;
}

/// A table that owns a reference to each of its entries.
#[pin_data(PinnedDrop)]
pub(crate) struct RhashTable<T: Table> {
    #[pin]
    inner: Opaque<rhashtable>,
    _table: PhantomData<fn() -> T>,
}

// SAFETY: The table locks itself, and its entries are `Send + Sync`.
unsafe impl<T: Table> Send for RhashTable<T> {}
// SAFETY: As above.
unsafe impl<T: Table> Sync for RhashTable<T> {}

impl<T: Table> RhashTable<T> {
    /// Makes an empty table. Process context.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init!(Self {
            // SAFETY: The table is initialised where it stays.
            inner <- Opaque::try_ffi_init(|table| to_result(unsafe { (T::FUNCTIONS.init)(table) })),
            _table: PhantomData,
        }? Error)
    }

    fn node_of(entry: NonNull<RcuBox<T::Entry>>) -> *mut rhash_head {
        entry
            .as_ptr()
            .wrapping_byte_add(RcuBox::<T::Entry>::VALUE + T::NODE)
            .cast()
    }

    /// # Safety
    ///
    /// `node` must be that of an entry of a table `T`.
    #[inline]
    unsafe fn entry_of(node: NonNull<c_void>) -> NonNull<RcuBox<T::Entry>> {
        // SAFETY: A node is within its entry's box.
        unsafe {
            node.byte_sub(RcuBox::<T::Entry>::VALUE + T::NODE)
                .cast::<RcuBox<T::Entry>>()
        }
    }

    /// The entry with `key`: `rhashtable_lookup()`.
    #[inline(always)]
    pub(crate) fn lookup<'rcu>(
        &self,
        key: &T::Key,
        guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, T::Entry>> {
        // SAFETY: The table is initialised.
        let tbl = unsafe { read(&raw const (*self.inner.get()).tbl) };
        Self::look(tbl, key, guard).or_else(|| Self::look_in_newer(tbl, key, guard))
    }

    /// Looks in the tables of buckets that come after `tbl`, while the table is resized.
    #[cold]
    #[inline(never)]
    fn look_in_newer<'rcu>(
        mut tbl: *mut bucket_table,
        key: &T::Key,
        guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, T::Entry>> {
        loop {
            // A newer one is to be seen if an entry has gone there.
            smp_mb(Read);
            // SAFETY: Tables of buckets are freed a grace period after the next has replaced them.
            tbl = unsafe { read(&raw const (*tbl).future_tbl) };
            if tbl.is_null() {
                return None;
            }
            let found = Self::look(tbl, key, guard);
            if found.is_some() {
                return found;
            }
        }
    }

    /// Looks in one table of buckets.
    #[inline(always)]
    fn look<'rcu>(
        tbl: *mut bucket_table,
        key: &T::Key,
        _guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, T::Entry>> {
        // SAFETY: Tables of buckets, and the entries in them, are freed a grace period after they were
        // taken out. The table's nodes are those of entries, whose reference the table drops only after
        // it took them out.
        unsafe {
            let bucket = bucket(tbl, key.hash(secrets::get(), (*tbl).hash_rnd));
            // What the end of the bucket's chain is told by: `RHT_NULLS_MARKER()`.
            let end = bucket.addr() | 1;
            loop {
                // Its lowest bit is the lock; nothing stands for an empty chain.
                let mut link = read(bucket).map_addr(|addr| addr & !1).cast::<rhash_head>();
                if link.is_null() {
                    return None;
                }
                while link.addr() & 1 == 0 {
                    let node = link.cast::<Node<T::Key>>();
                    if (*node).key.is(key) {
                        let node = NonNull::new_unchecked(link.cast());
                        return Some(RcuRef::from_raw(Self::entry_of(node)));
                    }
                    link = read(&raw const (*link).next);
                }
                // Else an entry was moved to another bucket meanwhile, and its chain was gone along.
                if link.addr() == end {
                    return None;
                }
            }
        }
    }

    /// Puts `entry` into the table.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is one with its key, `ENOMEM`, `E2BIG` or `EBUSY` (many inserts at once
    /// while the table wants to grow) otherwise.
    pub(crate) fn insert(&self, entry: RcuArc<T::Entry>) -> Result {
        let raw = entry.into_raw();
        let node = Self::node_of(raw);
        // SAFETY: The table is initialised; the entry's node is in no table yet.
        let inserted = to_result(unsafe { (T::FUNCTIONS.insert)(self.inner.get(), node) });
        if inserted.is_err() {
            // SAFETY: The table didn't take the reference.
            drop(unsafe { RcuArc::from_raw(raw) });
        }
        inserted
    }

    /// Takes `entry` out of the table and returns the table's reference, or `None` if it isn't in
    /// it any longer.
    pub(crate) fn remove(&self, entry: RcuRef<'_, T::Entry>) -> Option<RcuArc<T::Entry>> {
        let raw = entry.as_ptr();
        // SAFETY: The table is initialised, and `entry` lives in this read section.
        to_result(unsafe { (T::FUNCTIONS.remove)(self.inner.get(), Self::node_of(raw)) }).ok()?;
        // SAFETY: The table held a reference, and only one removal succeeds.
        Some(unsafe { RcuArc::from_raw(raw) })
    }
}

/// `rcu_dereference()`: what is read through the pointer depends on it.
///
/// # Safety
///
/// `place` must be valid.
#[inline]
unsafe fn read<P>(place: *const *mut P) -> *mut P {
    // SAFETY: By the contract; the machine reads an aligned word at once.
    unsafe { place.read_volatile() }
}

/// The bucket of a hash: `rht_bucket()`.
///
/// # Safety
///
/// `tbl` must be valid.
#[inline(always)]
unsafe fn bucket(tbl: *mut bucket_table, hash: u32) -> *const *mut rhash_lock_head {
    // SAFETY: By the contract. There are as many buckets as `size` says, a power of two, unless the table
    // was made when memory was short.
    unsafe {
        let index = hash & (*tbl).size.wrapping_sub(1);
        if (*tbl).nest != 0 {
            return bindings::rht_bucket_nested(tbl, index);
        }
        (*tbl).buckets.as_ptr().add(index as usize)
    }
}

/// The tables' hashes, for `bindings/tables.c`.
macro_rules! hashes {
    ($($name:ident: $key:ty,)*) => {
        $(
            /// # Safety
            ///
            /// `key` must be one of a table of such keys.
            #[no_mangle]
            unsafe extern "C" fn $name(key: *const c_void, _len: u32, seed: u32) -> u32 {
                // SAFETY: By the contract.
                unsafe { (*key.cast::<$key>()).hash(secrets::get(), seed) }
            }
        )*
    };
}

hashes! {
    tcp_dispatch_hash_service: ServiceKey,
    tcp_dispatch_hash_affinity: AffinityKey,
    tcp_dispatch_hash_ipv4_tuple: Tuple<Ipv4Address>,
    tcp_dispatch_hash_ipv6_tuple: Tuple<Ipv6Address>,
}

impl<T: Table> RhashTable<T> {
    /// # Safety
    ///
    /// For `rhashtable_free_and_destroy()` to call.
    unsafe extern "C" fn drop_entry(node: *mut c_void, _: *mut c_void) {
        // SAFETY: The table gives the node of an entry that it held a reference to, once.
        unsafe {
            drop(RcuArc::from_raw(Self::entry_of(NonNull::new_unchecked(
                node,
            ))))
        };
    }
}

#[pinned_drop]
impl<T: Table> PinnedDrop for RhashTable<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nobody can reach the table any longer.
        unsafe {
            bindings::rhashtable_free_and_destroy(
                self.inner.get(),
                Some(Self::drop_entry),
                ptr::null_mut(),
            )
        };
    }
}

/// A walk through a table, in parts: between two [`Section`]s it may sleep.
///
/// Who is in the table from the start to the end of the walk is met at least once; if the table is
/// resized meanwhile, perhaps twice.
pub(crate) struct Walk<'table, T: Table> {
    iter: KBox<Opaque<rhashtable_iter>>,
    _table: PhantomData<&'table RhashTable<T>>,
}

impl<'table, T: Table> Walk<'table, T> {
    /// Begins a walk. Process context.
    pub(crate) fn enter(table: &'table RhashTable<T>) -> Result<Self> {
        let iter = KBox::new(Opaque::zeroed(), GFP_KERNEL)?;
        // SAFETY: The table is initialised, and the iterator stays where it is.
        unsafe { bindings::rhashtable_walk_enter(table.inner.get(), iter.get()) };
        Ok(Self {
            iter,
            _table: PhantomData,
        })
    }

    /// Walks on, in an RCU read section. Between two sections, others get to run.
    pub(crate) fn section(&mut self) -> Section<'_, 'table, T> {
        // SAFETY: The walk was entered. It takes RCU, also where it says that it must start anew.
        let error = unsafe { bindings::rhashtable_walk_start_check(self.iter.get()) };
        Section {
            walk: self,
            resized: error != 0,
            _not_send: NotThreadSafe,
        }
    }
}

impl<T: Table> Walk<'_, T> {
    /// Visits the next `size` entries in one read section. `false` if there are no more.
    pub(crate) fn visit(
        &mut self,
        size: usize,
        mut visit: impl FnMut(RcuRef<'_, T::Entry>),
    ) -> bool {
        let mut section = self.section();
        for _ in 0..size {
            match section.next() {
                Some(entry) => visit(entry),
                None => return false,
            }
        }
        true
    }
}

impl<T: Table> Drop for Walk<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The walk was entered, and no section is open.
        unsafe { bindings::rhashtable_walk_exit(self.iter.get()) };
    }
}

/// A part of a [`Walk`], in one RCU read section.
pub(crate) struct Section<'walk, 'table, T: Table> {
    walk: &'walk mut Walk<'table, T>,
    resized: bool,
    _not_send: NotThreadSafe,
}

impl<T: Table> Section<'_, '_, T> {
    /// The next entry.
    pub(crate) fn next(&mut self) -> Option<RcuRef<'_, T::Entry>> {
        loop {
            // SAFETY: The section is open.
            let node = unsafe { bindings::rhashtable_walk_next(self.walk.iter.get()) };
            if node.addr() >= usize::MAX - 4094 {
                // The table was resized; the walk goes on in the new one.
                self.resized = true;
                continue;
            }
            let node = NonNull::new(node)?;
            // SAFETY: As in `lookup()`; the section holds RCU until it is dropped.
            return Some(unsafe { RcuRef::from_raw(RhashTable::<T>::entry_of(node)) });
        }
    }

    /// The entry that [`Self::next`] gives next.
    pub(crate) fn peek(&mut self) -> Option<RcuRef<'_, T::Entry>> {
        // SAFETY: The section is open.
        let node = unsafe { bindings::rhashtable_walk_peek(self.walk.iter.get()) };
        if node.addr() >= usize::MAX - 4094 {
            self.resized = true;
            return self.peek();
        }
        // SAFETY: As in `next()`.
        NonNull::new(node).map(|node| unsafe { RcuRef::from_raw(RhashTable::<T>::entry_of(node)) })
    }

    /// Whether the table was resized, so that entries may be met twice.
    pub(crate) fn resized(&self) -> bool {
        self.resized
    }
}

impl<T: Table> Drop for Section<'_, '_, T> {
    fn drop(&mut self) {
        // SAFETY: The section is open.
        unsafe { bindings::rhashtable_walk_stop(self.walk.iter.get()) };
    }
}
