// SPDX-License-Identifier: GPL-2.0

//! How a service chooses a process.

use crate::names::names;

names! {
    /// How a service chooses the process that a new connection is assigned to.
    Scheduler "scheduler" {
        /// Round robin.
        Rr = 0 "rr",
        /// Round robin by weight.
        Wrr = 1 "wrr",
        /// The process with the fewest connections.
        Lc = 2 "lc",
        /// The process with the fewest connections for its weight.
        Wlc = 3 "wlc",
        /// Maglev hashing of the client's IP address, by weight.
        Mh = 4 "mh",
        /// Hashing of the client's IP address, by weight.
        Sh = 5 "sh",
        /// The process with the shortest accept queue, among these the one
        /// with the fewest connections.
        Saq = 6 "saq",
        /// Round robin among the processes whose CPUs include the one that
        /// received the packet, among all if there is none.
        Cpu = 7 "cpu",
    }
}
