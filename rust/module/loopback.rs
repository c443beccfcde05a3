// SPDX-License-Identifier: GPL-2.0

//! The slow path out: what a process address sends to this computer, and is no dispatched
//! connection's: to a client that connected to the process address itself, or anything but TCP.
//!
//! It comes by the port only where the layer's rule comes before the local table, `dispatchctl up
//! --before-local`, and goes on as it would without the rule. Process or softirq context, under RCU.

use crate::{
    family::Family,
    tcp_dispatch_core::{packet::Header, SocketAddress},
    wrappers::{dst::Dst, net::Net, sk_buff::SkBuff},
};

/// Routes a packet by the local table, if its destination is there. Returns whether it did.
#[cold]
#[inline(never)]
pub(crate) fn send<A: Family>(net: &Net, skb: &mut SkBuff) -> bool {
    let destination = SocketAddress {
        ip: skb.ip::<A>().destination(),
        port: [0; 2],
    };
    // As if no source were chosen yet: the rule isn't for that.
    let source = SocketAddress::default();
    let route = Dst::route(net, source, destination, 0, 0).filter(Dst::is_local);
    let is_local = route.is_some();
    if let Some(route) = route {
        skb.give_dst(route);
    }
    is_local
}
