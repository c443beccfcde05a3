// SPDX-License-Identifier: GPL-2.0

//! A place between IP and TCP.
//!
//! C header: [`include/net/protocol.h`](srctree/include/net/protocol.h). IP looks a packet's
//! transport protocol up in `inet_protos[]` under RCU. This publishes a copy of TCP's entry with the
//! functions replaced, which end in calls of those that were there.

use super::{rcu, sk_buff::SkBuff};
use crate::bindings;
use core::{marker::PhantomData, ptr};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
    time::delay::fsleep,
    time::Delta,
    types::Opaque,
};

/// What becomes of a received packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// TCP gets it.
    Pass,
    /// It is gone.
    Consumed,
    /// TCP has got it, by [`give_to_tcp`].
    Given(Given),
}

/// What TCP said of a packet that it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given(c_int);

/// Gives a packet to TCP now, so that the caller can look at what came of it. Softirq context, in
/// the read section that IP called the [`Layer`] in, with the packet that it gave.
pub(crate) fn give_to_tcp(skb: &mut SkBuff) -> Given {
    // SAFETY: Packets come only while the hook is in its place, so that the entry is there; it stays
    // valid while it is registered. The packet is ours to give.
    Given(unsafe {
        match (*rcu::read_once(&ORIGINAL)).handler {
            Some(handler) => handler(skb.as_ptr()),
            None => 0,
        }
    })
}

/// What stands between IP and TCP. Softirq context, in an RCU read section.
pub(crate) trait Layer: 'static {
    /// A packet that IP gives to TCP.
    fn receive(skb: &mut SkBuff, guard: &Guard) -> Verdict;

    /// An ICMP error about a packet that TCP sent. TCP gets it afterwards.
    fn receive_error(skb: &mut SkBuff, guard: &Guard);
}

/// What was in `inet_protos[IPPROTO_TCP]` before. Written before the hook is published; afterwards
/// only read.
static ORIGINAL: Atomic<*mut bindings::net_protocol> = Atomic::new(ptr::null_mut());

struct Published(Opaque<bindings::net_protocol>);

// SAFETY: Written before it is published; afterwards only read.
unsafe impl Sync for Published {}

static PUBLISHED: Published = Published(Opaque::uninit());

/// The layer in its place; dropping it takes it out again.
///
/// # Invariants
///
/// `ORIGINAL` holds the entry that was found, and `PUBLISHED` was put in its place.
pub(crate) struct TcpHook<L: Layer>(PhantomData<L>);

impl<L: Layer> TcpHook<L> {
    /// Puts the layer between IP and TCP, for all network namespaces. Process context. There may be
    /// one at a time.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody else changes the entry at the same time, `ENOPROTOOPT` without TCP.
    pub(crate) fn install() -> Result<Self> {
        // SAFETY: No requirements.
        let original = unsafe { bindings::tcp_dispatch_inet_protos_tcp() };
        if original.is_null() {
            return Err(ENOPROTOOPT);
        }
        // SAFETY: Entries stay valid while they are registered. TCP's is never unregistered.
        let mut protocol = unsafe { *original };
        protocol.handler = Some(Self::handler);
        protocol.err_handler = Some(Self::err_handler);
        // SAFETY: Nobody refers to it before it is published.
        unsafe { PUBLISHED.0.get().write(protocol) };
        ORIGINAL.store(original.cast_mut(), ordering::Release);
        // SAFETY: Both are entries of TCP's; the exchange is a full barrier.
        if !unsafe { bindings::tcp_dispatch_inet_protos_cmpxchg(original, PUBLISHED.0.get()) } {
            return Err(EBUSY);
        }
        // INVARIANT: Just so.
        Ok(Self(PhantomData))
    }

    fn original() -> &'static bindings::net_protocol {
        // SAFETY: By the invariant; entries stay valid while they are registered.
        unsafe { &*rcu::read_once(&ORIGINAL) }
    }

    /// # Safety
    ///
    /// For `struct net_protocol` to call.
    unsafe extern "C" fn handler(raw: *mut bindings::sk_buff) -> c_int {
        // SAFETY: IP gives us the packet, and its header is linear.
        let skb = unsafe { SkBuff::from_raw(raw) };
        // SAFETY: ip_protocol_deliver_rcu() is called in a read section.
        let guard = unsafe { rcu::held_by_caller() };
        match (L::receive(skb, &guard), Self::original().handler) {
            // SAFETY: The packet is still ours to give.
            (Verdict::Pass, Some(handler)) => unsafe { handler(raw) },
            (Verdict::Given(Given(result)), _) => result,
            _ => 0,
        }
    }

    /// # Safety
    ///
    /// For `struct net_protocol` to call.
    unsafe extern "C" fn err_handler(raw: *mut bindings::sk_buff, info: u32) -> c_int {
        // SAFETY: ICMP lends us the packet; its quote has been pulled.
        let skb = unsafe { SkBuff::from_raw(raw) };
        // SAFETY: ICMP is delivered in a read section, too.
        let guard = unsafe { rcu::held_by_caller() };
        L::receive_error(skb, &guard);
        match Self::original().err_handler {
            // SAFETY: The packet is as it was lent, but for the quote.
            Some(handler) => unsafe { handler(raw, info) },
            None => 0,
        }
    }
}

impl<L: Layer> Drop for TcpHook<L> {
    fn drop(&mut self) {
        let published = PUBLISHED.0.get().cast_const();
        let original = ORIGINAL.load(ordering::Relaxed).cast_const();
        let mut told = false;
        // Somebody else may have hooked on top of us and end in a call of us: our code must then
        // stay. Unloading can't be refused any longer, so it waits for them to be gone.
        // SAFETY: Both are entries of TCP's.
        while !unsafe { bindings::tcp_dispatch_inet_protos_cmpxchg(published, original) } {
            // SAFETY: No requirements.
            if unsafe { bindings::tcp_dispatch_inet_protos_tcp() } == original {
                // They put back what was there before us.
                break;
            }
            if !told {
                pr_notice!(
                    "another module has hooked TCP after this one: unload it, this one waits\n"
                );
                told = true;
            }
            fsleep(Delta::from_millis(200));
        }
        // IP calls handlers within RCU read sections.
        kernel::sync::rcu::synchronize_rcu();
    }
}
