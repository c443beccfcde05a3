// SPDX-License-Identifier: GPL-2.0

//! Packets of no connection that neither begin nor end one, nor acknowledge anything: SYN with FIN,
//! FIN or data alone, no flags.
//!
//! A listener ignores them, RFC 9293 section 3.10.7.2, but TCP has none at the service address, and
//! would answer with a reset. Softirq context, under RCU.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    service::Service,
    tcp_dispatch_core::packet::TcpFlags,
    wrappers::{
        net_protocol::Verdict,
        sk_buff::{DropReason, Segment},
    },
};
use kernel::sync::rcu::Guard;

/// Whether a packet that isn't a plain SYN is such a one.
pub(crate) fn is_stray(flags: TcpFlags) -> bool {
    !flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST)
}

/// Decides on one to a service: it is ignored if any of its processes listens. Else it is TCP's, to
/// which the service's port is closed.
pub(crate) fn receive<A: Family>(
    net: &DispatchNet,
    service: &Service,
    mut segment: Segment<'_, A>,
    guard: &Guard,
) -> Verdict {
    let (client, iif) = (segment.tuple().source(), segment.skb().iif());
    let listens = service.plan(guard).is_some_and(|plan| {
        let mut processes = plan.get().processes.iter();
        processes.any(|process| process.listens(net.net(), client, iif, guard))
    });
    if !listens {
        return Verdict::Pass;
    }
    segment.skb().free(DropReason::TcpFlags);
    Verdict::Consumed
}
