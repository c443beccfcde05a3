// SPDX-License-Identifier: GPL-2.0

//! Routes.
//!
//! C headers: [`include/net/dst.h`](srctree/include/net/dst.h),
//! [`include/net/route.h`](srctree/include/net/route.h)

use super::{net::Net, rcu, sk_buff::SkBuff};
use crate::{bindings, tcp_dispatch_core::SocketAddress};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};
use kernel::sync::{
    atomic::{ordering, Atomic},
    rcu::Guard,
};

/// `FLOWI_FLAG_ANYSRC` of [`include/net/flow.h`](srctree/include/net/flow.h): the source need not
/// be an address of a device. A service address is one that IP delivers locally, however.
const FLOWI_FLAG_ANYSRC: u8 = 1;
const IPPROTO_TCP: u8 = 6;
/// `ERR_PTR()` makes pointers of the last page's addresses.
const MAX_ERRNO: usize = 4095;

/// A counted reference to a `struct dst_entry`.
///
/// # Invariants
///
/// One reference of the entry is this one.
pub(crate) struct Dst(NonNull<bindings::dst_entry>);

impl Dst {
    /// The route of TCP packets from `source` to `destination`. Any context.
    pub(crate) fn route(
        net: &Net,
        source: SocketAddress,
        destination: SocketAddress,
        mark: u32,
    ) -> Option<Self> {
        let mut flow = bindings::flowi4::default();
        flow.__fl_common.flowic_mark = mark;
        flow.__fl_common.flowic_proto = IPPROTO_TCP;
        flow.__fl_common.flowic_flags = FLOWI_FLAG_ANYSRC;
        flow.saddr = u32::from_ne_bytes(source.ip);
        flow.daddr = u32::from_ne_bytes(destination.ip);
        flow.uli.ports = bindings::flowi_uli__bindgen_ty_1 {
            sport: u16::from_ne_bytes(source.port),
            dport: u16::from_ne_bytes(destination.port),
        };
        // SAFETY: `net` and `flow` are valid; without a socket the result is a reference to a
        // route or an error pointer.
        let rtable =
            unsafe { bindings::ip_route_output_flow(net.as_ptr(), &mut flow, ptr::null()) };
        if rtable.addr() >= usize::MAX - MAX_ERRNO {
            return None;
        }
        // `struct rtable` begins with its `struct dst_entry`.
        // INVARIANT: The lookup took a reference.
        NonNull::new(rtable.cast()).map(Self)
    }

    /// Gives the reference to whoever keeps the pointer.
    pub(crate) fn into_raw(self) -> *mut bindings::dst_entry {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for Dst {
    fn drop(&mut self) {
        // SAFETY: The type's invariant. The entry is freed a grace period after the last reference.
        unsafe { bindings::dst_release(self.0.as_ptr()) };
    }
}

/// A route that may be used within an RCU read section.
///
/// # Invariants
///
/// The entry is not freed before the section is over.
#[derive(Clone, Copy)]
pub(crate) struct DstRef<'rcu>(NonNull<bindings::dst_entry>, PhantomData<&'rcu ()>);

impl DstRef<'_> {
    /// The largest IP packet, in bytes, that the route takes.
    pub(crate) fn mtu(self) -> u32 {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_mtu(self.0.as_ptr()) }
    }

    /// The largest segment, in bytes of data, that TCP announces to who is reached by the route.
    pub(crate) fn advertised_mss(self) -> u32 {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_metric_advmss(self.0.as_ptr()) }
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut bindings::dst_entry {
        self.0.as_ptr()
    }
}

/// A place that remembers a route until it is no longer valid. Read under RCU, so that packets don't
/// count references that all CPUs share; replaced by an atomic exchange: whoever looked up a newer
/// route may do it.
///
/// # Invariants
///
/// Null, or holds a reference to an entry.
pub(crate) struct DstCache(Atomic<*mut bindings::dst_entry>);

// SAFETY: Entries are shared between CPUs by nature.
unsafe impl Send for DstCache {}
// SAFETY: As above; the place is atomic.
unsafe impl Sync for DstCache {}

impl DstCache {
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self(rcu::null())
    }

    /// The route, if there is one that routing still vouches for; else what `look_up` finds, which
    /// is remembered.
    #[inline]
    pub(crate) fn get_or<'rcu>(
        &self,
        _guard: &'rcu Guard,
        look_up: impl FnOnce() -> Option<Dst>,
    ) -> Option<DstRef<'rcu>> {
        let known = NonNull::new(rcu::load(&self.0)).filter(|dst| {
            // SAFETY: The place held a reference when it was read in this read section. Cookie 0 is
            // IPv4's.
            unsafe { !bindings::tcp_dispatch_dst_check(dst.as_ptr(), 0).is_null() }
        });
        let dst = match known {
            Some(dst) => dst,
            None => {
                let dst = look_up()?;
                let raw = dst.0;
                self.set(dst);
                raw
            }
        };
        // INVARIANT: Entries are freed a grace period after their last reference, and the place
        // has or had one in this read section.
        Some(DstRef(dst, PhantomData))
    }

    /// The route, if there is one that routing still vouches for.
    #[inline]
    pub(crate) fn get<'rcu>(&self, guard: &'rcu Guard) -> Option<DstRef<'rcu>> {
        self.get_or(guard, || None)
    }

    /// Remembers the route that a packet of its destination came by, for others to the same. Softirq
    /// context. Writes only if it is another.
    pub(crate) fn remember(&self, skb: &SkBuff) {
        // SAFETY: The packet is valid, and keeps its route.
        let dst = unsafe { bindings::tcp_dispatch_skb_dst(skb.as_ptr()) };
        let Some(dst) = NonNull::new(dst) else {
            return;
        };
        if rcu::load(&self.0) == dst.as_ptr() {
            return;
        }
        // SAFETY: As above.
        if unsafe { bindings::tcp_dispatch_dst_hold_input(dst.as_ptr()) } {
            // INVARIANT: Just counted.
            self.set(Dst(dst));
        }
    }

    /// Remembers `dst`.
    fn set(&self, dst: Dst) {
        self.exchange(dst.into_raw());
    }

    fn exchange(&self, dst: *mut bindings::dst_entry) {
        // INVARIANT: The caller gives null or a reference.
        let old = self.0.xchg(dst, ordering::Full);
        // INVARIANT: The exchange took the reference out.
        drop(NonNull::new(old).map(Dst));
    }
}

impl Drop for DstCache {
    fn drop(&mut self) {
        self.exchange(ptr::null_mut());
    }
}
