// SPDX-License-Identifier: GPL-2.0

//! Ports of clients that are used again: whether what looks the same as a new connection, to the
//! client or to the process, has ended.
//!
//! Softirq context, under RCU.

use crate::{
    connection::Connection,
    dispatch_net::DispatchNet,
    family::Family,
    tcp_dispatch_core::{options, packet, Tuple},
    wrappers::{
        sk_buff::{Segment, SkBuff},
        sock::Sock,
    },
};
use kernel::sync::rcu::Guard;

/// Whether a known connection has ended, so that a SYN with its addresses begins a new one.
pub(crate) fn is_over<A: Family>(
    net: &DispatchNet,
    segment: &mut Segment<'_, A>,
    connection: &Connection<A>,
) -> bool {
    match Sock::find(net.net(), connection.to_process(), connection.iif) {
        // The new connection may go to another process. A late copy of an old SYN goes where it went,
        // and TIME_WAIT answers it.
        Some(sock) => lets_begin(&sock, segment),
        None => connection.has_begun(),
    }
}

/// Whether a socket is in TIME_WAIT and lets a SYN with its addresses begin a new connection.
fn lets_begin<A: Family>(sock: &Sock, segment: &mut Segment<'_, A>) -> bool {
    sock.time_wait().is_some_and(|time_wait| {
        let sequence = packet::sequence(segment.tcp());
        time_wait.is_over(sequence, options::timestamp(segment.options()))
    })
}

/// Whether a client on this computer has a connection to the process address itself that looks the
/// same to the process. No other client can have one.
pub(crate) fn is_taken<A: Family>(
    net: &DispatchNet,
    segment: &mut Segment<'_, A>,
    to_process: &Tuple<A>,
    guard: &Guard,
) -> bool {
    segment.skb().is_from_loopback()
        && A::of(net)
            .connections
            .find_by_process(to_process, guard)
            .is_none()
        && Sock::find(net.net(), to_process, segment.skb().iif())
            .is_some_and(|sock| !lets_begin(&sock, segment))
}

/// Removes the entry of another connection that has ended and looks the same to the process as the
/// new one. Whether it did.
pub(crate) fn make_way<A: Family>(
    net: &DispatchNet,
    segment: &mut Segment<'_, A>,
    to_process: &Tuple<A>,
    guard: &Guard,
) -> bool {
    A::of(net)
        .connections
        .find_by_process(to_process, guard)
        .is_some_and(|other| is_over(net, segment, &other) && net.remove(other))
}

/// Looks at a packet of a client on this computer to a process address itself. The entry of an ended
/// connection that looks the same to the process would translate the answers to its SYN.
pub(crate) fn to_process_itself<A: Family>(net: &DispatchNet, skb: &mut SkBuff, guard: &Guard) {
    let Some(mut segment) = Segment::<A>::received(skb) else {
        return;
    };
    if segment.flags().is_syn_only() && !segment.is_damaged() {
        let to_process = segment.tuple();
        net.note_direct_client(to_process.destination_port);
        make_way(net, &mut segment, &to_process, guard);
    }
}
