// SPDX-License-Identifier: GPL-2.0

//! The fast path before IP's routing: the socket of a packet.
//!
//! Softirq context, under RCU. What TCP does for its own connections, `tcp_v4_early_demux()`: a
//! packet whose socket is known needs no route, its socket remembers one. [`crate::ingress`]
//! translates it where it does so with all others, after netfilter, by the socket that it has; what
//! isn't found here is looked for there.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    ports,
    stats::Drop,
    syn_route,
    tcp_dispatch_core::{packet::Header, Tuple},
    wrappers::{
        l3_rx_handler::{self, EarlyDemux, EarlyDemuxOf, Looked},
        net::Net,
        sk_buff::{DropReason, Segment, SkBuff},
        sock::Sock,
    },
};
use kernel::sync::{atomic::Atomic, rcu::Guard};

impl EarlyDemux for DispatchNet {
    fn is_wanted(net: &Net) -> bool {
        let guard = Guard::new();
        let net = Self::of(net, &guard);
        !net.ipv4.process_prefix(&guard).is_empty() || !net.ipv6.process_prefix(&guard).is_empty()
    }

    fn misses_devices(net: &Net) -> &Atomic<i32> {
        &Self::of(net, &Guard::new()).misses_devices
    }

    #[inline]
    fn is_candidate(skb: &SkBuff) -> bool {
        // Headers that may not be linear yet are so rare that they may be made so.
        skb.ports_at_hand().is_none_or(|at_hand| {
            ports::is_in_use(at_hand.destination())
                || l3_rx_handler::checks_sources() && ports::has_direct_clients(at_hand.source())
        })
    }
}

impl<A: Family> EarlyDemuxOf<A> for DispatchNet {
    #[inline]
    fn early_demux(net: &Net, skb: &mut SkBuff, guard: &Guard) -> Looked {
        if !skb.wants_early_demux()
            || !net.has_tcp_early_demux()
            || !skb.ip::<A>().is_whole_segment()
        {
            return Looked::There;
        }
        let Some(segment) = Segment::<A>::in_ip(skb) else {
            return Looked::There;
        };
        let state = Self::of(net, guard);
        let tuple = segment.tuple();
        // A SYN may begin another connection.
        let found = if segment.flags().is_syn_only() {
            None
        } else {
            A::of(state).connections.find_by_client(&tuple, guard)
        };
        let Some(connection) = found else {
            return of_no_connection(state, segment, &tuple, guard);
        };
        let skb = segment.into_skb();
        let Some(sock) = Sock::find(net, connection.to_process(), skb.iif()) else {
            return Looked::There;
        };
        skb.set_early_demux(sock);
        // Sockets of a handshake and those in TIME_WAIT remember none. IP has accepted the client as a
        // source when its SYN came by the same device.
        if !skb.has_route() && skb.iif() == connection.iif {
            if let Some(route) = connection.process.service.input_route.get(guard) {
                skb.set_input_route(route);
            }
        }
        // Here, since what comes later knows the socket alone.
        connection.process.count_in(skb.len());
        Looked::There
    }
}

/// What becomes of a SYN, and of what belongs to no connection. Not inlined: other packets save no
/// registers for it.
#[inline(never)]
fn of_no_connection<A: Family>(
    net: &DispatchNet,
    segment: Segment<'_, A>,
    tuple: &Tuple<A>,
    guard: &Guard,
) -> Looked {
    let prefix = A::of(net).process_prefix(guard);
    if !prefix.contains(tuple.destination_ip) && !prefix.contains(tuple.source_ip) {
        if segment.flags().is_syn_only() {
            syn_route::give(net, segment, tuple, guard);
        }
        return Looked::There;
    }
    // From outside to a process address, or with one as its source. TCP would find the socket of a dispatched
    // connection, or that of a client on this computer who has connected to the process itself; and
    // [`crate::ingress`] takes what TCP finds for unrelated. IP doesn't look for the socket of a packet that
    // has a route.
    let skb = segment.into_skb();
    if skb.route_input::<A>() {
        return Looked::There;
    }
    net.drops.count(Drop::Outside);
    skb.free(DropReason::NotSpecified);
    Looked::Gone
}
