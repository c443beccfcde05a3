// SPDX-License-Identifier: GPL-2.0

//! The slow path: the first packet of a connection, and every further SYN.
//!
//! Softirq context, under RCU.

use crate::{
    connection::{Connection, ConnectionRef, InsertError},
    dispatch_net::DispatchNet,
    ingress, mss, refuse,
    service::Service,
    stats::Drop,
    tcp_dispatch_core::Tuple,
    wrappers::{
        dst::Dst,
        net_protocol::Verdict,
        rcu::RcuArc,
        sk_buff::{DropReason, Segment},
        sock,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

/// `TCP_TIME_WAIT` of [`include/net/tcp_states.h`](srctree/include/net/tcp_states.h).
const TCP_TIME_WAIT: u32 = 6;

/// Decides on a packet that is a SYN or belongs to no known connection.
pub(crate) fn first_packet(
    net: &DispatchNet,
    mut segment: Segment<'_>,
    tuple: Tuple,
    known: Option<ConnectionRef<'_>>,
    guard: &Guard,
) -> Verdict {
    if let Some(connection) = known {
        if !is_over(net, &connection, guard) {
            return deliver_syn(net, segment, &connection, guard);
        }
        net.connections.remove(connection);
    }
    let Some(service) = net.find_service(tuple.destination(), guard) else {
        return Verdict::Pass;
    };
    // Anything but a SYN belongs to nobody, and a damaged SYN could be anybody's: TCP's to judge.
    if !segment.flags().is_syn_only()
        || segment.payload_len().is_none()
        || !segment.checksum_is_right()
    {
        return Verdict::Pass;
    }
    match assign(net, &service, &tuple, segment.skb().iif(), guard) {
        Ok(connection) => deliver_syn(net, segment, &connection, guard),
        Err(reason) => {
            service.drops.count(reason);
            if reason == Drop::NoMemory {
                // The client tries again.
                segment.skb().free(DropReason::NoMemory);
            } else {
                refuse::refuse(net.net(), segment);
            }
            Verdict::Consumed
        }
    }
}

/// Creates the connection and assigns a process to it: the next that listens.
fn assign(
    net: &DispatchNet,
    service: &Service,
    tuple: &Tuple,
    iif: i32,
    guard: &Guard,
) -> Result<RcuArc<Connection>, Drop> {
    let mut reason = Drop::NoProcess;
    for process in service.schedule(guard) {
        let to_process = Tuple::new(tuple.source(), process.address);
        if !sock::is_listening(net.net(), &to_process, iif, guard) {
            continue;
        }
        let connection = Connection::new(tuple.source(), tuple.destination(), process.clone(), iif)
            .map_err(|_| Drop::NoMemory)?;
        match net.insert(connection.clone()) {
            Ok(()) => {
                process.stats.connection();
                service.stats.connection();
                return Ok(connection);
            }
            Err(InsertError::Exists) => {
                // Another CPU has handled another copy of this SYN.
                return net
                    .connections
                    .find_by_client(tuple, guard)
                    .or_else(|| net.connections.find_by_process(&to_process, guard))
                    .and_then(|connection| connection.upgrade())
                    .ok_or(Drop::NoMemory);
            }
            Err(InsertError::Conflict) => {
                process.drops.count(Drop::Conflict);
                reason = Drop::Conflict;
            }
            Err(InsertError::Limit) => return Err(Drop::ConnectionLimit),
            Err(InsertError::NoMemory) => return Err(Drop::NoMemory),
        }
    }
    Err(reason)
}

/// Whether a known connection has ended, so that a SYN with its addresses begins a new one.
fn is_over(net: &DispatchNet, connection: &Connection, guard: &Guard) -> bool {
    let service = &connection.process.service;
    let is_registered = || {
        service
            .registered(guard)
            .iter()
            .any(|process| process.address == connection.process.address)
    };
    match sock::socket_state(net.net(), connection.to_process(), connection.iif) {
        // The process may take the address over from the old connection, if it takes new ones.
        Some(TCP_TIME_WAIT) => !is_registered(),
        Some(_) => false,
        // Without a socket it is over, unless the process answered with a SYN cookie: then the
        // cookie is good at that process alone.
        None => connection.is_confirmed() || !is_registered(),
    }
}

/// Gives a SYN to the process, with the maximum segment size that the way back allows.
fn deliver_syn(
    net: &DispatchNet,
    mut segment: Segment<'_>,
    connection: &Connection,
    guard: &Guard,
) -> Verdict {
    if !segment.skb().is_from_loopback() {
        let route = connection.route.get(guard).or_else(|| {
            let route = Dst::route(
                net.net(),
                connection.service_address(),
                connection.client(),
                0,
            )?;
            connection.route.set(route.clone());
            Some(route)
        });
        if let Some(route) = route {
            // A SYN that can't be changed for lack of memory can't be translated, either.
            let _ = segment.clamp_mss(mss::to_send(&route));
        }
    }
    ingress::deliver(segment, connection)
}
