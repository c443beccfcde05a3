// SPDX-License-Identifier: GPL-2.0

//! Network namespaces, and state that each of them has.
//!
//! C headers: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h),
//! [`include/net/netns/generic.h`](srctree/include/net/netns/generic.h)

use super::inet::Inet;
use crate::bindings;
use core::{cell::UnsafeCell, marker::PhantomData, ptr};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    sync::rcu::Guard,
    types::Opaque,
};
use pin_init::PinInit;

/// A network namespace, `struct net`.
#[repr(transparent)]
pub(crate) struct Net(Opaque<bindings::net>);

impl Net {
    /// # Safety
    ///
    /// `ptr` must point to a namespace that lives as long as `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::net) -> &'a Self {
        // SAFETY: `Net` is transparent over `struct net`; the caller vouches for the lifetime.
        unsafe { &*ptr.cast() }
    }

    /// Whether sockets are looked for before packets are routed: `net.ipv4.ip_early_demux` and
    /// `net.ipv4.tcp_early_demux`.
    #[inline]
    pub(crate) fn has_tcp_early_demux(&self) -> bool {
        // SAFETY: The namespace is valid. Both are bytes, which whoever sets them writes at once.
        unsafe {
            let ipv4 = &raw const (*self.as_ptr()).ipv4;
            (&raw const (*ipv4).sysctl_ip_early_demux).read_volatile() != 0
                && (&raw const (*ipv4).sysctl_tcp_early_demux).read_volatile() != 0
        }
    }

    /// Whether packets of TCP with the same addresses get the same route, as far as that is easily
    /// told.
    pub(crate) fn routes_by_addresses<A: Inet>(&self, _guard: &Guard) -> bool {
        A::routes_by_addresses(self)
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::net {
        self.0.get()
    }
}

/// The namespace that some [`Pernet`] state belongs to.
///
/// # Invariants
///
/// The namespace outlives the state that holds this.
pub(crate) struct Owner(*const Net);

// SAFETY: A shared reference in all but its lifetime.
unsafe impl Send for Owner {}
// SAFETY: As above.
unsafe impl Sync for Owner {}

impl Owner {
    /// The namespace.
    pub(crate) fn net(&self) -> &Net {
        // SAFETY: The type's invariant.
        unsafe { &*self.0 }
    }
}

/// State that every network namespace has, made and dropped with it.
pub(crate) trait Pernet: Sized + Send + Sync + 'static {
    /// The registration through which the state is found.
    fn operations() -> &'static PernetOperations<Self>;

    /// Makes the state of a namespace, which keeps `owner` to itself. Process context.
    fn new(owner: Owner) -> impl PinInit<Self, Error>;
}

/// `struct pernet_operations` for the state `T`.
pub(crate) struct PernetOperations<T> {
    ops: Opaque<bindings::pernet_operations>,
    /// Written once, by `register_pernet_subsys()` under `pernet_ops_rwsem`, before any namespace
    /// has a `T`.
    id: UnsafeCell<u32>,
    _state: PhantomData<fn() -> T>,
}

// SAFETY: `ops` belongs to the C side, which locks it; `id` doesn't change while it is used.
unsafe impl<T> Sync for PernetOperations<T> {}

impl<T: Pernet> PernetOperations<T> {
    /// Makes operations that aren't registered.
    pub(crate) const fn new() -> Self {
        Self {
            ops: Opaque::uninit(),
            id: UnsafeCell::new(0),
            _state: PhantomData,
        }
    }

    /// Gives every network namespace, now and later, a `T`. Process context.
    ///
    /// The operations must not be registered already.
    pub(crate) fn register(&'static self) -> Result<PernetRegistration<T>> {
        let ops = bindings::pernet_operations {
            init: Some(Self::init),
            exit: Some(Self::exit),
            id: self.id.get(),
            size: core::mem::size_of::<T>(),
            ..Default::default()
        };
        // SAFETY: Nobody else refers to `ops` before it is registered.
        unsafe { self.ops.get().write(ops) };
        // SAFETY: `ops` is static and complete.
        to_result(unsafe { bindings::register_pernet_subsys(self.ops.get()) })?;
        Ok(PernetRegistration(self))
    }

    /// The state of `net`.
    ///
    /// Must be called only while the operations are registered and `net` has not exited: from its
    /// packets and its netlink sockets, for instance.
    #[inline]
    pub(crate) fn get<'a>(&self, net: &'a Net, _guard: &Guard) -> &'a T {
        // SAFETY: `id` doesn't change once namespaces have a `T`.
        let id = unsafe { *self.id.get() };
        // SAFETY: `init()` made a `T` there before anyone could see the namespace, and it is
        // dropped after packets and sockets of the namespace are gone.
        unsafe { &*Self::slot(net, id) }
    }

    #[inline]
    fn slot(net: &Net, id: u32) -> *mut T {
        // SAFETY: `net` is valid. `gen` is replaced under RCU, with the slots' values copied along;
        // callers are in a read section, or keep it from being replaced by `pernet_ops_rwsem`.
        unsafe {
            let gen = ptr::addr_of!((*net.as_ptr()).gen).read_volatile();
            gen.cast::<*mut T>().add(id as usize).read()
        }
    }

    /// # Safety
    ///
    /// For `struct pernet_operations` to call.
    unsafe extern "C" fn init(net: *mut bindings::net) -> c_int {
        // SAFETY: The caller gives a namespace that is being set up.
        let net = unsafe { Net::from_raw(net) };
        let operations = T::operations();
        // SAFETY: See `get()`.
        let id = unsafe { *operations.id.get() };
        from_result(|| {
            // INVARIANT: `exit()` drops the state, and the namespace is freed after that.
            // SAFETY: `ops_init()` put `size` bytes for a `T` into the slot, and the memory stays
            // where it is until `exit()`, so that the `T` is pinned.
            unsafe { pin_init::raw_try_init(Self::slot(net, id), T::new(Owner(net))) }?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For `struct pernet_operations` to call.
    unsafe extern "C" fn exit(net: *mut bindings::net) {
        // SAFETY: The caller gives a namespace that is going away.
        let net = unsafe { Net::from_raw(net) };
        let state = ptr::from_ref(T::operations().get(net, &Guard::new())).cast_mut();
        // The read section ended with the look-up: what is dropped may sleep.
        // SAFETY: `init()` made the `T`, and nothing of the namespace can reach it any longer.
        unsafe { ptr::drop_in_place(state) };
    }
}

/// Registered [`PernetOperations`]; dropping unregisters them and drops every namespace's state.
///
/// # Invariants
///
/// The operations are registered.
pub(crate) struct PernetRegistration<T: Pernet>(&'static PernetOperations<T>);

impl<T: Pernet> Drop for PernetRegistration<T> {
    fn drop(&mut self) {
        // SAFETY: The operations are registered by the type's invariant.
        unsafe { bindings::unregister_pernet_subsys(self.0.ops.get()) };
    }
}
