// SPDX-License-Identifier: GPL-2.0

//! The fast path in: a packet on its way from IP to TCP.
//!
//! Softirq context, under RCU. A packet that isn't ours costs a comparison; one of a known connection the
//! rewriting, and a look-up if [`crate::early_demux`] hasn't found its socket. What is new goes to
//! [`crate::assign`].

use crate::{
    assign,
    connection::Connection,
    dispatch_net::DispatchNet,
    family::Family,
    ports, reuse,
    stats::Drop,
    tcp_dispatch_core::{packet::Header, Tuple},
    wrappers::{
        l3_rx_handler,
        net_protocol::Verdict,
        sk_buff::{DropReason, Segment, SkBuff, WritableSegment},
    },
};
use kernel::sync::rcu::Guard;

/// Whether a packet is none of ours at first sight: TCP's early demux found its socket, by addresses
/// that aren't of processes. It isn't asked to look for packets to those, see [`crate::early_demux`].
#[inline]
pub(crate) fn is_unrelated<A: Family>(skb: &SkBuff, guard: &Guard) -> bool {
    skb.is_tcp_early_demux() && !(l3_rx_handler::misses_devices() && is_of_process::<A>(skb, guard))
}

/// Whether a packet's socket, or its peer, has a process address.
#[cold]
#[inline(never)]
fn is_of_process<A: Family>(skb: &SkBuff, guard: &Guard) -> bool {
    let prefix = A::of(DispatchNet::of(skb.receiving_net(guard), guard)).process_prefix(guard);
    skb.sock().is_some_and(|sock| {
        let (peer, local) = sock.ips();
        prefix.contains(local) || prefix.contains(peer)
    })
}

/// Decides on a packet that may be ours, and translates its destination to the address of the process
/// that serves its connection.
#[inline]
pub(crate) fn receive<A: Family>(skb: &mut SkBuff, guard: &Guard) -> Verdict {
    if let Some(sock) = skb.early_demux_sock() {
        let net = DispatchNet::of(skb.receiving_net(guard), guard);
        let to_process = sock.tuple::<A>();
        if A::of(net)
            .process_prefix(guard)
            .contains(to_process.destination_ip)
        {
            if let Some(verdict) = deliver_to_socket(net, skb, &to_process) {
                return verdict;
            }
        }
    }
    receive_without_socket::<A>(skb, guard)
}

/// Decides on a packet whose socket [`crate::early_demux`] hasn't found. Not inlined: other packets save
/// no registers for it.
#[inline(never)]
fn receive_without_socket<A: Family>(skb: &mut SkBuff, guard: &Guard) -> Verdict {
    let net = DispatchNet::of(skb.receiving_net(guard), guard);
    let prefix = A::of(net).process_prefix(guard);
    if prefix.is_empty() {
        return Verdict::Pass;
    }
    let ip = skb.ip::<A>();
    let to_process = prefix.contains(ip.destination());
    let from_process = prefix.contains(ip.source());
    if (to_process || from_process) && !skb.is_from_loopback() {
        // Process addresses mean nothing outside of this computer.
        net.drops.count(Drop::Outside);
        skb.free(DropReason::NotSpecified);
        return Verdict::Consumed;
    }
    if to_process {
        reuse::to_process_itself::<A>(net, skb, guard);
        return Verdict::Pass;
    }
    if !skb.is_to_this_host() {
        return Verdict::Pass;
    }
    if skb.has_socket() {
        // Of a connection to the process address itself; or whose somebody else says it is.
        return Verdict::Pass;
    }
    let Some(segment) = Segment::<A>::received(skb) else {
        return Verdict::Pass;
    };
    if from_process {
        return answer_local_client(net, segment, guard);
    }

    let tuple = segment.tuple();
    // Most of what isn't ours ends here, at less than a look-up: a connection's service is there as long as
    // it is itself.
    if !ports::is_in_use(tuple.destination_port) {
        return Verdict::Pass;
    }
    let known = A::of(net).connections.find_by_client(&tuple, guard);
    match known {
        Some(connection) if !segment.flags().is_syn_only() => deliver(segment, &connection),
        known => assign::first_packet(net, segment, tuple, known, guard),
    }
}

/// Gives a packet to the socket of a process that [`crate::early_demux`] found for it, and counted it
/// for: as TCP does with its own, whatever netfilter has done since, but for another client. `to_process`
/// is the socket's connection. `None` if it isn't that socket's; if [`crate::early_demux`] gave it, it has
/// it no longer.
#[inline]
fn deliver_to_socket<A: Family>(
    net: &DispatchNet,
    skb: &mut SkBuff,
    to_process: &Tuple<A>,
) -> Option<Verdict> {
    let segment = Segment::<A>::received(skb)?;
    if segment.source() != to_process.source() {
        // A listener's has no peer: somebody else gave it.
        if to_process.source_port != [0; 2] {
            segment.into_skb().orphan();
        }
        return None;
    }
    Some(match segment.make_writable() {
        Ok(mut segment) => {
            segment.rewrite_destination(to_process.destination());
            segment.into_skb().make_tcp_early_demux();
            Verdict::Pass
        }
        Err((skb, _)) => {
            net.drops.count(Drop::NoMemory);
            skb.free(DropReason::NoMemory);
            Verdict::Consumed
        }
    })
}

/// Gives a packet to the process that serves its connection.
#[inline]
pub(crate) fn deliver<A: Family>(segment: Segment<'_, A>, connection: &Connection<A>) -> Verdict {
    pass(to_process(segment, connection))
}

/// What becomes of a packet that was translated, or couldn't be.
#[inline]
pub(crate) fn pass(translated: Result<&mut SkBuff, Verdict>) -> Verdict {
    match translated {
        Ok(_) => Verdict::Pass,
        Err(verdict) => verdict,
    }
}

/// Translates a packet to the process that serves its connection. If it can't be, it is dropped, and
/// the verdict says so.
#[inline]
pub(crate) fn to_process<'a, A: Family>(
    segment: Segment<'a, A>,
    connection: &Connection<A>,
) -> Result<&'a mut SkBuff, Verdict> {
    let length = segment.len();
    translate(segment, connection, |segment| {
        segment.rewrite_destination(connection.process_address());
        connection.process.count_in(length);
    })
}

/// Lets `rewrite` change the headers, if they can be written; else the packet is dropped.
#[inline(always)]
fn translate<'a, A: Family>(
    segment: Segment<'a, A>,
    connection: &Connection<A>,
    rewrite: impl FnOnce(&mut WritableSegment<'a, A>),
) -> Result<&'a mut SkBuff, Verdict> {
    match segment.make_writable() {
        Ok(mut segment) => {
            rewrite(&mut segment);
            Ok(segment.into_skb())
        }
        Err((skb, _)) => {
            connection.process.count_drop(Drop::NoMemory);
            skb.free(DropReason::NoMemory);
            Err(Verdict::Consumed)
        }
    }
}

/// A packet from a process to a client on this computer. The local table routed it to the loopback
/// device, so it didn't pass [`crate::egress`]; it is translated here, before the client's socket
/// is looked up.
fn answer_local_client<A: Family>(
    net: &DispatchNet,
    segment: Segment<'_, A>,
    guard: &Guard,
) -> Verdict {
    let tuple = segment.tuple().reversed();
    let Some(connection) = A::of(net).connections.find_by_process(&tuple, guard) else {
        // Of a client that connected to the process address itself.
        return Verdict::Pass;
    };
    let length = segment.len();
    pass(translate(segment, &connection, |segment| {
        segment.rewrite_source(connection.service_address());
        connection.process.count_out(length);
    }))
}
