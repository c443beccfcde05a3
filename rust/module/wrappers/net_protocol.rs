// SPDX-License-Identifier: GPL-2.0

//! A place between IP and TCP, of each address family.
//!
//! C header: [`include/net/protocol.h`](srctree/include/net/protocol.h). IP looks a packet's
//! transport protocol up in `inet_protos[]`, or `inet6_protos[]`, under RCU. This publishes a copy of
//! TCP's entry with the functions replaced, which end in calls of those that were there.

use super::{
    inet::Inet,
    rcu,
    sk_buff::{self, SkBuff},
};
use crate::{
    bindings::{self, inet6_protocol, net_protocol, sk_buff as RawSkBuff},
    tcp_dispatch_core::{Ipv4Address, Ipv6Address},
};
use core::{ffi::c_void, marker::PhantomData};
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
/// the read section that IP of family `A` called the [`Layer`] in, with the packet that it gave.
pub(crate) fn give_to_tcp<A: Protocol>(skb: &mut SkBuff) -> Given {
    // SAFETY: Packets come only while the layer is in its place. The packet is ours to give.
    Given(unsafe { A::call_tcp(skb.as_ptr()) })
}

/// What stands between IP of family `A` and TCP. Softirq context, in an RCU read section.
pub(crate) trait Layer<A: Inet>: 'static {
    /// Whether a packet that IP gives to TCP is TCP's at first sight. Most are, and are to lose no
    /// time over it.
    fn is_unrelated(skb: &SkBuff, guard: &Guard) -> bool;

    /// Any other packet that IP gives to TCP.
    fn receive(skb: &mut SkBuff, guard: &Guard) -> Verdict;

    /// An ICMP error about a packet that TCP sent, which it quotes: `data` is the quoted IP header,
    /// and the TCP header is `transport` bytes behind it. TCP gets it afterwards.
    fn receive_error(skb: &mut SkBuff, transport: usize, guard: &Guard);
}

/// TCP's entries in the table of one family.
pub(crate) struct Entries<T> {
    /// A copy of what was in the table before. Entries stay as they are while they are registered, and
    /// TCP's is never unregistered.
    found: Opaque<T>,
    /// What is there in its place.
    published: Opaque<T>,
}

// SAFETY: Written before the layer is put in its place; afterwards only read.
unsafe impl<T> Sync for Entries<T> {}

impl<T> Entries<T> {
    const fn new() -> Self {
        Self {
            found: Opaque::uninit(),
            published: Opaque::uninit(),
        }
    }
}

/// A family's table of protocols.
pub(crate) trait Protocol: Inet {
    /// An entry of the table.
    type Entry: Copy;

    /// TCP's.
    fn entries() -> &'static Entries<Self::Entry>;

    /// TCP's entry as it is in the table now, or null. It stays valid, as TCP is never unregistered.
    fn current() -> *const Self::Entry;

    /// Puts `to` in the place of TCP's entry `from`, and is a full barrier then. `false` if another is
    /// there.
    ///
    /// # Safety
    ///
    /// Both must be entries of TCP's that stay valid.
    unsafe fn replace(from: *const Self::Entry, to: *const Self::Entry) -> bool;

    /// Has [`Self::call_tcp`] do what an entry does with packets. Process context.
    ///
    /// # Safety
    ///
    /// The entry's function must be there as long as anybody calls it.
    unsafe fn set_tcp(entry: &Self::Entry);

    /// Gives a packet to TCP.
    ///
    /// # Safety
    ///
    /// [`Self::set_tcp`] must have been called, and the packet be the caller's to give.
    unsafe fn call_tcp(skb: *mut RawSkBuff) -> c_int;

    /// The entry with `L` before what it does.
    fn with_layer<L: Layer<Self>>(entry: Self::Entry) -> Self::Entry;
}

// Static calls of `include/linux/static_call.h`: what is called here becomes a direct call of the function
// that was set. `bindings/helpers.c` defines them.
extern "C" {
    #[link_name = "__SCT__tcp_dispatch_ipv4_tcp"]
    fn static_call_ipv4_tcp(skb: *mut c_void) -> c_int;
    #[link_name = "__SCT__tcp_dispatch_ipv6_tcp"]
    fn static_call_ipv6_tcp(skb: *mut c_void) -> c_int;

    #[link_name = "__SCK__tcp_dispatch_ipv4_tcp"]
    static IPV4_TCP_KEY: u8;
    #[link_name = "__SCK__tcp_dispatch_ipv6_tcp"]
    static IPV6_TCP_KEY: u8;
}

/// Keeps the keys' names in this object, by which objtool ties calls to them:
/// `__STATIC_CALL_ADDRESSABLE()`.
struct Addressable(#[expect(dead_code)] [*const u8; 2]);

// SAFETY: Nobody uses it.
unsafe impl Sync for Addressable {}

#[used]
static ADDRESSABLE: Addressable = Addressable([&raw const IPV4_TCP_KEY, &raw const IPV6_TCP_KEY]);

static IPV4: Entries<net_protocol> = Entries::new();
static IPV6: Entries<inet6_protocol> = Entries::new();

impl Protocol for Ipv4Address {
    type Entry = net_protocol;

    #[inline]
    fn entries() -> &'static Entries<net_protocol> {
        &IPV4
    }

    fn current() -> *const net_protocol {
        // SAFETY: No requirements.
        unsafe { bindings::tcp_dispatch_inet_protos_tcp() }
    }

    unsafe fn replace(from: *const net_protocol, to: *const net_protocol) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_inet_protos_cmpxchg(from, to) }
    }

    unsafe fn set_tcp(entry: &net_protocol) {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv4_set_tcp(entry.handler) };
    }

    #[inline]
    unsafe fn call_tcp(skb: *mut RawSkBuff) -> c_int {
        // SAFETY: By the contract.
        unsafe { static_call_ipv4_tcp(skb.cast()) }
    }

    fn with_layer<L: Layer<Self>>(entry: net_protocol) -> net_protocol {
        net_protocol {
            handler: Some(handler::<L, Self>),
            err_handler: Some(ipv4_err_handler::<L>),
            ..entry
        }
    }
}

impl Protocol for Ipv6Address {
    type Entry = inet6_protocol;

    #[inline]
    fn entries() -> &'static Entries<inet6_protocol> {
        &IPV6
    }

    fn current() -> *const inet6_protocol {
        // SAFETY: No requirements.
        unsafe { bindings::tcp_dispatch_inet6_protos_tcp() }
    }

    unsafe fn replace(from: *const inet6_protocol, to: *const inet6_protocol) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_inet6_protos_cmpxchg(from, to) }
    }

    unsafe fn set_tcp(entry: &inet6_protocol) {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv6_set_tcp(entry.handler) };
    }

    #[inline]
    unsafe fn call_tcp(skb: *mut RawSkBuff) -> c_int {
        // SAFETY: By the contract.
        unsafe { static_call_ipv6_tcp(skb.cast()) }
    }

    fn with_layer<L: Layer<Self>>(entry: inet6_protocol) -> inet6_protocol {
        inet6_protocol {
            handler: Some(handler::<L, Self>),
            err_handler: Some(ipv6_err_handler::<L>),
            ..entry
        }
    }
}

/// # Safety
///
/// For a [`Protocol::Entry`] to call.
unsafe extern "C" fn handler<L: Layer<A>, A: Protocol>(raw: *mut RawSkBuff) -> c_int {
    // SAFETY: IP gives us the packet, and its header is linear.
    let skb = unsafe { SkBuff::from_raw(raw) };
    // SAFETY: ip_protocol_deliver_rcu() and ip6_protocol_deliver_rcu() are called in read sections.
    let guard = unsafe { rcu::held_by_caller() };
    if L::is_unrelated(skb, &guard) {
        // SAFETY: The packet is ours to give.
        unsafe { A::call_tcp(raw) }
    } else {
        // SAFETY: As for this.
        unsafe { receive::<L, A>(raw) }
    }
}

/// Not inlined: packets that are unrelated don't save registers for it.
///
/// # Safety
///
/// As for [`handler`].
#[inline(never)]
unsafe extern "C" fn receive<L: Layer<A>, A: Protocol>(raw: *mut RawSkBuff) -> c_int {
    // SAFETY: By the contract.
    let (skb, guard) = unsafe { (SkBuff::from_raw(raw), rcu::held_by_caller()) };
    match L::receive(skb, &guard) {
        // SAFETY: The packet is still ours to give.
        Verdict::Pass => unsafe { A::call_tcp(raw) },
        Verdict::Given(Given(result)) => result,
        Verdict::Consumed => 0,
    }
}

/// # Safety
///
/// For `struct net_protocol` to call.
unsafe extern "C" fn ipv4_err_handler<L: Layer<Ipv4Address>>(
    raw: *mut RawSkBuff,
    info: u32,
) -> c_int {
    // SAFETY: ICMP lends us the packet; it is delivered in a read section, too.
    let (skb, guard) = unsafe { (SkBuff::from_raw(raw), rcu::held_by_caller()) };
    if let Some(transport) = sk_buff::find_tcp_in_ipv4_quote(skb) {
        L::receive_error(skb, transport, &guard);
    }
    // SAFETY: Written before the layer was put in its place. The packet is as it was lent, but for
    // the quote.
    unsafe {
        match (*IPV4.found.get()).err_handler {
            Some(handler) => handler(raw, info),
            None => 0,
        }
    }
}

/// # Safety
///
/// For `struct inet6_protocol` to call.
unsafe extern "C" fn ipv6_err_handler<L: Layer<Ipv6Address>>(
    raw: *mut RawSkBuff,
    opt: *mut bindings::inet6_skb_parm,
    type_: u8,
    code: u8,
    offset: c_int,
    info: u32,
) -> c_int {
    // SAFETY: ICMPv6 lends us the packet; it is delivered in a read section, too.
    let (skb, guard) = unsafe { (SkBuff::from_raw(raw), rcu::held_by_caller()) };
    // ICMPv6 has found the TCP header behind the quoted extension headers.
    if let Ok(transport) = usize::try_from(offset) {
        L::receive_error(skb, transport, &guard);
    }
    // SAFETY: As with IPv4.
    unsafe {
        match (*IPV6.found.get()).err_handler {
            Some(handler) => handler(raw, opt, type_, code, offset, info),
            None => 0,
        }
    }
}

/// The layer in its place in one family; dropping it takes it out again.
///
/// # Invariants
///
/// The published entry was put in the place of `original`, of which the found one is a copy.
pub(crate) struct TcpHook<L: Layer<A>, A: Protocol> {
    original: *const A::Entry,
    layer: PhantomData<L>,
}

// SAFETY: The entry is never written.
unsafe impl<L: Layer<A>, A: Protocol> Send for TcpHook<L, A> {}
// SAFETY: As above.
unsafe impl<L: Layer<A>, A: Protocol> Sync for TcpHook<L, A> {}

impl<L: Layer<A>, A: Protocol> TcpHook<L, A> {
    /// Puts the layer between IP and TCP, for all network namespaces. Process context. There may be
    /// one at a time.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody else changes the entry at the same time, `ENOPROTOOPT` without TCP: the
    /// kernel was started without the family.
    pub(crate) fn install() -> Result<Self> {
        let original = A::current();
        if original.is_null() {
            return Err(ENOPROTOOPT);
        }
        let entries = A::entries();
        // SAFETY: Entries stay valid while they are registered. Nobody refers to ours before the layer
        // is in its place.
        unsafe {
            let found = *original;
            A::set_tcp(&found);
            entries.found.get().write(found);
            entries.published.get().write(A::with_layer::<L>(found));
        }
        // SAFETY: Both are entries of TCP's.
        if !unsafe { A::replace(original, entries.published.get()) } {
            return Err(EBUSY);
        }
        // INVARIANT: Just so.
        Ok(Self {
            original,
            layer: PhantomData,
        })
    }
}

impl<L: Layer<A>, A: Protocol> Drop for TcpHook<L, A> {
    fn drop(&mut self) {
        let published = A::entries().published.get().cast_const();
        let original = self.original;
        let mut told = false;
        // Somebody else may have hooked on top of us and end in a call of us: our code must then
        // stay. Unloading can't be refused any longer, so it waits for them to be gone.
        // SAFETY: Both are entries of TCP's.
        while !unsafe { A::replace(published, original) } {
            if A::current() == original {
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
