// SPDX-License-Identifier: GPL-2.0

//! States of a process.

use crate::names::names;

names! {
    /// Whether a process gets new connections.
    ProcessState "state" {
        /// It does.
        Active = 0 "active",
        /// It doesn't, and keeps those that it has. When the last has ended,
        /// it is down.
        Draining = 1 "draining",
        /// It doesn't, and has none.
        Down = 2 "down",
    }
}
