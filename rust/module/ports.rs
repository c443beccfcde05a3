// SPDX-License-Identifier: GPL-2.0

//! Which TCP ports the layer has anything to do with: who asks learns at once of most ports that it
//! hasn't.

use crate::wrappers::rcu::read_once;
use kernel::sync::atomic::{ordering, Atomic};

/// What there is at each port, of all namespaces, by its bytes as they are on the wire: how many services
/// and processes, and [`DIRECT_CLIENTS`]. Changed in any context, read by each packet that a device
/// receives.
static PORTS: [Atomic<i32>; 1 << 16] = [const { Atomic::new(0) }; 1 << 16];

/// Somebody on this computer has connected to the port at a process address itself. Once set, it stays.
const DIRECT_CLIENTS: i32 = i32::MIN;

#[inline]
fn at(port: [u8; 2]) -> &'static Atomic<i32> {
    &PORTS[usize::from(u16::from_ne_bytes(port))]
}

/// Whether the layer has anything to do with packets to `port`, in network byte order. Any context.
#[inline]
pub(crate) fn is_in_use(port: [u8; 2]) -> bool {
    read_once(at(port)) != 0
}

/// Whether there may be somebody on this computer who is connected to `port`, in network byte order, at a
/// process address itself. Any context.
#[inline]
pub(crate) fn has_direct_clients(port: [u8; 2]) -> bool {
    read_once(at(port)) & DIRECT_CLIENTS != 0
}

/// Notes that somebody on this computer connects to `port`, in network byte order, at a process address
/// itself. Any context. Returns whether that was news.
pub(crate) fn note_direct_client(port: [u8; 2]) -> bool {
    let port = at(port);
    let mut now = read_once(port);
    while now & DIRECT_CLIENTS == 0 {
        match port.cmpxchg(now, now | DIRECT_CLIENTS, ordering::Relaxed) {
            Ok(_) => return true,
            Err(other) => now = other,
        }
    }
    false
}

/// That there is a service, or a process, at a port. Any context.
///
/// # Invariants
///
/// The port is counted once for it.
pub(crate) struct PortInUse([u8; 2]);

impl PortInUse {
    /// At `port`, in network byte order.
    pub(crate) fn new(port: [u8; 2]) -> Self {
        at(port).fetch_add(1, ordering::Relaxed);
        // INVARIANT: Just counted.
        Self(port)
    }
}

impl Drop for PortInUse {
    fn drop(&mut self) {
        at(self.0).fetch_sub(1, ordering::Relaxed);
    }
}
