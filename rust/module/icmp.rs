// SPDX-License-Identifier: GPL-2.0

//! ICMP errors about packets that a process sent.
//!
//! The error quotes the packet that the client or a router saw, with the service address as its
//! source. TCP must find the process's socket by it.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    stats::Drop,
    wrappers::sk_buff::{Quote, SkBuff},
};
use kernel::sync::rcu::Guard;

/// Translates the quote of an ICMP error that is on its way to TCP. Softirq context, under RCU.
/// The quoted TCP header begins `transport` bytes behind the quoted IP header, where `data` is.
pub(crate) fn receive_error<A: Family>(skb: &mut SkBuff, transport: usize, guard: &Guard) {
    let net = DispatchNet::of(skb.receiving_net(guard), guard);
    if A::of(net).process_prefix(guard).is_empty() {
        return;
    }
    let Some(mut quote) = Quote::<A>::received(skb, transport) else {
        return;
    };
    let tuple = quote.tuple().reversed();
    if let Some(connection) = A::of(net).connections.find_by_client(&tuple, guard) {
        if quote.rewrite_source(connection.process_address()).is_err() {
            net.drops.count(Drop::NoMemory);
        }
    }
}
