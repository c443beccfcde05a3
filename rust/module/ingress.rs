// SPDX-License-Identifier: GPL-2.0

//! The fast path in: a packet on its way from IP to TCP.
//!
//! Softirq context, under RCU. A packet that isn't ours costs a few comparisons; one of a known
//! connection costs a look-up and the rewriting. What is new goes to [`crate::assign`].

use crate::{
    assign,
    connection::{Connection, ConnectionRef},
    dispatch_net::DispatchNet,
    stats::Drop,
    tcp_dispatch_core::packet,
    wrappers::{
        net_protocol::Verdict,
        sk_buff::{DropReason, Segment, SkBuff, WritableSegment},
    },
};
use kernel::sync::rcu::Guard;

/// Whether a packet is none of ours at first sight: TCP's early demux found its socket, and neither
/// that nor its peer has a process address.
#[inline]
pub(crate) fn is_unrelated(skb: &SkBuff, guard: &Guard) -> bool {
    let Some(sock) = skb.sock() else {
        return false;
    };
    let prefix = DispatchNet::of(skb.receiving_net(guard), guard).process_prefix();
    !prefix.contains(sock.local_ip()) && !prefix.contains(sock.peer_ip())
}

/// Decides on a packet that may be ours, and translates its destination to the address of the process
/// that serves its connection.
#[inline]
pub(crate) fn receive(skb: &mut SkBuff, guard: &Guard) -> Verdict {
    let net = DispatchNet::of(skb.receiving_net(guard), guard);
    let prefix = net.process_prefix();
    if prefix.is_empty() {
        return Verdict::Pass;
    }
    let to_process = prefix.contains(packet::destination(skb.ip()));
    let from_process = prefix.contains(packet::source(skb.ip()));
    if (to_process || from_process) && !skb.is_from_loopback() {
        // Process addresses mean nothing outside of this computer.
        net.drops.count(Drop::Outside);
        skb.free(DropReason::NotSpecified);
        return Verdict::Consumed;
    }
    if to_process || !skb.is_to_this_host() {
        return Verdict::Pass;
    }
    let has_socket = skb.has_socket();
    if has_socket && (from_process || !skb.is_early_demux()) {
        // Of a connection to the process address itself; or whose somebody else says it is.
        return Verdict::Pass;
    }
    let Some(mut segment) = Segment::received(skb) else {
        return Verdict::Pass;
    };
    if from_process {
        return answer_local_client(net, segment, guard);
    }

    let tuple = segment.tuple();
    let known = net.connections.find_by_client(&tuple, guard);
    if has_socket {
        keep_socket(&mut segment, known);
    }
    match known {
        Some(connection) if !segment.flags().is_syn_only() => deliver(segment, &connection),
        known => assign::first_packet(net, segment, tuple, known, guard),
    }
}

/// Leaves a packet the socket that [`crate::early_demux`] found if it is that of `known`. Netfilter
/// may have changed the packet since, and the connection may have gone.
#[inline(always)]
fn keep_socket(segment: &mut Segment<'_>, known: Option<ConnectionRef<'_>>) {
    let skb = segment.skb();
    let found = skb.sock().map(|sock| sock.tuple());
    if found != known.map(|connection| *connection.to_process()) {
        skb.orphan();
    }
}

/// Gives a packet to the process that serves its connection.
#[inline]
pub(crate) fn deliver(segment: Segment<'_>, connection: &Connection) -> Verdict {
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
pub(crate) fn to_process<'a>(
    segment: Segment<'a>,
    connection: &Connection,
) -> Result<&'a mut SkBuff, Verdict> {
    let length = segment.len();
    translate(segment, connection, |segment| {
        segment.rewrite_destination(connection.process_address());
        connection.process.count_in(length);
    })
}

/// Lets `rewrite` change the headers, if they can be written; else the packet is dropped.
#[inline(always)]
fn translate<'a>(
    segment: Segment<'a>,
    connection: &Connection,
    rewrite: impl FnOnce(&mut WritableSegment<'a>),
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
fn answer_local_client(net: &DispatchNet, segment: Segment<'_>, guard: &Guard) -> Verdict {
    let tuple = segment.tuple().reversed();
    let Some(connection) = net.connections.find_by_process(&tuple, guard) else {
        // Of a client that connected to the process address itself.
        return Verdict::Pass;
    };
    let length = segment.len();
    pass(translate(segment, &connection, |segment| {
        segment.rewrite_source(connection.service_address());
        connection.process.count_out(length);
    }))
}
