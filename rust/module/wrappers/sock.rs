// SPDX-License-Identifier: GPL-2.0

//! What TCP's socket tables know.
//!
//! C header: [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h)

use super::{cred::Uid, dst, inet::Inet, net::Net};
use crate::{
    bindings,
    tcp_dispatch_core::{
        packet::{self, TcpHeader},
        time_wait::TimeWait,
        ChecksumState, SocketAddress, Tuple,
    },
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::sync::rcu::Guard;

/// `TCP_TIME_WAIT` of [`include/net/tcp_states.h`](srctree/include/net/tcp_states.h).
pub(crate) const TCP_TIME_WAIT: u32 = 6;

/// A socket, request socket or TIME_WAIT socket that holds a connection.
///
/// # Invariants
///
/// Holds one reference.
pub(crate) struct Sock(NonNull<bindings::sock>);

// SAFETY: Sockets are counted and lock themselves.
unsafe impl Send for Sock {}

impl Sock {
    /// The socket of the connection `tuple` (client to process), if there is one. `iif` is the index
    /// of the device that the connection's packets come by, for sockets that are bound to it. Any
    /// context.
    pub(crate) fn find<A: Inet>(net: &Net, tuple: &Tuple<A>, iif: i32) -> Option<Self> {
        // INVARIANT: The lookup's reference is ours.
        NonNull::new(A::lookup_established(net, tuple, iif)).map(Self)
    }

    /// Gives the reference to whoever keeps the pointer.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sock {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }

    /// Its state: a number of `enum tcp_state` in `include/net/tcp_states.h`, TIME_WAIT and
    /// NEW_SYN_RECV included. FIN_WAIT2 is that, also where TIME_WAIT's small socket stands for it.
    pub(crate) fn state(&self) -> u32 {
        // SAFETY: All three kinds of socket have a state, and the reference is held.
        unsafe { bindings::tcp_dispatch_sk_state(self.0.as_ptr()) as u32 }
    }

    /// What it remembers of its peer, if it is in TIME_WAIT (and doesn't stand for FIN_WAIT2).
    pub(crate) fn time_wait(&self) -> Option<TimeWait> {
        if self.state() != TCP_TIME_WAIT {
            return None;
        }
        let (mut rcv_nxt, mut ts_recent) = (0, 0);
        // SAFETY: The reference is held, and the socket is of this kind.
        let has_ts_recent = unsafe {
            bindings::tcp_dispatch_time_wait(self.0.as_ptr(), &mut rcv_nxt, &mut ts_recent)
        };
        Some(TimeWait {
            rcv_nxt,
            ts_recent: has_ts_recent.then_some(ts_recent),
        })
    }

    /// Ends the connection: the client gets a reset, and who uses the socket `ECONNRESET`. Process
    /// context.
    pub(crate) fn abort(self) {
        // SAFETY: The reference is held. A socket that somebody closes meanwhile is left alone.
        unsafe { bindings::tcp_abort(self.0.as_ptr(), bindings::ECONNRESET as i32) };
    }
}

/// The addresses of a socket of a connection, of any of the kinds that [`Sock`] may be.
///
/// # Invariants
///
/// Somebody holds a reference during `'a`.
#[derive(Clone, Copy)]
pub(crate) struct SockAddresses<'a>(&'a bindings::sock_common);

impl<'a> SockAddresses<'a> {
    /// # Safety
    ///
    /// Somebody must hold a reference during `'a`.
    #[inline]
    pub(crate) unsafe fn of(sk: NonNull<bindings::sock>) -> Self {
        // All kinds of socket begin with the same fields. They are read as they are found: a socket
        // that its owner disconnects has others in the next moment.
        // INVARIANT: The caller vouches for it.
        // SAFETY: As above.
        Self(unsafe { sk.cast().as_ref() })
    }

    /// The IP addresses of its peer and its own, of the family of the packets that it gets.
    #[inline]
    pub(crate) fn ips<A: Inet>(self) -> (A, A) {
        A::addresses_of(self.0)
    }

    /// Peer to socket, as the packets that it gets.
    #[inline]
    pub(crate) fn tuple<A: Inet>(self) -> Tuple<A> {
        // SAFETY: Both variants of the union are the same bytes.
        let ports = unsafe { self.0.__bindgen_anon_3.__bindgen_anon_1 };
        let (source_ip, destination_ip) = self.ips();
        Tuple {
            source_ip,
            destination_ip,
            source_port: ports.skc_dport.to_ne_bytes(),
            destination_port: ports.skc_num.to_be_bytes(),
        }
    }
}

impl Drop for Sock {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::sock_gen_put(self.0.as_ptr()) };
    }
}

/// The state of the socket that holds the connection `tuple`, see [`Sock::find`] and
/// [`Sock::state`].
pub(crate) fn socket_state<A: Inet>(net: &Net, tuple: &Tuple<A>, iif: i32) -> Option<u32> {
    Sock::find(net, tuple, iif).map(|sock| sock.state())
}

/// A listening socket, and what it shows.
///
/// # Invariants
///
/// The socket isn't freed in the read section that `'rcu` stands for.
#[derive(Clone, Copy)]
pub(crate) struct Listener<'rcu> {
    sk: NonNull<bindings::sock>,
    _section: PhantomData<&'rcu ()>,
    /// How many connections wait to be accepted.
    pub(crate) accept_queue: u32,
    /// How many may wait.
    pub(crate) accept_queue_max: u32,
    /// Who made the socket.
    pub(crate) user: Uid,
}

impl<'rcu> Listener<'rcu> {
    /// The listener for connections of `tuple` (client to process), which come by the device of
    /// index `iif`. In an RCU read section.
    ///
    /// If several share the address by `SO_REUSEPORT`, it is the one that the hash of the tuple
    /// chooses, unless a program of theirs chooses another. One that is bound to a device, and that no
    /// VRF, is none: TCP answers by its device, past the rule that leads to the port.
    pub(crate) fn find<A: Inet>(
        net: &Net,
        tuple: &Tuple<A>,
        iif: i32,
        _guard: &'rcu Guard,
    ) -> Option<Self> {
        let found = NonNull::new(A::lookup_listener(net, tuple, iif))?;
        let sk = found.as_ptr();
        // SAFETY: The listener isn't freed in this read section.
        let device = unsafe { bindings::tcp_dispatch_sk_bound_dev_if(sk) };
        if device != 0 && !dst::is_vrf(net, device) {
            return None;
        }
        // INVARIANT: As above.
        // SAFETY: As above.
        Some(unsafe {
            Self {
                sk: found,
                _section: PhantomData,
                accept_queue: bindings::tcp_dispatch_sk_ack_backlog(sk),
                accept_queue_max: bindings::tcp_dispatch_sk_max_ack_backlog(sk),
                user: Uid::from_raw(bindings::tcp_dispatch_sk_uid(sk)),
            }
        })
    }

    /// The socket, which has no reference of the caller's.
    pub(super) fn as_ptr(&self) -> *mut bindings::sock {
        self.sk.as_ptr()
    }

    /// Whether TCP would drop a new connection for want of room, `sk_acceptq_is_full()`.
    pub(crate) fn is_full(&self) -> bool {
        self.accept_queue > self.accept_queue_max
    }
}

/// For how many seconds a SYN cookie is good: `TCP_SYNCOOKIE_VALID` of `include/net/tcp.h`, and one
/// for the seconds' rounding.
pub(crate) const SYN_COOKIE_VALID: i64 = 2 * 60 + 1;

/// Whether the acknowledgement with these headers answers a SYN cookie that a listener at `process`
/// sent. Any context.
pub(crate) fn answers_syn_cookie<A: Inet>(
    ip: &A::Header,
    tcp: &TcpHeader,
    process: SocketAddress<A>,
) -> bool {
    let (mut ip, mut tcp) = (*ip, *tcp);
    packet::rewrite_destination(&mut ip, &mut tcp, process, ChecksumState::Filled);
    A::cookie_is_right(&ip, &tcp)
}
