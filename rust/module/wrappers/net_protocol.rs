// SPDX-License-Identifier: GPL-2.0

//! A place between IP and TCP.
//!
//! C header: [`include/net/protocol.h`](srctree/include/net/protocol.h). IP looks a packet's
//! transport protocol up in `inet_protos[]` under RCU. This publishes a copy of TCP's entry with the
//! functions replaced, which end in calls of those that were there.

use super::{rcu, sk_buff::SkBuff};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{prelude::*, sync::rcu::Guard, time::delay::fsleep, time::Delta, types::Opaque};

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
    // SAFETY: Packets come only while the layer is in its place. The packet is ours to give.
    Given(unsafe { call_handler(skb.as_ptr()) })
}

/// Calls what was there before.
///
/// # Safety
///
/// The layer is in its place, and the packet the caller's to give.
#[inline]
unsafe fn call_handler(raw: *mut bindings::sk_buff) -> c_int {
    // SAFETY: Written before the layer was put in its place. By the contract.
    unsafe {
        match (*FOUND.0.get()).handler {
            Some(handler) => handler(raw),
            None => 0,
        }
    }
}

/// What stands between IP and TCP. Softirq context, in an RCU read section.
pub(crate) trait Layer: 'static {
    /// Whether a packet that IP gives to TCP is TCP's at first sight. Most are, and are to lose no
    /// time over it.
    fn is_unrelated(skb: &SkBuff, guard: &Guard) -> bool;

    /// Any other packet that IP gives to TCP.
    fn receive(skb: &mut SkBuff, guard: &Guard) -> Verdict;

    /// An ICMP error about a packet that TCP sent. TCP gets it afterwards.
    fn receive_error(skb: &mut SkBuff, guard: &Guard);
}

struct Entry(Opaque<bindings::net_protocol>);

// SAFETY: Written before the layer is put in its place; afterwards only read.
unsafe impl Sync for Entry {}

/// A copy of what was in `inet_protos[IPPROTO_TCP]` before. Entries stay as they are while they are
/// registered, and TCP's is never unregistered.
static FOUND: Entry = Entry(Opaque::uninit());

/// What is there in its place.
static PUBLISHED: Entry = Entry(Opaque::uninit());

/// The layer in its place; dropping it takes it out again.
///
/// # Invariants
///
/// `PUBLISHED` was put in the place of `original`, of which `FOUND` is a copy.
pub(crate) struct TcpHook<L: Layer> {
    original: *const bindings::net_protocol,
    layer: PhantomData<L>,
}

// SAFETY: The entry is never written.
unsafe impl<L: Layer> Send for TcpHook<L> {}
// SAFETY: As above.
unsafe impl<L: Layer> Sync for TcpHook<L> {}

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
        // SAFETY: Nobody refers to either before the layer is in its place.
        unsafe {
            FOUND.0.get().write(*original);
            PUBLISHED.0.get().write(protocol);
        }
        // SAFETY: Both are entries of TCP's; the exchange is a full barrier.
        if !unsafe { bindings::tcp_dispatch_inet_protos_cmpxchg(original, PUBLISHED.0.get()) } {
            return Err(EBUSY);
        }
        // INVARIANT: Just so.
        Ok(Self {
            original,
            layer: PhantomData,
        })
    }

    /// # Safety
    ///
    /// For `struct net_protocol` to call.
    unsafe extern "C" fn handler(raw: *mut bindings::sk_buff) -> c_int {
        // SAFETY: IP gives us the packet, and its header is linear.
        let skb = unsafe { SkBuff::from_raw(raw) };
        // SAFETY: ip_protocol_deliver_rcu() is called in a read section.
        let guard = unsafe { rcu::held_by_caller() };
        if L::is_unrelated(skb, &guard) {
            // SAFETY: The packet is ours to give.
            unsafe { call_handler(raw) }
        } else {
            // SAFETY: As for this.
            unsafe { Self::receive(raw) }
        }
    }

    /// Not inlined: packets that are unrelated don't save registers for it.
    ///
    /// # Safety
    ///
    /// As for [`Self::handler`].
    #[inline(never)]
    unsafe extern "C" fn receive(raw: *mut bindings::sk_buff) -> c_int {
        // SAFETY: By the contract.
        let (skb, guard) = unsafe { (SkBuff::from_raw(raw), rcu::held_by_caller()) };
        match L::receive(skb, &guard) {
            // SAFETY: The packet is still ours to give.
            Verdict::Pass => unsafe { call_handler(raw) },
            Verdict::Given(Given(result)) => result,
            Verdict::Consumed => 0,
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
        // SAFETY: Written before the layer was put in its place. The packet is as it was lent, but for
        // the quote.
        unsafe {
            match (*FOUND.0.get()).err_handler {
                Some(handler) => handler(raw, info),
                None => 0,
            }
        }
    }
}

impl<L: Layer> Drop for TcpHook<L> {
    fn drop(&mut self) {
        let published = PUBLISHED.0.get().cast_const();
        let original = self.original;
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
