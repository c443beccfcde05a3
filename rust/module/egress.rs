// SPDX-License-Identifier: GPL-2.0

//! The fast path out: a packet on its way from TCP to IP.
//!
//! Process or softirq context, under RCU. Only packets that are routed to the port device come
//! here. What is of no connection and not [`crate::loopback`]'s goes on to the port, which drops it:
//! a process address is never seen outside.

use crate::{
    connection::Connection,
    dispatch_net::DispatchNet,
    family::Family,
    loopback, mss,
    stats::Drop,
    tcp_dispatch_core::packet::TcpFlags,
    wrappers::{
        dst::DstRef,
        net::Net,
        sk_buff::{Segment, SkBuff},
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

/// Translates the source of a packet that a process sends back to the service address, and sends it
/// the way that packets of that address go. Returns whether it did.
#[inline]
pub(crate) fn send<A: Family>(net: &Net, skb: &mut SkBuff, guard: &Guard) -> bool {
    let state = DispatchNet::of(net, guard);
    let Some(mut segment) = Segment::<A>::in_ip(skb) else {
        return loopback::send::<A>(net, skb);
    };
    let tuple = segment.tuple().reversed();
    let Some(connection) = A::of(state).connections.find_by_process(&tuple, guard) else {
        let is_sent = loopback::send::<A>(net, segment.skb());
        if !is_sent {
            state.drops.count(Drop::NoConnection);
        }
        return is_sent;
    };
    let Some(route) = connection.route(net, segment.mark(), guard) else {
        return false;
    };

    let length = segment.len();
    if segment.flags().has(TcpFlags::SYN)
        && answer_syn(state, &mut segment, &connection, route).is_err()
    {
        connection.process.count_drop(Drop::NoMemory);
        return false;
    }
    let Ok(mut segment) = segment.make_writable() else {
        connection.process.count_drop(Drop::NoMemory);
        return false;
    };
    if !segment.set_dst(route) {
        // Another CPU has just replaced it; TCP sends again.
        connection.process.count_drop(Drop::NoMemory);
        return false;
    }
    segment.rewrite_source(connection.service_address());
    connection.process.count_out(length);
    true
}

/// Prepares the answer to a client's SYN. Not inlined: other packets save no registers for it.
///
/// # Errors
///
/// `ENOMEM`.
#[inline(never)]
fn answer_syn<A: Family>(
    state: &DispatchNet,
    segment: &mut Segment<'_, A>,
    connection: &Connection<A>,
    route: DstRef<'_>,
) -> Result {
    // TCP has kept a socket for the handshake: with a SYN cookie the packet has none.
    if segment.skb().has_socket() {
        connection.begin();
    }
    mss::limit_to_announce(state, segment, route)
}
