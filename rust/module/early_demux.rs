// SPDX-License-Identifier: GPL-2.0

//! The fast path before IP's routing: the socket of a packet.
//!
//! Softirq context, under RCU. What TCP does for its own connections, `tcp_v4_early_demux()`: a
//! packet whose socket is known needs no route, its socket remembers one. [`crate::ingress`]
//! translates it where it does so with all others, after netfilter; what isn't found here, or was
//! found in vain, is looked for there again.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    syn_route,
    tcp_dispatch_core::packet::{self, Header},
    wrappers::{
        l3_rx_handler::{EarlyDemux, EarlyDemuxOf},
        net::Net,
        sk_buff::{Segment, SkBuff},
        sock::Sock,
    },
};
use kernel::sync::rcu::Guard;

impl EarlyDemux for DispatchNet {
    fn is_wanted(net: &Net) -> bool {
        let guard = Guard::new();
        let net = Self::of(net, &guard);
        !net.ipv4.process_prefix(&guard).is_empty() || !net.ipv6.process_prefix(&guard).is_empty()
    }
}

impl<A: Family> EarlyDemuxOf<A> for DispatchNet {
    #[inline]
    fn is_candidate(net: &Net, skb: &SkBuff, guard: &Guard) -> bool {
        if !skb.ip::<A>().is_whole_segment() {
            return false;
        }
        // Headers that aren't linear yet are so rare that they may be made so.
        skb.linear_tcp::<A>().is_none_or(|tcp| {
            Self::of(net, guard).has_service_at_port(packet::destination_port(tcp))
        })
    }

    #[inline]
    fn early_demux(net: &Net, skb: &mut SkBuff, guard: &Guard) {
        if !skb.wants_early_demux() || !net.has_tcp_early_demux() {
            return;
        }
        let Some(segment) = Segment::<A>::in_ip(skb) else {
            return;
        };
        let state = Self::of(net, guard);
        // It may begin another connection.
        if segment.flags().is_syn_only() {
            return syn_route::give(state, segment, guard);
        }
        let connections = &A::of(state).connections;
        let Some(connection) = connections.find_by_client(&segment.tuple(), guard) else {
            return;
        };
        let skb = segment.into_skb();
        let Some(sock) = Sock::find(net, connection.to_process(), skb.iif()) else {
            return;
        };
        skb.set_early_demux(sock);
        // Sockets of a handshake and those in TIME_WAIT remember none. IP has accepted the client as a
        // source when its SYN came by the same device.
        if !skb.has_route() && skb.iif() == connection.iif {
            if let Some(route) = connection.process.service.input_route.get(guard) {
                skb.set_input_route(route);
            }
        }
    }
}
