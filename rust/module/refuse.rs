// SPDX-License-Identifier: GPL-2.0

//! Refusing a new connection: the client sees what a closed port shows it. Softirq context.
//!
//! The reset is made here and not by TCP: a wildcard listener on the service's port would take the
//! connection instead of refusing it.

use crate::{
    tcp_dispatch_core::reset,
    wrappers::{
        dst::Dst,
        inet::Inet,
        net::Net,
        sk_buff::{self, DropReason, Segment},
    },
};

/// Answers the segment with a reset and frees it.
pub(crate) fn refuse<A: Inet>(net: &Net, mut segment: Segment<'_, A>) {
    let payload = segment.payload_len().unwrap_or(0);
    if let Some(headers) = reset::reset(segment.ip(), segment.tcp(), payload) {
        let tuple = segment.tuple();
        let iif = segment.skb().iif();
        if let Some(route) = Dst::route(net, tuple.destination(), tuple.source(), 0, iif) {
            // Without memory the client gets no answer, and tries again.
            let _ = sk_buff::send::<A>(net, headers, route);
        }
    }
    segment.skb().free(DropReason::NotSpecified);
}

/// Answers a signed segment with an ICMP error and frees it: who signs takes no reset that isn't
/// signed as well, but such an error ends its attempt.
pub(crate) fn refuse_signed<A: Inet>(mut segment: Segment<'_, A>) {
    let skb = segment.skb();
    skb.send_port_unreachable();
    skb.free(DropReason::NotSpecified);
}
