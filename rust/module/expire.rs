// SPDX-License-Identifier: GPL-2.0

//! The end of connections.
//!
//! An entry lives as long as the kernel has a socket of its connection on the process's side, in
//! whatever state, however long it idles. So nothing is timed but the sweep that asks: it runs while
//! there are entries at all.

use crate::{
    affinity,
    connection::Connection,
    dispatch_net::DispatchNet,
    family::Family,
    process::State,
    tcp_dispatch_core::{Ipv4Address, Ipv6Address},
    wrappers::{
        delayed_work::cond_resched,
        rhashtable::Walk,
        sock::{self, TCP_TIME_WAIT},
    },
};
use kernel::{sync::atomic::ordering, time::Msecs};

/// How long after one sweep the next begins.
pub(crate) const INTERVAL: Msecs = 2000;

/// How many sweeps in a row must find no socket: between a handshake's last packet and the socket
/// that comes of it there is a moment without.
const MISSES: i32 = 2;

/// For how many milliseconds an entry that was made before its first packet waits for that.
const RESERVED: i64 = 75_000;

/// How many entries are looked at in one RCU read section.
const BATCH: usize = 256;

/// Removes entries of connections that have ended. Process context. Returns when to sweep again.
pub(crate) fn sweep(net: &DispatchNet) -> Option<Msecs> {
    let number = net.sweeps.fetch_add(1, ordering::Full) + 1;
    let (Some(ipv4), Some(ipv6)) = (
        sweep_family::<Ipv4Address>(net, number),
        sweep_family::<Ipv6Address>(net, number),
    ) else {
        return Some(INTERVAL);
    };
    let draining = ipv4 || ipv6;
    net.sweeps_done.store(number, ordering::Release);
    if draining {
        net.settle();
    }
    affinity::sweep(net);
    (net.connection_count.get() > 0 || !net.affinities.is_empty()).then_some(INTERVAL)
}

/// The same of one family, in sweep number `number`. Returns whether a draining process was met; `None`
/// if there was no memory.
fn sweep_family<A: Family>(net: &DispatchNet, number: i64) -> Option<bool> {
    let mut walk = Walk::enter(A::of(net).connections.walkable()).ok()?;
    let mut draining = false;
    while walk.visit(BATCH, |connection| {
        draining |= connection.process.state() == State::Draining;
        if has_ended(net, &connection, number) {
            net.remove(connection);
        }
    }) {
        cond_resched();
    }
    Some(draining)
}

fn has_ended<A: Family>(net: &DispatchNet, connection: &Connection<A>, sweep: i64) -> bool {
    match sock::socket_state(net.net(), connection.to_process(), connection.iif) {
        Some(state) => {
            connection.begin();
            connection.misses.store(0, ordering::Relaxed);
            if state != TCP_TIME_WAIT {
                connection.process.mark_busy(sweep);
            }
            false
        }
        None if connection.is_reserved() && connection.age() < RESERVED => false,
        None => {
            let misses = connection.misses.load(ordering::Relaxed) + 1;
            connection.misses.store(misses, ordering::Relaxed);
            if misses < MISSES {
                connection.process.mark_busy(sweep);
            }
            misses >= MISSES
        }
    }
}
