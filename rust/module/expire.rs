// SPDX-License-Identifier: GPL-2.0

//! The end of connections.
//!
//! An entry lives as long as the kernel has a socket of its connection on the process's side, in
//! whatever state, however long it idles. So nothing is timed but the sweep that asks: it runs while
//! there are entries at all.

use crate::{
    connection::Connection,
    dispatch_net::DispatchNet,
    wrappers::{delayed_work::cond_resched, rhashtable::Walk, sock},
};
use kernel::{
    sync::atomic::ordering,
    time::{Delta, Msecs},
};

/// How long after one sweep the next begins.
pub(crate) const INTERVAL: Msecs = 2000;

/// How many sweeps in a row must find no socket: between a handshake's last packet and the socket
/// that comes of it there is a moment without.
const MISSES: i32 = 2;

/// How long an entry is kept after a SYN that nothing followed. The process may have answered by a
/// SYN cookie, which leaves no socket and is good for two minutes at the most (`MAX_SYNCOOKIE_AGE`
/// in `include/net/tcp.h`); a client of Linux's gives up after 67 seconds by default.
const HANDSHAKE: Delta = Delta::from_secs(75);

/// How many entries are looked at in one RCU read section.
const BATCH: usize = 256;

/// Removes entries of connections that have ended. Process context. Returns when to sweep again.
pub(crate) fn sweep(net: &DispatchNet) -> Option<Msecs> {
    let Ok(mut walk) = Walk::enter(net.connections.walkable()) else {
        return Some(INTERVAL);
    };
    let mut more = true;
    while more {
        let mut section = walk.section();
        for _ in 0..BATCH {
            let Some(connection) = section.next() else {
                more = false;
                break;
            };
            if has_ended(net, &connection) {
                net.connections.remove(connection);
            }
        }
        drop(section);
        cond_resched();
    }
    (net.connections.len() > 0).then_some(INTERVAL)
}

fn has_ended(net: &DispatchNet, connection: &Connection) -> bool {
    if sock::socket_state(net.net(), connection.to_process(), connection.iif).is_some() {
        connection.confirm();
        connection.misses.store(0, ordering::Relaxed);
        return false;
    }
    if !connection.is_confirmed() {
        return connection.created.elapsed() >= HANDSHAKE;
    }
    let misses = connection.misses.load(ordering::Relaxed) + 1;
    connection.misses.store(misses, ordering::Relaxed);
    misses >= MISSES
}
