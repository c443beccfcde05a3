// SPDX-License-Identifier: GPL-2.0

//! What TCP's socket tables know.
//!
//! C header: [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h)

use super::net::Net;
use crate::{
    bindings,
    tcp_dispatch_core::{SocketAddress, Tuple},
};
use kernel::sync::rcu::Guard;

/// The state of the socket that holds the connection `tuple` (client to process), if there is one:
/// a number of `enum tcp_state` in `include/net/tcp_states.h`, TIME_WAIT and NEW_SYN_RECV included.
///
/// `iif` is the index of the device that the connection's packets come by, for sockets that are
/// bound to it. Any context.
pub(crate) fn socket_state(net: &Net, tuple: &Tuple, iif: i32) -> Option<u32> {
    let (client, process): (SocketAddress, SocketAddress) = (tuple.source(), tuple.destination());
    // SAFETY: `net` is valid; the lookup takes RCU itself and returns a reference or null.
    let sk = unsafe {
        bindings::__inet_lookup_established(
            net.as_ptr(),
            u32::from_ne_bytes(client.ip),
            u16::from_ne_bytes(client.port),
            u32::from_ne_bytes(process.ip),
            process.port(),
            iif,
            0,
        )
    };
    if sk.is_null() {
        return None;
    }
    // SAFETY: `sk` is a socket, request socket or TIME_WAIT socket; all three have a state, and the
    // reference that the lookup took is dropped here, once.
    unsafe {
        let state = bindings::tcp_dispatch_sk_state(sk);
        bindings::sock_gen_put(sk);
        Some(state as u32)
    }
}

/// Whether somebody listens for connections of `tuple` (client to process), which come by the
/// device of index `iif`. In an RCU read section.
pub(crate) fn is_listening(net: &Net, tuple: &Tuple, iif: i32, _guard: &Guard) -> bool {
    let (client, process) = (tuple.source(), tuple.destination());
    // SAFETY: `net` is valid. Without a packet, a group of listeners is chosen from by the hash
    // alone, which is enough to know that there is one. Listeners are found under RCU and not
    // counted, and this one is not used any further.
    let sk = unsafe {
        bindings::__inet_lookup_listener(
            net.as_ptr(),
            core::ptr::null_mut(),
            0,
            u32::from_ne_bytes(client.ip),
            u16::from_ne_bytes(client.port),
            u32::from_ne_bytes(process.ip),
            process.port(),
            iif,
            0,
        )
    };
    !sk.is_null()
}
