// SPDX-License-Identifier: GPL-2.0

//! The end of processes: of registrations whose owner has died, and of draining.
//!
//! Nothing is polled. This runs when a process dies that owns a registration, when the last
//! connection of a draining process has ended, and when the time to drain is over.

use crate::{abort, dispatch_net::DispatchNet};
use kernel::time::Msecs;

/// Ends what is over. Process context. Returns after how long a process's time to drain is over.
pub(crate) fn settle(net: &DispatchNet) -> Option<Msecs> {
    let mut control = net.control();
    control.remove_orphans();
    control.finish_draining();
    let (overdue, next) = match control.deadlines() {
        Ok(deadlines) => deadlines,
        Err(_) => return Some(RETRY),
    };
    // Resetting takes long and sleeps: others may have the lock meanwhile.
    drop(control);
    let mut next = next;
    for process in overdue {
        if abort::connections_of(net, &process).is_err() {
            next = Some(next.map_or(RETRY, |next: Msecs| next.min(RETRY)));
        } else if process.time_left() == Some(0) {
            // Nobody has set another one meanwhile.
            process.clear_deadline();
        }
    }
    next
}

/// After how long what memory was lacking for is tried again.
const RETRY: Msecs = 100;
