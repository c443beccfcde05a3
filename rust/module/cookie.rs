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
    process::{Process, State},
    service::Service,
    stats::Drop,
    tcp_dispatch_core::{packet::TcpFlags, Tuple},
    wrappers::{net_protocol::Verdict, sk_buff::Segment, sock},
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
    let Some(process) = process.filter(|process| may_have(net, process, tuple, iif, guard)) else {
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
    match net.insert(connection.clone()) {
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

/// Whether a process may have a connection that it has answered the SYN of. It may if it drains by
/// now, or has no weight any longer.
fn may_have<A: Family>(
    net: &DispatchNet,
    process: &Process,
    tuple: &Tuple<A>,
    iif: i32,
    guard: &Guard,
) -> bool {
    process.state() != State::Down
        && process.owner.is_there(guard)
        && process
            .listener(net.net(), tuple.source(), iif, guard)
            .is_some()
}
