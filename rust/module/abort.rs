// SPDX-License-Identifier: GPL-2.0

//! Ending connections at once, at both ends.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    process::Process,
    tcp_dispatch_core::{AnySocketAddress, Ipv4Address, Ipv6Address},
    wrappers::{
        delayed_work::cond_resched,
        rcu::RcuArc,
        rhashtable::Walk,
        sock::{Sock, TCP_TIME_WAIT},
    },
};
use kernel::prelude::*;

/// How many connections are ended between two parts of the walk.
const BATCH: usize = 64;

/// Resets the connections of a process that are open: client and daemon see a reset. Their entries
/// end like others, since what was sent last may still be on its way through the layer. Process
/// context.
///
/// # Errors
///
/// `ENOMEM`: some may be left.
pub(crate) fn connections_of(net: &DispatchNet, process: &RcuArc<Process>) -> Result {
    match process.address {
        AnySocketAddress::V4(_) => of_family::<Ipv4Address>(net, process),
        AnySocketAddress::V6(_) => of_family::<Ipv6Address>(net, process),
    }
}

fn of_family<A: Family>(net: &DispatchNet, process: &RcuArc<Process>) -> Result {
    let mut walk = Walk::enter(A::of(net).connections.walkable())?;
    let mut found = KVec::with_capacity(BATCH, GFP_KERNEL)?;
    loop {
        let more = walk.visit(BATCH, |connection| {
            if !connection.process.ptr_eq(process) {
                return;
            }
            let socket = Sock::find(net.net(), connection.to_process(), connection.iif);
            if let Some(socket) = socket.filter(|socket| socket.state() != TCP_TIME_WAIT) {
                // There is room: it visits no more than that.
                let _ = found.push_within_capacity(socket);
            }
        });
        for socket in found.drain_all() {
            socket.abort();
        }
        cond_resched();
        if !more {
            return Ok(());
        }
    }
}
