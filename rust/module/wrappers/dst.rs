// SPDX-License-Identifier: GPL-2.0

//! Routes.
//!
//! C headers: [`include/net/dst.h`](srctree/include/net/dst.h),
//! [`include/net/route.h`](srctree/include/net/route.h)

use super::{
    inet::{Flow, Inet},
    net::Net,
    rcu,
    sk_buff::SkBuff,
};
use crate::{bindings, tcp_dispatch_core::SocketAddress};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};
use kernel::sync::{
    atomic::{ordering, Atomic},
    rcu::Guard,
};

/// `ERR_PTR()` makes pointers of the last page's addresses.
const MAX_ERRNO: usize = 4095;

/// A counted reference to a `struct dst_entry`.
///
/// # Invariants
///
/// One reference of the entry is this one.
pub(crate) struct Dst(NonNull<bindings::dst_entry>);

impl Dst {
    /// The route of TCP packets that bear the mark `mark`. Packets to somebody who is of the link
    /// alone leave by the device of index `iif`, which his came by; if that is a VRF, all go by its
    /// table. Zero: nobody of the link alone, and no VRF. Any context.
    pub(crate) fn route<A: Inet>(
        net: &Net,
        source: SocketAddress<A>,
        destination: SocketAddress<A>,
        mark: u32,
        iif: i32,
    ) -> Option<Self> {
        let oif = if iif != 0 && (destination.ip.is_link_local() || is_vrf(net, iif)) {
            iif
        } else {
            0
        };
        let flow = Flow {
            source,
            destination,
            mark,
            oif,
        };
        let dst = A::route(net, flow);
        if dst.addr() >= usize::MAX - MAX_ERRNO {
            return None;
        }
        // INVARIANT: The lookup took a reference.
        NonNull::new(dst).map(Self)
    }

    /// What the route is told from newer ones by, `dst_check()`.
    fn cookie(&self) -> u32 {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_cookie(self.0.as_ptr()) }
    }

    /// Whether routing still vouches for a route of IPv4, which needs no cookie of an earlier time.
    pub(crate) fn is_valid(&self) -> bool {
        // SAFETY: The type's invariant.
        unsafe { !bindings::tcp_dispatch_dst_check(self.0.as_ptr(), 0).is_null() }
    }

    /// Whether the route leads to this computer itself.
    pub(crate) fn is_local(&self) -> bool {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_is_local(self.0.as_ptr()) }
    }

    pub(super) fn as_ptr(&self) -> *const bindings::dst_entry {
        self.0.as_ptr()
    }

    /// Gives the reference to whoever keeps the pointer.
    pub(crate) fn into_raw(self) -> *mut bindings::dst_entry {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Clone for Dst {
    fn clone(&self) -> Self {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_hold(self.0.as_ptr()) };
        // INVARIANT: Just counted.
        Self(self.0)
    }
}

impl Drop for Dst {
    fn drop(&mut self) {
        // SAFETY: The type's invariant. The entry is freed a grace period after the last reference.
        unsafe { bindings::dst_release(self.0.as_ptr()) };
    }
}

/// Whether the device of that index is a VRF, or another that has a routing table of its own.
pub(super) fn is_vrf(net: &Net, index: i32) -> bool {
    // SAFETY: `net` is valid. The function takes RCU itself.
    unsafe { bindings::tcp_dispatch_netif_index_is_l3_master(net.as_ptr(), index) }
}

/// A route that may be used within an RCU read section.
///
/// # Invariants
///
/// The entry is not freed before the section is over.
#[derive(Clone, Copy)]
pub(crate) struct DstRef<'rcu>(NonNull<bindings::dst_entry>, PhantomData<&'rcu ()>);

impl DstRef<'_> {
    /// Whether the route leads to many: a broadcast or multicast address.
    pub(crate) fn is_to_many(self) -> bool {
        // SAFETY: The type's invariant.
        unsafe { bindings::tcp_dispatch_dst_is_to_many(self.0.as_ptr()) }
    }

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
/// `dst` is null, or holds a reference to an entry.
pub(crate) struct DstCache {
    dst: Atomic<*mut bindings::dst_entry>,
    /// The entry's cookie, which IPv6 wants to see. Written before the entry: who meets a new one with
    /// the entry before it takes the route that was valid a moment ago, or looks for another.
    cookie: Atomic<u32>,
}

// SAFETY: Entries are counted, and shared between CPUs by nature.
unsafe impl Send for Dst {}
// SAFETY: As above.
unsafe impl Sync for Dst {}

// SAFETY: Entries are shared between CPUs by nature.
unsafe impl Send for DstCache {}
// SAFETY: As above; the place is atomic.
unsafe impl Sync for DstCache {}

impl DstCache {
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            dst: rcu::null(),
            cookie: Atomic::new(0),
        }
    }

    /// The route, if there is one that routing still vouches for; else what `look_up` finds, which
    /// is remembered.
    #[inline]
    pub(crate) fn get_or<'rcu>(
        &self,
        _guard: &'rcu Guard,
        look_up: impl FnOnce() -> Option<Dst>,
    ) -> Option<DstRef<'rcu>> {
        let known = NonNull::new(rcu::load(&self.dst)).filter(|dst| {
            let cookie = rcu::read_once(&self.cookie);
            // SAFETY: The place held a reference when it was read in this read section.
            unsafe { !bindings::tcp_dispatch_dst_check(dst.as_ptr(), cookie).is_null() }
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
        // SAFETY: As above.
        let cookie = unsafe { bindings::tcp_dispatch_dst_cookie(dst.as_ptr()) };
        if rcu::load(&self.dst) == dst.as_ptr() && rcu::read_once(&self.cookie) == cookie {
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
        self.cookie.store(dst.cookie(), ordering::Relaxed);
        self.exchange(dst.into_raw());
    }

    fn exchange(&self, dst: *mut bindings::dst_entry) {
        // INVARIANT: The caller gives null or a reference.
        let old = self.dst.xchg(dst, ordering::Full);
        // INVARIANT: The exchange took the reference out.
        drop(NonNull::new(old).map(Dst));
    }
}

impl Drop for DstCache {
    fn drop(&mut self) {
        self.exchange(ptr::null_mut());
    }
}
