// SPDX-License-Identifier: GPL-2.0

//! The route of a SYN to a service, without IP's look-ups.
//!
//! Softirq context, under RCU, before netfilter's input chain. All packets for a service address take
//! the route that the last SYN took, unless a rule or the like wants it otherwise; IP would look it up,
//! and with IPv4 the way back to the client, to see whether the client may come by that device
//! (`fib_validate_source()`). The way back is what the connection needs, too, and the client's next.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    tcp_dispatch_core::Tuple,
    way_back::WaysBack,
    wrappers::{
        dst::Dst,
        net::Net,
        sk_buff::{Segment, SkBuff},
    },
};
use kernel::sync::rcu::Guard;

/// Gives a SYN its route if it is for a service, and IP would surely give it the same. Else it is IP's
/// to route, and to refuse. Not inlined: other packets save no registers for it.
#[inline(never)]
pub(crate) fn give<A: Family>(
    state: &DispatchNet,
    segment: Segment<'_, A>,
    tuple: &Tuple<A>,
    guard: &Guard,
) {
    if tuple.source_ip.is_link_local() || tuple.destination_ip.is_link_local() {
        return;
    }
    let Some(service) = state.service_of(tuple, guard) else {
        return;
    };
    let Some(route) = service.input_route.get(guard) else {
        return;
    };
    let (net, skb) = (state.net(), segment.into_skb());
    if !skb.routes_by_destination::<A>(net) {
        return;
    }
    if A::VALIDATES_SOURCES {
        let Some(ways_back) = A::of(state).ways_back.read(guard) else {
            return;
        };
        let is_accepted = ways_back
            .keep_for(tuple, skb.iif(), |way_back| {
                skb.accepts_source::<A>(way_back)
            })
            .unwrap_or_else(|| look_up_way_back(net, &ways_back, tuple, skb, guard));
        if !is_accepted {
            return;
        }
    }
    skb.set_input_route(route);
}

/// Looks up the way back to the client, and keeps it for the connection. Returns whether the client may
/// come by this device.
fn look_up_way_back<A: Family>(
    net: &Net,
    ways_back: &WaysBack<A>,
    tuple: &Tuple<A>,
    skb: &SkBuff,
    guard: &Guard,
) -> bool {
    // What comes by a VRF passes its handler, not ours.
    let way_back = Dst::route(net, tuple.destination(), tuple.source(), 0, 0);
    let Some(way_back) = way_back.filter(|way_back| skb.accepts_source::<A>(way_back)) else {
        return false;
    };
    ways_back.put(
        *tuple,
        skb.iif(),
        way_back,
        net.routes_by_addresses::<A>(guard),
    );
    true
}
