// SPDX-License-Identifier: GPL-2.0

//! The slow path: the first packet of a connection, and every further SYN.
//!
//! Softirq context, under RCU.

use crate::{
    affinity,
    choice::Choice,
    connection::{Connection, ConnectionRef, InsertError},
    control::events,
    cookie,
    dispatch_net::DispatchNet,
    family::Family,
    ingress, mss,
    plan::Refusal,
    refuse, reuse,
    service::Service,
    stats::Drop,
    stray,
    tcp_dispatch_core::{options, packet, Tuple},
    wrappers::{
        net_protocol::{give_to_tcp, Verdict},
        rcu::RcuArc,
        sk_buff::{DropReason, Segment, SkBuff},
        sock::{self, Listener, Sock},
        trace,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

/// Decides on a packet that is a SYN or belongs to no known connection.
pub(crate) fn first_packet<A: Family>(
    net: &DispatchNet,
    mut segment: Segment<'_, A>,
    tuple: Tuple<A>,
    known: Option<ConnectionRef<'_, A>>,
    guard: &Guard,
) -> Verdict {
    if let Some(connection) = known {
        if !reuse::is_over(net, &mut segment, &connection) {
            if connection.is_reserved() {
                connection.begin();
            }
            return ingress::pass(translate_syn(net, segment, &connection, guard));
        }
        if segment.is_damaged() {
            return Verdict::Pass;
        }
        net.remove(connection);
    }
    let Some(service) = net.service_of(&tuple, guard) else {
        return Verdict::Pass;
    };
    let flags = segment.flags();
    if !flags.is_syn_only() {
        return if stray::is_stray(flags) {
            stray::receive(net, &service, segment, guard)
        } else {
            cookie::acknowledgement(net, &service, segment, &tuple, guard)
        };
    }
    if segment.is_damaged() {
        return Verdict::Pass;
    }
    // No process could accept it: the signature is of the service address.
    if is_signed(&mut segment) {
        let signed = Unassigned {
            reason: Drop::Signed,
            full: false,
        };
        turn_away(net, &service, segment, signed, guard);
        return Verdict::Consumed;
    }
    match assign(net, &service, &mut segment, &tuple, guard) {
        Ok(Assigned::New(connection, listener)) => {
            begin(net, segment, &connection, listener, guard)
        }
        Ok(Assigned::Known(connection)) => {
            ingress::pass(translate_syn(net, segment, &connection, guard))
        }
        Err(unassigned) => {
            turn_away(net, &service, segment, unassigned, guard);
            Verdict::Consumed
        }
    }
}

/// Whether a SYN is signed. An MSS and a signature make its header longer than the usual options do,
/// so that most SYNs need no look at them.
fn is_signed<A: Family>(segment: &mut Segment<'_, A>) -> bool {
    const USUAL: usize = 40;
    packet::data_offset(segment.tcp()) > USUAL && options::is_signed(segment.options())
}

/// What came of an assignment.
enum Assigned<'rcu, A: Family> {
    /// A new connection, and the listener that takes it.
    New(RcuArc<Connection<A>>, Option<Listener<'rcu>>),
    /// One that another CPU made of another copy of the SYN.
    Known(RcuArc<Connection<A>>),
}

/// Why nothing came of it.
struct Unassigned {
    reason: Drop,
    /// Whether somebody listens, but all who do have no room.
    full: bool,
}

/// Creates the connection and assigns a process to it.
fn assign<'rcu, A: Family>(
    net: &'rcu DispatchNet,
    service: &'rcu Service,
    segment: &mut Segment<'_, A>,
    tuple: &'rcu Tuple<A>,
    guard: &'rcu Guard,
) -> Result<Assigned<'rcu, A>, Unassigned> {
    let iif = segment.skb().iif();
    let unassigned = |reason| Unassigned {
        reason,
        full: false,
    };
    // TCP would answer by the device that the SYN came by, whatever rule leads to the port: answers
    // would bear the process address.
    if tuple.source_ip.is_link_local() {
        return Err(unassigned(Drop::NoProcess));
    }
    let Some(plan) = service.plan(guard) else {
        return Err(unassigned(Drop::NoProcess));
    };
    let mut choice = Choice::new(net, plan.get(), tuple, iif, guard);
    let had = affinity::recall(net, service, tuple.source_ip.to_ipv6(), guard);
    let mut preferred = had.and_then(|process| plan.position(&process));
    let mut reason = Drop::NoProcess;
    while let Some(at) = preferred
        .take()
        .filter(|at| choice.can_take(*at))
        .or_else(|| choice.make(|| service.next_turn()))
    {
        let Some(process) = plan.processes.get(at) else {
            break;
        };
        let connection = Connection::new(tuple.source(), tuple.destination(), process.clone(), iif)
            .map_err(|_| unassigned(Drop::NoMemory))?;
        let inserted = if reuse::is_taken(net, segment, connection.to_process(), guard) {
            Err(InsertError::Conflict)
        } else {
            net.insert(&connection, guard)
        };
        match inserted {
            Ok(()) => return Ok(Assigned::New(connection, choice.listener_of_last())),
            Err(InsertError::Exists) => {
                return A::of(net)
                    .connections
                    .find_by_client(tuple, guard)
                    .and_then(|connection| connection.upgrade())
                    .map(Assigned::Known)
                    .ok_or(unassigned(Drop::NoMemory));
            }
            Err(InsertError::Conflict)
                if reuse::make_way(net, segment, connection.to_process(), guard) =>
            {
                preferred = Some(at);
            }
            Err(InsertError::Conflict) => {
                process.drops.count(Drop::Conflict);
                reason = Drop::Conflict;
                choice.leave_out(at);
            }
            Err(InsertError::Limit) => return Err(unassigned(Drop::ConnectionLimit)),
            Err(InsertError::NoMemory) => return Err(unassigned(Drop::NoMemory)),
        }
    }
    Err(Unassigned {
        reason,
        full: reason == Drop::NoProcess && choice.found_full(),
    })
}

/// Gives the first SYN of a new connection to its process, and keeps the entry if a socket came of
/// it. None does if TCP had no room, or answered with a SYN cookie: then what the client sends next
/// tells, and a flood of SYNs leaves no more entries than listeners have room for handshakes.
fn begin<A: Family>(
    net: &DispatchNet,
    mut segment: Segment<'_, A>,
    connection: &RcuArc<Connection<A>>,
    listener: Option<Listener<'_>>,
    guard: &Guard,
) -> Verdict {
    let is_local = segment.skb().is_from_loopback();
    if !is_local {
        let service = &connection.process.service;
        service.input_route.remember(segment.skb());
    }
    let skb = match translate_syn(net, segment, connection, guard) {
        Ok(skb) => skb,
        Err(verdict) => {
            net.remove(connection.as_found());
            return verdict;
        }
    };
    // TCP need not look for it again, unless a socket is left of a connection that looks the same.
    if let Some(listener) = &listener {
        if Sock::find(net.net(), connection.to_process(), connection.iif).is_none() {
            skb.set_listener(listener);
        }
    }
    let given = give_to_tcp::<A>(skb);
    // What TCP has answered a remote client has told already, in `crate::egress`.
    if connection.has_begun()
        || sock::socket_state(net.net(), connection.to_process(), connection.iif).is_some()
    {
        began(net, connection, guard);
        return Verdict::Given(given);
    }
    connection.process.service.expect_cookies();
    if is_local {
        // TCP's answer is still on its way up, and needs the entry: by that the client goes on. If
        // it doesn't, the sweep removes it; who floods from here has sockets of its own to pay with.
        began(net, connection, guard);
    } else {
        net.remove(connection.as_found());
    }
    Verdict::Given(given)
}

/// Notes that a connection has begun, counts it, and tells of it.
pub(crate) fn began<A: Family>(net: &DispatchNet, connection: &Connection<A>, guard: &Guard) {
    connection.begin();
    assigned(net, connection, guard);
}

/// Counts a connection that is assigned, and tells of it.
pub(crate) fn assigned<A: Family>(net: &DispatchNet, connection: &Connection<A>, guard: &Guard) {
    let process = &connection.process;
    process.stats.connection();
    process.service.stats.connection();
    affinity::remember(net, process, connection.client().ip.to_ipv6(), guard);
    trace::assigned(
        A::any(connection.client()),
        A::any(connection.service_address()),
        A::any(connection.process_address()),
    );
}

/// Translates a SYN, with the maximum segment size that the way back allows.
fn translate_syn<'a, A: Family>(
    net: &DispatchNet,
    mut segment: Segment<'a, A>,
    connection: &Connection<A>,
    guard: &Guard,
) -> Result<&'a mut SkBuff, Verdict> {
    if !segment.skb().is_from_loopback() {
        if let Some(route) = connection.route_of_syn(net, guard) {
            if route.is_to_many() {
                // Such routes come before the rule that leads to the port: answers would bear the
                // process address.
                connection.process.service.drops.count(Drop::NoProcess);
                segment.skb().free(DropReason::NotSpecified);
                return Err(Verdict::Consumed);
            }
            // A SYN that can't be changed for lack of memory can't be translated, either.
            let _ = mss::limit_to_send(net, &mut segment, route);
        }
    }
    ingress::to_process(segment, connection)
}

/// Refuses a connection, in the way that the service asks for.
fn turn_away<A: Family>(
    net: &DispatchNet,
    service: &Service,
    mut segment: Segment<'_, A>,
    unassigned: Unassigned,
    guard: &Guard,
) {
    let Unassigned { reason, full } = unassigned;
    service.drops.count(reason);
    let refusal = service
        .plan(guard)
        .map_or(Refusal::Tcp, |plan| plan.settings.refusal);
    let silently = match refusal {
        Refusal::Tcp => full,
        Refusal::Reset => false,
        Refusal::Retry => true,
    };
    if reason == Drop::NoMemory {
        segment.skb().free(DropReason::NoMemory);
        return;
    }
    if let Some(count) = service.refusals.count() {
        let client = A::any(segment.tuple().source());
        events::refused(net, service, client, reason, count);
    }
    if silently {
        segment.skb().free(DropReason::NotSpecified);
    } else if reason == Drop::Signed {
        refuse::refuse_signed(segment);
    } else {
        refuse::refuse(net.net(), segment);
    }
}
