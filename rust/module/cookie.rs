// SPDX-License-Identifier: GPL-2.0

//! Handshakes by SYN cookie. TCP keeps nothing of them, and so doesn't the layer: who answered the
//! SYN is found by whose cookie the client acknowledges.
//!
//! Softirq context, under RCU.

use crate::{
    assign,
    connection::{Connection, InsertError},
    dispatch_net::DispatchNet,
    family::Family,
    ingress,
    process::Process,
    service::Service,
    stats::Drop,
    tcp_dispatch_core::{packet::TcpFlags, Tuple},
    wrappers::{net_protocol::Verdict, rcu::RcuArc, sk_buff::Segment, sock},
};
use kernel::sync::rcu::Guard;

/// Decides on a packet to a service that is no SYN and belongs to no known connection. Unless it
/// acknowledges a cookie, it is TCP's to judge.
pub(crate) fn acknowledgement<A: Family>(
    net: &DispatchNet,
    service: &Service,
    mut segment: Segment<'_, A>,
    tuple: &Tuple<A>,
    guard: &Guard,
) -> Verdict {
    let flags = segment.flags();
    if !flags.has(TcpFlags::ACK)
        || flags.has(TcpFlags::SYN)
        || flags.has(TcpFlags::RST)
        || !service.expects_cookies()
    {
        return Verdict::Pass;
    }
    let process = service.plan(guard).and_then(|plan| {
        plan.get().processes.iter().find(|process| {
            A::address(process.address).is_some_and(|address| {
                sock::answers_syn_cookie::<A>(segment.ip(), segment.tcp(), address)
            })
        })
    });
    let iif = segment.skb().iif();
    // It may drain by now, or have no weight any longer.
    let listens =
        |process: &&RcuArc<Process>| process.listens(net.net(), tuple.source(), iif, guard);
    let Some(process) = process.filter(listens) else {
        return Verdict::Pass;
    };
    if !segment.checksum_is_right() {
        return Verdict::Pass;
    }
    let connection =
        match Connection::new(tuple.source(), tuple.destination(), process.clone(), iif) {
            Ok(connection) => connection,
            Err(_) => {
                service.drops.count(Drop::NoMemory);
                return Verdict::Pass;
            }
        };
    match net.insert(&connection, guard) {
        Ok(()) => {
            assign::began(net, &connection, guard);
            ingress::deliver(segment, &connection)
        }
        Err(error) => {
            match error {
                InsertError::Exists => {}
                InsertError::Conflict => service.drops.count(Drop::Conflict),
                InsertError::Limit => service.drops.count(Drop::ConnectionLimit),
                InsertError::NoMemory => service.drops.count(Drop::NoMemory),
            }
            // TCP knows no such connection, and resets it.
            Verdict::Pass
        }
    }
}
